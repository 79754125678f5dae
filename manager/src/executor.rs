//! Effect to request: the only writer of Pods and revisions. Decides nothing.

use std::sync::Arc;

use http::{Method, header};
use kube::Client;
use kube::core::response::{Status, StatusCause};
use planner::effect::{Request, Resource, Verb};
use planner::{Claim, Effect, Pod, Revision};
use serde::de::DeserializeOwned;

use crate::FIELD_MANAGER;
use crate::cache::Cache;
use crate::metrics::Metrics;
use process::client::{CallError, call};

mod json;

/// What became of one effect.
#[derive(Debug)]
pub enum Done {
    /// The server did it, or had done it before.
    Written,
    /// The view that was decided on was old: the watch will bring a newer one.
    Stale,
    /// The server could not or would not.
    Failed(CallError),
}

/// Carries effects out and tells the caches what came of them.
///
/// `R` is what revisions are decoded as.
#[derive(Clone)]
pub struct Executor<R = Revision> {
    client: Client,
    pods: Arc<Cache<Pod>>,
    claims: Arc<Cache<Claim>>,
    revisions: Arc<Cache<R>>,
    metrics: Metrics,
}

/// What the server answered to a write.
enum Answer<K> {
    Object(K),
    Gone,
}

impl<R> Executor<R>
where
    R: kube::Resource<DynamicType = ()> + Clone + DeserializeOwned + Send + Sync + 'static,
{
    /// An executor that writes through `client`.
    pub fn new(
        client: Client,
        pods: Arc<Cache<Pod>>,
        claims: Arc<Cache<Claim>>,
        revisions: Arc<Cache<R>>,
        metrics: Metrics,
    ) -> Self {
        Self {
            client,
            pods,
            claims,
            revisions,
            metrics,
        }
    }

    /// Writes `effect`; how many are under way at once is bounded by the client.
    pub async fn write(&self, namespace: &str, effect: &Effect) -> Done {
        let request = effect.request();
        let (verb, resource) = (request.verb, request.resource);
        // Many may wait for their turn: as bytes they take a tenth of the memory.
        let http = http_request(namespace, &request);
        drop(request);
        let at = (namespace, resource);
        let answer = match resource {
            Resource::Pods | Resource::PodsStatus | Resource::PodsResize => {
                self.send(at, http, effect, &self.pods).await
            }
            Resource::Claims => self.send(at, http, effect, &self.claims).await,
            Resource::ControllerRevisions => self.send(at, http, effect, &self.revisions).await,
        };
        let label = answer.as_ref().err().map_or("ok", CallError::label);
        self.metrics
            .wrote(verb_label(verb), resource_label(resource), label);
        match answer {
            Ok(()) => Done::Written,
            Err(error) if is_stale(&error) => {
                tracing::debug!(effect = effect.name(), %error, "the view was old");
                Done::Stale
            }
            Err(error) => Done::Failed(error),
        }
    }

    async fn send<K>(
        &self,
        (namespace, resource): (&str, Resource),
        request: Result<http::Request<Vec<u8>>, CallError>,
        effect: &Effect,
        cache: &Cache<K>,
    ) -> Result<(), CallError>
    where
        K: kube::Resource<DynamicType = ()> + Clone + DeserializeOwned + Send + Sync + 'static,
    {
        let answer =
            call(self.client.request_status::<K>(request?))
                .await
                .map(|either| match either.left() {
                    Some(object) => Answer::Object(object),
                    None => Answer::Gone,
                });
        match answer {
            Ok(Answer::Object(object)) => cache.observe_write(object),
            Ok(Answer::Gone) => {
                cache.observe_gone(namespace, effect.name(), effect.uid().unwrap_or_default());
            }
            Err(error) => {
                if error.is_outcome_unknown() {
                    self.find_out(namespace, resource, effect, cache).await;
                }
                return Err(error);
            }
        }
        Ok(())
    }

    /// Reads what a write without an answer was about. The next pass must not count a Pod that was
    /// drained after all among those that serve, and the watch may be late.
    async fn find_out<K>(
        &self,
        namespace: &str,
        resource: Resource,
        effect: &Effect,
        cache: &Cache<K>,
    ) where
        K: kube::Resource<DynamicType = ()> + Clone + DeserializeOwned + Send + Sync + 'static,
    {
        let path = object_path(namespace, resource, effect.name());
        let Ok(http) = http::Request::get(path).body(Vec::new()) else {
            return;
        };
        match (call(self.client.request::<K>(http)).await, effect.uid()) {
            (Ok(object), _) => cache.observe_write(object),
            (Err(error), Some(uid)) if error.is_not_found() => {
                cache.observe_gone(namespace, effect.name(), uid);
            }
            (Err(error), _) => {
                tracing::debug!(effect = effect.name(), %error, "nobody knows what became of it");
            }
        }
    }
}

/// A refused precondition, an object that is gone, or one that is there already.
///
/// 422 is a failed `test`, a UID that is not the object's, or a body that makes no sense; only the
/// last is a fault of ours, and says which fields are wrong.
pub fn is_stale(error: &CallError) -> bool {
    let CallError::Refused(status) = error else {
        return false;
    };
    match status.code {
        404 | 409 => true,
        422 => causes(status).all(|cause| cause.field == "metadata.uid"),
        _ => false,
    }
}

fn causes(status: &Status) -> impl Iterator<Item = &StatusCause> {
    let details = status.details.iter();
    details.flat_map(|details| &details.causes)
}

fn collection_path(namespace: &str, resource: Resource) -> String {
    match resource {
        Resource::Pods | Resource::PodsStatus | Resource::PodsResize => {
            format!("/api/v1/namespaces/{namespace}/pods")
        }
        Resource::Claims => format!("/api/v1/namespaces/{namespace}/persistentvolumeclaims"),
        Resource::ControllerRevisions => {
            format!("/apis/apps/v1/namespaces/{namespace}/controllerrevisions")
        }
    }
}

fn object_path(namespace: &str, resource: Resource, name: &str) -> String {
    format!("{}/{name}", collection_path(namespace, resource))
}

/// The request as it goes over the wire.
///
/// # Errors
/// When a name makes no path.
pub fn http_request(
    namespace: &str,
    request: &Request,
) -> Result<http::Request<Vec<u8>>, CallError> {
    let collection = collection_path(namespace, request.resource);
    let subresource = match request.resource {
        Resource::PodsStatus => "/status",
        Resource::PodsResize => "/resize",
        Resource::Pods | Resource::Claims | Resource::ControllerRevisions => "",
    };
    let object = object_path(namespace, request.resource, &request.name) + subresource;
    let manager = format!("fieldManager={FIELD_MANAGER}");
    let (method, path, content) = match request.verb {
        Verb::Create => (
            Method::POST,
            format!("{collection}?{manager}"),
            "application/json",
        ),
        Verb::Delete => (Method::DELETE, object, "application/json"),
        Verb::JsonPatch => (
            Method::PATCH,
            format!("{object}?{manager}"),
            "application/json-patch+json",
        ),
        Verb::MergePatch => (
            Method::PATCH,
            format!("{object}?{manager}"),
            "application/merge-patch+json",
        ),
        Verb::StrategicPatch => (
            Method::PATCH,
            format!("{object}?{manager}"),
            "application/strategic-merge-patch+json",
        ),
    };
    http::Request::builder()
        .method(method)
        .uri(path)
        .header(header::CONTENT_TYPE, content)
        .body(json::bytes(&request.body))
        .map_err(|error| CallError::from(kube::Error::HttpError(error)))
}

fn verb_label(verb: Verb) -> &'static str {
    match verb {
        Verb::Create => "create",
        Verb::Delete => "delete",
        Verb::JsonPatch | Verb::StrategicPatch | Verb::MergePatch => "patch",
    }
}

fn resource_label(resource: Resource) -> &'static str {
    match resource {
        Resource::Pods => "pods",
        Resource::PodsStatus => "pods/status",
        Resource::PodsResize => "pods/resize",
        Resource::Claims => "persistentvolumeclaims",
        Resource::ControllerRevisions => "controllerrevisions",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn refused(status: serde_json::Value) -> CallError {
        CallError::Refused(Box::new(serde_json::from_value(status).unwrap()))
    }

    #[test]
    fn a_failed_test_is_an_old_view_and_a_senseless_body_is_an_error() {
        let failed_test = json!({"code": 422, "reason": "Invalid", "message": "rejected"});
        assert!(is_stale(&refused(failed_test)));
        let senseless = json!({"code": 422, "reason": "Invalid", "message": "bad",
            "details": {"causes": [{"field": "spec.containers", "message": "required"}]}});
        assert!(!is_stale(&refused(senseless)));
        assert!(!is_stale(&refused(
            json!({"code": 403, "message": "quota"})
        )));
    }

    /// Bug: a Pod that was made again under its name (to reuse its claims) left an error behind.
    #[test]
    fn a_merge_into_another_object_of_the_name_is_an_old_view() {
        let uid = json!({"field": "metadata.uid", "reason": "FieldValueInvalid",
            "message": "Invalid value: \"u-1\": field is immutable"});
        let other = json!({"code": 422, "reason": "Invalid", "message": "immutable",
            "details": {"causes": [uid]}});
        assert!(is_stale(&refused(other)));
        let both = json!({"code": 422, "reason": "Invalid", "message": "bad",
            "details": {"causes": [uid, {"field": "spec.containers", "message": "required"}]}});
        assert!(!is_stale(&refused(both)));
    }

    #[test]
    fn every_request_goes_to_its_object_under_our_name() {
        let request = Request {
            verb: Verb::StrategicPatch,
            resource: Resource::PodsStatus,
            name: "web-1".into(),
            body: json!({}),
        };
        let http = http_request("shop", &request).unwrap();
        assert_eq!(http.method(), Method::PATCH);
        assert_eq!(
            http.uri(),
            "/api/v1/namespaces/shop/pods/web-1/status?fieldManager=insitu-manager"
        );
    }
}
