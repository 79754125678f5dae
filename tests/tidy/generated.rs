//! What is made from the code is what the code makes.

use std::process::Command;

use apis::{CloneSet, Valid};

use crate::tree::{below, output, read};

#[test]
fn the_crds_are_what_the_types_say() {
    for plural in ["clonesets", "sidecarsets"] {
        let mut crdgen = Command::new(env!("CARGO"));
        crdgen.args([
            "run", "--quiet", "--locked", "-p", "apis", "--bin", "crdgen", plural,
        ]);
        let expected = output(&mut crdgen);
        let path = format!("config/crd/apps.kruise.io_{plural}.yaml");
        assert!(read(&path) == expected, "{path} is out of date: make crds");
    }
}

#[test]
fn every_sample_passes_every_check() {
    for file in below("config/samples/", ".yaml") {
        let parsed = serde_saphyr::from_str::<CloneSet>(&file.text);
        let set = parsed.unwrap_or_else(|error| panic!("{}: {error}", file.path));
        if let Err((_, errors)) = Valid::new(set) {
            panic!("{}: {errors:?}", file.path);
        }
    }
}
