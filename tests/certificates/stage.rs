//! An API server with the registrations of `config/`, and replicas that keep certificates for it.

use std::sync::{Arc, OnceLock};

use cluster::{Cluster, Options, RealNode};
use harness::door::{CONFIGURATION, DEFINITIONS, NAMESPACE, SERVICE};
use harness::wait::{eventually, within};
use harness::{door, stage};
use jiff::Timestamp;
use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client, ResourceExt};
use std::time::Duration;
use tokio::sync::{Mutex, MutexGuard};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use webhook::certs::bundle::{self, Certificate};
use webhook::certs::material::BUNDLE;
use webhook::certs::rotation::Wanted;
use webhook::certs::{Lifetimes, Names};
use webhook::keeper::{Keeper, Objects, Shown};
use webhook::metrics::Metrics;
use webhook::readiness::Readiness;
use webhook::tls::Identity;

pub(crate) const SECRET: &str = "insitu-webhook-certs";
/// What the issue of a broken Secret or registration may last.
pub(crate) const HEALED_WITHIN: Duration = Duration::from_secs(10);

/// One cluster; its tests take turns, because they break the same objects.
pub(crate) struct Stage {
    pub(crate) cluster: Cluster,
    turn: Mutex<()>,
}

impl Stage {
    pub(crate) fn get() -> &'static Self {
        static STAGE: OnceLock<Stage> = OnceLock::new();
        STAGE.get_or_init(|| {
            let options = Options {
                real_node: RealNode::Never,
                ..Options::new(format!("certificates-{}", std::process::id()))
            };
            let cluster = Cluster::start(options).expect("a control plane");
            door::install(&cluster).expect("what is shipped");
            let turn = Mutex::default();
            Self { cluster, turn }
        })
    }

    /// A client, the registrations as shipped, no Secret, and nobody else meanwhile.
    pub(crate) async fn turn() -> (&'static Self, Client, MutexGuard<'static, ()>) {
        let stage = tokio::task::spawn_blocking(Self::get).await;
        let stage = stage.expect("a stage");
        let turn = stage.turn.lock().await;
        let client = stage::client(stage.cluster.kubeconfig().to_owned()).await;
        stage.kubectl(&[
            "delete",
            "secret",
            SECRET,
            "-n",
            NAMESPACE,
            "--ignore-not-found",
        ]);
        stage.register();
        (stage, client, turn)
    }

    pub(crate) fn kubectl(&self, arguments: &[&str]) -> String {
        self.cluster.kubectl(arguments).expect("kubectl")
    }

    /// Applies the webhook configurations as shipped, the way GitOps tools do.
    pub(crate) fn register(&self) {
        door::register(&self.cluster).expect("what is shipped");
    }
}

/// A keeper as a replica of the webhook runs it; gone when dropped.
pub(crate) struct Replica {
    shown: Shown,
    _stop: DropGuard,
}

pub(crate) fn names() -> Names {
    Names {
        service: SERVICE.into(),
        namespace: NAMESPACE.into(),
    }
}

impl Replica {
    pub(crate) fn start(client: &Client, lifetimes: Lifetimes) -> Self {
        let identity = Arc::new(Identity::default());
        let readiness = Readiness::new(Arc::clone(&identity), names().server_name());
        let shown = Shown {
            readiness: Arc::new(readiness),
            metrics: Metrics::new(Arc::clone(&identity)),
            identity,
        };
        let objects = Objects {
            secret: SECRET.into(),
            configuration: CONFIGURATION.into(),
            definitions: DEFINITIONS.map(str::to_owned).to_vec(),
        };
        let wanted = Wanted {
            names: names(),
            lifetimes,
        };
        let keeper = Keeper::new(client.clone(), objects, wanted, shown.clone());
        let stop = CancellationToken::new();
        let keeping = keeper.run(client.clone(), TaskTracker::new(), stop.clone());
        tokio::spawn(keeping);
        Self {
            shown,
            _stop: stop.drop_guard(),
        }
    }

    pub(crate) fn shown(&self) -> &Shown {
        &self.shown
    }

    /// Whether clients believe it; if not, why.
    pub(crate) fn ask(&self) -> Result<(), String> {
        self.shown.readiness.ask(Timestamp::now())
    }

    pub(crate) fn leaf(&self) -> Option<Certificate> {
        self.shown.identity.leaf()
    }
}

/// Waits until all replicas show the leaf that the Secret holds, and every client believes it.
pub(crate) async fn all_believed(client: &Client, replicas: &[Replica]) -> Certificate {
    within("every replica is believed", HEALED_WITHIN, async || {
        let secret = secret(client).await.ok_or("there is no Secret")?;
        let stored = stored(&secret, "tls.crt").ok_or("there is no leaf")?;
        for replica in replicas {
            replica.ask()?;
            let shown = replica.leaf().ok_or("no leaf is shown")?;
            if shown != stored {
                return Err("another leaf is shown".to_owned());
            }
        }
        let published = published(client).await?;
        let of_secret = bundle::read(&secret.data.unwrap_or_default()[BUNDLE].0);
        if published.iter().any(|bundle| *bundle != of_secret) {
            return Err("another bundle is published".to_owned());
        }
        Ok(stored)
    })
    .await
}

pub(crate) async fn secret(client: &Client) -> Option<Secret> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), NAMESPACE);
    secrets.get_opt(SECRET).await.expect("an answer")
}

fn stored(secret: &Secret, key: &str) -> Option<Certificate> {
    let data = secret.data.as_ref()?;
    bundle::read(&data.get(key)?.0).into_iter().next()
}

/// The bundles of the webhook configuration, one for each webhook.
async fn published(client: &Client) -> Result<Vec<Vec<Certificate>>, String> {
    let all: Api<ValidatingWebhookConfiguration> = Api::all(client.clone());
    let configuration = all.get(CONFIGURATION).await.map_err(|e| e.to_string())?;
    let webhooks = configuration.webhooks.unwrap_or_default().into_iter();
    let bundles = webhooks.map(|w| w.client_config.ca_bundle.unwrap_or_default().0);
    Ok(bundles.map(|pem| bundle::read(&pem)).collect())
}

/// Waits until the Secret is another object or version than `before`.
pub(crate) async fn rewritten(client: &Client, before: &Secret) {
    eventually("the Secret is written", async || {
        let now = secret(client).await.ok_or("it is gone")?;
        let is_new = now.resource_version() != before.resource_version();
        is_new
            .then_some(())
            .ok_or_else(|| "it is as before".to_owned())
    })
    .await;
}

/// Waits until the Secret holds another leaf than `before`.
pub(crate) async fn until_other(client: &Client, before: &Certificate) {
    within("another leaf is stored", HEALED_WITHIN, async || {
        let secret = secret(client).await.ok_or("there is no Secret")?;
        let stored = stored(&secret, "tls.crt").ok_or("there is no leaf")?;
        let is_new = stored != *before;
        is_new
            .then_some(())
            .ok_or_else(|| "it is as before".to_owned())
    })
    .await;
}
