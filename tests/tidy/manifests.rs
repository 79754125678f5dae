//! Cargo manifests, lints and roles.

use crate::tree::{below, expect_none, read};

#[test]
fn every_crate_takes_the_shared_lints() {
    let manifests = below("", "Cargo.toml");
    let violations: Vec<String> = manifests
        .iter()
        .filter(|file| file.path != "Cargo.toml")
        .filter(|file| !file.text.contains("[lints]\nworkspace = true\n"))
        .map(|file| file.path.clone())
        .collect();
    expect_none("add [lints] workspace = true to", &violations);
}

#[test]
fn a_clippy_file_of_its_own_repeats_the_shared_limits() {
    // It replaces the root's, it does not add to it.
    let shared = read("clippy.toml");
    for package in ["planner", "sidecar-injector"] {
        let path = format!("{package}/clippy.toml");
        let own = read(&path);
        let missing: Vec<String> = shared
            .lines()
            .filter(|line| !line.starts_with('#') && !own.contains(line))
            .map(str::to_owned)
            .collect();
        expect_none(&format!("add to {path}"), &missing);
    }
}

#[test]
fn no_test_is_ignored_without_a_reason() {
    let bare = concat!("#[", "ignore]");
    let violations: Vec<String> = below("", ".rs")
        .into_iter()
        .filter(|file| file.text.contains(bare))
        .map(|file| file.path)
        .collect();
    expect_none("say why, as in #[ignore = \"needs Docker\"]", &violations);
}

/// Lines of the roles in `folder`, without comments.
fn role_lines(folder: &str) -> Vec<(String, String)> {
    let mut lines = Vec::new();
    for file in below(folder, ".yaml") {
        for (n, line) in file.text.lines().enumerate() {
            let code = line.split('#').next().unwrap_or_default();
            lines.push((format!("{}:{}", file.path, n + 1), code.to_owned()));
        }
    }
    lines
}

#[test]
fn roles_name_what_they_allow() {
    let wild: Vec<String> = ["config/rbac/", "config/webhook/"]
        .into_iter()
        .flat_map(role_lines)
        .filter(|(_, code)| code.contains("\"*\"") || code.contains("'*'"))
        .map(|(place, _)| place)
        .collect();
    expect_none("name the groups, resources and verbs", &wild);
}

#[test]
fn no_role_of_the_manager_reaches_secrets() {
    let violations: Vec<String> = role_lines("config/rbac/")
        .into_iter()
        .filter(|(_, code)| code.contains("secrets"))
        .map(|(place, _)| place)
        .collect();
    expect_none("the manager needs no Secret", &violations);
}
