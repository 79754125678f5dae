//! What no file may say.

use crate::tree::{expect_none, files, read};

/// Assembled, so that this file does not say it either.
const REGISTRIES: [&str; 7] = [
    concat!("crates", ".io"),
    concat!("proxy.", "golang.org"),
    concat!("sum.", "golang.org"),
    concat!("registry.", "npmjs"),
    concat!("pypi", ".org"),
    concat!("arti", "factory"),
    concat!("sonatype", "."),
];

const PLACES: [&str; 4] = [
    concat!("../", "shared/"),
    concat!("/work", "/main"),
    concat!("work/", "shared"),
    concat!("/home", "/"),
];

#[track_caller]
fn expect_unsaid(words: &[&str], except: impl Fn(&str) -> bool, rule: &str) {
    let mut violations = Vec::new();
    for file in files().iter().filter(|file| !except(&file.path)) {
        for (n, line) in file.text.lines().enumerate() {
            if let Some(word) = words.iter().find(|word| line.contains(**word)) {
                violations.push(format!("{}:{}: {word}", file.path, n + 1));
            }
        }
    }
    expect_none(rule, &violations);
}

#[test]
fn no_file_names_a_package_registry() {
    expect_unsaid(
        &REGISTRIES,
        |path| path.ends_with("Cargo.lock"),
        "where packages come from is each machine's own setting",
    );
}

#[test]
fn every_crate_comes_from_the_default_registry() {
    let default = concat!("registry+https://github.com/rust-lang/crates", ".io-index");
    let others: Vec<String> = read("Cargo.lock")
        .lines()
        .filter(|line| line.starts_with("source = ") && !line.contains(default))
        .map(str::to_owned)
        .collect();
    expect_none("another source in Cargo.lock", &others);
}

#[test]
fn no_file_points_out_of_the_checkout() {
    expect_unsaid(
        &PLACES,
        |_| false,
        "whoever cloned the repository has no such folder",
    );
}
