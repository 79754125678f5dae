//! The command lines of etcd, the API server, the controller manager and the scheduler.

use std::path::PathBuf;

use crate::{
    binaries, command,
    error::Result,
    spec::{Isolation, SERVICE_CIDR, Spec},
};

/// One long-running program of a cluster.
#[derive(Clone, Debug)]
pub(crate) struct Component {
    pub(crate) name: &'static str,
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<String>,
}

impl Component {
    pub(crate) fn new(name: &'static str, arguments: Vec<String>) -> Result<Self> {
        Ok(Self {
            name,
            program: binaries::path(name)?,
            arguments,
        })
    }
}

pub(crate) fn etcd(spec: &Spec) -> Result<Component> {
    let client = format!("http://127.0.0.1:{}", spec.ports.etcd);
    let peer = format!("http://127.0.0.1:{}", spec.ports.etcd_peer);
    Component::new(
        "etcd",
        vec![
            format!("--data-dir={}", spec.path("etcd")),
            format!("--listen-client-urls={client}"),
            format!("--advertise-client-urls={client}"),
            format!("--listen-peer-urls={peer}"),
            format!("--initial-advertise-peer-urls={peer}"),
            format!("--initial-cluster=default={peer}"),
            // The data of a test is not worth waiting for the disk.
            "--unsafe-no-fsync".into(),
            "--log-level=warn".into(),
        ],
    )
}

const AUDIT_POLICY: &str = "apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived, ResponseStarted]
rules: [{level: Metadata}]
";

pub(crate) fn api_server(spec: &Spec) -> Result<Component> {
    command::write(&spec.dir.join("audit-policy.yaml"), AUDIT_POLICY)?;
    let pki = |file: &str| spec.path(&format!("pki/{file}"));
    let mut arguments = vec![
        format!("--etcd-servers=http://127.0.0.1:{}", spec.ports.etcd),
        format!("--secure-port={}", spec.ports.api),
        format!("--tls-cert-file={}", pki("apiserver.crt")),
        format!("--tls-private-key-file={}", pki("apiserver.key")),
        format!("--client-ca-file={}", pki("ca.crt")),
        format!("--service-account-key-file={}", pki("service-accounts.pub")),
        format!(
            "--service-account-signing-key-file={}",
            pki("service-accounts.key")
        ),
        "--service-account-issuer=https://kubernetes.default.svc".into(),
        format!("--service-cluster-ip-range={SERVICE_CIDR}"),
        "--authorization-mode=Node,RBAC".into(),
        "--enable-admission-plugins=NodeRestriction".into(),
        "--allow-privileged".into(),
        format!("--kubelet-client-certificate={}", pki("admin.crt")),
        format!("--kubelet-client-key={}", pki("admin.key")),
        "--kubelet-preferred-address-types=InternalIP".into(),
        format!("--audit-policy-file={}", spec.path("audit-policy.yaml")),
        format!("--audit-log-path={}", spec.path("audit.log")),
        // Offsets into the log stay good: it never gets as large as this many MB.
        "--audit-log-maxsize=1000000".into(),
        "--shutdown-delay-duration=0s".into(),
    ];
    match spec.isolation {
        Isolation::Namespaces => arguments.extend([
            "--bind-address=0.0.0.0".into(),
            format!("--advertise-address={}", spec.address),
        ]),
        // The Service "kubernetes" cannot lead to a loopback address, and no Pod runs to use it.
        Isolation::Loopback => arguments.extend([
            "--bind-address=127.0.0.1".into(),
            "--advertise-address=127.0.0.1".into(),
            "--endpoint-reconciler-type=none".into(),
        ]),
    }
    Component::new("kube-apiserver", arguments)
}

pub(crate) fn controller_manager(spec: &Spec) -> Result<Component> {
    let kubeconfig = spec.path("controller-manager.kubeconfig");
    Component::new(
        "kube-controller-manager",
        vec![
            format!("--kubeconfig={kubeconfig}"),
            format!("--authentication-kubeconfig={kubeconfig}"),
            format!("--authorization-kubeconfig={kubeconfig}"),
            "--bind-address=127.0.0.1".into(),
            format!("--secure-port={}", spec.ports.controller_manager),
            format!("--cert-dir={}", spec.path("pki/controller-manager")),
            format!(
                "--service-account-private-key-file={}",
                spec.path("pki/service-accounts.key")
            ),
            format!("--root-ca-file={}", spec.path("pki/ca.crt")),
            format!("--cluster-signing-cert-file={}", spec.path("pki/ca.crt")),
            format!("--cluster-signing-key-file={}", spec.path("pki/ca.key")),
            "--use-service-account-credentials".into(),
            "--leader-elect=false".into(),
            // A test must wait for the controller under test, not for these.
            "--kube-api-qps=1000".into(),
            "--kube-api-burst=1000".into(),
            "--concurrent-gc-syncs=40".into(),
        ],
    )
}

pub(crate) fn scheduler(spec: &Spec) -> Result<Component> {
    let config = format!(
        "apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
leaderElection: {{leaderElect: false}}
clientConnection: {{kubeconfig: \"{}\", qps: 1000, burst: 1000}}
",
        spec.path("scheduler.kubeconfig")
    );
    command::write(&spec.dir.join("scheduler.yaml"), config)?;
    let kubeconfig = spec.path("scheduler.kubeconfig");
    Component::new(
        "kube-scheduler",
        vec![
            format!("--config={}", spec.path("scheduler.yaml")),
            format!("--authentication-kubeconfig={kubeconfig}"),
            format!("--authorization-kubeconfig={kubeconfig}"),
            "--bind-address=127.0.0.1".into(),
            format!("--secure-port={}", spec.ports.scheduler),
            format!("--cert-dir={}", spec.path("pki/scheduler")),
        ],
    )
}
