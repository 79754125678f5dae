//! All clusters of this cache: list them, take one down by name.

use crate::{
    error::{Error, Result},
    folder::{self, Provider, State},
    kind, native,
};

/// Takes down the cluster of that name, or what a crash left of it.
pub fn down(name: &str) -> Result<()> {
    let _lock = folder::lock(name)?;
    match State::load(name)? {
        Some(state) if state.provider == Provider::Kind => kind::down(&state),
        Some(state) => native::down(&state),
        None if folder::cluster(name)?.exists() => native::remove_leftovers(name),
        None => Err(Error::Unknown {
            name: name.to_owned(),
        }),
    }
}

/// Name, a line of description.
pub fn list() -> Result<Vec<(String, String)>> {
    let describe = |name: String| {
        let text = match State::load(&name) {
            Ok(Some(state)) if state.is_running() => {
                let spec = &state.spec;
                let node = if spec.real_node {
                    "1 real node"
                } else {
                    "no real node"
                };
                let pid = state
                    .supervisor
                    .map_or(String::new(), |p| format!(", pid {}", p.pid));
                let provider = state.provider.name();
                format!(
                    "{provider}, {node}, {} fake nodes at {}{pid}",
                    spec.fake_nodes, spec.address
                )
            }
            Ok(_) => {
                "starting right now, or left over from a crash (then `down` removes it)".to_owned()
            }
            Err(error) => error.chain(),
        };
        (name, text)
    };
    Ok(folder::names()?.into_iter().map(describe).collect())
}
