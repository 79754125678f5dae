//! A container as it goes into a Pod; two of them with HotUpgrade.

use std::collections::{BTreeMap, BTreeSet};

use apis::names;
use apis::validation::sidecar_set::Sidecar;
use serde_json::{Map, Value, json};

use crate::pod::{Pod, text};
use crate::warning::Reason;
use crate::{resources, shared};

/// The names of what is injected for `sidecar`.
pub(crate) fn names(sidecar: &Sidecar) -> Vec<String> {
    match sidecar.hot {
        Some(_) => sidecar.twins().into(),
        None => vec![sidecar.name.clone()],
    }
}

/// What is injected for `sidecar`, in the order of [`names`].
pub(crate) fn containers(
    sidecar: &Sidecar,
    pod: &Pod<'_>,
    sidecars: &BTreeSet<String>,
) -> Result<Vec<Value>, Reason> {
    let mut body = sidecar.body.clone();
    if let Some(resources) = resources::compute(sidecar, pod, sidecars)? {
        body.insert("resources".to_owned(), resources);
    }
    shared::share(&mut body, sidecar, pod);
    if let Some(env) = body.get_mut("env").and_then(Value::as_array_mut) {
        env.retain(|variable| text(variable, "name") != names::INJECTED_ENV);
    }
    shared::add_variable(
        &mut body,
        json!({"name": names::INJECTED_ENV, "value": "true"}),
    );
    let Some(hot) = &sidecar.hot else {
        return Ok(vec![body.into()]);
    };
    let [works, waits] = sidecar.twins();
    let mut idle = body.clone();
    idle.insert("image".to_owned(), hot.empty_image.clone().into());
    Ok(vec![twin(body, &works), twin(idle, &waits)])
}

/// Both know the version of each, from annotations of their Pod.
fn twin(mut body: Map<String, Value>, name: &str) -> Value {
    body.insert("name".to_owned(), name.into());
    for (variable, prefix) in [
        (names::TWIN_VERSION_ENV, names::TWIN_VERSION_PREFIX),
        (
            names::TWIN_OTHER_VERSION_ENV,
            names::TWIN_OTHER_VERSION_PREFIX,
        ),
    ] {
        let path = format!("metadata.annotations['{prefix}{name}']");
        let from = json!({"fieldRef": {"apiVersion": "v1", "fieldPath": path}});
        shared::add_variable(&mut body, json!({"name": variable, "valueFrom": from}));
    }
    body.into()
}

/// The annotations of a Pod whose first twin works.
pub(crate) fn versions(sidecar: &Sidecar, annotations: &mut BTreeMap<String, String>) {
    let [works, waits] = sidecar.twins();
    for (name, version, other) in [(works, "1", "0"), (waits, "0", "1")] {
        for (prefix, value) in [
            (names::TWIN_VERSION_PREFIX, version),
            (names::TWIN_OTHER_VERSION_PREFIX, other),
        ] {
            annotations.insert(format!("{prefix}{name}"), value.to_owned());
        }
    }
}
