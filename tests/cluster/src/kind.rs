//! The provider `kind`: the same tests on Kubernetes in Docker, where that is at hand.

use std::{net::Ipv4Addr, path::Path, process::Command};

use crate::{
    command,
    error::{Error, Result},
    folder::{self, Holder, Provider, State},
    images,
    native::{self, Held},
    options::Options,
    spec::{Isolation, Ports, Spec},
};

const CONFIG: &str = include_str!("../kind.yaml");

pub(crate) fn start(options: Options, holder: Holder) -> Result<(State, Option<Held>)> {
    for program in ["kind", "docker"] {
        if command::find(program).is_none() {
            return Err(Error::Missing {
                program: program.to_owned(),
                hint: "install kind and docker, or use the provider native".to_owned(),
            });
        }
    }
    if options.fake_nodes > 0 || options.registry {
        let what = "fake nodes and no registry".to_owned();
        return Err(Error::Unsupported {
            provider: "kind".to_owned(),
            what,
        });
    }
    let _lock = folder::lock(&options.name)?;
    if let Some(state) = State::load(&options.name)? {
        eprintln!("the cluster {} runs already and is reused", options.name);
        return Ok((state, None));
    }
    let dir = folder::cluster(&options.name)?;
    command::create_folder(&dir)?;
    let spec = Spec {
        name: options.name,
        dir,
        isolation: Isolation::Loopback,
        address: Ipv4Addr::LOCALHOST,
        host_address: Ipv4Addr::LOCALHOST,
        ports: Ports::USUAL,
        real_node: true,
        fake_nodes: 0,
        registry: false,
    };
    let config = spec.dir.join("kind.yaml");
    command::write(&config, CONFIG)?;
    // Written first: `down` then also removes what a failed start leaves.
    let state = State {
        provider: Provider::Kind,
        holder,
        supervisor: None,
        spec,
    };
    state.save()?;
    let mut create = Command::new("kind");
    create.args([
        "create",
        "cluster",
        "--wait=180s",
        "--name",
        &own_name(&state.spec.name),
    ]);
    create.arg("--config").arg(&config);
    create.arg("--kubeconfig").arg(state.spec.kubeconfig());
    let archive = state.spec.dir.join("images.tar");
    let started = command::output(&mut create)
        .and_then(|_| images::write_test_images(&archive))
        .and_then(|()| load_images(&state.spec.name, &archive));
    match started {
        Ok(()) => Ok((state, None)),
        Err(error) => {
            let _ = down(&state);
            Err(error)
        }
    }
}

pub(crate) fn load_images(name: &str, archive: &Path) -> Result<()> {
    let mut load = Command::new("kind");
    load.args(["load", "image-archive", "--name", &own_name(name)])
        .arg(archive);
    command::output(&mut load).map(drop)
}

pub(crate) fn down(state: &State) -> Result<()> {
    let name = own_name(&state.spec.name);
    command::output(Command::new("kind").args(["delete", "cluster", "--name", &name]))?;
    native::remove_leftovers(&state.spec.name)
}

fn own_name(name: &str) -> String {
    format!("insitu-{name}")
}
