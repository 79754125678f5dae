//! Everything that is decided about a cluster before its first process starts.

use std::{
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

pub(crate) const REAL_NODE: &str = "node-1";
pub(crate) const SERVICE_CIDR: &str = "10.96.0.0/24";
pub(crate) const SERVICE_IP: &str = "10.96.0.1";
pub(crate) const POD_CIDR: &str = "10.244.0.0/24";

/// What keeps a cluster apart from the machine and from other clusters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Isolation {
    /// Network, mount and PID namespaces of its own; needs root.
    Namespaces,
    /// Free ports on loopback; anybody can.
    Loopback,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Spec {
    pub(crate) name: String,
    pub(crate) dir: PathBuf,
    pub(crate) isolation: Isolation,
    /// The address of the API server and of the real node.
    pub(crate) address: Ipv4Addr,
    /// Where the cluster reaches processes of the host.
    pub(crate) host_address: Ipv4Addr,
    pub(crate) ports: Ports,
    pub(crate) real_node: bool,
    pub(crate) fake_nodes: u32,
    pub(crate) registry: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ports {
    pub(crate) api: u16,
    pub(crate) etcd: u16,
    pub(crate) etcd_peer: u16,
    pub(crate) controller_manager: u16,
    pub(crate) scheduler: u16,
    pub(crate) kwok: u16,
}

impl Ports {
    /// The usual ports: a network namespace has them all to itself.
    pub(crate) const USUAL: Self = Self {
        api: 6443,
        etcd: 2379,
        etcd_peer: 2380,
        controller_manager: 10257,
        scheduler: 10259,
        kwok: 10247,
    };

    pub(crate) fn free() -> Result<Self> {
        // All are held at once, so that no two are the same.
        let mut held = Vec::new();
        let mut next = || -> std::io::Result<u16> {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            let port = listener.local_addr()?.port();
            held.push(listener);
            Ok(port)
        };
        let mut port = || next().map_err(Error::io("find a free port on loopback"));
        Ok(Self {
            api: port()?,
            etcd: port()?,
            etcd_peer: port()?,
            controller_manager: port()?,
            scheduler: port()?,
            kwok: port()?,
        })
    }
}

impl Spec {
    pub(crate) fn path(&self, relative: &str) -> String {
        self.dir.join(relative).to_string_lossy().into_owned()
    }

    pub(crate) fn log(&self, component: &str) -> PathBuf {
        self.dir.join("logs").join(format!("{component}.log"))
    }

    pub(crate) fn kubeconfig(&self) -> PathBuf {
        admin_kubeconfig(&self.dir)
    }

    pub(crate) fn control_socket(&self) -> PathBuf {
        self.dir.join("control.sock")
    }
}

pub(crate) fn admin_kubeconfig(dir: &Path) -> PathBuf {
    dir.join("admin.kubeconfig")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_ports_differ() {
        let ports = Ports::free().unwrap();
        let mut all = [
            ports.api,
            ports.etcd,
            ports.etcd_peer,
            ports.kwok,
            ports.scheduler,
        ];
        all.sort_unstable();
        assert!(all.windows(2).all(|pair| pair[0] != pair[1]));
    }
}
