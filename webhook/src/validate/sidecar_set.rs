//! May a SidecarSet be written?

use apis::names::{CANARY_ANNOTATION, CANARY_BASE_ANNOTATION};
use apis::validation::sidecar_set::{changes, conflicts};
use apis::{FieldError, SidecarSet};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use sidecar_injector::Prepared;

use super::{allowed, invalid, is_leaving, template};
use crate::review::admission::{Object, Operation, Request, Verdict};
use crate::sets::{Look, Missing, View};

/// Judges a request about a SidecarSet.
pub(super) fn judge(request: &mut Request, view: &View, look: Look) -> Result<Verdict, Missing> {
    let new = request.object.take().unwrap_or_default();
    let old = request.old_object.take();
    match request.operation {
        Operation::Update if is_old_story(&new, old.as_ref()) => Ok(allowed()),
        Operation::Create | Operation::Update if !view.is_filled() => Err(Missing::Everything),
        Operation::Create | Operation::Update => {
            let errors = match check(new, old, view) {
                Ok(set) => beside_the_rest(&set, view, look)?,
                Err(errors) => errors,
            };
            let is_fine = errors.is_empty();
            Ok(if is_fine {
                allowed()
            } else {
                Verdict::Invalid(errors)
            })
        }
        Operation::Delete | Operation::Connect => Ok(allowed()),
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
fn check(new: Object, old: Option<Object>, view: &View) -> Result<Prepared, Vec<FieldError>> {
    let unreadable = containers_readable(&new.spec).err();
    let new = read(new)?;
    // What could not be read any more can be replaced by anything.
    let old = old.and_then(|old| read(old).ok());
    let forbidden = old.map(|old| changes::check(&old, &new));
    let more = unreadable
        .into_iter()
        .chain(forbidden.into_iter().flatten());
    match view.prepare(new) {
        Err(errors) => Err(errors.into_iter().chain(more).collect()),
        Ok(set) => {
            let more: Vec<FieldError> = more.collect();
            if more.is_empty() { Ok(set) } else { Err(more) }
        }
    }
}

/// What is wrong with the set because of others: sets, the white list, the revision it is pinned to.
fn beside_the_rest(set: &Prepared, view: &View, look: Look) -> Result<Vec<FieldError>, Missing> {
    if let Some(base) = &set.spec().canary_of
        && view.index().get(base).is_none()
        && look == Look::First
    {
        return Err(Missing::Set(base.clone()));
    }
    let others = view.index().iter().map(|other| other.current());
    let mut errors = conflicts::check(set.current(), others);
    let object = set.current().object();
    let labels = object.metadata.labels.clone().unwrap_or_default();
    let patches = &object.spec.patch_pod_metadata;
    errors.extend(view.white_list().check(&labels, patches));
    if let Some(why) = set.unusable_revision() {
        let why = format!("{why}; name another one or remove the field");
        errors.push(invalid("spec.injectionStrategy.revision", why));
    }
    Ok(errors)
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
mod tests;
