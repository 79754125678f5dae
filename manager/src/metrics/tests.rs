use super::Metrics;

#[test]
fn every_name_is_the_one_dashboards_know() {
    let metrics = Metrics::new();
    metrics.reconciled("cloneset", "success", 0.02);
    metrics.active_workers("cloneset").inc();
    metrics.set_max_workers("cloneset", 8);
    let queue = metrics.queue("cloneset");
    queue.adds.inc();
    queue.retries.inc();
    queue.queue_duration.observe(0.1);
    queue.work_duration.observe(0.1);
    metrics.wrote("patch", "pods", "ok");
    metrics.set_pods_by_reason("shop", "web", &[("Ready", 3)]);
    metrics.updated_in_place("restart", 2.0);
    metrics.leader().set(1);
    metrics.set_cache_objects("Pod", 7);
    metrics.watch_restarts("Pod").inc();
    let text = metrics.encode().unwrap();
    for line in [
        r#"controller_runtime_reconcile_total{controller="cloneset",result="success"} 1"#,
        r#"controller_runtime_reconcile_time_seconds_count{controller="cloneset"} 1"#,
        r#"controller_runtime_active_workers{controller="cloneset"} 1"#,
        r#"controller_runtime_max_concurrent_reconciles{controller="cloneset"} 8"#,
        r#"workqueue_depth{name="cloneset"} 0"#,
        r#"workqueue_adds_total{name="cloneset"} 1"#,
        r#"workqueue_retries_total{name="cloneset"} 1"#,
        r#"workqueue_queue_duration_seconds_count{name="cloneset"} 1"#,
        r#"workqueue_work_duration_seconds_count{name="cloneset"} 1"#,
        r#"insitu_api_writes_total{verb="patch",resource="pods",result="ok"} 1"#,
        r#"insitu_pods_by_reason{namespace="shop",name="web",reason="Ready"} 3"#,
        r#"insitu_inplace_update_duration_seconds_count{phase="restart"} 1"#,
        "insitu_leader 1",
        r#"insitu_cache_objects{kind="Pod"} 7"#,
        r#"insitu_watch_restarts_total{kind="Pod"} 1"#,
    ] {
        assert!(text.lines().any(|l| l == line), "no line {line} in\n{text}");
    }
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn a_reason_that_is_over_disappears_and_so_does_a_set_that_is_gone() {
    let metrics = Metrics::new();
    metrics.set_pods_by_reason("shop", "web", &[("Ready", 3), ("Pulling", 1)]);
    metrics.set_pods_by_reason("shop", "api", &[("Ready", 2)]);
    metrics.set_pods_by_reason("shop", "web", &[("Ready", 4)]);
    let text = metrics.encode().unwrap();
    assert!(!text.contains("Pulling"));
    assert!(text.contains(r#"name="web",reason="Ready"} 4"#));
    metrics.forget_set("shop", "web");
    let text = metrics.encode().unwrap();
    assert!(!text.contains("web"));
    assert!(text.contains(r#"name="api""#));
}

#[test]
fn hooks_run_before_the_text_is_written() {
    let metrics = Metrics::new();
    metrics.on_scrape(|metrics| metrics.set_cache_objects("Pod", 11));
    assert!(
        metrics
            .encode()
            .unwrap()
            .contains(r#"insitu_cache_objects{kind="Pod"} 11"#)
    );
}
