//! A real cluster through the library: what the other tests build on.
//!
//! Needs root: these clusters have a real node.

use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use cluster::{Cluster, Options, RealNode, Request};

const POD: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: app}
spec:
  containers: [{name: app, image: "docker.io/local/app:v1"}]
"#;

fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_mins(1);
    while !condition() {
        assert!(Instant::now() < deadline, "waited 60 s for {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn apply(cluster: &Cluster, yaml: &str) {
    let file = cluster.dir().join("test.yaml");
    fs::write(&file, yaml).expect("the cluster's folder is writable");
    cluster
        .kubectl(&["apply", "-f", &file.to_string_lossy()])
        .expect("the object is valid");
}

#[test]
fn a_container_restarts_in_place_when_its_image_changes() {
    let cluster = Cluster::start(Options::new("test-in-place")).unwrap();
    assert!(cluster.has_real_node());
    apply(&cluster, POD);
    let wait = ["wait", "--for=condition=Ready", "pod/app", "--timeout=60s"];
    cluster.kubectl(&wait).unwrap();
    let uid = || {
        cluster
            .kubectl(&["get", "pod", "app", "-o", "jsonpath={.metadata.uid}"])
            .unwrap()
    };
    let version = || cluster.kubectl(&["exec", "app", "--", "cat", "/etc/version"]);
    let before = uid();
    let audit = cluster.audit().unwrap();
    let offset = audit.offset();
    cluster
        .kubectl(&["set", "image", "pod/app", "app=docker.io/local/app:v2"])
        .unwrap();
    eventually("the second version", || {
        version().is_ok_and(|text| text == "v2")
    });
    assert_eq!(uid(), before);
    let requests = audit.requests_since(offset).unwrap();
    let patched = |r: &Request| r.verb == "patch" && r.resource == "pods" && r.name == "app";
    assert!(
        requests
            .iter()
            .any(|r| patched(r) && r.agent.contains("kubectl"))
    );
}

#[test]
fn a_registry_serves_only_what_was_pushed() {
    let options = Options {
        registry: true,
        ..Options::new("test-registry")
    };
    let cluster = Cluster::start(options).unwrap();
    cluster.push("docker.io/local/app:v4").unwrap();
    let pulled = |name: &str, image: &str| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec: {{containers: \
             [{{name: a, image: \"{image}\", imagePullPolicy: Always}}]}}\n"
        )
    };
    apply(&cluster, &pulled("pushed", "docker.io/local/app:v4"));
    apply(
        &cluster,
        &pulled("other-host", "registry.example/local/app:v4"),
    );
    apply(&cluster, &pulled("absent", "docker.io/local/app:v3"));
    for pod in ["pod/pushed", "pod/other-host"] {
        cluster
            .kubectl(&["wait", "--for=condition=Ready", pod, "--timeout=60s"])
            .unwrap();
    }
    let reason = "jsonpath={.status.containerStatuses[0].state.waiting.reason}";
    eventually("the pull to fail", || {
        let reason = cluster
            .kubectl(&["get", "pod", "absent", "-o", reason])
            .unwrap();
        ["ErrImagePull", "ImagePullBackOff"].contains(&reason.as_str())
    });
}

#[test]
fn components_stop_pause_and_start_again() {
    let options = Options {
        real_node: RealNode::Never,
        fake_nodes: 1,
        ..Options::new("test-components")
    };
    let cluster = Cluster::start(options).unwrap();
    cluster.api_server_pause().unwrap();
    assert!(
        cluster
            .kubectl(&["get", "--raw=/readyz", "--request-timeout=1s"])
            .is_err()
    );
    cluster.api_server_resume().unwrap();
    cluster.kubectl(&["get", "--raw=/readyz"]).unwrap();
    cluster.stop_component("kube-apiserver").unwrap();
    assert!(cluster.kubectl(&["get", "--raw=/readyz"]).is_err());
    cluster.start_component("kube-apiserver").unwrap();
    eventually("the API server", || {
        cluster.kubectl(&["get", "--raw=/readyz"]).is_ok()
    });
    apply(&cluster, POD);
    cluster
        .kubectl(&["wait", "--for=condition=Ready", "pod/app", "--timeout=60s"])
        .unwrap();
}

#[test]
fn a_killed_starter_leaves_nothing() {
    let mut starter = Command::new(env!("CARGO_BIN_EXE_insitu-cluster"))
        .args(["up", "--attached", "--name=test-killed"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut printed = String::new();
    BufReader::new(starter.stdout.take().unwrap())
        .read_line(&mut printed)
        .unwrap();
    let cluster = Cluster::find("test-killed").unwrap();
    apply(&cluster, POD);
    cluster
        .kubectl(&["wait", "--for=condition=Ready", "pod/app", "--timeout=60s"])
        .unwrap();
    let link = format!("inet {}/", cluster.host_ip().unwrap());
    let links = || {
        let output = Command::new("ip").args(["addr"]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let dir = cluster.dir().to_str().unwrap().to_owned();
    let processes = || {
        let entries = fs::read_dir("/proc").unwrap().flatten();
        let commands = entries.filter_map(|e| fs::read_to_string(e.path().join("cmdline")).ok());
        commands.filter(|line| line.contains(&dir)).count()
    };
    assert!(links().contains(&link) && processes() > 5);
    starter.kill().unwrap();
    starter.wait().unwrap();
    eventually("the processes to go", || processes() == 0);
    eventually("the link to go", || !links().contains(&link));
    eventually("the folder to go", || !cluster.dir().exists());
    assert!(!fs::read_to_string("/proc/mounts").unwrap().contains(&dir));
    let groups = fs::read_dir("/sys/fs/cgroup").unwrap().flatten();
    assert!(
        groups
            .into_iter()
            .all(|group| !group.path().join("insitu-test-killed").exists())
    );
}
