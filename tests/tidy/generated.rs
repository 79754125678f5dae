//! What is made from the code is what the code makes.

use std::process::Command;

use apis::{CloneSet, SidecarSet, Valid};

use crate::tree::{File, below, output, read};

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
        let wrong = if file.text.contains("kind: SidecarSet") {
            let set = parsed::<SidecarSet>(&file);
            Valid::new(set).err().map(|(_, errors)| errors)
        } else {
            let set = parsed::<CloneSet>(&file);
            Valid::new(set).err().map(|(_, errors)| errors)
        };
        assert_eq!(wrong, None, "{}", file.path);
    }
}

fn parsed<T: serde::de::DeserializeOwned>(file: &File) -> T {
    serde_saphyr::from_str(&file.text).expect(&file.path)
}
