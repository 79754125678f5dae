//! The processes that are measured: the webhook, and the echo beside it.

use std::{
    fs,
    net::{SocketAddr, TcpListener as StdListener},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use door::{
    client::{self, Http},
    process::Process,
    serving,
};
use rustls::ClientConfig;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    process::Command,
    time::Instant,
};

/// A folder with certificates, gone at the end.
pub(super) struct Folder(pub(super) PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A process that listens.
pub(super) struct Started {
    pub(super) process: Process,
    /// Where.
    pub(super) at: SocketAddr,
    /// How long it took until it was ready.
    pub(super) after: Duration,
}

/// Certificates in `folder`, and a client that trusts them.
pub(super) fn certificates(folder: &Path) -> Result<Arc<ClientConfig>> {
    fs::create_dir_all(folder)?;
    let authority = serving::authority()?;
    let leaf = serving::leaf(&authority)?;
    fs::write(folder.join("ca.crt"), &authority.certificate)?;
    fs::write(folder.join("tls.crt"), &leaf.certificate)?;
    fs::write(folder.join("tls.key"), &leaf.key)?;
    let config = client::config(&authority.certificate, None, Http::One)?;
    Ok(Arc::new(config))
}

/// An address that nobody listens on, for the moment.
fn free() -> Result<SocketAddr> {
    Ok(StdListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// Starts the echo and waits until it listens.
pub(super) async fn echo(folder: &Path) -> Result<Started> {
    let at = free()?;
    let begun = Instant::now();
    let process = Process::start(
        Command::new(std::env::current_exe()?)
            .args(["echo", "--address", &at.to_string(), "--cert-dir"])
            .arg(folder),
    )?;
    while let Err(error) = TcpStream::connect(at).await {
        if begun.elapsed() > Duration::from_secs(10) {
            return Err(error).context("the echo does not listen");
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let after = begun.elapsed();
    Ok(Started { process, at, after })
}

/// Starts the webhook and waits until it is ready. Without a kubeconfig there is no cluster.
pub(super) async fn webhook(
    binary: &Path,
    folder: &Path,
    kubeconfig: Option<&Path>,
) -> Result<Started> {
    let (at, probes) = (free()?, free()?);
    let begun = Instant::now();
    let mut command = Command::new(binary);
    command
        .args(["--bind-address", &at.to_string(), "--cert-dir"])
        .arg(folder)
        .args(["--health-probe-bind-address", &probes.to_string()])
        .args(["--metrics-bind-address", "0", "--log-level", "error"]);
    if let Some(file) = kubeconfig {
        command.arg("--kubeconfig").arg(file);
    }
    let process = Process::start(&mut command)?;
    while !is_ready(probes).await {
        ensure!(
            begun.elapsed() < Duration::from_secs(30),
            "it does not get ready"
        );
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let after = begun.elapsed();
    Ok(Started { process, at, after })
}

async fn is_ready(probes: SocketAddr) -> bool {
    let ask = async {
        let mut stream = TcpStream::connect(probes).await?;
        let request = b"GET /readyz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
        stream.write_all(request).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok::<_, std::io::Error>(answer.starts_with("HTTP/1.1 200"))
    };
    ask.await.unwrap_or(false)
}
