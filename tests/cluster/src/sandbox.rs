//! The mounts and cgroups of a cluster: what is private to it, and how it is removed.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use crate::{
    command,
    error::{Error, Result},
};

const CGROUPS: &str = "/sys/fs/cgroup";

// The kubelet sets these for the whole machine and stops when it cannot. It only writes where the
// value differs, so each is shown to it as it likes it and the machine's own stays as it is.
const SYSCTLS: &[(&str, &str)] = &[
    ("vm/overcommit_memory", "1"),
    ("vm/panic_on_oom", "0"),
    ("kernel/panic", "10"),
    ("kernel/panic_on_oops", "1"),
    ("kernel/keys/root_maxkeys", "1000000"),
    ("kernel/keys/root_maxbytes", "25000000"),
];

// Fixed paths of containerd, CNI and the kubelet that clusters must not share.
const PRIVATE: &[&str] = &["/run", "/var/lib/cni", "/var/log"];

/// Called in a fresh mount namespace, before anything runs there.
pub(crate) fn prepare(dir: &Path) -> Result<()> {
    for path in PRIVATE {
        if !dir.starts_with(path) {
            command::create_folder(Path::new(path))?;
            mount_at(Some("tmpfs"), path, Some("tmpfs"), MsFlags::empty())?;
        }
    }
    command::create_folder(Path::new("/run/netns"))?;
    let shown = dir.join("sysctl");
    command::create_folder(&shown)?;
    for (name, value) in SYSCTLS {
        let target = format!("/proc/sys/{name}");
        if Path::new(&target).exists() {
            let file = shown.join(name.replace('/', "."));
            command::write(&file, format!("{value}\n"))?;
            mount_at(file.to_str(), &target, None, MsFlags::MS_BIND)?;
        }
    }
    // Volumes with mount propagation need it, and it ends at this namespace.
    mount_at(None, "/", None, MsFlags::MS_SHARED | MsFlags::MS_REC)
}

/// The first step in a new PID namespace: /proc still shows the parent's processes.
pub(crate) fn mount_proc() -> Result<()> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount_at(Some("proc"), "/proc", Some("proc"), flags)
}

fn mount_at(source: Option<&str>, target: &str, kind: Option<&str>, flags: MsFlags) -> Result<()> {
    mount(source, target, kind, flags, None::<&str>)
        .map_err(Error::errno(format!("mount {target}")))
}

/// Detaches everything below `dir`, so that removing the folder cannot reach into a mount.
pub(crate) fn unmount_below(dir: &Path) {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let targets = mounts
        .lines()
        .rev()
        .filter_map(|line| line.split(' ').nth(1));
    for target in targets.filter(|target| Path::new(target).starts_with(dir)) {
        let _ = umount2(target, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW);
    }
}

pub(crate) fn cgroup_name(cluster: &str) -> String {
    format!("insitu-{cluster}")
}

/// The kubelet wants its root cgroup to exist in every controller.
pub(crate) fn create_cgroups(cluster: &str) -> Result<()> {
    let unified = Path::new(CGROUPS);
    if is_v2() {
        for controller in ["cpuset", "cpu", "io", "memory", "hugetlb", "pids"] {
            // Some are absent on some machines; the kubelet names the one it misses.
            let _ = fs::write(
                unified.join("cgroup.subtree_control"),
                format!("+{controller}"),
            );
        }
    }
    for controller in controllers() {
        let group = controller.join(cgroup_name(cluster));
        command::create_folder(&group)?;
        // cgroup v1: a cpuset without processors and memory takes no process.
        for file in ["cpuset.cpus", "cpuset.mems"] {
            if !is_v2()
                && let Ok(value) = fs::read_to_string(controller.join(file))
            {
                command::write(&group.join(file), value)?;
            }
        }
    }
    Ok(())
}

/// Removes the cluster's cgroups from the leaves up, once nothing runs in them.
pub(crate) fn remove_cgroups(cluster: &str) -> bool {
    let groups: Vec<PathBuf> = controllers()
        .map(|controller| controller.join(cgroup_name(cluster)))
        .filter(|group| group.exists())
        .collect();
    // The kernel counts a killed process a little longer than waitpid does.
    command::wait_until(Duration::from_secs(5), || {
        for group in &groups {
            remove_tree(group);
        }
        groups.iter().all(|group| !group.exists())
    })
}

fn remove_tree(group: &Path) {
    for entry in fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_tree(&entry.path());
        }
    }
    let _ = fs::remove_dir(group);
}

fn is_v2() -> bool {
    Path::new(CGROUPS).join("cgroup.controllers").exists()
}

fn controllers() -> impl Iterator<Item = PathBuf> {
    let v1 = || {
        let entries = fs::read_dir(CGROUPS).into_iter().flatten().flatten();
        // Links such as cpu,cpuacct would name the same controller twice.
        entries
            .filter(|e| e.file_type().is_ok_and(|kind| kind.is_dir()))
            .map(|e| e.path())
    };
    let v2 = is_v2().then(|| PathBuf::from(CGROUPS));
    let v1 = v2.is_none().then(v1).into_iter().flatten();
    v2.into_iter().chain(v1)
}
