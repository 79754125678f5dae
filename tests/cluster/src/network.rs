//! The one link between a cluster's network namespace and the host.
//!
//! Each cluster has an index N: the link `insituN` with 198.18.N.1 on the host and 198.18.N.2 in
//! the cluster. 198.18.0.0/15 is set aside for tests of networks, so nothing real is shadowed.
//! The link vanishes with the namespace.

use std::{collections::BTreeSet, fs, net::Ipv4Addr, process::Command, time::Duration};

use crate::{
    command,
    error::{Error, Result},
    spec::{POD_CIDR, SERVICE_CIDR},
};

const INSIDE: &str = "uplink";

pub(crate) fn host_address(index: u8) -> Ipv4Addr {
    Ipv4Addr::new(198, 18, index, 1)
}

pub(crate) fn cluster_address(index: u8) -> Ipv4Addr {
    Ipv4Addr::new(198, 18, index, 2)
}

/// Links the host to the network namespace of `pid`; the index it returns is the cluster's own.
pub(crate) fn link(pid: i32) -> Result<u8> {
    let mut taken = links();
    while let Some(index) = free_index(&taken) {
        let name = format!("insitu{index}");
        // The kernel refuses a second link of that name, so making it is also the lock.
        let made = ip(&format!(
            "link add {name} type veth peer name {INSIDE} netns {pid}"
        ));
        match made {
            Ok(()) => {
                ip(&format!("addr add {}/30 dev {name}", host_address(index)))?;
                ip(&format!("link set {name} up"))?;
                return Ok(index);
            }
            Err(error) if links().contains(&name) => drop((taken.insert(name), error)),
            Err(error) => return Err(error),
        }
    }
    Err(Error::NoFreeNetwork)
}

/// Brings up the cluster's own end, once the host has made it.
pub(crate) fn configure(address: Ipv4Addr) -> Result<()> {
    ip("link set lo up")?;
    ip(&format!("addr add {address}/30 dev {INSIDE}"))?;
    ip(&format!("link set {INSIDE} up"))?;
    // A Service address only needs some route: kube-proxy rewrites it before it leaves. The
    // source must be the node's, or answers to the API server would go to its loopback.
    ip(&format!(
        "route replace {SERVICE_CIDR} dev lo src {address}"
    ))?;
    // A Pod's packets to a Service pass through this namespace.
    fs::write("/proc/sys/net/ipv4/ip_forward", "1").map_err(Error::io("turn on ip_forward"))
}

/// The CNI configuration of the real node's Pods.
pub(crate) fn cni(state: &str) -> String {
    serde_json::json!({
        "cniVersion": "1.0.0",
        "name": "bridge",
        "plugins": [{
            "type": "bridge",
            "bridge": "cni0",
            "isGateway": true,
            "ipMasq": false,
            "hairpinMode": true,
            "ipam": {
                "type": "host-local",
                "dataDir": state,
                "ranges": [[{ "subnet": POD_CIDR }]],
                // Without a default route a Pod does not reach Service addresses.
                "routes": [{ "dst": "0.0.0.0/0" }],
            },
        }],
    })
    .to_string()
}

/// Waits until the host's end of a cluster's link is gone.
pub(crate) fn wait_until_unlinked(host_address: Ipv4Addr) -> bool {
    let [_, _, index, _] = host_address.octets();
    let name = format!("insitu{index}");
    command::wait_until(Duration::from_secs(10), || !links().contains(&name))
}

fn links() -> BTreeSet<String> {
    let entries = fs::read_dir("/sys/class/net")
        .into_iter()
        .flatten()
        .flatten();
    entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}

fn free_index(taken: &BTreeSet<String>) -> Option<u8> {
    (1..=254).find(|index| !taken.contains(&format!("insitu{index}")))
}

fn ip(arguments: &str) -> Result<()> {
    let program = command::find("ip").ok_or_else(|| Error::Missing {
        program: "ip".to_owned(),
        hint: "install the package iproute2".to_owned(),
    })?;
    command::output(Command::new(program).args(arguments.split(' '))).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_index_without_a_link_is_free() {
        let taken = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(free_index(&taken(&[])), Some(1));
        assert_eq!(free_index(&taken(&["lo", "insitu1", "insitu3"])), Some(2));
        let all: Vec<String> = (1..=254).map(|index| format!("insitu{index}")).collect();
        assert_eq!(free_index(&all.into_iter().collect()), None);
    }
}
