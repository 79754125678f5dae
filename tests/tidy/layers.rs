//! Who may know whom, and who may do what.

use std::process::Command;

use crate::tree::{below, expect_none, output};

/// Crates that do IO, wait, or tell the time by themselves.
const IO: [&str; 10] = [
    "axum",
    "hyper",
    "kube-client",
    "kube-runtime",
    "mio",
    "rand",
    "rustls",
    "tokio",
    "tower",
    "tracing",
];

fn dependencies(package: &str) -> Vec<String> {
    let mut tree = Command::new(env!("CARGO"));
    tree.args(["tree", "--locked", "-e", "normal", "--prefix", "none"]);
    let printed = output(tree.args(["-p", package]));
    let names = printed.lines().filter_map(|line| line.split(' ').next());
    let names: Vec<String> = names.map(str::to_owned).collect();
    assert!(names.len() > 5, "cargo tree shows no dependencies");
    names
}

#[track_caller]
fn expect_pure(package: &str) {
    let found = dependencies(package);
    let impure: Vec<String> = IO
        .iter()
        .filter(|io| found.iter().any(|name| name == *io))
        .map(|io| format!("{io}: see cargo tree -p {package} -e normal -i {io}"))
        .collect();
    expect_none(&format!("{package} is pure, but depends on"), &impure);
}

#[test]
fn the_planner_can_do_no_io() {
    expect_pure("planner");
}

#[test]
fn the_api_types_can_do_no_io() {
    expect_pure("apis");
}

#[test]
fn the_manager_ships_without_test_code() {
    let found = dependencies("manager");
    for package in ["tests", "cluster", "rcgen"] {
        assert!(!found.iter().any(|name| name == package), "{package}");
    }
}

/// The files whose job is to write.
fn is_writer(path: &str) -> bool {
    let file = path.strip_prefix("manager/src/").unwrap_or(path);
    let module = file.split(['/', '.']).next().unwrap_or_default();
    ["executor", "status", "events", "lease"].contains(&module)
}

#[test]
fn the_manager_writes_to_the_api_in_four_modules_only() {
    let writes = [
        ".create(",
        ".delete(",
        ".delete_collection(",
        ".patch(",
        ".patch_metadata(",
        ".patch_status(",
        ".patch_subresource(",
        ".replace(",
        ".replace_status(",
        ".request(",
        ".request_status",
        ".request_text(",
    ];
    let mut violations = Vec::new();
    let mut writers = 0;
    for file in below("manager/src/", ".rs") {
        if file.is_test() {
            continue;
        }
        for (n, line) in file.production() {
            let found = writes.iter().find(|write| line.contains(**write));
            match found {
                Some(_) if is_writer(&file.path) => writers += 1,
                Some(write) => violations.push(format!("{}:{n}: {write}", file.path)),
                None => {}
            }
        }
    }
    expect_none(
        "writes belong into executor, status, events or lease",
        &violations,
    );
    assert!(writers > 0, "no write was found: the patterns are out of date");
}

#[test]
fn the_manager_does_not_interpret_the_spec() {
    let words = ["partition", "max_unavailable", "update_strategy"];
    let mut violations = Vec::new();
    for file in below("manager/src/", ".rs") {
        if file.is_test() {
            continue;
        }
        for (n, line) in file.production() {
            if let Some(word) = words.iter().find(|word| line.contains(**word)) {
                violations.push(format!("{}:{n}: {word}", file.path));
            }
        }
    }
    expect_none("what a spec means is the planner's to say", &violations);
}

#[test]
fn the_api_types_come_first_and_the_planner_second() {
    let above = ["planner", "manager", "tests", "cluster"];
    for (package, above) in [("apis", &above[..]), ("planner", &above[1..])] {
        let found = dependencies(package);
        for name in above {
            assert!(!found.iter().any(|n| n == name), "{package} uses {name}");
        }
    }
}
