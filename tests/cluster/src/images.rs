//! The tiny images tests run: busybox and a script, and /etc/version tells them apart.

use std::{fs, path::Path};

use crate::{
    error::{Error, Result},
    oci::{Archive, Layer, Run},
};

// PID 1 gets no default action for SIGTERM: without the trap each stop would take the whole grace
// period. `wait` is interrupted by the trap, a foreground sleep is not.
const SERVE: &str = "#!/bin/sh
trap 'exit 0' TERM INT
while :; do sleep 86400 & wait $!; done
";
const SLOW: &str = "#!/bin/sh
trap 'sleep 4; exit 0' TERM INT
while :; do sleep 86400 & wait $!; done
";
const CRASH: &str = "#!/bin/sh
echo crashing on purpose
exit 1
";

// Name, /etc/version, script. Equal rows share a digest: app:v3b is app:v3 under another tag.
const IMAGES: &[(&str, &str, &str)] = &[
    ("pause:1", "pause", SERVE),
    ("app:v1", "v1", SERVE),
    ("app:v2", "v2", SERVE),
    ("app:v3", "v3", SERVE),
    ("app:v3b", "v3", SERVE),
    ("app:v4", "v4", SERVE),
    ("app:crash", "crash", CRASH),
    ("app:slow", "slow", SLOW),
    ("log:v1", "log1", SERVE),
    ("log:v2", "log2", SERVE),
];

const APPLETS: &[&str] = &[
    "sh", "true", "cat", "sleep", "wget", "nc", "httpd", "ls", "id", "date",
];

/// Writes `docker.io/local/{pause,app,log}` as one OCI archive.
pub fn write_test_images(out: &Path) -> Result<()> {
    let busybox = ["/bin/busybox", "/usr/bin/busybox"]
        .iter()
        .find_map(|path| fs::read(path).ok());
    let busybox = busybox.ok_or_else(|| Error::Missing {
        program: "busybox".to_owned(),
        hint: "install the package busybox-static".to_owned(),
    })?;
    archive(&busybox)?.0.write(out)
}

/// The archive, and each image's digest.
fn archive(busybox: &[u8]) -> Result<(Archive, Vec<(&'static str, String)>)> {
    let mut base = Layer::new();
    for folder in ["bin", "etc", "proc", "sys", "dev"] {
        base.folder(folder, 0o755)?;
    }
    base.folder("tmp", 0o1777)?
        .file("bin/busybox", 0o755, busybox)?;
    for applet in APPLETS {
        base.link(&format!("bin/{applet}"), "busybox")?;
    }
    let base = base.finish()?;
    let mut archive = Archive::default();
    let mut digests = Vec::new();
    for (name, version, script) in IMAGES {
        let mut own = Layer::new();
        own.file("bin/run", 0o755, script.as_bytes())?;
        own.file("etc/version", 0o644, version.as_bytes())?;
        let layers = [base.clone(), own.finish()?];
        let run = Run {
            entrypoint: "/bin/run",
            user: "",
        };
        let digest = archive.image(&format!("docker.io/local/{name}"), &layers, &run);
        digests.push((*name, digest));
    }
    Ok((archive, digests))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn only_v3_and_v3b_share_a_digest() {
        let (_, digests) = archive(b"busybox").unwrap();
        let of = |name| {
            digests
                .iter()
                .find(|(n, _)| *n == name)
                .map(|(_, digest)| digest)
        };
        assert_eq!(of("app:v3"), of("app:v3b"));
        let distinct: BTreeSet<_> = digests.iter().map(|(_, digest)| digest).collect();
        assert_eq!(distinct.len(), digests.len() - 1);
    }

    #[test]
    fn the_same_input_gives_the_same_digests() {
        assert_eq!(
            archive(b"busybox").unwrap().1,
            archive(b"busybox").unwrap().1
        );
    }
}
