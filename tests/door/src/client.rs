//! A client as an API server is one: TLS, then HTTP/1.1 or HTTP/2 on one connection.

use std::{net::SocketAddr, sync::Arc};

use anyhow::{Context, Result};
use http::{Request, header};
use http_body_util::{BodyExt, Full};
use hyper::{
    body::Bytes,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    version::{TLS12, TLS13},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};
use webhook::certs::issue::Pair;

use crate::serving;

/// Which HTTP is offered in the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Http {
    /// HTTP/1.1, as API servers do.
    One,
    /// HTTP/2.
    Two,
}

/// Trusts `authority`, and shows `own` if asked who it is.
///
/// # Errors
/// When a certificate cannot be used.
pub fn config(authority: &str, own: Option<&Pair>, http: Http) -> Result<ClientConfig> {
    versions(authority, own, http, &[&TLS13, &TLS12])
}

/// Like [`config`], with these versions of TLS only.
///
/// # Errors
/// When a certificate cannot be used.
pub fn versions(
    authority: &str,
    own: Option<&Pair>,
    http: Http,
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(authority.as_bytes()) {
        roots.add(certificate?)?;
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)?
        .with_root_certificates(roots);
    let mut config = match own {
        None => config.with_no_client_auth(),
        Some(pair) => {
            let chain = CertificateDer::pem_slice_iter(pair.certificate.as_bytes());
            let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes())?;
            config.with_client_auth_cert(chain.collect::<Result<_, _>>()?, key)?
        }
    };
    config.alpn_protocols = match http {
        Http::One => vec![b"http/1.1".to_vec()],
        Http::Two => vec![b"h2".to_vec()],
    };
    Ok(config)
}

/// A connection after its handshake.
///
/// # Errors
/// When the other side is not there or not believed, or does not believe.
pub async fn handshake(
    address: SocketAddr,
    config: &Arc<ClientConfig>,
) -> Result<TlsStream<TcpStream>> {
    let tcp = TcpStream::connect(address).await?;
    tcp.set_nodelay(true)?;
    let name = ServerName::try_from(serving::names().server_name())?;
    let connector = TlsConnector::from(Arc::clone(config));
    Ok(connector.connect(name, tcp).await?)
}

/// One connection that requests are sent on.
#[derive(Debug)]
pub enum Client {
    /// HTTP/1.1.
    One(http1::SendRequest<Full<Bytes>>),
    /// HTTP/2.
    Two(http2::SendRequest<Full<Bytes>>),
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub code: u16,
    /// All of the body.
    pub body: Bytes,
}

impl Answer {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Client {
    /// Connects as `config` says.
    ///
    /// # Errors
    /// As [`handshake`].
    pub async fn connect(address: SocketAddr, config: &Arc<ClientConfig>) -> Result<Self> {
        let stream = handshake(address, config).await?;
        let is_h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        let io = TokioIo::new(stream);
        if is_h2 {
            let (send, connection) = http2::handshake(TokioExecutor::new(), io).await?;
            tokio::spawn(connection);
            Ok(Self::Two(send))
        } else {
            let (send, connection) = http1::handshake(io).await?;
            tokio::spawn(connection);
            Ok(Self::One(send))
        }
    }

    /// Sends `request` and reads the answer.
    ///
    /// # Errors
    /// When the connection ends before that.
    pub async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Answer> {
        let response = match self {
            Self::One(send) => {
                send.ready().await?;
                send.send_request(request).await?
            }
            Self::Two(send) => {
                send.ready().await?;
                send.send_request(request).await?
            }
        };
        let code = response.status().as_u16();
        let body = response.into_body().collect().await;
        let body = body.context("failed to read the answer")?.to_bytes();
        Ok(Answer { code, body })
    }

    /// Posts a review.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn post(&mut self, path: &str, body: impl Into<Bytes>) -> Result<Answer> {
        self.send(review(path, body)).await
    }
}

/// The request that carries a review.
pub fn review(path: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    let host = serving::names().server_name();
    Request::post(format!("https://{host}{path}"))
        .header(header::HOST, host)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(body.into()))
        .unwrap_or_default()
}
