//! An API server and a node, and nobody else: no controller or scheduler acts between two requests.

use std::sync::OnceLock;

use cluster::{Cluster, Options, RealNode};
use harness::stage;
use kube::Client;

pub(crate) struct Stage {
    pub(crate) cluster: Cluster,
}

impl Stage {
    /// The stage of this process; set up by whoever asks first.
    pub(crate) fn get() -> &'static Self {
        static STAGE: OnceLock<Stage> = OnceLock::new();
        STAGE.get_or_init(|| {
            let options = Options {
                real_node: RealNode::Always,
                ..Options::new(format!("conformance-{}", std::process::id()))
            };
            let cluster = Cluster::start(options).expect("a cluster with a real node");
            for component in ["kube-controller-manager", "kube-scheduler"] {
                cluster.stop_component(component).expect("it stops");
            }
            Self { cluster }
        })
    }

    /// A client of this test's own runtime.
    pub(crate) async fn client(&self) -> Client {
        stage::client(self.cluster.kubeconfig().to_owned()).await
    }
}
