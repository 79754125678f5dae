//! Writes OCI image archives: the format `ctr images import` and `kind load` read.

use std::{collections::BTreeMap, fmt::Write as _, fs, path::Path};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// A layer: files, links and folders, always written the same way, so that its digest is too.
pub(crate) struct Layer(tar::Builder<Vec<u8>>);

impl Layer {
    pub(crate) fn new() -> Self {
        Self(tar::Builder::new(Vec::new()))
    }

    pub(crate) fn folder(&mut self, path: &str, mode: u32) -> Result<&mut Self> {
        let mut header = header(tar::EntryType::Directory, mode, 0);
        self.0
            .append_data(&mut header, path, std::io::empty())
            .map_err(failed)?;
        Ok(self)
    }

    pub(crate) fn file(&mut self, path: &str, mode: u32, content: &[u8]) -> Result<&mut Self> {
        let mut header = header(tar::EntryType::Regular, mode, content.len());
        self.0
            .append_data(&mut header, path, content)
            .map_err(failed)?;
        Ok(self)
    }

    pub(crate) fn link(&mut self, path: &str, target: &str) -> Result<&mut Self> {
        let mut header = header(tar::EntryType::Symlink, 0o777, 0);
        self.0
            .append_link(&mut header, path, target)
            .map_err(failed)?;
        Ok(self)
    }

    pub(crate) fn finish(self) -> Result<Vec<u8>> {
        self.0.into_inner().map_err(failed)
    }
}

/// What an image runs.
#[derive(Debug)]
pub(crate) struct Run<'a> {
    pub(crate) entrypoint: &'a str,
    pub(crate) user: &'a str,
}

#[derive(Debug, Default)]
pub(crate) struct Archive {
    blobs: BTreeMap<String, Vec<u8>>,
    manifests: Vec<Value>,
}

impl Archive {
    /// Adds an image; equal layers are kept once. Returns its digest.
    pub(crate) fn image(&mut self, reference: &str, layers: &[Vec<u8>], run: &Run) -> String {
        let layers: Vec<Value> = layers
            .iter()
            .map(|data| self.blob(LAYER, data.clone()))
            .collect();
        let ids: Vec<&Value> = layers
            .iter()
            .filter_map(|layer| layer.get("digest"))
            .collect();
        let config = json!({
            "architecture": architecture(),
            "os": "linux",
            "config": { "Entrypoint": [run.entrypoint], "Env": ["PATH=/bin"], "User": run.user },
            "rootfs": { "type": "layers", "diff_ids": ids },
        });
        let config = self.blob(CONFIG, config.to_string().into_bytes());
        let manifest = json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers });
        let mut entry = self.blob(MANIFEST, manifest.to_string().into_bytes());
        let digest = entry["digest"].as_str().unwrap_or_default().to_owned();
        entry["annotations"] = json!({
            "io.containerd.image.name": reference,
            "org.opencontainers.image.ref.name": reference,
        });
        self.manifests.push(entry);
        digest
    }

    fn blob(&mut self, media_type: &str, data: Vec<u8>) -> Value {
        let digest = hex(&Sha256::digest(&data));
        let size = data.len();
        self.blobs.insert(digest.clone(), data);
        json!({ "mediaType": media_type, "digest": format!("sha256:{digest}"), "size": size })
    }

    pub(crate) fn write(&self, out: &Path) -> Result<()> {
        let what = format!("write {}", out.display());
        let mut archive = Layer::new();
        let index = json!({ "schemaVersion": 2, "manifests": self.manifests });
        archive.file("oci-layout", 0o644, br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        archive.file("index.json", 0o644, index.to_string().as_bytes())?;
        for (digest, data) in &self.blobs {
            archive.file(&format!("blobs/sha256/{digest}"), 0o644, data)?;
        }
        fs::write(out, archive.finish()?).map_err(Error::io(what))
    }
}

fn header(kind: tar::EntryType, mode: u32, size: usize) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size as u64);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn failed(source: std::io::Error) -> Error {
    Error::Io {
        what: "write an image archive".to_owned(),
        source,
    }
}
