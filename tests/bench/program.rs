//! A program that runs beside the benchmark and never outlives it.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};
use parking_lot::Mutex;

use crate::process::Process;

/// It ends when dropped.
pub(crate) struct Program(Mutex<Child>);

impl Drop for Program {
    fn drop(&mut self) {
        let child = self.0.get_mut();
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// How to start `binary`. The kernel kills it when the thread ends that starts it: start it from the
/// main thread.
pub(crate) fn command(binary: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(binary);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command
}

impl Program {
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        let child = command.spawn();
        let child = child.with_context(|| format!("failed to start {command:?}"))?;
        Ok(Self(Mutex::new(child)))
    }

    pub(crate) fn process(&self) -> Process {
        Process(self.0.lock().id())
    }

    pub(crate) fn has_ended(&self) -> Result<bool> {
        Ok(self.0.lock().try_wait()?.is_some())
    }
}
