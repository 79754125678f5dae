//! A handle on a running cluster: what tests and the command line use.

use std::{
    io::{BufRead, BufReader, Write},
    net::Ipv4Addr,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    audit::AuditLog,
    binaries, command,
    error::{Error, Result},
    folder::{self, Holder, Provider, State},
    kind,
    native::{self, Held},
    options::Options,
    spec::{Isolation, Spec},
    startup,
};

/// A running cluster. One that `start` made goes away when this is dropped.
#[derive(Debug)]
pub struct Cluster {
    kubeconfig: PathBuf,
    dir: PathBuf,
    name: String,
    /// Absent for a cluster that was there before us.
    state: Option<State>,
    held: Option<Held>,
}

impl Cluster {
    /// Starts a cluster that dies with this process, or reuses one that `up` left running.
    pub fn start(options: Options) -> Result<Self> {
        Self::start_for(options, Holder::Starter)
    }

    /// Starts a cluster that stays until `down`, or reuses it.
    pub fn start_detached(options: Options) -> Result<Self> {
        Self::start_for(options, Holder::Nobody)
    }

    fn start_for(options: Options, holder: Holder) -> Result<Self> {
        match options.provider {
            Provider::Existing => Self::existing(),
            Provider::Kind => kind::start(options, holder).map(Self::from_parts),
            Provider::Native => native::start(options, holder).map(Self::from_parts),
        }
    }

    fn from_parts((state, held): (State, Option<Held>)) -> Self {
        Self {
            kubeconfig: state.spec.kubeconfig(),
            dir: state.spec.dir.clone(),
            name: state.spec.name.clone(),
            state: Some(state),
            held,
        }
    }

    /// The cluster the caller's KUBECONFIG points at.
    pub fn existing() -> Result<Self> {
        let file = match std::env::var("KUBECONFIG") {
            Ok(files) if !files.is_empty() => files.split(':').next().unwrap_or(&files).into(),
            _ => Path::new(&std::env::var("HOME").unwrap_or_default()).join(".kube/config"),
        };
        if !file.is_file() {
            return Err(Error::Missing {
                program: file.display().to_string(),
                hint: "set KUBECONFIG to use an existing cluster".to_owned(),
            });
        }
        let dir = folder::cache()?.join("clusters").join("existing");
        Ok(Self {
            kubeconfig: file,
            dir,
            name: "existing".to_owned(),
            state: None,
            held: None,
        })
    }

    /// A cluster that runs already.
    pub fn find(name: &str) -> Result<Self> {
        match State::load(name)?.filter(State::is_running) {
            Some(state) => Ok(Self::from_parts((state, None))),
            None => Err(Error::Unknown {
                name: name.to_owned(),
            }),
        }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Cluster-admin, for processes of the host.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// The cluster's folder; hostPath volumes may live below it. It is removed with the cluster.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub fn has_real_node(&self) -> bool {
        self.state.as_ref().is_none_or(|state| state.spec.real_node)
    }

    pub fn fake_nodes(&self) -> u32 {
        self.state.as_ref().map_or(0, |state| state.spec.fake_nodes)
    }

    /// Where the API server reaches this process: a webhook by URL listens on all addresses.
    pub fn host_ip(&self) -> Result<Ipv4Addr> {
        Ok(self.native("known host address")?.host_address)
    }

    pub fn audit(&self) -> Result<AuditLog> {
        Ok(AuditLog::new(
            self.native("audit log here")?.dir.join("audit.log"),
        ))
    }

    pub fn log(&self, component: &str) -> Result<PathBuf> {
        Ok(self.native("component log here")?.log(component))
    }

    /// Runs kubectl as cluster-admin and returns what it printed.
    pub fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        let mut kubectl = Command::new(binaries::kubectl()?);
        command::output(kubectl.args(arguments).env("KUBECONFIG", &self.kubeconfig))
    }

    /// A command that runs inside the cluster's namespaces, once arguments are added.
    pub fn exec(&self, program: &str) -> Command {
        self.enter(Command::new(program))
    }

    fn enter(&self, inner: Command) -> Command {
        let state = self.state.as_ref();
        let supervisor = state
            .filter(|state| state.spec.isolation == Isolation::Namespaces)
            .and_then(|state| state.supervisor);
        let mut command = match supervisor {
            Some(supervisor) => {
                let mut command = Command::new("nsenter");
                command.args(["--target", &supervisor.pid.to_string()]);
                command
                    .args(["--net", "--mount", "--pid", "--"])
                    .arg(inner.get_program());
                command.args(inner.get_args());
                command
            }
            None => inner,
        };
        command.env("KUBECONFIG", &self.kubeconfig);
        command
    }

    /// Imports an OCI archive into the real node.
    pub fn load_images(&self, archive: &Path) -> Result<()> {
        if self.provider() == Provider::Kind {
            return kind::load_images(&self.name, archive);
        }
        let mut ctr = startup::ctr(self.node()?)?;
        let archive = std::path::absolute(archive).map_err(Error::io("find the archive"))?;
        ctr.args(["images", "import"]).arg(archive);
        command::output(&mut self.enter(ctr)).map(drop)
    }

    /// Sends a signal (`SIGKILL`, `SIGSTOP`) to the process of a container of the real node,
    /// without telling the kubelet.
    pub fn signal_container(&self, id: &str, signal: &str) -> Result<()> {
        let mut ctr = startup::ctr(self.node()?)?;
        ctr.args(["tasks", "kill", "--signal", signal, id]);
        command::output(&mut self.enter(ctr)).map(drop)
    }

    /// Pushes an image the real node has to the cluster's registry.
    pub fn push(&self, reference: &str) -> Result<()> {
        if !self.node()?.registry {
            return Err(self.unsupported("registry"));
        }
        // The registry takes any name below it; the node asks it for the part after the host.
        let path = reference
            .split_once('/')
            .map_or(reference, |(_, path)| path);
        let mut ctr = startup::ctr(self.node()?)?;
        let target = format!("127.0.0.1:5000/{path}");
        ctr.args(["images", "push", "--plain-http", &target, reference]);
        command::output(&mut self.enter(ctr)).map(drop)
    }

    /// Stops the API server in the middle of whatever it does, connections stay open.
    pub fn api_server_pause(&self) -> Result<()> {
        self.control("pause kube-apiserver")
    }

    pub fn api_server_resume(&self) -> Result<()> {
        self.control("resume kube-apiserver")
    }

    /// Kills one component and waits until it is gone.
    pub fn stop_component(&self, name: &str) -> Result<()> {
        self.control(&format!("stop {name}"))
    }

    pub fn start_component(&self, name: &str) -> Result<()> {
        self.control(&format!("start {name}"))
    }

    /// Takes the cluster down if this handle started it; Drop does the same but swallows errors.
    pub fn down(mut self) -> Result<()> {
        self.release()
    }

    fn release(&mut self) -> Result<()> {
        match (self.held.take(), &self.state) {
            (Some(held), Some(state)) => held.release(state),
            _ => Ok(()),
        }
    }

    fn control(&self, line: &str) -> Result<()> {
        let socket = self.native("control socket")?.control_socket();
        let what = || Error::io(format!("ask the cluster's supervisor to {line}"));
        let mut stream = UnixStream::connect(socket).map_err(what())?;
        writeln!(stream, "{line}").map_err(what())?;
        let mut answer = String::new();
        BufReader::new(stream)
            .read_line(&mut answer)
            .map_err(what())?;
        match answer.trim() {
            "done" => Ok(()),
            other => Err(Error::Command {
                program: line.to_owned(),
                output: other.to_owned(),
            }),
        }
    }

    fn provider(&self) -> Provider {
        self.state
            .as_ref()
            .map_or(Provider::Existing, |state| state.provider)
    }

    fn native(&self, what: &str) -> Result<&Spec> {
        match &self.state {
            Some(state) if state.provider == Provider::Native => Ok(&state.spec),
            _ => Err(self.unsupported(what)),
        }
    }

    fn node(&self) -> Result<&Spec> {
        let spec = self.native("node to load images into")?;
        if spec.real_node {
            Ok(spec)
        } else {
            Err(self.unsupported("real node"))
        }
    }

    fn unsupported(&self, what: &str) -> Error {
        let provider = self.provider().name().to_owned();
        Error::Unsupported {
            provider,
            what: what.to_owned(),
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Err(error) = self.release() {
            eprintln!(
                "failed to take down the cluster {}: {}",
                self.name,
                error.chain()
            );
        }
    }
}
