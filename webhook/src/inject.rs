//! What a new Pod is given: here stands only when the injector is asked.

use jiff::Timestamp;
use sidecar_injector::{Request as Asked, inject};

use crate::review::admission::Operation;
use crate::review::mutation::{Change, Request};
use crate::sets::{Look, Missing, View};

/// What becomes of the object of `request`, and the `outcome` label of metrics.
///
/// # Errors
/// What is not known yet and may be learnt before the last `look`.
pub fn judge(
    request: &Request,
    view: &View,
    look: Look,
    now: Timestamp,
) -> Result<(Change, &'static str), Missing> {
    let kind = &request.kind;
    let is_pod = (
        kind.group.as_str(),
        kind.version.as_str(),
        kind.kind.as_str(),
    ) == ("", "v1", "Pod")
        && request.sub_resource.is_empty();
    if !is_pod || request.operation != Operation::Create {
        return Ok((Change::default(), "unchanged"));
    }
    if !view.is_filled() {
        return Err(Missing::Everything);
    }
    // Most clusters have no set at all, and nobody needs to wait for a namespace then.
    if view.index().is_empty() {
        return Ok((Change::default(), "unchanged"));
    }
    let labels = match (view.namespace(&request.namespace), look) {
        (None, Look::First) => return Err(Missing::Namespace(request.namespace.clone())),
        (labels, _) => labels.cloned().unwrap_or_default(),
    };
    let asked = Asked {
        pod: &request.object,
        namespace: &request.namespace,
        namespace_labels: &labels,
        now,
        seed: &request.uid,
    };
    let injection = inject(&asked, view.index(), view.white_list());
    let is_left_out = injection.warnings.iter().any(|w| w.reason.leaves_out());
    let outcome = match (is_left_out, injection.patch.is_empty()) {
        (true, _) => "left_out",
        (false, false) => "injected",
        (false, true) => "unchanged",
    };
    let warnings = injection.warnings.iter().map(ToString::to_string);
    let change = Change {
        warnings: warnings.collect(),
        patch: injection.patch,
    };
    Ok((change, outcome))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::review::admission::Kind;
    use crate::sets::{Followed, Sets};

    fn sets() -> Sets {
        let set = |name: &str, spec: Value| {
            json!({"apiVersion": "apps.kruise.io/v1beta1", "kind": "SidecarSet",
            "metadata": {"name": name}, "spec": spec})
        };
        Sets::of(&[
            (
                Followed::SidecarSets,
                set(
                    "log",
                    json!({
                "selector": {"matchLabels": {"app": "web"}},
                "namespaceSelector": {"matchLabels": {"tier": "front"}},
                "containers": [{"name": "agent", "image": "agent:1"}]}),
                ),
            ),
            (
                Followed::Namespaces,
                json!({"metadata": {"name": "shop", "labels": {"tier": "front"}}}),
            ),
            (
                Followed::Namespaces,
                json!({"metadata": {"name": "back", "labels": {}}}),
            ),
        ])
    }

    fn request(namespace: &str, container: &str) -> Request {
        Request {
            uid: "u-1".to_owned(),
            operation: Operation::Create,
            kind: Kind {
                version: "v1".to_owned(),
                kind: "Pod".to_owned(),
                ..Kind::default()
            },
            namespace: namespace.to_owned(),
            object: json!({"metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": container, "image": "web:1"}]}}),
            ..Request::default()
        }
    }

    fn judged(
        request: &Request,
        sets: &Sets,
        look: Look,
    ) -> Result<(Change, &'static str), Missing> {
        judge(request, &sets.read(), look, Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn a_new_pod_is_given_what_matches_it() {
        let sets = sets();
        let (change, outcome) = judged(&request("shop", "main"), &sets, Look::First).unwrap();
        assert_eq!(outcome, "injected");
        assert!(!change.patch.is_empty() && change.warnings.is_empty());
        let (change, outcome) = judged(&request("back", "main"), &sets, Look::First).unwrap();
        assert_eq!((change, outcome), (Change::default(), "unchanged"));
    }

    #[test]
    fn what_cannot_be_injected_is_a_warning() {
        let (change, outcome) = judged(&request("shop", "agent"), &sets(), Look::First).unwrap();
        assert_eq!(outcome, "left_out");
        assert!(change.patch.is_empty());
        assert!(change.warnings[0].contains("SidecarSet log was not injected"));
    }

    #[test]
    fn a_namespace_that_nobody_told_of_is_asked_for_once() {
        let sets = sets();
        let new = request("new", "main");
        let missing = judged(&new, &sets, Look::First).unwrap_err();
        assert_eq!(missing, Missing::Namespace("new".to_owned()));
        let (change, _) = judged(&new, &sets, Look::Last).unwrap();
        assert_eq!(change, Change::default());
        // Without a set there is no reason to.
        let none = Sets::of(&[]);
        assert!(judged(&new, &none, Look::First).is_ok());
    }

    #[test]
    fn before_the_first_lists_nobody_can_say() {
        let sets = Sets::default();
        let asked = judged(&request("shop", "main"), &sets, Look::Last);
        assert_eq!(asked.unwrap_err(), Missing::Everything);
    }

    #[test]
    fn everything_but_a_new_pod_is_let_go() {
        let sets = Sets::default();
        let mut update = request("shop", "main");
        update.operation = Operation::Update;
        let mut binding = request("shop", "main");
        binding.sub_resource = "binding".to_owned();
        let mut other = request("shop", "main");
        other.kind.kind = "Job".to_owned();
        for request in [update, binding, other] {
            let (change, _) = judged(&request, &sets, Look::First).unwrap();
            assert_eq!(change, Change::default());
        }
    }
}
