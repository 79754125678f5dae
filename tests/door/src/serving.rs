//! A door in this process, on a port of its own.

use std::{net::SocketAddr, sync::Arc};

use anyhow::Result;
use jiff::{SignedDuration, Timestamp};
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, Issuer, KeyPair};
use serde_json::Value;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use webhook::{
    certs::{
        Names,
        issue::{self, Pair},
    },
    metrics::Metrics,
    router, server,
    sets::{Followed, Sets},
    tls,
    tls::Identity,
    validate::Rules,
};

/// What may be chosen.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// What connections may cost.
    pub connections: server::Limits,
    /// What requests may cost.
    pub requests: router::Limits,
    /// What the cluster has.
    pub objects: Vec<(Followed, Value)>,
    /// Authorities of clients, PEM.
    pub client_ca: Option<String>,
}

/// A door that is open.
#[derive(Debug)]
pub struct Serving {
    /// Where.
    pub address: SocketAddr,
    /// Who signed what is shown.
    pub authority: Pair,
    /// What is shown.
    pub identity: Arc<Identity>,
    /// Where it counts.
    pub metrics: Metrics,
    /// Ends it.
    pub stop: CancellationToken,
    /// Ends when it has.
    pub ended: JoinHandle<()>,
}

/// Whom certificates are for here.
pub fn names() -> Names {
    Names {
        service: "insitu-webhook".to_owned(),
        namespace: "insitu-system".to_owned(),
    }
}

/// An authority for a day.
///
/// # Errors
/// When nothing can be made.
pub fn authority() -> Result<Pair> {
    let day = SignedDuration::from_hours(24);
    Ok(issue::authority(Timestamp::now(), day)?)
}

/// A leaf for an hour.
///
/// # Errors
/// When nothing can be made.
pub fn leaf(authority: &Pair) -> Result<Pair> {
    let now = Timestamp::now();
    let hour = SignedDuration::from_hours(1);
    Ok(issue::leaf(now, now + hour, &names(), authority)?)
}

/// A certificate by which a client is known, for an hour.
///
/// # Errors
/// When nothing can be made.
pub fn client_leaf(authority: &Pair) -> Result<Pair> {
    let signer = KeyPair::from_pem(&authority.key)?;
    let issuer = Issuer::from_ca_cert_pem(&authority.certificate, signer)?;
    let mut parameters = CertificateParams::new(vec!["client".to_owned()])?;
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let key = KeyPair::generate()?;
    Ok(Pair {
        certificate: parameters.signed_by(&key, &issuer)?.pem(),
        key: key.serialize_pem(),
    })
}

impl Serving {
    /// Opens a door with a certificate of its own.
    ///
    /// # Errors
    /// When there is no port.
    pub async fn start(options: Options) -> Result<Self> {
        let serving = Self::open(options).await?;
        serving.identity.set(&leaf(&serving.authority)?)?;
        Ok(serving)
    }

    /// Opens a door that has nothing to show yet.
    ///
    /// # Errors
    /// When there is no port.
    pub async fn without_certificate() -> Result<Self> {
        Self::open(Options::default()).await
    }

    async fn open(options: Options) -> Result<Self> {
        let authority = authority()?;
        let identity = Arc::new(Identity::default());
        let client_ca = options.client_ca.as_ref().map(String::as_bytes);
        let metrics = Metrics::new(Arc::clone(&identity));
        let server = server::Server {
            tls: Arc::new(tls::config(Arc::clone(&identity), client_ca)?),
            router: router::router(
                options.requests,
                Rules::default(),
                Arc::new(Sets::of(&options.objects)),
                metrics.clone(),
            ),
            limits: options.connections,
            metrics: metrics.clone(),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let stop = CancellationToken::new();
        Ok(Self {
            address,
            authority,
            identity,
            metrics,
            ended: tokio::spawn(server.serve(listener, stop.clone())),
            stop,
        })
    }

    /// The value of a line of the metrics, 0 if there is none.
    pub fn metric(&self, line: &str) -> u64 {
        let text = self.metrics.encode().unwrap_or_default();
        let prefix = format!("{line} ");
        let value = text.lines().find_map(|text| text.strip_prefix(&prefix));
        value.and_then(|value| value.parse().ok()).unwrap_or(0)
    }
}
