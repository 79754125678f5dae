//! The provider `native`: starts a supervisor for each cluster, and takes it down.

use std::{
    fs,
    process::{Child, ChildStdin},
    time::Duration,
};

use nix::sys::signal::Signal;

use crate::{
    binaries::{self, Wanted},
    command,
    error::{Error, Result},
    folder::{self, Holder, State},
    network,
    options::{Options, RealNode},
    packages, sandbox,
    spec::Isolation,
    starting::Starting,
    startup,
};

const DOWN: Duration = Duration::from_secs(30);

/// The pipe that keeps a cluster alive, and the process at its other end.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) child: Child,
    pub(crate) pipe: ChildStdin,
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
