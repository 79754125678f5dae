//! The command line.

use std::{path::PathBuf, time::Duration};

use clap::{ArgAction, Parser};
use jiff::SignedDuration;
use process::{
    args::{LogFormat, duration, positive},
    bind::Bind,
};

use crate::{
    certs::{Lifetimes, Names, rotation::Wanted},
    router, server,
    validate::Rules,
};

const MIB: usize = 1024 * 1024;
const MINUTE: Duration = Duration::from_mins(1);
const YEAR: Duration = Duration::from_hours(365 * 24);

/// In-place updates for Kubernetes workloads: the webhook that converts and checks custom
/// resources.
#[derive(Debug, Clone, Parser)]
#[command(name = "insitu-webhook", version, max_term_width = 100)]
pub struct Args {
    /// Where the API server is answered, over TLS.
    #[arg(long, value_name = "ADDRESS", default_value = ":9443")]
    pub bind_address: Bind,

    /// The Service by which the API server calls; certificates are for its name.
    #[arg(long, value_name = "NAME", default_value = "insitu-webhook")]
    pub service: String,

    /// Namespace of the Service. Default: that of the Pod (POD_NAMESPACE), else insitu-system.
    #[arg(
        long,
        env = "POD_NAMESPACE",
        value_name = "NAMESPACE",
        default_value = "insitu-system"
    )]
    pub namespace: String,

    /// The kubeconfig to use. Without it: the files in KUBECONFIG, else ~/.kube/config, else the
    /// service account of the Pod.
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,

    /// Name of the Secret that holds the certificates, in the namespace of the Service.
    #[arg(long, value_name = "NAME", default_value = "insitu-webhook-certs")]
    pub secret: String,

    /// Name of the webhook configurations in which the bundle is published.
    #[arg(long, value_name = "NAME", default_value = "insitu-webhook")]
    pub configuration: String,

    /// How long an authority is good for, from a minute to a year; it is followed by the next one
    /// when two thirds of it are over.
    #[arg(long, value_name = "TIME", default_value = "8760h", value_parser = lifetime)]
    pub authority_lifetime: Duration,

    /// How long a certificate is good for, from a minute to a year.
    #[arg(long, value_name = "TIME", default_value = "2160h", value_parser = lifetime)]
    pub certificate_lifetime: Duration,

    /// A folder with tls.crt, tls.key and ca.crt that somebody else keeps, such as cert-manager.
    /// It is looked into every two seconds.
    #[arg(long, value_name = "FOLDER")]
    pub cert_dir: Option<PathBuf>,

    /// Authorities in PEM. With it, only clients whose certificate one of them has signed are let
    /// in: the API server has to be configured to show one.
    #[arg(long, value_name = "FILE")]
    pub client_ca: Option<PathBuf>,

    /// Refuse to delete what is protected by the label policy.kruise.io/delete-protection.
    #[arg(long, default_value_t = false, action = ArgAction::Set, num_args = 0..=1,
          default_missing_value = "true", require_equals = true)]
    pub deletion_protection: bool,

    /// How many connections may be open; more wait to be accepted.
    #[arg(long, value_name = "N", default_value_t = 16_384, value_parser = positive)]
    pub max_connections: usize,

    /// How many requests are answered at the same time; more wait for their turn.
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = positive)]
    pub max_concurrent_requests: usize,

    /// The largest body of /convert, in MiB: a list of objects is converted in one piece, and
    /// takes about twice as much memory meanwhile. Several at the same time share this.
    #[arg(long, value_name = "MIB", default_value_t = 64, value_parser = mebibytes)]
    pub max_conversion_mib: usize,

    /// How long requests are taken on after the process was told to end, while the cluster learns
    /// that it is not ready any more.
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = duration)]
    pub shutdown_delay: Duration,

    /// Where /metrics is served; "0" serves none.
    #[arg(long, value_name = "ADDRESS", default_value = ":8080")]
    pub metrics_bind_address: Bind,

    /// Where /healthz and /readyz are served; "0" serves none.
    #[arg(long, value_name = "ADDRESS", default_value = ":8081")]
    pub health_probe_bind_address: Bind,

    /// What a log line looks like.
    #[arg(long, value_enum, default_value_t = LogFormat::Json)]
    pub log_format: LogFormat,

    /// What is logged: a level, or a list like "info,webhook=debug,kube=warn".
    #[arg(long, env = "RUST_LOG", value_name = "FILTER", default_value = "info")]
    pub log_level: String,
}

impl Args {
    /// Whom certificates are for.
    pub fn names(&self) -> Names {
        Names {
            service: self.service.clone(),
            namespace: self.namespace.clone(),
        }
    }

    /// What certificates are wanted.
    pub fn wanted(&self) -> Wanted {
        let signed = |time: Duration| SignedDuration::try_from(time).unwrap_or(SignedDuration::MAX);
        Wanted {
            names: self.names(),
            lifetimes: Lifetimes {
                authority: signed(self.authority_lifetime),
                leaf: signed(self.certificate_lifetime),
            },
        }
    }

    /// What connections may cost.
    pub fn connection_limits(&self) -> server::Limits {
        server::Limits {
            connections: self.max_connections,
            ..server::Limits::default()
        }
    }

    /// What requests may cost.
    pub fn request_limits(&self) -> router::Limits {
        let mut limits = router::Limits {
            requests: self.max_concurrent_requests,
            ..router::Limits::default()
        };
        limits.convert.bytes = self.max_conversion_mib * MIB;
        limits.convert.shared_bytes = limits.convert.bytes;
        limits
    }

    /// What is checked.
    pub fn rules(&self) -> Rules {
        Rules {
            deletion_protection: self.deletion_protection,
        }
    }
}

/// What clocks and patience allow.
fn lifetime(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        time if time < MINUTE => Err(String::from("must be at least 1m")),
        time if time > YEAR => Err(String::from("must be at most 8760h")),
        time => Ok(time),
    }
}

/// So much that its bytes can be counted.
fn mebibytes(text: &str) -> Result<usize, String> {
    match positive(text)? {
        number if number <= 1024 => Ok(number),
        _ => Err(String::from("must be at most 1024")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Args, clap::Error> {
        Args::try_parse_from([&["insitu-webhook"], args].concat())
    }

    #[test]
    fn no_arguments_are_the_default_limits() {
        let args = parse(&[]).unwrap();
        assert_eq!(args.connection_limits(), server::Limits::default());
        assert_eq!(args.request_limits(), router::Limits::default());
        assert_eq!(args.rules(), Rules::default());
        assert_eq!(args.wanted().lifetimes, Lifetimes::default());
    }

    #[test]
    fn nonsense_is_refused() {
        for args in [
            "--max-connections=0",
            "--max-conversion-mib=2000",
            "--shutdown-delay=soon",
            "--bind-address=here",
            "--certificate-lifetime=59s",
            "--authority-lifetime=8761h",
        ] {
            assert!(parse(&[args]).is_err(), "{args}");
        }
    }

    #[test]
    fn the_help_is_consistent() {
        use clap::CommandFactory;
        Args::command().debug_assert();
    }
}
