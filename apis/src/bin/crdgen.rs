//! Prints the CustomResourceDefinition of every kind here, as `config/crd` holds it.

use std::io::Write;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut out = std::io::stdout().lock();
    write!(
        out,
        "{}",
        serde_saphyr::to_string(&apis::crd::clone_set()?)?
    )?;
    Ok(())
}
