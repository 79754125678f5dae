//! Who may know whom, and who may do what.

use std::collections::BTreeSet;
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
fn the_injector_can_do_no_io() {
    expect_pure("sidecar-injector");
}

#[test]
fn the_manager_ships_without_test_code() {
    let found = dependencies("manager");
    for package in ["tests", "cluster", "model", "sim", "rcgen"] {
        assert!(!found.iter().any(|name| name == package), "{package}");
    }
}

/// Users are told of the one rule that will decide, and no other rule of rollouts is known there.
#[test]
fn the_webhook_asks_the_planner_one_question() {
    let mut violations = Vec::new();
    let mut asks = false;
    for file in below("webhook/src/", ".rs") {
        for (n, line) in file
            .production()
            .filter(|(_, line)| line.contains("planner::"))
        {
            if line.contains("planner::in_place") {
                asks = true;
            } else {
                violations.push(format!("{}:{n}: {line}", file.path));
            }
        }
    }
    expect_none(
        "of the planner the webhook names in_place only",
        &violations,
    );
    assert!(asks, "the question is asked");
}

/// The top module of the manager that a file belongs to.
fn module(path: &str) -> &str {
    let file = path.strip_prefix("manager/src/").unwrap_or(path);
    file.split(['/', '.']).next().unwrap_or_default()
}

/// Calls that write to the API server.
const WRITES: [&str; 13] = [
    ".create(",
    ".delete(",
    ".delete_collection(",
    ".patch(",
    ".patch_metadata(",
    ".patch_status(",
    ".patch_subresource(",
    "recorder.publish(",
    ".replace(",
    ".replace_status(",
    ".request(",
    ".request_status",
    ".request_text(",
];

/// Expects that below `folder` nobody writes but the `allowed` modules, and that they do.
#[track_caller]
fn expect_writes_in(folder: &str, allowed: &[&str], module: fn(&str) -> &str) {
    let mut violations = Vec::new();
    let mut found = BTreeSet::new();
    for file in below(folder, ".rs") {
        if file.is_test() {
            continue;
        }
        let module = module(&file.path);
        for (n, line) in file.production() {
            let Some(write) = WRITES.iter().find(|write| line.contains(**write)) else {
                continue;
            };
            if allowed.contains(&module) {
                found.insert(module.to_owned());
            } else {
                violations.push(format!("{}:{n}: {write}", file.path));
            }
        }
    }
    expect_none(&format!("writes belong into {allowed:?}"), &violations);
    for module in allowed {
        let known = found.contains(*module);
        assert!(known, "{module} writes, but no pattern finds it");
    }
}

#[test]
fn the_manager_writes_to_the_api_in_four_modules_only() {
    // The shared part included: it belongs to no module that may write.
    expect_writes_in(
        "manager/",
        &["executor", "status", "events", "lease"],
        module,
    );
}

#[test]
fn the_webhook_writes_to_the_api_in_two_files_only() {
    expect_writes_in("webhook/", &["store", "migration"], |path| {
        let name = path.rsplit('/').next().unwrap_or(path);
        name.strip_suffix(".rs").unwrap_or(name)
    });
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

/// What both processes need is in a crate of its own.
#[test]
fn the_two_processes_do_not_know_each_other() {
    for (package, other) in [("manager", "webhook"), ("webhook", "manager")] {
        let found = dependencies(package);
        assert!(!found.iter().any(|n| n == other), "{package} uses {other}");
    }
    let injector = dependencies("sidecar-injector");
    assert!(!injector.iter().any(|n| n == "planner"));
    let shared = dependencies("process");
    for name in ["apis", "planner", "sidecar-injector", "manager", "webhook"] {
        assert!(!shared.iter().any(|n| n == name), "process uses {name}");
    }
}

#[test]
fn the_api_types_come_first_and_the_planner_second() {
    let above = [
        "planner",
        "sidecar-injector",
        "manager",
        "process",
        "webhook",
        "tests",
        "cluster",
        "model",
    ];
    for (package, above) in [
        ("apis", &above[..]),
        ("planner", &above[1..]),
        ("sidecar-injector", &above[2..]),
    ] {
        let found = dependencies(package);
        for name in above {
            assert!(!found.iter().any(|n| n == name), "{package} uses {name}");
        }
    }
}
