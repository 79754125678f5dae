//! Asks the API server about own writes that the watch keeps silent on.

use std::{fmt::Debug, sync::Arc, time::Duration};

use k8s_openapi::NamespaceResourceScope;
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use super::{CONFIRM_WITHIN, Cache, Overdue};
use process::client::call;

const TICK: Duration = Duration::from_secs(1);

/// Reads every overdue own write of `cache` live, once a second, until `shutdown`.
pub async fn settle_overdue<K>(client: Client, cache: Arc<Cache<K>>, shutdown: CancellationToken)
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + DeserializeOwned
        + Send
        + Sync
        + 'static,
{
    let mut ticker = tokio::time::interval(TICK);
    ticker.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while shutdown.run_until_cancelled(ticker.tick()).await.is_some() {
        for Overdue { key, uid } in cache.overdue(CONFIRM_WITHIN) {
            let api: Api<K> = Api::namespaced(client.clone(), &key.namespace);
            match call(api.get_opt(&key.name)).await {
                Ok(found) => {
                    tracing::warn!(kind = %K::kind(&()), %key, uid, is_found = found.is_some(),
                        "the watch did not confirm an own write in time: read it live");
                    cache.resolve_live(&uid, found);
                }
                Err(error) => {
                    tracing::warn!(kind = %K::kind(&()), %key, %error, "failed to read live");
                    // The others would fail the same way: next tick.
                    break;
                }
            }
            if shutdown.is_cancelled() {
                return;
            }
        }
    }
}
