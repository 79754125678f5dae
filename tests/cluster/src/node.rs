//! The real node: containerd, kubelet, kube-proxy, and the registry they pull from.

use std::path::{Path, PathBuf};

use crate::{
    binaries, command,
    control_plane::Component,
    error::{Error, Result},
    network, sandbox,
    spec::{POD_CIDR, REAL_NODE, Spec},
};

const REGISTRY: &str = "127.0.0.1:5000";
// Nothing listens there: without a registry a pull fails at once instead of looking for DNS.
const NO_REGISTRY: &str = "127.0.0.1:1";

pub(crate) fn containerd_socket(dir: &Path) -> PathBuf {
    dir.join("containerd/containerd.sock")
}

pub(crate) fn containerd(spec: &Spec) -> Result<Component> {
    for folder in ["containerd", "cni", "certs.d/_default"] {
        command::create_folder(&spec.dir.join(folder))?;
    }
    let cni = network::cni(&spec.path("cni-state"));
    command::write(&spec.dir.join("cni/10-bridge.conflist"), cni)?;
    let registry = if spec.registry { REGISTRY } else { NO_REGISTRY };
    let hosts = format!(
        "server = \"http://{registry}\"\n\n[host.\"http://{registry}\"]\n  \
         capabilities = [\"pull\", \"resolve\"]\n"
    );
    command::write(&spec.dir.join("certs.d/_default/hosts.toml"), hosts)?;
    command::write(
        &spec.dir.join("containerd/config.toml"),
        containerd_config(spec)?,
    )?;
    let config = format!("--config={}", spec.path("containerd/config.toml"));
    Component::new("containerd", vec![config])
}

fn containerd_config(spec: &Spec) -> Result<String> {
    let runc = command::find("runc").ok_or_else(|| Error::Missing {
        program: "runc".to_owned(),
        hint: "install the package runc".to_owned(),
    })?;
    Ok(format!(
        r#"version = 3
root = "{dir}/containerd/root"
state = "{dir}/containerd/state"
[grpc]
  address = "{dir}/containerd/containerd.sock"
[plugins.'io.containerd.internal.v1.opt']
  path = "{dir}/containerd/opt"
[plugins.'io.containerd.nri.v1.nri']
  disable = true
[plugins.'io.containerd.cri.v1.images']
  snapshotter = "overlayfs"
  [plugins.'io.containerd.cri.v1.images'.pinned_images]
    sandbox = "docker.io/local/pause:1"
[plugins.'io.containerd.cri.v1.images'.registry]
  config_path = "{dir}/certs.d"
[plugins.'io.containerd.cri.v1.runtime']
  # Without CAP_SYS_RESOURCE runc could not lower it, and would not start anything.
  restrict_oom_score_adj = true
[plugins.'io.containerd.cri.v1.runtime'.cni]
  bin_dirs = ["/usr/lib/cni", "/opt/cni/bin"]
  conf_dir = "{dir}/cni"
[plugins.'io.containerd.cri.v1.runtime'.containerd]
  default_runtime_name = "runc"
  [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    runtime_path = "{shim}"
    [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
      BinaryName = "{runc}"
      SystemdCgroup = false
"#,
        dir = spec.dir.display(),
        shim = binaries::path("containerd-shim-runc-v2")?.display(),
        runc = runc.display(),
    ))
}

pub(crate) fn registry(spec: &Spec) -> Result<Component> {
    let config = format!(
        "version: 0.1
storage: {{filesystem: {{rootdirectory: \"{}\"}}, delete: {{enabled: true}}}}
http: {{addr: \"{REGISTRY}\"}}
",
        spec.path("registry")
    );
    command::write(&spec.dir.join("registry.yaml"), config)?;
    let program = command::find("docker-registry").ok_or_else(|| Error::Missing {
        program: "docker-registry".to_owned(),
        hint: "install the package docker-registry".to_owned(),
    })?;
    let arguments = vec!["serve".into(), spec.path("registry.yaml")];
    Ok(Component {
        name: "docker-registry",
        program,
        arguments,
    })
}

pub(crate) fn kubelet(spec: &Spec) -> Result<Component> {
    let pki = |file: &str| spec.path(&format!("pki/{file}"));
    let config = format!(
        r#"apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failCgroupV1: false
cgroupDriver: cgroupfs
cgroupRoot: /{cgroup}
enforceNodeAllocatable: []
localStorageCapacityIsolation: false
failSwapOn: false
containerRuntimeEndpoint: unix://{socket}
authentication: {{anonymous: {{enabled: false}}, x509: {{clientCAFile: "{ca}"}}, webhook: {{enabled: true}}}}
authorization: {{mode: Webhook}}
tlsCertFile: "{certificate}"
tlsPrivateKeyFile: "{key}"
address: {address}
volumePluginDir: "{plugins}"
# A test machine is often full; evicting its Pods would only look like a bug of the tested code.
evictionHard: {{memory.available: "50Mi", nodefs.available: "0%", imagefs.available: "0%", nodefs.inodesFree: "0%", imagefs.inodesFree: "0%"}}
imageGCHighThresholdPercent: 100
maxPods: 200
nodeStatusUpdateFrequency: 5s
# The defaults (5 and 10 a second) would make a test wait for Events.
eventRecordQPS: 0
kubeAPIQPS: 200
kubeAPIBurst: 400
registryPullQPS: 0
serializeImagePulls: false
podCIDR: {POD_CIDR}
# No DNS runs here: a lookup must fail at once, and without an Event at every Pod.
clusterDNS: [127.0.0.1]
resolvConf: ""
"#,
        cgroup = sandbox::cgroup_name(&spec.name),
        socket = containerd_socket(&spec.dir).display(),
        ca = pki("ca.crt"),
        certificate = pki("node.crt"),
        key = pki("node.key"),
        address = spec.address,
        plugins = spec.path("kubelet/plugins-exec"),
    );
    command::write(&spec.dir.join("kubelet.yaml"), config)?;
    Component::new(
        "kubelet",
        vec![
            format!("--config={}", spec.path("kubelet.yaml")),
            format!("--kubeconfig={}", spec.path("node.kubeconfig")),
            format!("--root-dir={}", spec.path("kubelet")),
            format!("--cert-dir={}", spec.path("pki/kubelet")),
            format!("--hostname-override={REAL_NODE}"),
            format!("--node-ip={}", spec.address),
        ],
    )
}

pub(crate) fn kube_proxy(spec: &Spec) -> Result<Component> {
    Component::new(
        "kube-proxy",
        vec![
            format!("--kubeconfig={}", spec.path("proxy.kubeconfig")),
            "--proxy-mode=iptables".into(),
            format!("--cluster-cidr={POD_CIDR}"),
            format!("--hostname-override={REAL_NODE}"),
            // These are limits of the whole machine; 0 leaves them alone.
            "--conntrack-max-per-core=0".into(),
            "--conntrack-tcp-timeout-established=0".into(),
            "--conntrack-tcp-timeout-close-wait=0".into(),
            "--healthz-bind-address=127.0.0.1:10256".into(),
            "--metrics-bind-address=127.0.0.1:10249".into(),
            // A new Service or endpoint is reachable at once.
            "--iptables-min-sync-period=0s".into(),
        ],
    )
}
