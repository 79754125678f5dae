//! Documents that name what the code has, and links that lead somewhere.

use std::path::{Component, Path, PathBuf};

use crate::tree::{below, expect_none, read, root};

/// Every `](target)` of a Markdown text.
fn links(text: &str) -> Vec<&str> {
    let after = text.split("](").skip(1);
    after.filter_map(|rest| rest.split(')').next()).collect()
}

/// The anchors that headings of a Markdown text have.
fn anchors(text: &str) -> Vec<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let slug = |heading: &str| {
        let title = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = title.chars().filter_map(|c| match c {
            ' ' => Some('-'),
            c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c),
            _ => None,
        });
        kept.collect::<String>()
    };
    headings.map(slug).collect()
}

fn is_dead(from: &str, link: &str) -> bool {
    if link.contains("://") || link.starts_with("mailto:") {
        return false;
    }
    let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
    let folder = Path::new(from).parent().unwrap_or(Path::new(""));
    let target = match path {
        "" => PathBuf::from(from),
        path => folder.join(path),
    };
    let mut plain = PathBuf::new();
    for part in target.components() {
        match part {
            Component::ParentDir if !plain.pop() => return true,
            Component::ParentDir => {}
            part => plain.push(part),
        }
    }
    let Some(name) = plain.to_str() else {
        return true;
    };
    !root().join(&plain).exists()
        || !anchor.is_empty() && !anchors(&read(name)).iter().any(|a| a == anchor)
}

#[test]
fn every_relative_link_leads_somewhere() {
    let mut dead = Vec::new();
    for file in below("", ".md") {
        for link in links(&file.text) {
            if is_dead(&file.path, link) {
                dead.push(format!("{}: {link}", file.path));
            }
        }
    }
    expect_none("dead links", &dead);
}

/// Words of `text` made of `a-z`, `A-Z`, `0-9` and the characters in `also`.
fn words<'a>(text: &'a str, also: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(move |c: char| !c.is_ascii_alphanumeric() && !also.contains(c))
}

#[track_caller]
fn expect_named<'a>(names: impl Iterator<Item = &'a str>, document: &str) {
    let text = read(document);
    let names: std::collections::BTreeSet<&str> = names.collect();
    assert!(!names.is_empty(), "nothing to look for in {document}");
    let missing: Vec<String> = names
        .iter()
        .filter(|name| !words(&text, "_-.").any(|word| word.trim_matches(['.', '-']) == **name))
        .map(|name| (*name).to_owned())
        .collect();
    expect_none(&format!("{document} does not explain"), &missing);
}

#[test]
fn concepts_explain_every_reason() {
    let source = read("planner/src/reason.rs");
    let reasons = source.lines().filter_map(|line| {
        let (left, right) = line.split_once(" => \"")?;
        left.trim().starts_with("Self::").then_some(())?;
        right.strip_suffix("\",")
    });
    expect_named(reasons, "docs/concepts.md");
}

#[test]
fn concepts_explain_every_condition() {
    let source = read("apis/src/condition.rs");
    let conditions = source
        .lines()
        .filter_map(|line| line.split_once(" => \"")?.1.strip_suffix("\","));
    expect_named(conditions, "docs/concepts.md");
}

#[test]
fn every_warning_of_an_injection_is_explained() {
    let source = read("sidecar-injector/src/warning.rs");
    let warnings = source.lines().filter_map(|line| {
        let (left, right) = line.split_once(" => \"")?;
        left.trim().starts_with("Self::").then_some(())?;
        right.strip_suffix("\",")
    });
    expect_named(warnings, "docs/injection.md");
}

#[test]
fn operations_list_every_metric() {
    let source = read("manager/src/metrics.rs")
        + &read("manager/process/src/metrics/process.rs")
        + &read("webhook/src/metrics.rs");
    let source = source.replace("{runtime}", "controller_runtime_");
    let prefixes = ["controller_runtime_", "workqueue_", "insitu_", "process_"];
    let metrics = source.split('"').skip(1).step_by(2).filter(|text| {
        prefixes
            .iter()
            .any(|p| text.len() > p.len() && text.starts_with(p))
    });
    let metrics: Vec<&str> = metrics.collect();
    let operations = read("docs/operations.md");
    // The encoder appends _total to counters, and so does the table.
    let missing: Vec<String> = metrics
        .iter()
        .filter(|m| {
            !operations.contains(&format!("`{m}`")) && !operations.contains(&format!("`{m}_total`"))
        })
        .map(|m| (*m).to_owned())
        .collect();
    assert!(metrics.len() > 10, "only {} metrics found", metrics.len());
    expect_none("docs/operations.md does not list", &missing);
}

#[test]
fn operations_list_every_flag() {
    let source = read("manager/src/args.rs") + &read("webhook/src/args.rs");
    let mut names = Vec::new();
    let mut is_flag = false;
    for line in source.lines().map(str::trim) {
        if line.starts_with("#[arg(") {
            is_flag = line.contains("long");
        }
        let field = line
            .trim_start_matches("pub ")
            .trim_start_matches("pub(crate) ");
        if let (true, Some((name, _))) = (
            is_flag && !line.starts_with(['#', '/']),
            field.split_once(": "),
        ) {
            names.push(name.replace('_', "-"));
            is_flag = false;
        }
    }
    let operations = read("docs/operations.md");
    let missing: Vec<String> = names
        .iter()
        .filter(|name| !operations.contains(&format!("`--{name}")))
        .cloned()
        .collect();
    assert!(!names.is_empty(), "no flags found in args.rs");
    expect_none("docs/operations.md does not list", &missing);
}

#[test]
fn the_architecture_page_is_short_and_names_an_invariant_per_crate() {
    let page = read("ARCHITECTURE.md");
    assert!(page.lines().count() <= 200, "more than 200 lines");
    let manifest = read("Cargo.toml");
    let members = manifest.split("members = [").nth(1).unwrap_or_default();
    let members = members.split(']').next().unwrap_or_default();
    let members: Vec<&str> = members.split('"').skip(1).step_by(2).collect();
    let invariants = page.matches("**Invariant:**").count();
    assert!(invariants >= members.len(), "{invariants} invariants");
    for member in members {
        assert!(page.contains(&format!("### `{member}/`")), "{member}");
    }
}
