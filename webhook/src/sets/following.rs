//! What is followed, and how: kube's watcher, begun anew whenever it breaks.

use std::collections::BTreeSet;
use std::pin::pin;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::{ApiResource, DynamicObject};
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client, ResourceExt};
use process::client::{CallError, call};
use process::pauses::{self, Pauses};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::Sets;

/// Name of the ConfigMap that holds the white list.
pub(super) const WHITE_LIST: &str = "kruise-configuration";
const PAUSE_MIN: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Kinds of objects that are followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Followed {
    /// What is injected.
    SidecarSets,
    /// Where: their labels.
    Namespaces,
    /// What sets were, in the namespace of the Service.
    Revisions,
    /// Which annotations sets may give to Pods, in the namespace of the Service.
    WhiteList,
}

impl Followed {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::SidecarSets,
        Self::Namespaces,
        Self::Revisions,
        Self::WhiteList,
    ];

    fn resource(self) -> ApiResource {
        match self {
            Self::SidecarSets => ApiResource::erase::<apis::SidecarSet>(&()),
            Self::Namespaces => ApiResource::erase::<Namespace>(&()),
            Self::Revisions => ApiResource::erase::<ControllerRevision>(&()),
            Self::WhiteList => ApiResource::erase::<ConfigMap>(&()),
        }
    }

    /// Raw: one object of an unexpected shape must not hide all the others.
    fn api(self, client: Client, namespace: &str) -> Api<DynamicObject> {
        match self {
            Self::SidecarSets | Self::Namespaces => Api::all_with(client, &self.resource()),
            Self::Revisions | Self::WhiteList => {
                Api::namespaced_with(client, namespace, &self.resource())
            }
        }
    }

    fn config(self) -> watcher::Config {
        let all = watcher::Config::default();
        match self {
            Self::SidecarSets | Self::Namespaces => all,
            Self::Revisions => all.labels(apis::names::SIDECAR_SET_LABEL),
            Self::WhiteList => all.fields(&format!("metadata.name={WHITE_LIST}")),
        }
    }

    /// One that has no namespace.
    pub(super) async fn get(self, client: Client, name: &str) -> Result<Option<Value>, CallError> {
        let all: Api<DynamicObject> = Api::all_with(client, &self.resource());
        let object = call(all.get_opt(name)).await?;
        Ok(object.as_ref().map(raw))
    }
}

/// Without the notes on who wrote which field: they are as long as the rest, and ten thousand sets
/// would keep them in memory.
fn raw(object: &DynamicObject) -> Value {
    let mut raw = serde_json::to_value(object).unwrap_or_default();
    if let Some(metadata) = raw.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
    raw
}

/// Keeps `sets` up to date with one kind until `shutdown`. `namespace` is that of the Service,
/// `watches` a client without a deadline.
pub async fn follow(
    sets: std::sync::Arc<Sets>,
    followed: Followed,
    watches: Client,
    namespace: String,
    shutdown: CancellationToken,
) {
    let following = async {
        let mut pauses = pauses();
        loop {
            let api = followed.api(watches.clone(), &namespace);
            let mut stream = pin!(watcher::watcher(api, followed.config()));
            let mut listed = BTreeSet::new();
            // What was known stays until a new list is complete.
            while let Some(event) = stream.next().await {
                match event {
                    Ok(event) => {
                        if matches!(event, Event::InitDone) {
                            pauses = self::pauses();
                        }
                        take_in(&sets, followed, event, &mut listed);
                    }
                    Err(error) => {
                        tracing::warn!(?followed, %error, "the watch broke");
                        break;
                    }
                }
            }
            tokio::time::sleep(pauses.next().unwrap_or(PAUSE_MAX)).await;
        }
    };
    shutdown.run_until_cancelled(following).await;
}

fn take_in(
    sets: &Sets,
    followed: Followed,
    event: Event<DynamicObject>,
    listed: &mut BTreeSet<String>,
) {
    match event {
        Event::Init => listed.clear(),
        Event::InitApply(object) => {
            listed.insert(object.name_any());
            sets.put(followed, &raw(&object));
        }
        Event::InitDone => sets.list_is_complete(followed, Some(listed)),
        Event::Apply(object) => sets.put(followed, &raw(&object)),
        Event::Delete(object) => sets.remove(followed, &object.name_any()),
    }
}

fn pauses() -> Pauses {
    pauses::pauses(PAUSE_MIN, PAUSE_MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn namespace(name: &str, tier: &str) -> DynamicObject {
        let resource = Followed::Namespaces.resource();
        let mut object = DynamicObject::new(name, &resource).data(json!({}));
        object
            .labels_mut()
            .insert("tier".to_owned(), tier.to_owned());
        object
    }

    #[test]
    fn who_wrote_which_field_is_not_kept() {
        let set = json!({"apiVersion": "apps.kruise.io/v1beta1", "kind": "SidecarSet",
            "metadata": {"name": "log", "managedFields": [{"manager": "kubectl"}],
                "labels": {"a": "b"}},
            "spec": {"selector": {"matchLabels": {"app": "web"}},
                "containers": [{"name": "agent", "image": "agent:1"}]}});
        let sets = Sets::default();
        let object = serde_json::from_value(set).unwrap();
        let (event, mut listed) = (Event::Apply(object), BTreeSet::new());
        take_in(&sets, Followed::SidecarSets, event, &mut listed);
        let view = sets.read();
        let metadata = &view.index().get("log").unwrap().current().object().metadata;
        assert_eq!(metadata.managed_fields, None);
        assert!(metadata.labels.is_some());
    }

    #[test]
    fn what_a_new_list_does_not_name_is_gone_once_it_is_complete() {
        let sets = Sets::default();
        let mut listed = BTreeSet::new();
        let mut tell = |event| take_in(&sets, Followed::Namespaces, event, &mut listed);
        let tier = |name: &str| {
            sets.read()
                .namespace(name)
                .map(|labels| labels["tier"].clone())
        };
        tell(Event::Init);
        tell(Event::InitApply(namespace("shop", "front")));
        tell(Event::InitApply(namespace("back", "back")));
        tell(Event::InitDone);
        tell(Event::Apply(namespace("shop", "middle")));
        assert_eq!(tier("shop").as_deref(), Some("middle"));
        tell(Event::Init);
        tell(Event::InitApply(namespace("shop", "front")));
        assert_eq!(tier("back").as_deref(), Some("back"), "not complete");
        tell(Event::InitDone);
        assert_eq!(
            (tier("shop").as_deref(), tier("back")),
            (Some("front"), None)
        );
        tell(Event::Delete(namespace("shop", "front")));
        assert_eq!(tier("shop"), None);
    }
}
