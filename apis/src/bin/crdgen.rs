//! Prints the CustomResourceDefinition of a kind, as `config/crd` holds it: of the plural that is
//! its argument, without one of CloneSet.

use std::io::Write;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let definition = match std::env::args().nth(1).as_deref() {
        None | Some("clonesets") => apis::crd::clone_set()?,
        Some("sidecarsets") => apis::crd::sidecar_set()?,
        Some(other) => return Err(format!("there is no kind called {other:?}").into()),
    };
    let mut out = std::io::stdout().lock();
    write!(out, "{}", serde_saphyr::to_string(&definition)?)?;
    Ok(())
}
