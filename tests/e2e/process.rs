//! The manager as a plain process, with nothing but a kubeconfig.

use std::process::Stdio;

use harness::eventually;
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

/// A port that was free a moment ago.
async fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    listener.local_addr().expect("its address").port()
}

/// Status line and body of a plain HTTP request.
async fn get(port: u16, path: &str) -> Result<(String, String), String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))
        .await
        .map_err(|error| error.to_string())?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n");
    stream
        .write_all(request.as_bytes())
        .await
        .map_err(|error| error.to_string())?;
    let mut answer = String::new();
    stream
        .read_to_string(&mut answer)
        .await
        .map_err(|error| error.to_string())?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("no body")?;
    Ok((
        head.lines().next().unwrap_or_default().to_owned(),
        body.to_owned(),
    ))
}

fn start(kubeconfig: &std::path::Path, namespace: &str, probes: u16, metrics: u16) -> Child {
    Command::new(harness::manager::binary("dev").expect("the manager"))
        .env("KUBECONFIG", kubeconfig)
        .args([
            "--namespace",
            namespace,
            "--leader-election-namespace",
            namespace,
        ])
        .arg(format!("--health-probe-bind-address=127.0.0.1:{probes}"))
        .arg(format!("--metrics-bind-address=127.0.0.1:{metrics}"))
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("a process")
}

#[tokio::test]
async fn it_runs_outside_the_cluster_answers_probes_and_releases_the_lease_when_told_to_stop() {
    let (stage, client, shop) = crate::shop("process").await;
    let _quiet = stage.share().await;
    let (probes, metrics) = (free_port().await, free_port().await);
    let mut manager = start(stage.cluster.kubeconfig(), &shop.namespace, probes, metrics);
    for path in ["/healthz", "/readyz"] {
        eventually(path, async || {
            let (status, body) = get(probes, path).await?;
            if status.contains(" 200 ") {
                Ok(())
            } else {
                Err(format!("{status}: {body}"))
            }
        })
        .await;
    }
    let leases: Api<Lease> = Api::namespaced(client, &shop.namespace);
    let holder = async || {
        let lease = leases
            .get("insitu-manager")
            .await
            .map_err(|error| error.to_string())?;
        Ok::<_, String>(
            lease
                .spec
                .and_then(|spec| spec.holder_identity)
                .unwrap_or_default(),
        )
    };
    eventually("it leads", async || match holder().await?.as_str() {
        "" => Err("nobody holds the lease".to_owned()),
        _ => Ok(()),
    })
    .await;
    let (_, text) = get(metrics, "/metrics").await.expect("metrics");
    for name in [
        "controller_runtime_active_workers",
        "workqueue_depth",
        "insitu_leader 1",
    ] {
        assert!(text.contains(name), "{name} is missing from:\n{text}");
    }

    let pid = manager.id().expect("a pid").to_string();
    let told = Command::new("kill")
        .args(["-TERM", &pid])
        .status()
        .await
        .expect("kill runs");
    assert!(told.success());
    let ended = manager.wait().await.expect("an exit status");
    assert!(ended.success(), "{ended}");
    assert_eq!(
        holder().await.expect("the lease"),
        "",
        "the lease is released"
    );
    shop.close().await;
}

#[tokio::test]
async fn without_a_cluster_it_says_what_to_set_and_fails() {
    let output = Command::new(harness::manager::binary("dev").expect("the manager"))
        .env_remove("KUBECONFIG")
        .env("HOME", "/nonexistent")
        .output()
        .await
        .expect("a process");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(text.contains("KUBECONFIG"), "{text}");
}
