//! One cluster for all tests of a binary, with the manager deployed from `config/` as shipped.

use std::path::PathBuf;
use std::sync::OnceLock;

use cluster::{Cluster, Options, Provider, RealNode};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::manager;

/// The cluster of this process. It dies with the process, whatever happens to it.
pub struct Stage {
    /// The cluster.
    pub cluster: Cluster,
    /// Held for reading by every test, for writing by those that disturb the others.
    quiet: RwLock<()>,
}

impl Stage {
    /// The stage with a real node and the manager on it; set up by whoever asks first.
    ///
    /// # Panics
    /// When the cluster cannot be had: every test that needs it fails with the same reason.
    pub fn real() -> &'static Self {
        static STAGE: OnceLock<Stage> = OnceLock::new();
        STAGE.get_or_init(|| {
            let options = Options {
                provider: provider(),
                real_node: RealNode::Always,
                fake_nodes: 1,
                ..Options::new(format!("e2e-{}", std::process::id()))
            };
            let cluster = Cluster::start(options).expect("a cluster with a real node");
            manager::load_images(&cluster, "dev").expect("both images on the node");
            manager::deploy(&cluster).expect("config/ deployed as shipped");
            Self {
                cluster,
                quiet: RwLock::new(()),
            }
        })
    }

    /// Whether the cluster is one of ours, down to its processes.
    pub fn is_native(&self) -> bool {
        self.cluster.audit().is_ok()
    }

    /// Runs beside other tests.
    pub async fn share(&self) -> RwLockReadGuard<'_, ()> {
        self.quiet.read().await
    }

    /// Runs alone: for tests that stop what the others need.
    pub async fn alone(&self) -> RwLockWriteGuard<'_, ()> {
        self.quiet.write().await
    }

    /// A client of this test's own runtime.
    ///
    /// # Panics
    /// When the cluster's kubeconfig is of no use.
    pub async fn client(&self) -> Client {
        client(self.cluster.kubeconfig().to_owned()).await
    }
}

/// A client for the cluster-admin of `kubeconfig`.
///
/// # Panics
/// When it is of no use.
pub async fn client(kubeconfig: PathBuf) -> Client {
    let read = Kubeconfig::read_from(kubeconfig).expect("a readable kubeconfig");
    let config = Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await;
    Client::try_from(config.expect("a usable kubeconfig")).expect("a client")
}

fn provider() -> Provider {
    match std::env::var("INSITU_PROVIDER").as_deref() {
        Ok("kind") => Provider::Kind,
        Ok("existing") => Provider::Existing,
        Ok("native") | Err(_) => Provider::Native,
        Ok(other) => panic!("INSITU_PROVIDER is {other:?}; use native, kind or existing"),
    }
}
