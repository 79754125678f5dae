//! Two ways to the API server: plain HTTP/1.1 for watches and the lease, bounded HTTP/2 for the
//! rest.

use std::{future::Future, path::Path, time::Duration};

use http::{HeaderValue, header};
use hyper_rustls::{FixedServerNameResolver, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::connect::HttpConnector,
    rt::{TokioExecutor, TokioTimer},
};
use kube::{
    Client, Config,
    client::{Body, ClientBuilder, ConfigExt},
    config::{KubeConfigOptions, Kubeconfig},
};
use tower::{
    BoxError, ServiceBuilder, retry::RetryLayer, timeout::TimeoutLayer, util::MapRequestLayer,
};

mod layers;
#[cfg(test)]
mod tests;

use layers::{ReadsOnly, Throttled, VersionCheck, check_throttled, consistent_first_list};

/// No call may take longer, waiting for its turn included.
pub const CALL_DEADLINE: Duration = Duration::from_secs(10);

const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// A dead connection is noticed within two of these, so before the deadline of the next call.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
const KEEP_ALIVE_WITHIN: Duration = Duration::from_secs(5);

/// Why there are no clients.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file given by flag is missing or wrong.
    #[error("failed to read the kubeconfig {path}")]
    Kubeconfig {
        /// The file.
        path: String,
        /// What is wrong with it.
        source: kube::config::KubeconfigError,
    },
    /// Neither a kubeconfig nor a service account.
    #[error(
        "failed to find a cluster: set KUBECONFIG or --kubeconfig, or run in a Pod with a service \
         account"
    )]
    NoCluster(#[source] kube::config::InferConfigError),
    /// The configuration cannot be used: certificates, tokens, a proxy.
    #[error("failed to set up the connection to the API server")]
    Setup(#[from] kube::Error),
    /// `tls-server-name` of the kubeconfig is no host name.
    #[error("failed to use the TLS server name {name:?}")]
    ServerName {
        /// As configured.
        name: String,
    },
}

/// How a call to the API server failed.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The server asks to wait (429, or 503 with Retry-After). It did not do anything.
    #[error("the API server asks to wait {after:?} (HTTP {code})")]
    Throttled {
        /// For how long.
        after: Duration,
        /// The HTTP status.
        code: u16,
    },
    /// No answer in time. A write may have happened: read before any repeat.
    #[error("no answer within {CALL_DEADLINE:?}")]
    Deadline,
    /// The server said no.
    #[error("the API server refused: {} (HTTP {})", .0.message, .0.code)]
    Refused(Box<kube::core::Status>),
    /// The connection broke or the answer made no sense. A write may have happened.
    #[error("failed to reach the API server")]
    Transport(#[source] Box<kube::Error>),
}

impl CallError {
    /// The object is not there.
    pub fn is_not_found(&self) -> bool {
        self.code() == Some(404)
    }

    /// The object was changed by somebody else since we read it.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Refused(status) if status.is_conflict())
    }

    /// An object of that name exists.
    pub fn is_already_exists(&self) -> bool {
        matches!(self, Self::Refused(status) if status.is_already_exists())
    }

    /// Whether a write may have happened although we got no answer.
    pub fn is_outcome_unknown(&self) -> bool {
        match self {
            Self::Deadline | Self::Transport(_) => true,
            Self::Throttled { .. } => false,
            // A gateway or an overloaded server may answer 5xx after it passed the write on.
            Self::Refused(status) => status.code >= 500,
        }
    }

    /// How long the server asks to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Throttled { after, .. } => Some(*after),
            Self::Deadline | Self::Refused(_) | Self::Transport(_) => None,
        }
    }

    /// The HTTP status, if there was an answer.
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Throttled { code, .. } => Some(*code),
            Self::Refused(status) => Some(status.code),
            Self::Deadline | Self::Transport(_) => None,
        }
    }

    /// The `result` label of `insitu_api_writes_total`.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Throttled { .. } => "throttled",
            Self::Deadline => "deadline",
            Self::Transport(_) => "transport",
            Self::Refused(_) if self.is_conflict() => "conflict",
            Self::Refused(_) if self.is_already_exists() => "already_exists",
            Self::Refused(status) => match status.code {
                403 => "forbidden",
                404 => "not_found",
                422 => "invalid",
                500.. => "server_error",
                _ => "refused",
            },
        }
    }
}

impl From<kube::Error> for CallError {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => {
                match status.details.as_ref().map(|d| d.retry_after_seconds) {
                    Some(seconds @ 1..) if status.code == 429 => Self::Throttled {
                        after: Duration::from_secs(seconds.into()),
                        code: status.code,
                    },
                    _ if status.code == 429 => Self::Throttled {
                        after: layers::DEFAULT_RETRY_AFTER,
                        code: status.code,
                    },
                    _ => Self::Refused(status),
                }
            }
            kube::Error::Service(error) if error.is::<tower::timeout::error::Elapsed>() => {
                Self::Deadline
            }
            kube::Error::Service(error) => match error.downcast::<Throttled>() {
                Ok(throttled) => Self::Throttled {
                    after: throttled.after,
                    code: throttled.code,
                },
                Err(error) => Self::Transport(Box::new(kube::Error::Service(error))),
            },
            error => Self::Transport(Box::new(error)),
        }
    }
}

/// Awaits a call to the API server, its whole answer included, for at most [`CALL_DEADLINE`].
///
/// # Errors
/// [`CallError::Deadline`], or how the call failed.
pub async fn call<T>(call: impl Future<Output = kube::Result<T>>) -> Result<T, CallError> {
    match tokio::time::timeout(CALL_DEADLINE, call).await {
        Ok(answer) => answer.map_err(CallError::from),
        Err(_elapsed) => Err(CallError::Deadline),
    }
}

/// The two clients. Both are cheap to clone.
#[derive(Clone)]
pub struct Clients {
    /// HTTP/1.1, one connection each, no deadline: for watches and the lease. A watch on the
    /// other client would use up one of the 100 streams of its connection.
    pub watches: Client,
    /// HTTP/2, bounded, with a deadline: for everything else.
    pub calls: Client,
}

impl std::fmt::Debug for Clients {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Clients").finish_non_exhaustive()
    }
}

/// Finds the cluster: the given kubeconfig, else KUBECONFIG or ~/.kube/config, else the service
/// account of the Pod.
///
/// # Errors
/// [`Error::Kubeconfig`] or [`Error::NoCluster`].
pub async fn find_cluster(kubeconfig: Option<&Path>) -> Result<Config, Error> {
    let Some(path) = kubeconfig else {
        return Config::infer().await.map_err(Error::NoCluster);
    };
    let failed = |source| Error::Kubeconfig {
        path: path.display().to_string(),
        source,
    };
    let read = Kubeconfig::read_from(path).map_err(failed)?;
    Config::from_custom_kubeconfig(read, &KubeConfigOptions::default())
        .await
        .map_err(failed)
}

impl Clients {
    /// Both clients for `config`, with at most `max_concurrent` calls in flight (API servers allow
    /// 100 streams per connection). They call themselves `user_agent`. Needs a tokio runtime; does not connect yet.
    ///
    /// # Errors
    /// [`Error::Setup`] or [`Error::ServerName`].
    pub fn new(
        mut config: Config,
        max_concurrent: usize,
        user_agent: &'static str,
    ) -> Result<Self, Error> {
        config.default_retry = false;
        config.connect_timeout = Some(CONNECT_WITHIN);
        config
            .headers
            .push((header::USER_AGENT, HeaderValue::from_static(user_agent)));
        let first_list = MapRequestLayer::new(consistent_first_list);
        let watches = ClientBuilder::try_from(config.clone())?
            .with_layer(&first_list)
            .build();
        let calls = http2(&config, max_concurrent)?;
        Ok(Self { watches, calls })
    }
}

/// From the outside in: wait for a place, start the clock, understand "wait", repeat reads, send.
fn http2(config: &Config, max_concurrent: usize) -> Result<Client, Error> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(CONNECT_WITHIN));
    let mut tls = HttpsConnectorBuilder::new()
        .with_tls_config(config.rustls_client_config()?)
        .https_or_http();
    if let Some(name) = &config.tls_server_name {
        let parsed = name
            .clone()
            .try_into()
            .map_err(|_| Error::ServerName { name: name.clone() })?;
        tls = tls.with_server_name_resolver(FixedServerNameResolver::new(parsed));
    }
    // Both versions are offered: a load balancer in between may know HTTP/1.1 only.
    let connector = tls.enable_all_versions().wrap_connector(tcp);
    let transport = hyper_util::client::legacy::Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .http2_keep_alive_interval(KEEP_ALIVE)
        .http2_keep_alive_timeout(KEEP_ALIVE_WITHIN)
        .http2_keep_alive_while_idle(true)
        .build::<_, Body>(connector);
    let versions = VersionCheck::default();
    let stack = ServiceBuilder::new()
        .concurrency_limit(max_concurrent)
        .layer(TimeoutLayer::new(CALL_DEADLINE))
        .map_result(check_throttled)
        .layer(RetryLayer::new(ReadsOnly::default()))
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_response(move |response: http::Response<_>| {
            versions.check(response.version());
            response
        })
        .map_err(BoxError::from)
        .service(transport);
    Ok(Client::new(stack, &config.default_namespace))
}
