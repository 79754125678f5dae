//! Objects that are stored in an old version are written once more, so that they are stored in
//! the present one and the old version can go some day: `status.storedVersions` of the
//! CustomResourceDefinition says of which versions there may be any.
//!
//! Writing an object without a change is enough: the API server stores it as the present version,
//! and nobody sees more of it than a new resourceVersion. Several replicas may do so at once.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{ApiResource, DynamicObject, ListParams, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::{Api, Client, ResourceExt};
use process::client::{CallError, call};
use serde_json::json;
use tokio_util::sync::CancellationToken;

/// Objects of one list call.
const PAGE: u32 = 500;
/// Between two looks.
const LOOK_AGAIN: Duration = Duration::from_mins(1);

/// What is left to do for a definition.
#[derive(Clone, Debug)]
pub struct Due {
    /// As long as the definition has this version, its versions are what was read.
    resource_version: String,
    generation: i64,
    old: Vec<String>,
    present: ApiResource,
}

/// What `definition` says; None when everything is stored in the present version.
fn due(definition: &CustomResourceDefinition) -> Option<Due> {
    let spec = &definition.spec;
    let present = spec.versions.iter().find(|version| version.storage)?;
    let stored = definition.status.as_ref()?.stored_versions.as_deref();
    let mut old = stored.unwrap_or_default().to_vec();
    old.retain(|version| *version != present.name);
    let kind = GroupVersionKind::gvk(&spec.group, &present.name, &spec.names.kind);
    (!old.is_empty()).then(|| Due {
        resource_version: definition.resource_version().unwrap_or_default(),
        generation: definition.metadata.generation.unwrap_or_default(),
        old,
        present: ApiResource::from_gvk_with_plural(&kind, &spec.names.plural),
    })
}

/// Migrates what is due of `definitions`, now and whenever there is more, until `shutdown`.
pub async fn run(client: Client, definitions: Vec<String>, shutdown: CancellationToken) {
    let looking = async {
        let mut seen = BTreeMap::new();
        loop {
            for name in &definitions {
                if let Err(error) = look(&client, name, &mut seen).await {
                    tracing::warn!(definition = name, %error, "stored objects were not migrated");
                }
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    shutdown.run_until_cancelled(looking).await;
}

/// Migrates what was due at the look before as well: an API server that has not heard yet of a
/// change to the definition would store the old version behind our back.
async fn look<'a>(
    client: &Client,
    name: &'a str,
    seen: &mut BTreeMap<&'a str, i64>,
) -> Result<(), CallError> {
    match read(client, name).await? {
        Some(due) if seen.insert(name, due.generation) == Some(due.generation) => {
            migrate(client, name, &due).await
        }
        Some(_) | None => Ok(()),
    }
}

/// What is due for the definition `name`.
///
/// # Errors
/// How the call failed.
pub async fn read(client: &Client, name: &str) -> Result<Option<Due>, CallError> {
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    let definition = call(definitions.get_opt(name)).await?;
    Ok(definition.as_ref().and_then(due))
}

/// Does what is `due` for the definition `name`.
///
/// # Errors
/// How a call failed. What was written stays so; the rest is for the next try.
pub async fn migrate(client: &Client, name: &str, due: &Due) -> Result<(), CallError> {
    tracing::info!(definition = name, old = ?due.old, "migrating stored objects");
    let objects = write_all(client, &due.present).await?;
    let stored = json!([
        {"op": "test", "path": "/metadata/resourceVersion", "value": due.resource_version},
        {"op": "replace", "path": "/status/storedVersions", "value": [due.present.version]},
    ]);
    // What is made of constants can be read.
    if let Ok(patch) = serde_json::from_value(stored) {
        let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
        let patch: Patch<CustomResourceDefinition> = Patch::Json(patch);
        call(definitions.patch_status(name, &PatchParams::default(), &patch)).await?;
    }
    tracing::info!(definition = name, objects, "migrated stored objects");
    Ok(())
}

async fn write_all(client: &Client, present: &ApiResource) -> Result<usize, CallError> {
    let all: Api<DynamicObject> = Api::all_with(client.clone(), present);
    let mut page = ListParams::default().limit(PAGE);
    let mut written = 0;
    loop {
        let list = call(all.list_metadata(&page)).await?;
        for object in &list.items {
            let api: Api<DynamicObject> = match object.namespace() {
                Some(namespace) => Api::namespaced_with(client.clone(), &namespace, present),
                None => all.clone(),
            };
            let nothing: Patch<serde_json::Value> = Patch::Merge(json!({}));
            let name = object.name_any();
            match call(api.patch(&name, &PatchParams::default(), &nothing)).await {
                Ok(_) => written += 1,
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error),
            }
        }
        match list.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => page = page.continue_token(&token),
            None => return Ok(written),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition(versions: [(&str, bool); 2], stored: &[&str]) -> CustomResourceDefinition {
        let versions = versions
            .map(|(name, storage)| json!({"name": name, "served": true, "storage": storage}));
        let definition = json!({
            "metadata": {"resourceVersion": "7"},
            "spec": {"group": "apps.kruise.io", "scope": "Namespaced",
                "names": {"kind": "CloneSet", "plural": "clonesets"}, "versions": versions},
            "status": {"storedVersions": stored},
        });
        serde_json::from_value(definition).unwrap()
    }

    #[test]
    fn what_is_stored_in_an_old_version_is_due() {
        let versions = [("v1alpha1", false), ("v1beta1", true)];
        let due = due(&definition(versions, &["v1alpha1", "v1beta1"])).expect("something is due");
        assert_eq!(due.old, ["v1alpha1"]);
        assert_eq!(due.resource_version, "7");
        assert_eq!(due.present.api_version, "apps.kruise.io/v1beta1");
        assert_eq!(due.present.plural, "clonesets");
    }

    #[test]
    fn nothing_is_due_when_all_is_present() {
        let versions = [("v1alpha1", false), ("v1beta1", true)];
        assert!(due(&definition(versions, &["v1beta1"])).is_none());
        let mut unknown = definition(versions, &[]);
        unknown.status = None;
        assert!(due(&unknown).is_none());
    }

    #[test]
    fn the_storage_version_of_the_definition_counts() {
        let versions = [("v1alpha1", true), ("v1beta1", false)];
        let due = due(&definition(versions, &["v1alpha1", "v1beta1"])).expect("something is due");
        assert_eq!(due.old, ["v1beta1"]);
    }
}
