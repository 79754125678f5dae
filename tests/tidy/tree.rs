//! The checkout as the rules see it: tracked files, and which lines of them are production code.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A file of the checkout.
pub(crate) struct File {
    /// Relative to the root, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
}

pub(crate) fn root() -> PathBuf {
    let tests = std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    Path::new(&tests)
        .parent()
        .expect("the package is below the root")
        .to_owned()
}

/// What the command prints; it has to succeed.
pub(crate) fn output(command: &mut Command) -> String {
    let output = command.current_dir(root()).output();
    let output = output.expect("the program is installed");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} failed: {errors}");
    String::from_utf8(output.stdout).expect("names and code are UTF-8")
}

/// Every text file that is tracked or about to be.
pub(crate) fn files() -> Vec<File> {
    let mut git = Command::new("git");
    // A checkout made by another user, as in containers of a CI, is read all the same.
    git.args(["-c", "safe.directory=*", "ls-files", "-z"]);
    git.args(["--cached", "--others", "--exclude-standard"]);
    let listed = output(&mut git);
    let paths = listed.split_terminator('\0');
    let files: Vec<File> = paths
        .filter_map(|path| {
            // Listed and gone: a deletion that is not committed yet. Not UTF-8: no text.
            let text = fs::read_to_string(root().join(path)).ok()?;
            let path = path.to_owned();
            Some(File { path, text })
        })
        .collect();
    assert!(files.len() > 50, "only {} files were found", files.len());
    files
}

pub(crate) fn read(path: &str) -> String {
    let text = fs::read_to_string(root().join(path));
    text.unwrap_or_else(|error| format!("{path} cannot be read: {error}"))
}

/// Files below `folder` whose name ends in `end`.
pub(crate) fn below(folder: &str, end: &str) -> Vec<File> {
    let mut files = files();
    files.retain(|file| file.path.starts_with(folder) && file.path.ends_with(end));
    assert!(!files.is_empty(), "no {end} files below {folder:?}");
    files
}

impl File {
    /// Whether the whole file is test code.
    pub(crate) fn is_test(&self) -> bool {
        let suites = ["tests/apiserver/", "tests/e2e/", "tests/tidy/"];
        suites.iter().any(|suite| self.path.starts_with(suite))
            || self.path.ends_with("/tests.rs")
            || self.path.split('/').skip(1).any(|part| part == "tests")
    }

    /// The lines before the inline test module.
    pub(crate) fn production(&self) -> impl Iterator<Item = (usize, &str)> {
        let end = self.test_module().map_or(usize::MAX, |module| module.start);
        self.text
            .lines()
            .enumerate()
            .map(|(n, line)| (n + 1, line))
            .take_while(move |(n, _)| *n < end)
    }

    /// Line numbers of the inline test module, as rustfmt leaves it.
    pub(crate) fn test_module(&self) -> Option<std::ops::Range<usize>> {
        let lines: Vec<&str> = self.text.lines().collect();
        let opens = |pair: &[&str]| {
            pair[0] == "#[cfg(test)]" && pair[1].starts_with("mod ") && pair[1].ends_with('{')
        };
        let start = lines.windows(2).position(opens)?;
        let length = lines[start..].iter().position(|line| *line == "}")?;
        Some(start + 1..start + length + 2)
    }
}

/// Fails with everything that is wrong at once.
#[track_caller]
pub(crate) fn expect_none(rule: &str, violations: &[String]) {
    assert!(
        violations.is_empty(),
        "{rule}:\n  {}",
        violations.join("\n  ")
    );
}
