//! The order in which the components of a cluster start, and what each waits for.

use std::{
    os::unix::net::UnixStream,
    process::{Command, Stdio},
};

use crate::{
    binaries, command,
    control_plane::{self, Component},
    error::{Error, Result},
    fake_nodes, images, node, sandbox,
    spec::Spec,
    supervisor::{Supervisor, progress},
};

pub(crate) fn run(supervisor: &mut Supervisor) -> Result<()> {
    let spec = supervisor.spec.clone();
    progress("starting etcd and the API server");
    supervisor.spawn(&control_plane::etcd(&spec)?)?;
    supervisor.spawn(&control_plane::api_server(&spec)?)?;
    if spec.real_node {
        // It needs no API server, so it gets ready meanwhile.
        supervisor.spawn(&node::containerd(&spec)?)?;
        let images = spec.dir.join("images.tar");
        images::write_test_images(&images)?;
        let socket = node::containerd_socket(&spec.dir);
        supervisor.wait_for("containerd", 60, || UnixStream::connect(&socket).is_ok())?;
        command::output(ctr(&spec)?.args(["images", "import"]).arg(&images))?;
        if spec.registry {
            supervisor.spawn(&node::registry(&spec)?)?;
        }
    }
    supervisor.wait_for("the API server to be ready", 90, || {
        kubectl(&spec, &["get", "--raw=/readyz"])
    })?;
    progress("starting the controller manager, the scheduler and the nodes");
    supervisor.spawn(&control_plane::controller_manager(&spec)?)?;
    supervisor.spawn(&control_plane::scheduler(&spec)?)?;
    if spec.real_node {
        sandbox::create_cgroups(&spec.name)?;
        supervisor.spawn(&node::kubelet(&spec)?)?;
        supervisor.spawn(&node::kube_proxy(&spec)?)?;
    }
    if spec.fake_nodes > 0 {
        supervisor.spawn(&fake_nodes::kwok(&spec)?)?;
        let mut create = Command::new(binaries::kubectl()?);
        create
            .args(["create", "-f", "-"])
            .env("KUBECONFIG", spec.kubeconfig());
        command::output_with_input(&mut create, fake_nodes::objects(&spec).as_bytes())?;
    }
    // No Pod can be created before its service account is.
    supervisor.wait_for("the default service account", 60, || {
        kubectl(
            &spec,
            &[
                "get",
                "serviceaccount/default",
                "configmap/kube-root-ca.crt",
            ],
        )
    })?;
    let nodes = usize::from(spec.real_node) + spec.fake_nodes as usize;
    supervisor.wait_for("all nodes to be ready", 90, || ready_nodes(&spec) >= nodes)?;
    if spec.registry {
        let address = ("127.0.0.1", 5000);
        supervisor.wait_for("the registry", 30, || {
            std::net::TcpStream::connect(address).is_ok()
        })?;
    }
    Ok(())
}

/// The component of that name, to start it once more.
pub(crate) fn component(spec: &Spec, name: &str) -> Result<Component> {
    match name {
        "etcd" => control_plane::etcd(spec),
        "kube-apiserver" => control_plane::api_server(spec),
        "kube-controller-manager" => control_plane::controller_manager(spec),
        "kube-scheduler" => control_plane::scheduler(spec),
        "containerd" => node::containerd(spec),
        "docker-registry" => node::registry(spec),
        "kubelet" => node::kubelet(spec),
        "kube-proxy" => node::kube_proxy(spec),
        "kwok" => fake_nodes::kwok(spec),
        _ => Err(Error::Missing {
            program: name.to_owned(),
            hint: "it is not a component of this cluster".to_owned(),
        }),
    }
}

/// `ctr` on the images of the real node; it must run inside the cluster's namespaces.
pub(crate) fn ctr(spec: &Spec) -> Result<Command> {
    let mut command = Command::new(binaries::path("ctr")?);
    command
        .arg("--address")
        .arg(node::containerd_socket(&spec.dir));
    command.args(["--namespace", "k8s.io"]);
    Ok(command)
}

fn kubectl(spec: &Spec, arguments: &[&str]) -> bool {
    kubectl_output(spec, arguments).is_some()
}

fn kubectl_output(spec: &Spec, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new(binaries::kubectl().ok()?);
    command
        .args(arguments)
        .arg("--request-timeout=5s")
        .stderr(Stdio::null());
    command::output(command.env("KUBECONFIG", spec.kubeconfig())).ok()
}

fn ready_nodes(spec: &Spec) -> usize {
    let ready = "jsonpath={range .items[*]}{.status.conditions[?(@.type==\"Ready\")].status} \
                 {.spec.taints[?(@.key==\"node.kubernetes.io/not-ready\")].key}{\"\\n\"}{end}";
    let nodes = kubectl_output(spec, &["get", "nodes", "-o", ready]).unwrap_or_default();
    // The taint goes a little after the condition comes; before that no Pod is scheduled.
    nodes.lines().filter(|line| line.trim() == "True").count()
}

/// Whether a running cluster still answers.
pub(crate) fn is_healthy(spec: &Spec) -> bool {
    kubectl(spec, &["get", "--raw=/readyz"])
}
