//! The starter's side of a new supervisor: spawns it, links its network, hands over the spec.

use std::{
    fs::File,
    io::{BufRead, BufReader, Lines},
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use crate::{
    command,
    error::{Error, Result},
    folder::{self, Holder, Process, Provider, State},
    native::Held,
    network,
    options::Options,
    pki,
    protocol::{FromSupervisor, ToSupervisor, receive, send},
    spec::{Isolation, Ports, Spec},
};

/// A supervisor that has said hello and waits for its orders.
pub(crate) struct Starting {
    child: Child,
    pipe: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    supervisor: Process,
}

impl Starting {
    pub(crate) fn spawn(dir: &Path, isolation: Isolation) -> Result<Self> {
        let log = dir.join("logs/supervisor.log");
        let file = File::create(&log).map_err(Error::io("create the supervisor's log"))?;
        // setsid: neither Ctrl-C nor a closed terminal reaches the components.
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

    pub(crate) fn spec(
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

    pub(crate) fn finish(mut self, spec: Spec, holder: Holder) -> Result<(State, Option<Held>)> {
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
