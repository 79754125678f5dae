//! What a process has used so far, and what the machine has left, from /proc.

use std::fs;

use anyhow::{Context, Result};

/// Of every Linux that runs Kubernetes; USER_HZ of the kernel's interface.
const TICKS_PER_SECOND: f64 = 100.0;

/// A process by its ID.
#[derive(Clone, Copy)]
pub(crate) struct Process(pub(crate) u32);

impl Process {
    /// Seconds of CPU, user and system.
    pub(crate) fn cpu_s(self) -> Result<f64> {
        let stat = self.read("stat")?;
        // The name of the program may hold anything, and ends at the last parenthesis.
        let fields = stat
            .rsplit_once(')')
            .context("no name in stat")?
            .1
            .split_whitespace();
        let times = fields.skip(11).take(2).map(str::parse::<u32>);
        let ticks: u32 = times.collect::<Result<Vec<_>, _>>()?.iter().sum();
        Ok(f64::from(ticks) / TICKS_PER_SECOND)
    }

    /// Resident memory in MB.
    pub(crate) fn rss_mb(self) -> Result<f64> {
        self.megabytes("VmRSS:")
    }

    /// The most it ever was.
    pub(crate) fn rss_peak_mb(self) -> Result<f64> {
        self.megabytes("VmHWM:")
    }

    fn megabytes(self, key: &str) -> Result<f64> {
        let status = self.read("status")?;
        let line = status.lines().find_map(|line| line.strip_prefix(key));
        let kilobytes = line.and_then(|line| line.split_whitespace().next());
        Ok(kilobytes
            .with_context(|| format!("no {key} in status"))?
            .parse::<f64>()?
            / 1024.0)
    }

    fn read(self, file: &str) -> Result<String> {
        let path = format!("/proc/{}/{file}", self.0);
        fs::read_to_string(&path).with_context(|| format!("failed to read {path}"))
    }
}

/// The whole machine's CPU time so far, in ticks.
#[derive(Clone, Copy)]
pub(crate) struct Machine {
    idle: f64,
    total: f64,
}

impl Machine {
    pub(crate) fn now() -> Result<Self> {
        let stat = fs::read_to_string("/proc/stat").context("failed to read /proc/stat")?;
        let line = stat.lines().next().context("/proc/stat is empty")?;
        let ticks = line.split_whitespace().skip(1).map(str::parse::<f64>);
        let ticks: Vec<f64> = ticks.collect::<Result<_, _>>()?;
        // user, nice, system, idle, waiting for disks, ...
        let idle = ticks.iter().skip(3).take(2).sum();
        // Guests, which come last, are counted as users already.
        Ok(Self {
            idle,
            total: ticks.iter().take(8).sum(),
        })
    }

    /// The share of its CPUs that had nothing to do since then: near nothing means that the machine
    /// was the limit, not who was measured.
    pub(crate) fn idle_share(self) -> Result<f64> {
        let now = Self::now()?;
        let total = now.total - self.total;
        Ok(if total > 0.0 {
            (now.idle - self.idle) / total
        } else {
            0.0
        })
    }
}
