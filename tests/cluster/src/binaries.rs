//! The real programs of a cluster, built once from pinned Go modules into a cache keyed by version.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    command,
    error::{Error, Result},
    folder,
};

const KUBERNETES: &str = "1.36.3";
const ETCD: &str = "3.6.8";
const KWOK: &str = "0.8.0";
const CONTAINERD: &str = "2.4.2";

/// Which programs a cluster needs: fewer without a real node, so that a first run is shorter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    ControlPlane,
    Everything,
}

struct Program {
    name: &'static str,
    module: &'static str,
    version: &'static str,
    package: &'static str,
    seconds: u32, // cold, on two cores
}

const fn kubernetes(name: &'static str, package: &'static str, seconds: u32) -> Program {
    Program {
        name,
        module: "kubernetes",
        version: KUBERNETES,
        package,
        seconds,
    }
}

const fn containerd(name: &'static str, package: &'static str, seconds: u32) -> Program {
    Program {
        name,
        module: "containerd",
        version: CONTAINERD,
        package,
        seconds,
    }
}

// The control plane comes first: see `Wanted`.
const CONTROL_PLANE: &[Program] = &[
    Program {
        name: "etcd",
        module: "etcd",
        version: ETCD,
        package: "go.etcd.io/etcd/server/v3",
        seconds: 50,
    },
    kubernetes(
        "kube-apiserver",
        "k8s.io/kubernetes/cmd/kube-apiserver",
        270,
    ),
    kubernetes(
        "kube-controller-manager",
        "k8s.io/kubernetes/cmd/kube-controller-manager",
        90,
    ),
    kubernetes("kube-scheduler", "k8s.io/kubernetes/cmd/kube-scheduler", 15),
    Program {
        name: "kwok",
        module: "kwok",
        version: KWOK,
        package: "sigs.k8s.io/kwok/cmd/kwok",
        seconds: 80,
    },
];

const NODE: &[Program] = &[
    kubernetes("kubelet", "k8s.io/kubernetes/cmd/kubelet", 40),
    kubernetes("kube-proxy", "k8s.io/kubernetes/cmd/kube-proxy", 10),
    containerd(
        "containerd",
        "github.com/containerd/containerd/v2/cmd/containerd",
        45,
    ),
    containerd(
        "containerd-shim-runc-v2",
        "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2",
        10,
    ),
    containerd("ctr", "github.com/containerd/containerd/v2/cmd/ctr", 10),
];

const KUBECTL: Program = kubernetes("kubectl", "k8s.io/kubernetes/cmd/kubectl", 30);

/// The path of a cached program; `ensure` has built it.
pub(crate) fn path(name: &str) -> Result<PathBuf> {
    let program = CONTROL_PLANE
        .iter()
        .chain(NODE)
        .chain([&KUBECTL])
        .find(|p| p.name == name);
    let program = program.ok_or_else(|| Error::Missing {
        program: name.to_owned(),
        hint: "it is not one of the programs built here".to_owned(),
    })?;
    program.path()
}

/// The path of kubectl: the machine's own, else built like the rest.
pub fn kubectl() -> Result<PathBuf> {
    if let Some(path) = command::find("kubectl") {
        return Ok(path);
    }
    build_missing(&[&KUBECTL])?;
    KUBECTL.path()
}

/// Builds what is not in the cache yet. Takes no time when everything is there.
pub fn ensure(wanted: Wanted) -> Result<()> {
    let mut programs: Vec<&Program> = CONTROL_PLANE.iter().collect();
    if wanted == Wanted::Everything {
        programs.extend(NODE);
    }
    if command::find("kubectl").is_none() {
        programs.push(&KUBECTL);
    }
    build_missing(&programs)
}

fn build_missing(programs: &[&Program]) -> Result<()> {
    if missing(programs)?.is_empty() {
        return Ok(());
    }
    let bin = folder::cache()?.join("bin");
    command::create_folder(&bin)?;
    let lock = File::create(bin.join(".lock")).map_err(Error::io("create the build lock"))?;
    if lock.try_lock().is_err() {
        eprintln!("waiting for another build of the cluster's programs");
        lock.lock().map_err(Error::io("take the build lock"))?;
    }
    // Another process may have built some of them while this one waited for the lock.
    let programs = missing(programs)?;
    if !programs.is_empty() && command::find("go").is_none() {
        return Err(Error::Missing {
            program: "go".to_owned(),
            hint: "a first run builds Kubernetes with Go 1.24 or later: https://go.dev/dl".into(),
        });
    }
    for (index, program) in programs.iter().enumerate() {
        let left: u32 = programs.iter().skip(index).map(|p| p.seconds).sum();
        eprintln!(
            "building {} {}, {} of {}, about {} min left on 2 cores",
            program.name,
            program.version,
            index + 1,
            programs.len(),
            left.div_ceil(60),
        );
        program.build()?;
    }
    Ok(())
}

fn missing<'a>(programs: &[&'a Program]) -> Result<Vec<&'a Program>> {
    let mut found = Vec::new();
    for program in programs {
        if !program.path()?.is_file() {
            found.push(*program);
        }
    }
    Ok(found)
}

impl Program {
    fn path(&self) -> Result<PathBuf> {
        let folder = format!("{}-{}", self.module, self.version);
        Ok(folder::cache()?.join("bin").join(folder).join(self.name))
    }

    fn build(&self) -> Result<()> {
        let target = self.path()?;
        let unfinished = target.with_extension("unfinished");
        if let Some(folder) = target.parent() {
            command::create_folder(folder)?;
        }
        let module = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("modules")
            .join(self.module);
        command::output(
            Command::new("go")
                .current_dir(module)
                .env("CGO_ENABLED", "0")
                .args([
                    "build",
                    "-trimpath",
                    "-tags",
                    "no_btrfs no_devmapper no_zfs",
                ])
                .args(["-ldflags", &self.linker_flags()])
                .arg("-o")
                .arg(&unfinished)
                .arg(self.package),
        )?;
        // The rename makes it whole or absent: a build that was cut off is never taken for good.
        fs::rename(&unfinished, &target).map_err(Error::io(format!("keep {}", self.name)))
    }

    fn linker_flags(&self) -> String {
        let version = self.version;
        match self.module {
            // Without its version an API server says v0.0.0 and clients refuse to talk to it.
            "kubernetes" => format!(
                "-s -w -X k8s.io/component-base/version.gitVersion=v{version} \
                 -X k8s.io/component-base/version.gitMajor=1 \
                 -X k8s.io/component-base/version.gitMinor=36 \
                 -X k8s.io/client-go/pkg/version.gitVersion=v{version}"
            ),
            "containerd" => {
                format!("-s -w -X github.com/containerd/containerd/v2/version.Version={version}")
            }
            _ => "-s -w".to_owned(),
        }
    }
}
