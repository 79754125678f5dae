//! A server as a process of its own, and what it costs.

use std::{fs, process::Stdio, time::Duration};

use anyhow::{Context, Result};
use tokio::process::{Child, Command};

/// A process that ends with this value.
#[derive(Debug)]
pub struct Process {
    child: Child,
    id: u32,
}

impl Process {
    /// Starts it.
    ///
    /// # Errors
    /// When there is no such program.
    pub fn start(command: &mut Command) -> Result<Self> {
        let child = command.stdin(Stdio::null()).kill_on_drop(true).spawn();
        let child = child.with_context(|| format!("failed to start {command:?}"))?;
        let id = child.id().context("it ended at once")?;
        Ok(Self { child, id })
    }

    /// Ends it.
    ///
    /// # Errors
    /// When it cannot be ended.
    pub async fn end(mut self) -> Result<()> {
        Ok(self.child.kill().await?)
    }

    /// CPU time of all its threads.
    ///
    /// # Errors
    /// When it is gone.
    pub fn cpu(&self) -> Result<Duration> {
        let mut nanoseconds = 0;
        for task in fs::read_dir(format!("/proc/{}/task", self.id))? {
            let text = fs::read_to_string(task?.path().join("schedstat"))?;
            let first = text.split(' ').next().unwrap_or_default();
            nanoseconds += first.parse::<u64>()?;
        }
        Ok(Duration::from_nanos(nanoseconds))
    }

    /// Resident memory in MiB.
    ///
    /// # Errors
    /// When it is gone.
    pub fn resident_mib(&self) -> Result<f64> {
        status_mib(&self.id.to_string(), "VmRSS:")
    }

    /// The most that it ever was.
    ///
    /// # Errors
    /// When it is gone.
    pub fn peak_mib(&self) -> Result<f64> {
        status_mib(&self.id.to_string(), "VmHWM:")
    }
}

/// Resident memory of this process in MiB.
///
/// # Errors
/// Where there is no /proc.
pub fn own_resident_mib() -> Result<f64> {
    status_mib("self", "VmRSS:")
}

fn status_mib(process: &str, field: &str) -> Result<f64> {
    let text = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(field));
    let kib = line.context("no such field")?.split_whitespace().next();
    Ok(kib.context("no number")?.parse::<f64>()? / 1024.0)
}
