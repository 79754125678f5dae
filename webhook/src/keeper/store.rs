//! The keeper's reads and writes.

use std::collections::BTreeMap;

use futures::future::try_join_all;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DynamicObject, ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use process::client::{CallError, call};
use serde_json::Value;

use super::watching::Watched;
use crate::certs::material::Data;

/// Who we are in managed fields.
const FIELD_MANAGER: &str = "insitu-webhook";
/// What a JSON patch is refused with whose tests do not hold.
const UNPROCESSABLE: u16 = 422;

/// A call failed.
#[derive(Debug, thiserror::Error)]
#[error("failed to {what}")]
pub(super) struct Error {
    what: String,
    source: CallError,
}

fn failed(what: String) -> impl FnOnce(CallError) -> Error {
    |source| Error { what, source }
}

/// One that is there.
#[derive(Clone, Debug)]
pub(super) struct Registration {
    /// Which.
    pub(super) watched: Watched,
    /// All of it.
    pub(super) object: Value,
}

/// The way to the objects.
pub(super) struct Store {
    client: Client,
    secrets: Api<Secret>,
    secret: String,
}

impl Store {
    /// For the Secret `namespace/secret`.
    pub(super) fn new(client: Client, namespace: &str, secret: String) -> Self {
        Self {
            secrets: Api::namespaced(client.clone(), namespace),
            client,
            secret,
        }
    }

    /// Those of `wanted` that are there.
    ///
    /// # Errors
    /// See [`Error`].
    pub(super) async fn registrations(
        &self,
        wanted: &[Watched],
    ) -> Result<Vec<Registration>, Error> {
        let reading = wanted.iter().map(async |watched| {
            let api: Api<DynamicObject> = watched.api(self.client.clone());
            let object = call(api.get_opt(&watched.name)).await;
            let object = object.map_err(failed(format!("read {watched}")))?;
            Ok::<_, Error>(object.map(|object| Registration {
                watched: watched.clone(),
                object: to_value(&object),
            }))
        });
        Ok(try_join_all(reading).await?.into_iter().flatten().collect())
    }

    /// The Secret, if it is there.
    ///
    /// # Errors
    /// See [`Error`].
    pub(super) async fn secret(&self) -> Result<Option<Secret>, Error> {
        let reading = call(self.secrets.get_opt(&self.secret));
        reading
            .await
            .map_err(failed(format!("read the Secret {}", self.secret)))
    }

    /// Makes `data` what the Secret holds, if it still is as it was `read`: whether it does now.
    ///
    /// # Errors
    /// See [`Error`].
    pub(super) async fn write_secret(
        &self,
        read: Option<Secret>,
        data: &Data,
    ) -> Result<bool, Error> {
        let is_new = read.is_none();
        let mut secret = read.unwrap_or_else(|| self.first());
        let bytes = |(key, value): (&String, &Vec<u8>)| (key.clone(), ByteString(value.clone()));
        secret.data = Some(data.iter().map(bytes).collect());
        let params = PostParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PostParams::default()
        };
        let written = if is_new {
            call(self.secrets.create(&params, &secret)).await
        } else {
            // The resourceVersion in `secret` lets only one replica win.
            call(self.secrets.replace(&self.secret, &params, &secret)).await
        };
        match written {
            Ok(_) => Ok(true),
            Err(error) if is_lost_race(&error) => Ok(false),
            Err(error) => Err(failed(format!("write the Secret {}", self.secret))(error)),
        }
    }

    fn first(&self) -> Secret {
        let labels = [
            ("app.kubernetes.io/name", "insitu"),
            ("app.kubernetes.io/component", "webhook"),
        ];
        let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned()));
        Secret {
            metadata: ObjectMeta {
                name: Some(self.secret.clone()),
                labels: Some(BTreeMap::from(labels)),
                ..ObjectMeta::default()
            },
            type_: Some("kubernetes.io/tls".to_owned()),
            ..Secret::default()
        }
    }

    /// The object as it is then; None when somebody else wrote it meanwhile.
    ///
    /// # Errors
    /// See [`Error`].
    pub(super) async fn write_registration(
        &self,
        watched: &Watched,
        patch: json_patch::Patch,
    ) -> Result<Option<Value>, Error> {
        let api: Api<DynamicObject> = watched.api(self.client.clone());
        let params = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let patch: Patch<DynamicObject> = Patch::Json(patch);
        match call(api.patch(&watched.name, &params, &patch)).await {
            Ok(object) => Ok(Some(to_value(&object))),
            Err(error) if is_lost_race(&error) => {
                tracing::debug!(object = %watched, %error, "somebody else wrote it meanwhile");
                Ok(None)
            }
            Err(error) => Err(failed(format!("publish the bundle in {watched}"))(error)),
        }
    }
}

/// Somebody else made, wrote or deleted it since it was read.
fn is_lost_race(error: &CallError) -> bool {
    error.is_conflict()
        || error.is_already_exists()
        || error.is_not_found()
        || error.code() == Some(UNPROCESSABLE)
}

/// What the Secret holds.
pub(super) fn content(secret: &Secret) -> Data {
    let data = secret.data.iter().flatten();
    data.map(|(key, ByteString(value))| (key.clone(), value.clone()))
        .collect()
}

/// What came as JSON can be JSON again.
fn to_value(object: &DynamicObject) -> Value {
    serde_json::to_value(object).unwrap_or_default()
}
