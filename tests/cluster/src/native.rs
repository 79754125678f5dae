//! The provider `native`: starts a supervisor for each cluster, and takes it down.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Lines},
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::Duration,
};

use nix::sys::signal::Signal;

use crate::{
    binaries::{self, Wanted},
    cluster::{Options, RealNode},
    command,
    error::{Error, Result},
    folder::{self, Holder, Process, Provider, State},
    network, packages, pki,
    protocol::{FromSupervisor, ToSupervisor, receive, send},
    sandbox,
    spec::{Isolation, Ports, Spec},
    startup,
};

const DOWN: Duration = Duration::from_secs(30);

/// The pipe that keeps a cluster alive, and the process at its other end.
#[derive(Debug)]
pub(crate) struct Held {
    child: Child,
    pipe: ChildStdin,
}

impl Held {
    pub(crate) fn release(self, state: &State) -> Result<()> {
        let Self { mut child, pipe } = self;
        drop(pipe);
        let ended = command::wait_until(DOWN, || matches!(child.try_wait(), Ok(Some(_)) | Err(_)));
        if !ended {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _lock = folder::lock(&state.spec.name)?;
        finish(state)
    }

    pub(crate) fn wait(&mut self) -> Result<()> {
        self.child
            .wait()
            .map(drop)
            .map_err(Error::io("wait for the supervisor"))
    }
}

pub(crate) fn start(options: Options, holder: Holder) -> Result<(State, Option<Held>)> {
    let root = nix::unistd::geteuid().is_root();
    let real_node = match options.real_node {
        RealNode::WhenRoot => root,
        RealNode::Always if !root => return Err(Error::NeedsRoot),
        RealNode::Always => true,
        RealNode::Never => false,
    };
    if !root && options.real_node != RealNode::Never {
        eprintln!("not root: no real node, no namespaces; the control plane runs on loopback");
    }
    if options.registry && !real_node {
        let what = "registry without a real node".to_owned();
        return Err(Error::Unsupported {
            provider: "native".to_owned(),
            what,
        });
    }
    let _lock = folder::lock(&options.name)?;
    if let Some(state) = reuse(&options.name)? {
        return Ok((state, None));
    }
    if real_node {
        packages::ensure_for_node()?;
    }
    if options.registry {
        packages::ensure_for_registry()?;
    }
    binaries::ensure(if real_node {
        Wanted::Everything
    } else {
        Wanted::ControlPlane
    })?;

    let isolation = if root {
        Isolation::Namespaces
    } else {
        Isolation::Loopback
    };
    let name = options.name.clone();
    let dir = folder::cluster(&name)?;
    command::create_folder(&dir.join("logs"))?;
    let started = Starting::spawn(&dir, isolation).and_then(|mut starting| {
        let spec = starting.spec(options, isolation, real_node, &dir)?;
        starting.finish(spec, holder)
    });
    if started.is_err() {
        remove_leftovers(&name)?;
    }
    started
}

/// The running cluster of that name, if it answers; what is left of a dead one is removed.
fn reuse(name: &str) -> Result<Option<State>> {
    let Some(state) = State::load(name)? else {
        remove_leftovers(name)?;
        return Ok(None);
    };
    if let (Holder::Starter, Some(supervisor)) = (state.holder, state.supervisor) {
        // Its starter may just have ended, and the cluster with it.
        if !command::wait_until(DOWN, || !supervisor.is_alive()) {
            return Err(Error::Busy {
                name: name.to_owned(),
                pid: supervisor.pid,
            });
        }
    } else if state.is_running() && startup::is_healthy(&state.spec) {
        eprintln!("the cluster {name} runs already and is reused");
        return Ok(Some(state));
    }
    down(&state)?;
    Ok(None)
}

/// A supervisor that has said hello and waits for its orders.
struct Starting {
    child: Child,
    pipe: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    supervisor: Process,
}

impl Starting {
    fn spawn(dir: &Path, isolation: Isolation) -> Result<Self> {
        let log = dir.join("logs/supervisor.log");
        let file = File::create(&log).map_err(Error::io("create the supervisor's log"))?;
        // A session of its own: neither Ctrl-C nor a closed terminal reaches the components.
        let mut command = Command::new("setsid");
        if isolation == Isolation::Namespaces {
            command.args(["unshare", "--net", "--mount", "--pid", "--fork"]);
            command.args(["--kill-child=SIGKILL", "--"]);
        }
        command.arg(own_program()?).arg("supervise");
        if isolation == Isolation::Namespaces {
            command.arg("--namespaces");
        }
        let mut child = command
            .current_dir(dir)
            .env("INSITU_CACHE", folder::cache()?)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(file)
            .spawn()
            .map_err(Error::io(command::program(&command)))?;
        let (Some(pipe), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Error::Stopped);
        };
        let mut lines = BufReader::new(stdout).lines();
        let hello = lines.next().and_then(std::result::Result::ok);
        let supervisor = match hello.and_then(|line| receive(&line)) {
            Some(FromSupervisor::Hello { pid }) => Process::of(pid),
            _ => None,
        };
        let supervisor = supervisor.ok_or_else(|| Error::Component {
            name: "the supervisor".to_owned(),
            reason: "it did not say hello".to_owned(),
            tail: command::tail(&log),
        })?;
        Ok(Self {
            child,
            pipe,
            lines,
            supervisor,
        })
    }

    fn spec(
        &mut self,
        options: Options,
        isolation: Isolation,
        real_node: bool,
        dir: &Path,
    ) -> Result<Spec> {
        let (address, host_address, ports) = match isolation {
            Isolation::Namespaces => {
                let index = network::link(self.supervisor.pid)?;
                let address = network::cluster_address(index);
                (address, network::host_address(index), Ports::USUAL)
            }
            Isolation::Loopback => (Ipv4Addr::LOCALHOST, Ipv4Addr::LOCALHOST, Ports::free()?),
        };
        Ok(Spec {
            name: options.name,
            dir: dir.to_owned(),
            isolation,
            address,
            host_address,
            ports,
            real_node,
            fake_nodes: options.fake_nodes,
            registry: options.registry,
        })
    }

    fn finish(mut self, spec: Spec, holder: Holder) -> Result<(State, Option<Held>)> {
        pki::write(&spec)?;
        let supervisor = Some(self.supervisor);
        let state = State {
            provider: Provider::Native,
            holder,
            supervisor,
            spec,
        };
        state.save()?;
        send(
            &mut self.pipe,
            &ToSupervisor::Start(Box::new(state.spec.clone())),
        );
        self.wait_until_ready(&state.spec)?;
        match holder {
            Holder::Starter => Ok((
                state,
                Some(Held {
                    child: self.child,
                    pipe: self.pipe,
                }),
            )),
            Holder::Nobody => {
                send(&mut self.pipe, &ToSupervisor::Detach);
                Ok((state, None))
            }
        }
    }

    fn wait_until_ready(&mut self, spec: &Spec) -> Result<()> {
        let failed = |reason| Error::Start {
            name: spec.name.clone(),
            reason,
        };
        for line in self.lines.by_ref().map_while(std::result::Result::ok) {
            match receive(&line) {
                Some(FromSupervisor::Progress { text }) => eprintln!("{text}"),
                Some(FromSupervisor::Ready) => return Ok(()),
                Some(FromSupervisor::Failed { reason }) => {
                    // It removes everything before it ends.
                    let _ = self.child.wait();
                    return Err(failed(reason));
                }
                Some(FromSupervisor::Hello { .. }) | None => {}
            }
        }
        Err(failed(format!(
            "its supervisor died: {}",
            command::tail(&spec.log("supervisor"))
        )))
    }
}

pub(crate) fn down(state: &State) -> Result<()> {
    if let Some(supervisor) = state.supervisor {
        supervisor.signal(Signal::SIGTERM);
        if !command::wait_until(DOWN, || !supervisor.is_alive()) {
            supervisor.signal(Signal::SIGKILL);
            command::wait_until(DOWN, || !supervisor.is_alive());
        }
    }
    finish(state)
}

fn finish(state: &State) -> Result<()> {
    remove_leftovers(&state.spec.name)?;
    // The kernel takes a network namespace apart a little after its last process is gone.
    let address = state.spec.host_address;
    if state.spec.isolation == Isolation::Namespaces && !network::wait_until_unlinked(address) {
        return Err(Error::Timeout {
            what: format!("the link of {address} to go"),
            seconds: 10,
        });
    }
    Ok(())
}

/// What only remains when a supervisor was killed: its folder and its cgroups.
pub(crate) fn remove_leftovers(name: &str) -> Result<()> {
    let dir = folder::cluster(name)?;
    sandbox::remove_cgroups(name);
    match fs::remove_dir_all(&dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::Io {
            what: format!("remove {}", dir.display()),
            source: error,
        }),
        _ => Ok(()),
    }
}

/// The program `insitu-cluster`: this one, or for a test the one cargo builds from this crate.
fn own_program() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("INSITU_CLUSTER") {
        return Ok(path.into());
    }
    let own = std::env::current_exe().map_err(Error::io("find the own program"))?;
    if own.file_name().is_some_and(|name| name == "insitu-cluster") {
        return Ok(own);
    }
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    let messages = command::output(
        Command::new(cargo)
            .args([
                "build",
                "--quiet",
                "--bin=insitu-cluster",
                "--message-format=json",
            ])
            .arg("--manifest-path")
            .arg(manifest),
    )?;
    let executable = |line: &str| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        Some(PathBuf::from(message.get("executable")?.as_str()?))
    };
    messages
        .lines()
        .find_map(executable)
        .ok_or_else(|| Error::Missing {
            program: "insitu-cluster".to_owned(),
            hint: "build it with cargo build -p cluster, or name it in INSITU_CLUSTER".to_owned(),
        })
}
