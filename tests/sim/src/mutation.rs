//! Races that other controllers had, put back into the driver: the simulation has to find them.

use apis::CloneSetStatus;
use planner::effect::{Request, Verb};
use serde_json::Value;

/// What the driver does wrong on purpose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Mutation {
    /// Nothing.
    #[default]
    None,
    /// The cache does not learn of our own writes, and effects carry no preconditions.
    Blind,
    /// The cache does not learn of our own writes before the watch tells of them.
    Forgetful,
    /// `currentRevision` becomes the update revision as soon as every Pod there happens to be is
    /// updated, whatever replicas and partition say.
    HeadCount,
    /// An object whose write got no answer is not read before the next pass.
    Unread,
    /// Whoever updates sidecars writes to Pods whatever became of them since.
    Careless,
}

impl Mutation {
    pub(crate) fn forgets_own_writes(self) -> bool {
        matches!(self, Self::Blind | Self::Forgetful)
    }

    pub(crate) fn strip(self, request: &mut Request) {
        if self == Self::Blind {
            strip(request);
        }
    }

    /// The same of a write to sidecars.
    pub(crate) fn strip_sidecars(self, request: &mut Request) {
        if self == Self::Careless {
            strip(request);
        }
    }

    pub(crate) fn strip_merge(self, patch: &mut Value) {
        if self == Self::Blind {
            strip_merge(patch);
        }
    }

    pub(crate) fn bend(self, status: &mut CloneSetStatus) {
        let all_are_new = status.updated_replicas == status.replicas && status.replicas > 0;
        if self == Self::HeadCount && all_are_new && status.update_revision.is_some() {
            status.current_revision.clone_from(&status.update_revision);
        }
    }
}

/// Takes the preconditions away.
fn strip(request: &mut Request) {
    let body = &mut request.body;
    match request.verb {
        Verb::Create => {}
        Verb::Delete => *body = Value::Null,
        Verb::JsonPatch => {
            if let Some(ops) = body.as_array_mut() {
                ops.retain(|op| op["op"] != "test");
            }
        }
        Verb::MergePatch | Verb::StrategicPatch => strip_merge(body),
    }
}

fn strip_merge(patch: &mut Value) {
    if let Some(metadata) = patch["metadata"].as_object_mut() {
        metadata.remove("uid");
        metadata.remove("resourceVersion");
    }
}
