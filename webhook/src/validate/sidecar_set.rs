//! May a SidecarSet be written?

use apis::names::{CANARY_ANNOTATION, CANARY_BASE_ANNOTATION};
use apis::validation::sidecar_set::changes;
use apis::{FieldError, SidecarSet, Valid};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{allowed, invalid, is_leaving, template};
use crate::review::admission::{Object, Operation, Request, Verdict};

/// Judges a request about a SidecarSet.
pub(super) fn judge(request: &mut Request) -> Verdict {
    let new = request.object.take().unwrap_or_default();
    let old = request.old_object.take();
    match request.operation {
        Operation::Update if is_old_story(&new, old.as_ref()) => allowed(),
        Operation::Create | Operation::Update => match check(new, old) {
            Ok(_) => allowed(),
            Err(errors) => Verdict::Invalid(errors),
        },
        Operation::Delete | Operation::Connect => allowed(),
    }
}

/// As for a CloneSet; but which set a canary set stands in for is said in annotations.
fn is_old_story(new: &Object, old: Option<&Object>) -> bool {
    let canary = |object: &Object| {
        let annotations = &object.metadata.annotations;
        [CANARY_ANNOTATION, CANARY_BASE_ANNOTATION].map(|key| annotations.get(key).cloned())
    };
    is_leaving(new) || old.is_some_and(|old| old.spec == new.spec && canary(old) == canary(new))
}

/// The set, if it makes sense by itself and may follow upon the old one.
fn check(new: Object, old: Option<Object>) -> Result<Valid<SidecarSet>, Vec<FieldError>> {
    let unreadable = containers_readable(&new.spec).err();
    let new = read(new)?;
    // What could not be read any more can be replaced by anything.
    let old = old.and_then(|old| read(old).ok());
    let forbidden = old.map(|old| changes::check(&old, &new));
    let more = unreadable
        .into_iter()
        .chain(forbidden.into_iter().flatten());
    match Valid::new(new) {
        Err((_, errors)) => Err(errors.into_iter().chain(more).collect()),
        Ok(set) => {
            let more: Vec<FieldError> = more.collect();
            if more.is_empty() { Ok(set) } else { Err(more) }
        }
    }
}

fn read(object: Object) -> Result<SidecarSet, Vec<FieldError>> {
    let spec = serde_path_to_error::deserialize(&object.spec).map_err(|error| {
        let path = match error.path().to_string().as_str() {
            "." => "spec".to_owned(),
            path => format!("spec.{path}"),
        };
        vec![invalid(path, error.inner().to_string())]
    })?;
    let mut set = SidecarSet::new("", spec);
    set.metadata.name = texts(object.metadata.name);
    set.metadata.labels = texts(object.metadata.labels);
    set.metadata.annotations = texts(object.metadata.annotations);
    Ok(set)
}

/// The API server has looked: they are texts, or not there.
fn texts<T: DeserializeOwned>(value: Value) -> Option<T> {
    Option::deserialize(value).unwrap_or_default()
}

/// Whether a Pod with these containers could be read: an API server would refuse the Pod, and nobody
/// else.
pub(crate) fn containers_readable(spec: &Value) -> Result<(), FieldError> {
    let fields = ["containers", "initContainers", "volumes"].map(|field| {
        let list = spec.get(field).filter(|list| !list.is_null()).cloned();
        let list = list.unwrap_or_else(|| Value::Array(Vec::new()));
        (field.to_owned(), list)
    });
    let fields: Map<String, Value> = fields.into_iter().collect();
    template::readable(&serde_json::json!({"spec": fields}), "")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn set() -> Value {
        json!({"metadata": {"name": "log"}, "spec": {
            "selector": {"matchLabels": {"app": "web"}},
            "containers": [{"name": "agent", "image": "agent:1"}]}})
    }

    fn judged(operation: Operation, old: &Value, new: &Value) -> Verdict {
        let object = |object: &Value| Deserialize::deserialize(object).unwrap();
        let mut request = Request {
            operation,
            object: object(new),
            old_object: object(old),
            ..Request::default()
        };
        judge(&mut request)
    }

    #[track_caller]
    fn paths(verdict: Verdict) -> Vec<String> {
        match verdict {
            Verdict::Invalid(errors) => errors.into_iter().map(|e| e.path).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_makes_sense_is_let_in() {
        assert_eq!(judged(Operation::Create, &Value::Null, &set()), allowed());
        let mut next = set();
        next["spec"]["containers"][0]["image"] = "agent:2".into();
        assert_eq!(judged(Operation::Update, &set(), &next), allowed());
        assert_eq!(judged(Operation::Delete, &set(), &Value::Null), allowed());
    }

    #[test]
    fn all_that_is_wrong_is_found_at_once() {
        let mut wrong = set();
        wrong["spec"]["selector"] = json!({});
        wrong["spec"]["containers"][0]["image"] = "".into();
        wrong["spec"]["containers"][0]["env"] = json!([{"name": "PORT", "value": 80}]);
        let expected = [
            "spec.selector",
            "spec.containers[0].image",
            "spec.containers[0].env[0].value",
        ];
        let mut found = paths(judged(Operation::Create, &Value::Null, &wrong));
        found.sort();
        let mut expected = expected.map(str::to_owned).to_vec();
        expected.sort();
        assert_eq!(found, expected);
    }

    #[test]
    fn what_is_of_the_wrong_type_is_named_with_its_place() {
        let mut wrong = set();
        wrong["spec"]["updateStrategy"] = json!({"type": "Whenever"});
        let found = paths(judged(Operation::Create, &Value::Null, &wrong));
        assert_eq!(found, ["spec.updateStrategy.type"]);
        let found = paths(judged(Operation::Create, &Value::Null, &Value::Null));
        assert_eq!(found, ["spec"]);
    }

    #[test]
    fn a_container_cannot_be_added_and_a_canary_stays_one() {
        let mut more = set();
        let containers = more["spec"]["containers"].as_array_mut().unwrap();
        containers.push(json!({"name": "b", "image": "b:1"}));
        let found = paths(judged(Operation::Update, &set(), &more));
        assert_eq!(found, ["spec.containers[1].name"]);
        let mut canary = set();
        canary["spec"]["updateStrategy"] = json!({"type": "NotUpdate"});
        canary["metadata"]["annotations"] =
            json!({CANARY_ANNOTATION: "true", CANARY_BASE_ANNOTATION: "base"});
        let mut other = canary.clone();
        other["metadata"]["annotations"][CANARY_BASE_ANNOTATION] = "other".into();
        let found = paths(judged(Operation::Update, &canary, &other));
        assert_eq!(
            found,
            [format!("metadata.annotations[{CANARY_BASE_ANNOTATION}]")]
        );
    }

    #[test]
    fn what_was_let_in_once_can_be_labelled_and_can_leave() {
        let mut wrong = set();
        wrong["spec"]["selector"] = json!({});
        let mut labelled = wrong.clone();
        labelled["metadata"]["labels"] = json!({"a": "b"});
        assert_eq!(judged(Operation::Update, &wrong, &labelled), allowed());
        let mut leaving = set();
        leaving["metadata"]["deletionTimestamp"] = "2026-01-02T03:04:05Z".into();
        leaving["spec"]["selector"] = json!({});
        assert_eq!(judged(Operation::Update, &set(), &leaving), allowed());
    }
}
