//! Environment that is read from labels and annotations. The kubelet fills it in when a container
//! starts, and nothing but an image restarts one: a changed value reaches a running container only
//! if its image changes beside it.

use std::collections::BTreeMap;

use super::{Changes, KeyChange, Map};
use crate::Revision;
use crate::reason::Reason;

/// The first value that a container reads, that changes, and that would not reach it.
pub(super) fn stale_env(own: &Revision, target: &Revision) -> Option<Reason> {
    let restarts = |container: &str| {
        let image = |revision: &Revision| revision.view.images.get(container).cloned();
        image(own) != image(target)
    };
    let running = target
        .view
        .env
        .iter()
        .filter(|(container, _)| !restarts(container));
    let mut paths =
        running.flat_map(|(container, paths)| paths.iter().map(move |p| (container, p)));
    let (container, path) = paths.find(|(_, path)| value(own, path) != value(target, path))?;
    let path = format!("spec.template.{path} (read by an env of container {container})");
    let path = path.into();
    Some(Reason::NeedsRecreate { path })
}

/// A label or annotation that changes, and a container that reads it and does not restart: its own
/// revision had another image, but that one never came to run.
pub(super) fn unread(changes: &Changes, target: &Revision) -> Option<Reason> {
    if changes.keys.is_empty() {
        return None;
    }
    let restarts = |container: &str| changes.images.iter().any(|i| i.container == container);
    let mut running = target.view.env.iter().filter(|(c, _)| !restarts(c));
    running.find_map(|(container, paths)| {
        let is_read = |change: &&KeyChange| paths.contains(&path(change));
        let change = changes.keys.iter().find(is_read)?;
        let path = path(change);
        let path = format!("spec.template.{path} (read by an env of container {container})");
        let path = path.into();
        Some(Reason::NeedsRecreate { path })
    })
}

fn path(change: &KeyChange) -> String {
    let map = match change.map {
        Map::Labels => "labels",
        Map::Annotations => "annotations",
    };
    format!("metadata.{map}['{}']", change.key)
}

/// The value at `metadata.labels['key']` or `metadata.annotations['key']`.
fn value<'a>(revision: &'a Revision, path: &str) -> Option<&'a String> {
    let (map, rest): (&BTreeMap<String, String>, &str) =
        if let Some(rest) = path.strip_prefix("metadata.labels['") {
            (&revision.view.labels, rest)
        } else {
            (
                &revision.view.annotations,
                path.strip_prefix("metadata.annotations['")?,
            )
        };
    map.get(rest.strip_suffix("']")?)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn revision(image: &str, tier: &str) -> Revision {
        let env: Value = json!([{"name": "TIER", "valueFrom":
            {"fieldRef": {"fieldPath": "metadata.labels['tier']"}}}]);
        let template = json!({"metadata": {"labels": {"tier": tier, "other": tier}},
            "spec": {"containers": [{"name": "main", "image": image, "env": env}]}});
        Revision::new(
            serde_json::from_value(json!({"name": "web-a"})).unwrap(),
            1,
            template,
        )
    }

    #[test]
    fn a_label_that_an_env_reads_needs_a_restart() {
        let reason = stale_env(&revision("web:1", "a"), &revision("web:1", "b"));
        let Some(Reason::NeedsRecreate { path }) = reason else {
            panic!("{reason:?}")
        };
        assert!(
            path.starts_with("spec.template.metadata.labels['tier']"),
            "{path}"
        );
    }

    #[test]
    fn an_image_that_changes_beside_it_brings_the_restart() {
        assert_eq!(
            stale_env(&revision("web:1", "a"), &revision("web:2", "b")),
            None
        );
    }

    #[test]
    fn a_value_that_stays_needs_nothing() {
        assert_eq!(
            stale_env(&revision("web:1", "a"), &revision("web:1", "a")),
            None
        );
    }
}
