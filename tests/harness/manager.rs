//! The manager's binary, and the image made of it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// The name that `config/manager` gives the image, as a container runtime completes it.
pub const IMAGE: &str = "docker.io/library/insitu-manager:latest";

/// The project's root folder.
pub fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Builds the manager in `profile` (`dev` or `release`) and gives its path; no time when fresh.
///
/// # Errors
/// When cargo fails; it has said why.
pub fn binary(profile: &str) -> Result<PathBuf> {
    let status = Command::new(env!("CARGO"))
        .args([
            "build",
            "--quiet",
            "--locked",
            "--package",
            "manager",
            "--profile",
            profile,
        ])
        .current_dir(root())
        .status()
        .context("failed to run cargo")?;
    ensure!(status.success(), "cargo could not build the manager");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or(root().join("target"), PathBuf::from);
    let folder = if profile == "dev" { "debug" } else { profile };
    let path = target.join(folder).join("insitu-manager");
    path.canonicalize()
        .with_context(|| format!("there is no {}", path.display()))
}

/// Makes an image of the manager and loads it onto the cluster's node.
///
/// # Errors
/// When the image cannot be made or loaded.
pub fn load_image(cluster: &cluster::Cluster, profile: &str) -> Result<()> {
    let archive = cluster.dir().join("insitu-manager.tar");
    cluster::write_binary_image(&binary(profile)?, IMAGE, &archive)?;
    cluster.load_images(&archive)?;
    Ok(())
}

/// Applies `config/` as it is shipped and waits until the Deployment is available.
///
/// # Errors
/// What kubectl says.
pub fn deploy(cluster: &cluster::Cluster) -> Result<()> {
    let root = root().display();
    let crd = format!("{root}/config/crd");
    cluster.kubectl(&["apply", "--server-side", "-f", &crd])?;
    let default = format!("{root}/config/default");
    cluster.kubectl(&["apply", "--server-side", "-k", &default])?;
    let namespace = ["-n", "insitu-system"];
    let rollout = [
        "rollout",
        "status",
        "deployment/insitu-manager",
        "--timeout=120s",
    ];
    cluster.kubectl(&[&namespace[..], &rollout[..]].concat())?;
    Ok(())
}
