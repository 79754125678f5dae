//! Nothing may grow until nobody reads it.

use crate::tree::{below, expect_none};

const FILE_LINES_MAX: usize = 500;
const TEST_MODULE_LINES_MAX: usize = 150;

/// Files that may be longer, each with the reason.
const LONG: &[(&str, &str)] = &[];

#[test]
fn no_source_file_is_longer_than_500_lines() {
    let mut violations = Vec::new();
    for file in below("", ".rs") {
        if file.is_test() {
            continue;
        }
        let lines = file.production().count();
        let listed = LONG.iter().any(|(path, _)| *path == file.path);
        match (lines > FILE_LINES_MAX, listed) {
            (true, false) => violations.push(format!("{}: {lines} lines", file.path)),
            (false, true) => violations.push(format!("{}: no longer long", file.path)),
            (true, true) | (false, false) => {}
        }
    }
    expect_none("split the file, or list it with its reason", &violations);
}

#[test]
fn no_inline_test_module_is_longer_than_150_lines() {
    let violations: Vec<String> = below("", ".rs")
        .iter()
        .filter_map(|file| {
            let lines = file.test_module()?.len();
            (lines > TEST_MODULE_LINES_MAX).then(|| format!("{}: {lines} lines", file.path))
        })
        .collect();
    expect_none(
        "move the tests to a file of their own, x/tests.rs",
        &violations,
    );
}
