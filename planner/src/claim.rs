//! The facts of one claim that decisions need.

use apis::names;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::{Deserialize, Serialize};

/// A `PersistentVolumeClaim`, projected.
#[derive(kube::Resource, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[resource(inherit = k8s_openapi::api::core::v1::PersistentVolumeClaim)]
pub struct Claim {
    /// See [`crate::metadata`].
    #[serde(deserialize_with = "crate::metadata::slim")]
    pub metadata: ObjectMeta,
}

/// What is noted of a claim that could not be made because there is one of that name.
pub const EXISTS: &str = "there is one already";

/// In [`Snapshot::held`](crate::Snapshot) stands for the claim called `name`, where a UID would
/// stand: it could not be made because there is one that is not the set's, or, of a Pod that waits
/// for it, because the server refused it.
pub fn held_as(name: &str) -> String {
    format!("claim/{name}")
}

/// Whether `key` is one of [`held_as`].
pub fn is_held_as(key: &str) -> bool {
    key.starts_with("claim/")
}

/// The Pods that a claim called `name` may be named after: claims are called
/// `<template>-<Pod>`, and either may have a dash in it.
pub fn namesakes(name: &str) -> impl Iterator<Item = &str> {
    name.match_indices('-').map(|(at, _)| &name[at + 1..])
}

impl Claim {
    /// Its name.
    pub fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }

    /// The instance it belongs to.
    pub fn instance_id(&self) -> Option<&str> {
        let labels = self.metadata.labels.as_ref()?;
        labels.get(names::INSTANCE_ID_LABEL).map(String::as_str)
    }

    /// Who decides what becomes of it.
    pub fn controller_uid(&self) -> Option<&str> {
        let owners = self.metadata.owner_references.iter().flatten();
        let controller = owners
            .into_iter()
            .find(|owner| owner.controller == Some(true));
        controller.map(|owner| owner.uid.as_str())
    }

    /// On its way out.
    pub fn is_terminating(&self) -> bool {
        self.metadata.deletion_timestamp.is_some()
    }
}
