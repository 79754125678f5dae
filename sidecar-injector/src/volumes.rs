//! Volumes and pull secrets: what injected containers need beside themselves.

use apis::validation::sidecar_set::{Effective, Sidecar};
use serde_json::{Value, json};

use crate::patch::Additions;
use crate::pod::{Pod, array, text};
use crate::warning::Reason;

/// Adds the volumes that `container` itself mounts. One of that name that the Pod has is taken;
/// returns those that are other volumes.
pub(crate) fn add(
    additions: &mut Additions,
    pod: &Pod<'_>,
    spec: &Effective,
    container: &Sidecar,
) -> Vec<Reason> {
    let mut differing = Vec::new();
    for field in ["volumeMounts", "volumeDevices"] {
        for mount in array(container.body.get(field)) {
            let name = text(mount, "name");
            let Some(volume) = spec.volumes.get(name) else {
                continue;
            };
            let mut all = pod.list("volumes").iter().chain(&additions.volumes);
            match all.find(|volume| text(volume, "name") == name) {
                None => additions.volumes.push(volume.clone()),
                Some(present) if contains(present, volume) => {}
                Some(_) => differing.push(Reason::VolumeDiffers {
                    volume: name.to_owned(),
                }),
            }
        }
    }
    differing
}

/// Adds the Secrets that the Pod does not name.
pub(crate) fn add_pull_secrets(additions: &mut Additions, pod: &Pod<'_>, spec: &Effective) {
    for name in &spec.image_pull_secrets {
        let added = additions.image_pull_secrets.iter();
        let mut all = pod.list("imagePullSecrets").iter().chain(added);
        if !all.any(|secret| text(secret, "name") == name) {
            additions.image_pull_secrets.push(json!({"name": name}));
        }
    }
}

/// Whether `value` has everything that `part` has: an API server adds defaults.
fn contains(value: &Value, part: &Value) -> bool {
    match (value, part) {
        (_, Value::Null) => true,
        (Value::Object(value), Value::Object(part)) => part.iter().all(|(key, part)| {
            let value = value.get(key).unwrap_or(&Value::Null);
            contains(value, part)
        }),
        (Value::Array(value), Value::Array(part)) => {
            value.len() == part.len() && value.iter().zip(part).all(|(v, p)| contains(v, p))
        }
        (value, part) => value == part,
    }
}
