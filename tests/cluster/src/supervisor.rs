//! The process that owns a cluster: it starts the components, reaps, obeys, and cleans up.
//!
//! As root it is PID 1 of the cluster's PID namespace, so nothing of the cluster outlives it.
//! It talks with its starter over stdin and stdout (see `protocol`), and with everybody else over
//! the control socket in the cluster's folder.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{BufRead, BufReader, Write},
    os::unix::net::UnixStream,
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError, Sender},
    time::{Duration, Instant},
};

use crate::{
    command,
    control_plane::Component,
    error::{Error, Result},
    events::{Event, watch_control, watch_signals, watch_starter},
    network,
    protocol::{FromSupervisor, ToSupervisor, send},
    sandbox,
    spec::{Isolation, Spec},
    startup,
};
use nix::{
    errno::Errno,
    sys::{
        signal::{Signal, kill},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};

pub(crate) struct Supervisor {
    pub(crate) spec: Spec,
    events: Receiver<Event>,
    /// Kept to start the control socket's thread once the spec is known.
    sender: Sender<Event>,
    running: BTreeMap<&'static str, Child>,
    detached: bool,
}

/// Runs until told to stop, then removes every trace of the cluster.
pub fn run(isolation_is_namespaces: bool) -> Result<()> {
    let own = fs::read_link("/proc/self").map_err(Error::io("read /proc/self"))?;
    let pid = own.to_string_lossy().parse().unwrap_or_default();
    if isolation_is_namespaces {
        sandbox::mount_proc()?;
    }
    let (sender, events) = mpsc::channel();
    watch_signals(&sender)?;
    watch_starter(sender.clone());
    send(&mut std::io::stdout(), &FromSupervisor::Hello { pid });
    let spec = match events.recv() {
        Ok(Event::FromStarter(ToSupervisor::Start(spec))) => *spec,
        _ => return Ok(()),
    };
    let mut supervisor = Supervisor {
        spec,
        events,
        sender,
        running: BTreeMap::new(),
        detached: false,
    };
    let result = supervisor.start();
    match &result {
        Ok(()) => {
            send(&mut std::io::stdout(), &FromSupervisor::Ready);
            supervisor.serve();
        }
        Err(error) => {
            send(
                &mut std::io::stdout(),
                &FromSupervisor::Failed {
                    reason: error.chain(),
                },
            );
        }
    }
    supervisor.clean_up();
    result
}

pub(crate) fn progress(text: &str) {
    send(
        &mut std::io::stdout(),
        &FromSupervisor::Progress {
            text: text.to_owned(),
        },
    );
}

impl Supervisor {
    fn start(&mut self) -> Result<()> {
        watch_control(&self.spec.control_socket(), self.sender.clone())?;
        if self.spec.isolation == Isolation::Namespaces {
            sandbox::prepare(&self.spec.dir)?;
            network::configure(self.spec.address)?;
        }
        startup::run(self)
    }

    /// Components are spawned by the main thread only: the signal that ends them with their
    /// parent is bound to the thread that made them.
    pub(crate) fn spawn(&mut self, component: &Component) -> Result<()> {
        let log = self.spec.log(component.name);
        let what = format!("start {}", component.name);
        let file = File::options().create(true).append(true).open(&log);
        let file = file.map_err(Error::io(what.clone()))?;
        let errors = file.try_clone().map_err(Error::io(what.clone()))?;
        let mut command = match self.spec.isolation {
            Isolation::Namespaces => Command::new(&component.program),
            Isolation::Loopback => {
                let mut command = Command::new("setpriv");
                command
                    .args(["--pdeathsig", "KILL", "--"])
                    .arg(&component.program);
                command
            }
        };
        let child = command
            .args(&component.arguments)
            .current_dir(&self.spec.dir)
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(errors)
            .spawn()
            .map_err(Error::io(what))?;
        self.running.insert(component.name, child);
        Ok(())
    }

    /// Waits for a condition of the start; fails at once when a component ends or a stop comes.
    pub(crate) fn wait_for(
        &mut self,
        what: &str,
        seconds: u64,
        mut condition: impl FnMut() -> bool,
    ) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(seconds);
        while !condition() {
            self.check_running()?;
            if Instant::now() > deadline {
                return Err(Error::Timeout {
                    what: what.to_owned(),
                    seconds,
                });
            }
            match self.events.recv_timeout(Duration::from_millis(50)) {
                // The starter detaches once the cluster is ready, so here it has died.
                Ok(Event::Stop | Event::StarterGone) | Err(RecvTimeoutError::Disconnected) => {
                    return Err(Error::Stopped);
                }
                Ok(_) | Err(RecvTimeoutError::Timeout) => {}
            }
        }
        Ok(())
    }

    fn check_running(&mut self) -> Result<()> {
        for (name, child) in &mut self.running {
            if let Ok(Some(status)) = child.try_wait() {
                return Err(Error::Component {
                    name: (*name).to_owned(),
                    reason: format!("it ended with {status}"),
                    tail: command::tail(&self.spec.log(name)),
                });
            }
        }
        Ok(())
    }

    /// From here on every child is reaped here, also those that only ended up below PID 1.
    fn serve(&mut self) {
        loop {
            self.reap();
            match self.events.recv() {
                Ok(Event::ChildEnded) => {}
                Ok(Event::FromStarter(ToSupervisor::Detach)) => self.detached = true,
                Ok(Event::StarterGone) if self.detached => {}
                Ok(Event::Control(stream)) => self.obey(&stream),
                Ok(Event::Stop | Event::StarterGone | Event::FromStarter(_)) | Err(_) => return,
            }
        }
    }

    fn reap(&mut self) {
        while let Ok(status) = waitpid(Pid::from_raw(-1), Some(WaitPidFlag::WNOHANG)) {
            let Some(pid) = status.pid().filter(|_| status != WaitStatus::StillAlive) else {
                return;
            };
            let ended = |child: &Child| child.id().cast_signed() == pid.as_raw();
            if let Some(name) = self
                .running
                .iter()
                .find(|(_, child)| ended(child))
                .map(|(name, _)| *name)
            {
                eprintln!("{name} ended: {status:?}");
                self.running.remove(name);
            }
        }
    }

    /// One command per connection: `stop NAME`, `start NAME`, `pause NAME` or `resume NAME`.
    fn obey(&mut self, stream: &UnixStream) {
        let mut line = String::new();
        let _ = stream.set_read_timeout(Some(Duration::from_secs(1)));
        let _ = BufReader::new(stream).read_line(&mut line);
        let answer = match line.trim().split_once(' ') {
            Some((verb, name)) => self.act(verb, name),
            None => Err(format!("there is no command {line:?}")),
        };
        let mut stream = stream;
        let text = answer.map_or_else(|error| format!("error {error}"), |()| "done".to_owned());
        let _ = writeln!(stream, "{text}");
    }

    fn act(&mut self, verb: &str, name: &str) -> std::result::Result<(), String> {
        if verb == "start" {
            if self.running.contains_key(name) {
                return Ok(());
            }
            let component = startup::component(&self.spec, name).map_err(|e| e.chain())?;
            return self.spawn(&component).map_err(|e| e.chain());
        }
        let child = self
            .running
            .get(name)
            .ok_or_else(|| format!("{name} does not run"))?;
        let pid = Pid::from_raw(child.id().cast_signed());
        let signal = match verb {
            "stop" => Signal::SIGKILL,
            "pause" => Signal::SIGSTOP,
            "resume" => Signal::SIGCONT,
            _ => return Err(format!("there is no command {verb}")),
        };
        kill(pid, signal).map_err(|errno| errno.to_string())?;
        if signal == Signal::SIGKILL {
            // Answering only when it is gone lets the caller start it again at once.
            let _ = waitpid(pid, None);
            self.running.remove(name);
        }
        Ok(())
    }

    fn clean_up(&mut self) {
        match self.spec.isolation {
            Isolation::Namespaces => {
                // To PID 1 of a PID namespace -1 means everything else in it.
                let _ = kill(Pid::from_raw(-1), Signal::SIGKILL);
            }
            Isolation::Loopback => {
                for child in self.running.values_mut() {
                    let _ = child.kill();
                }
            }
        }
        while waitpid(Pid::from_raw(-1), None) != Err(Errno::ECHILD) {}
        if let Some(keep) = std::env::var_os("INSITU_KEEP_LOGS") {
            keep_logs(&self.spec, Path::new(&keep));
        }
        if self.spec.isolation == Isolation::Namespaces {
            sandbox::unmount_below(&self.spec.dir);
            sandbox::remove_cgroups(&self.spec.name);
        }
        let _ = fs::remove_dir_all(&self.spec.dir);
    }
}

/// For the post-mortem of a test: what is worth reading survives the cluster.
fn keep_logs(spec: &Spec, keep: &Path) {
    let target = keep.join(&spec.name);
    let _ = fs::create_dir_all(&target);
    let logs = fs::read_dir(spec.dir.join("logs"))
        .into_iter()
        .flatten()
        .flatten();
    for file in logs
        .map(|entry| entry.path())
        .chain([spec.dir.join("audit.log")])
    {
        if let Some(name) = file.file_name() {
            let _ = fs::copy(&file, target.join(name));
        }
    }
}
