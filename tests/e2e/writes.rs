//! How many writes an update costs, counted by the API server.

use std::time::Duration;

use harness::shop::spec;
use harness::writes::Writes;
use serde_json::json;

/// Long enough for every periodic thing but the resync to show itself.
const QUIET: Duration = Duration::from_secs(30);

fn of_pods(counts: &std::collections::BTreeMap<String, usize>) -> usize {
    counts
        .iter()
        .filter(|(kind, _)| kind.contains(" pods"))
        .map(|(_, n)| n)
        .sum()
}

#[tokio::test]
async fn a_pod_costs_two_writes_to_create_three_to_update_and_none_at_rest() {
    let (stage, _client, shop) = crate::shop("writes").await;
    let Some(writes) = Writes::from_now(&stage.cluster) else {
        eprintln!("skipped: this cluster keeps no audit log for us");
        return;
    };
    let _quiet = stage.share().await;
    shop.create_ready(spec(5)).await;
    let created = writes.of_manager(&shop.namespace);
    // The gate of a new Pod is opened at the version that was seen, while the kubelet writes too.
    let refused = writes.refused_of_manager(&shop.namespace);
    assert!(refused <= 5, "{refused} refused: {created:#?}");
    let taken = of_pods(&created) - refused;
    assert_eq!(taken, 2 * 5, "create and gate: {created:#?}");

    let writes = Writes::from_now(&stage.cluster).expect("the audit log");
    shop.rolling("maxUnavailable", json!(2)).await;
    shop.image("docker.io/local/app:v2").await;
    shop.ready().await;
    let updated = writes.of_manager(&shop.namespace);
    assert_eq!(
        of_pods(&updated),
        3 * 5,
        "drain, patch, undrain: {updated:#?}"
    );

    // The status may follow once more.
    harness::eventually("the last status is written", async || {
        let status = shop.set().await.status.unwrap_or_default();
        if status.reasons.is_empty() {
            Ok(())
        } else {
            Err(format!("{status:#?}"))
        }
    })
    .await;
    let writes = Writes::from_now(&stage.cluster).expect("the audit log");
    harness::holds_for("not one write", QUIET, async || {
        let written = writes.of_manager(&shop.namespace);
        if written.is_empty() {
            Ok(())
        } else {
            Err(format!("{written:#?}"))
        }
    })
    .await;
    shop.close().await;
}
