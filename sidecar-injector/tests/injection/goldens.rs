//! `pod.json` and `sidecarsets.json` make `patch.json`; `UPDATE=1` writes it anew.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::world::{prepared, world};

fn read(path: &Path) -> Value {
    let text =
        fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn every_golden_pod_is_given_what_its_patch_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens");
    let mut cases = 0;
    for case in fs::read_dir(folder).unwrap() {
        let case = case.unwrap().path();
        let mut world = world([]);
        for set in read(&case.join("sidecarsets.json")).as_array().unwrap() {
            world.index.apply(prepared(set.clone(), &[]));
        }
        let pod = read(&case.join("pod.json"));
        let answer = world.inject(&pod);
        let warnings = answer.injection.warnings.iter();
        let warnings: Vec<String> = warnings.map(ToString::to_string).collect();
        let found = json!({"patch": answer.injection.patch, "warnings": warnings});
        let path = case.join("patch.json");
        #[allow(
            clippy::disallowed_methods,
            reason = "whoever runs the test asks for it"
        )]
        if std::env::var_os("UPDATE").is_some() {
            let text = serde_json::to_string_pretty(&found).unwrap();
            fs::write(&path, text + "\n").unwrap();
        }
        assert_eq!(found, read(&path), "{case:?}");
        assert!(world.inject(&answer.pod).is_unchanged(), "{case:?}, again");
        cases += 1;
    }
    assert!(cases >= 4, "{cases} cases");
}
