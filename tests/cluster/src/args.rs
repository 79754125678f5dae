//! The command line of `insitu-cluster`.

use std::path::PathBuf;

use clap::{Args as Group, Parser, Subcommand, ValueEnum};
use cluster::{Options, Provider, RealNode};

/// Starts and stops real Kubernetes clusters for tests.
///
/// Every part is the real one (etcd, kube-apiserver, kubelet, containerd), built once into a
/// cache. As root each cluster lives in namespaces of its own and has one real node; without root
/// the control plane runs on loopback, with fake (KWOK) nodes only.
///
/// INSITU_CACHE (default: ~/.cache/insitu) holds the programs and the clusters' folders.
/// INSITU_KEEP_LOGS=DIR keeps the logs of a cluster that goes away.
#[derive(Debug, Parser)]
#[command(version, verbatim_doc_comment)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) action: Action,
}

#[derive(Debug, Group)]
pub(crate) struct Named {
    /// Which cluster
    #[arg(long, default_value = "default")]
    pub(crate) name: String,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// Start a cluster, or reuse the running one, and print how to use it
    Up(Up),
    /// Take a cluster down, or what a crash left of it
    Down(Named),
    /// List the clusters
    List,
    /// Print the path of the admin's kubeconfig
    Kubeconfig(Named),
    /// Print shell lines that point kubectl at the cluster: eval "$(insitu-cluster env)"
    Env(Named),
    /// Write the test images (docker.io/local/app:v1 and so on) as an OCI archive
    Images {
        #[arg(short, long, default_value = "images.tar")]
        output: PathBuf,
    },
    /// Import an OCI archive into the cluster's real node
    Load {
        file: PathBuf,
        #[command(flatten)]
        cluster: Named,
    },
    /// Push an image of the real node to the cluster's registry (needs up --registry)
    Push {
        reference: String,
        #[command(flatten)]
        cluster: Named,
    },
    /// Make an image of one program and its shared libraries, run as uid 65532
    Image {
        #[arg(long)]
        binary: PathBuf,
        /// The image's reference, such as docker.io/local/manager:dev
        #[arg(long)]
        name: String,
        #[arg(short, long)]
        output: PathBuf,
    },
    /// Summarise the API server's audit log: who asked for what, and how often
    Requests {
        /// Skip this many bytes of the log; the last line printed tells the next value
        #[arg(long, default_value_t = 0)]
        since: u64,
        /// Only user agents that contain this
        #[arg(long, default_value = "")]
        agent: String,
        #[command(flatten)]
        cluster: Named,
    },
    /// Run a command inside the cluster's network, mount and PID namespaces
    Exec {
        #[command(flatten)]
        cluster: Named,
        #[arg(last = true, required = true)]
        command: Vec<String>,
    },
    /// Print the log of a component: etcd, kube-apiserver, kubelet, kwok, supervisor, ...
    Logs {
        component: String,
        #[command(flatten)]
        cluster: Named,
    },
    /// Kill one component
    Stop {
        component: String,
        #[command(flatten)]
        cluster: Named,
    },
    /// Start a component that was stopped
    Start {
        component: String,
        #[command(flatten)]
        cluster: Named,
    },
    /// Build all programs into the cache, and do nothing else
    Build,
    #[command(hide = true)]
    Supervise {
        #[arg(long)]
        namespaces: bool,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ProviderName {
    Native,
    Kind,
    Existing,
}

// Flags are what a command line has.
#[allow(clippy::struct_excessive_bools)]
#[derive(Debug, Group)]
pub(crate) struct Up {
    #[command(flatten)]
    named: Named,
    /// native: real programs on this machine; kind: in Docker; existing: the caller's KUBECONFIG
    #[arg(long, value_enum, default_value = "native")]
    provider: ProviderName,
    /// Insist on a real node (the default as root)
    #[arg(long, conflicts_with = "no_real")]
    real: bool,
    /// Leave the real node out
    #[arg(long)]
    no_real: bool,
    /// How many fake nodes, of 1,000 Pods each
    #[arg(long, default_value_t = 0, value_name = "N")]
    fake: u32,
    /// Run a real registry that every image name leads to
    #[arg(long)]
    registry: bool,
    /// Stay, and take the cluster down when stdin ends or this process dies
    #[arg(long)]
    attached: bool,
}

impl Up {
    pub(crate) fn options(self) -> (Options, bool) {
        let provider = match self.provider {
            ProviderName::Native => Provider::Native,
            ProviderName::Kind => Provider::Kind,
            ProviderName::Existing => Provider::Existing,
        };
        let real_node = match (self.real, self.no_real) {
            (true, _) => RealNode::Always,
            (_, true) => RealNode::Never,
            _ => RealNode::WhenRoot,
        };
        let Self {
            fake: fake_nodes,
            registry,
            named: Named { name },
            ..
        } = self;
        (
            Options {
                name,
                provider,
                real_node,
                fake_nodes,
                registry,
            },
            self.attached,
        )
    }
}
