//! The Debian packages a real node needs; installed when root, named when not.

use std::process::{Command, Stdio};

use crate::{
    command,
    error::{Error, Result},
};

// What proves that a package is there, and its name.
const NODE: &[(&str, &str)] = &[
    ("runc", "runc"),
    ("iptables", "iptables"),
    ("ip", "iproute2"),
    ("busybox", "busybox-static"),
    ("/usr/lib/cni/bridge", "containernetworking-plugins"),
];
const REGISTRY: &[(&str, &str)] = &[("docker-registry", "docker-registry")];

pub(crate) fn ensure_for_node() -> Result<()> {
    ensure(NODE)
}

pub(crate) fn ensure_for_registry() -> Result<()> {
    ensure(REGISTRY)
}

fn ensure(wanted: &[(&str, &str)]) -> Result<()> {
    let missing = missing(wanted);
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.join(" ");
    if !nix::unistd::geteuid().is_root() || command::find("apt-get").is_none() {
        return Err(Error::Missing {
            program: names.clone(),
            hint: format!("install the packages first: apt-get install {names}"),
        });
    }
    eprintln!("installing {names}");
    apt(&["update"])?;
    let mut install = vec!["install", "-y", "--no-install-recommends"];
    install.extend(missing);
    apt(&install)
}

fn missing<'a>(wanted: &[(&'a str, &'a str)]) -> Vec<&'a str> {
    let absent = |(proof, _): &&(&str, &str)| match proof.strip_prefix('/') {
        Some(_) => !std::path::Path::new(proof).exists(),
        None => command::find(proof).is_none(),
    };
    wanted
        .iter()
        .filter(absent)
        .map(|(_, package)| *package)
        .collect()
}

fn apt(arguments: &[&str]) -> Result<()> {
    command::output(
        Command::new("apt-get")
            .arg("-qq")
            .args(arguments)
            .env("DEBIAN_FRONTEND", "noninteractive")
            // Installing docker-registry must not start a daemon of the machine's own.
            .env("RUNLEVEL", "1")
            .stderr(Stdio::inherit()),
    )
    .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_absent_programs_name_their_package() {
        assert_eq!(
            missing(&[("sh", "dash"), ("/no/such/file", "a"), ("no-such", "b")]),
            ["a", "b"]
        );
    }
}
