//! Where clusters live on disk, what is written down about them, and who holds them.

use std::{
    fs::{self, File},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{
    command,
    error::{Error, Result},
    spec::Spec,
};

/// `$INSITU_CACHE`, else `insitu` in the user's cache folder.
pub(crate) fn cache() -> Result<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let chosen = set("INSITU_CACHE")
        .map(PathBuf::from)
        .or_else(|| set("XDG_CACHE_HOME").map(|cache| Path::new(&cache).join("insitu")))
        .or_else(|| set("HOME").map(|home| Path::new(&home).join(".cache/insitu")));
    let chosen = chosen.ok_or_else(|| Error::Missing {
        program: "a cache folder".to_owned(),
        hint: "set HOME or INSITU_CACHE".to_owned(),
    })?;
    // containerd and its shims are given this path and run elsewhere.
    std::path::absolute(&chosen).map_err(Error::io(format!("find {}", chosen.display())))
}

pub(crate) fn cluster(name: &str) -> Result<PathBuf> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty() || name.len() > 20 || !name.chars().all(plain) {
        return Err(Error::Name {
            name: name.to_owned(),
        });
    }
    Ok(cache()?.join("clusters").join(name))
}

/// Held while a cluster is started or taken down, so that two callers cannot do so at once.
#[derive(Debug)]
pub(crate) struct Lock {
    /// Locked until it is closed.
    file: File,
    path: PathBuf,
}

impl Lock {
    /// Whether the file is still the one that others would find under its name.
    fn is_current(&self) -> bool {
        let id = |meta: fs::Metadata| (meta.dev(), meta.ino());
        let (own, found) = (
            self.file.metadata().map(id),
            fs::metadata(&self.path).map(id),
        );
        matches!((own, found), (Ok(own), Ok(found)) if own == found)
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // A cluster that is gone leaves nothing behind. Whoever waits for this file notices.
        if !self.path.with_extension("").exists() && self.is_current() {
            let _ = fs::remove_file(&self.path);
        }
    }
}

pub(crate) fn lock(name: &str) -> Result<Lock> {
    let path = cluster(name)?.with_extension("lock");
    if let Some(folder) = path.parent() {
        command::create_folder(folder)?;
    }
    let failed = || Error::io(format!("lock {}", path.display()));
    loop {
        let file = File::create(&path).map_err(failed())?;
        file.lock().map_err(failed())?;
        let lock = Lock {
            file,
            path: path.clone(),
        };
        if lock.is_current() {
            return Ok(lock);
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Provider {
    /// Real programs, started here.
    Native,
    /// `kind create cluster`; needs Docker.
    Kind,
    /// Whatever the caller's KUBECONFIG points at.
    Existing,
}

impl Provider {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Kind => "kind",
            Self::Existing => "existing",
        }
    }
}

/// A process, told apart from a later one with the same pid by its start time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    started: u64,
}

impl Process {
    pub(crate) fn of(pid: i32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name in parentheses may hold spaces; state is the first field after it.
        let mut fields = stat.rsplit_once(") ")?.1.split(' ');
        let state = fields.next()?;
        let started = fields.nth(18)?.parse().ok()?;
        (state != "Z").then_some(Self { pid, started })
    }

    pub(crate) fn is_alive(self) -> bool {
        Self::of(self.pid) == Some(self)
    }

    pub(crate) fn signal(self, signal: nix::sys::signal::Signal) {
        if self.is_alive() {
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.pid), signal);
        }
    }
}

/// Who keeps a cluster alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Holder {
    /// It goes away with the process that started it.
    Starter,
    /// It stays until `down`.
    Nobody,
}

/// What `state.json` says about a running cluster.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct State {
    pub(crate) provider: Provider,
    pub(crate) holder: Holder,
    pub(crate) supervisor: Option<Process>,
    pub(crate) spec: Spec,
}

impl State {
    pub(crate) fn load(name: &str) -> Result<Option<Self>> {
        let path = cluster(name)?.join("state.json");
        let Ok(text) = fs::read_to_string(&path) else {
            return Ok(None);
        };
        let state = serde_json::from_str(&text);
        state.map(Some).map_err(|error| Error::Format {
            path,
            reason: error.to_string(),
        })
    }

    pub(crate) fn save(&self) -> Result<()> {
        let path = self.spec.dir.join("state.json");
        let text = serde_json::to_string_pretty(self).map_err(|error| Error::Format {
            path: path.clone(),
            reason: error.to_string(),
        })?;
        let unfinished = path.with_extension("unfinished");
        command::write(&unfinished, text)?;
        fs::rename(&unfinished, &path).map_err(Error::io(format!("write {}", path.display())))
    }

    pub(crate) fn is_running(&self) -> bool {
        // A kind cluster has no supervisor: its containers run until `down`.
        self.supervisor.is_none_or(Process::is_alive)
    }
}

/// The names of all clusters with a folder, running or left over.
pub(crate) fn names() -> Result<Vec<String>> {
    let Ok(entries) = fs::read_dir(cache()?.join("clusters")) else {
        return Ok(Vec::new());
    };
    let folders = entries.flatten().filter(|entry| entry.path().is_dir());
    let mut names: Vec<String> = folders
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_alive_and_a_recycled_pid_is_not() {
        let own = Process::of(std::process::id().cast_signed()).expect("a test runs in a process");
        assert!(own.is_alive());
        assert!(
            !Process {
                started: own.started + 1,
                ..own
            }
            .is_alive()
        );
    }

    #[test]
    fn names_cannot_leave_the_cache() {
        assert!(cluster("../x").is_err());
        assert!(cluster("").is_err());
        assert!(cluster("a-1").is_ok());
    }
}
