//! The programs that are deployed, and the images made of them.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// The packages that become images. `config/` names these as `insitu-<package>:latest`.
const PACKAGES: [&str; 2] = ["manager", "webhook"];

/// Label selector of the manager's Pods.
pub const MANAGER_PODS: &str = "app.kubernetes.io/component=manager";
/// Label selector of the webhook's Pods.
pub const WEBHOOK_PODS: &str = "app.kubernetes.io/component=webhook";

/// The project's root folder.
pub fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Builds both programs in `profile` (`dev` or `release`) and gives the manager's path; no time
/// when fresh.
///
/// # Errors
/// When cargo fails; it has said why.
pub fn binary(profile: &str) -> Result<PathBuf> {
    program("manager", profile)
}

/// As [`binary`], of either package.
///
/// # Errors
/// See there.
pub fn program(package: &str, profile: &str) -> Result<PathBuf> {
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "--locked", "--profile", profile]);
    // Together, so that either build is the same.
    for package in PACKAGES {
        build.args(["--package", package]);
    }
    let status = build.current_dir(root()).status();
    let status = status.context("failed to run cargo")?;
    ensure!(status.success(), "cargo could not build {PACKAGES:?}");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or(root().join("target"), PathBuf::from);
    let folder = if profile == "dev" { "debug" } else { profile };
    let path = target.join(folder).join(format!("insitu-{package}"));
    path.canonicalize()
        .with_context(|| format!("there is no {}", path.display()))
}

/// Makes the images and loads them onto the cluster's node.
///
/// # Errors
/// When an image cannot be made or loaded.
pub fn load_images(cluster: &cluster::Cluster, profile: &str) -> Result<()> {
    for package in PACKAGES {
        let archive = cluster.dir().join(format!("insitu-{package}.tar"));
        // As a container runtime completes the name.
        let image = format!("docker.io/library/insitu-{package}:latest");
        cluster::write_binary_image(&program(package, profile)?, &image, &archive)?;
        cluster.load_images(&archive)?;
    }
    Ok(())
}

/// Applies `config/` as it is shipped and waits until both Deployments are available.
///
/// # Errors
/// What kubectl says.
pub fn deploy(cluster: &cluster::Cluster) -> Result<()> {
    let root = root().display();
    let crd = format!("{root}/config/crd");
    cluster.kubectl(&["apply", "--server-side", "-f", &crd])?;
    let default = format!("{root}/config/default");
    cluster.kubectl(&["apply", "--server-side", "-k", &default])?;
    for package in PACKAGES {
        let deployment = format!("deployment/insitu-{package}");
        let status = ["rollout", "status", &deployment, "--timeout=120s"];
        cluster.kubectl(&[&["-n", "insitu-system"][..], &status].concat())?;
    }
    Ok(())
}
