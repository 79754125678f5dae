//! A cluster with the CRD, the manager on it, and a client.

use std::path::Path;

use anyhow::Result;
use cluster::Cluster;
use harness::manager::root;
use kube::Client;

use crate::manager::Manager;

pub(crate) struct Stage {
    pub(crate) client: Client,
    pub(crate) manager: Manager,
}

/// A name that no other run has.
pub(crate) fn name(benchmark: &str) -> String {
    format!("{benchmark}-{}", std::process::id())
}

/// Installs the CRD and starts the manager `binary`, as cluster-admin.
pub(crate) async fn set(cluster: &Cluster, binary: &Path) -> Result<Stage> {
    let crd = format!("{}/config/crd", root().display());
    cluster.kubectl(&["apply", "--server-side", "-f", &crd])?;
    cluster.kubectl(&[
        "wait",
        "--for=condition=Established",
        "crd",
        "--all",
        "--timeout=60s",
    ])?;
    let client = harness::stage::client(cluster.kubeconfig().to_owned()).await;
    let log = crate::folder()?.join("manager.log");
    let manager = Manager::start(binary, cluster.kubeconfig(), log).await?;
    Ok(Stage { client, manager })
}
