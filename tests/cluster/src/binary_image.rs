//! Makes an image of one program and the shared libraries it needs, without Docker.

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use crate::{
    command,
    error::{Error, Result},
    oci::{Archive, Layer, Run},
};

/// The image runs `/<file name>` as uid 65532 and writes nothing to its root.
pub fn write_binary_image(binary: &Path, reference: &str, out: &Path) -> Result<()> {
    let name = binary
        .file_name()
        .map(|name| name.to_string_lossy().into_owned());
    let name = name.ok_or_else(|| Error::Missing {
        program: binary.display().to_string(),
        hint: "name a file".to_owned(),
    })?;
    let mut layer = Layer::new();
    layer.folder("tmp", 0o1777)?;
    let libraries = libraries(binary)?;
    for folder in folders(&libraries) {
        layer.folder(&folder, 0o755)?;
    }
    for library in &libraries {
        layer.file(
            library.trim_start_matches('/'),
            0o755,
            &read(Path::new(library))?,
        )?;
    }
    layer.file(&name, 0o755, &read(binary)?)?;
    let mut archive = Archive::default();
    let entrypoint = format!("/{name}");
    let run = Run {
        entrypoint: &entrypoint,
        user: "65532:65532",
    };
    archive.image(reference, &[layer.finish()?], &run);
    archive.write(out)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(Error::io(format!("read {}", path.display())))
}

fn libraries(binary: &Path) -> Result<Vec<String>> {
    match command::output(Command::new("ldd").arg(binary)) {
        Ok(text) => Ok(parse_ldd(&text)),
        // A static program has none, and ldd calls that a failure.
        Err(Error::Command { output, .. }) if output.contains("not a dynamic") => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Lines are `name => /path (0x…)`, or `/path (0x…)` for the loader; the vdso has no path.
fn parse_ldd(text: &str) -> Vec<String> {
    let path = |line: &str| {
        let mut words = line.split_whitespace();
        words
            .find(|word| word.starts_with('/'))
            .map(ToOwned::to_owned)
    };
    let found: BTreeSet<String> = text.lines().filter_map(path).collect();
    found.into_iter().collect()
}

/// Every folder above the files, parents first.
fn folders(files: &[String]) -> BTreeSet<String> {
    let above = |file: &String| {
        let parents = Path::new(file).ancestors().skip(1);
        let plain = parents.map(|p| p.to_string_lossy().trim_start_matches('/').to_owned());
        plain
            .filter(|folder| !folder.is_empty())
            .collect::<Vec<_>>()
    };
    files.iter().flat_map(above).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ldd_names_libraries_and_the_loader() {
        let text = "\tlinux-vdso.so.1 (0x1)\n\tlibc.so.6 => /lib/x/libc.so.6 (0x2)\n\t/lib64/ld.so (0x3)\n";
        let libraries = parse_ldd(text);
        assert_eq!(libraries, ["/lib/x/libc.so.6", "/lib64/ld.so"]);
        assert_eq!(
            Vec::from_iter(folders(&libraries)),
            ["lib", "lib/x", "lib64"]
        );
    }
}
