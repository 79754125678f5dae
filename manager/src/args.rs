//! The command line.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{ArgAction, Parser};
use process::{
    args::{LogFormat, duration, positive},
    bind::Bind,
};

use crate::lease::Timings;

/// In-place updates for Kubernetes workloads: the controller.
#[derive(Debug, Clone, Parser)]
#[command(name = "insitu-manager", version, max_term_width = 100)]
pub struct Args {
    /// The kubeconfig to use. Without it: the files in KUBECONFIG, else ~/.kube/config, else the
    /// service account of the Pod.
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,

    /// Watch and act in this namespace only. Empty: in all of them.
    #[arg(
        long,
        env = "WATCH_NAMESPACE",
        default_value = "",
        hide_default_value = true
    )]
    pub namespace: String,

    /// How many workloads are worked on at the same time.
    #[arg(long, default_value_t = 8, value_parser = positive)]
    pub workers: usize,

    /// How many calls to the API server may be in flight; it allows 100 per connection.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = positive)]
    pub max_concurrent_writes: usize,

    /// How often every workload is looked at although nothing changed.
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = duration)]
    pub resync: Duration,

    /// Let only one of several replicas act.
    #[arg(long, default_value_t = true, action = ArgAction::Set, num_args = 0..=1,
          default_missing_value = "true", require_equals = true)]
    pub leader_elect: bool,

    /// Namespace of the lease, and of the revisions of SidecarSets. Default: that of the Pod
    /// (POD_NAMESPACE), else insitu-system.
    #[arg(
        long,
        env = "POD_NAMESPACE",
        value_name = "NAMESPACE",
        default_value = "insitu-system"
    )]
    pub leader_election_namespace: String,

    /// Name of the lease.
    #[arg(long, value_name = "NAME", default_value = "insitu-manager")]
    pub leader_election_id: String,

    /// How long a silent leader keeps the lease.
    #[arg(long, value_name = "TIME", default_value = "15s", value_parser = duration)]
    pub leader_election_lease_duration: Duration,

    /// After how long without a renewal the leader stops; shorter than the lease duration.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    pub leader_election_renew_deadline: Duration,

    /// The pause between two tries to get or renew the lease; shorter than the renew deadline.
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = duration)]
    pub leader_election_retry_period: Duration,

    /// Where /metrics is served; "0" serves none.
    #[arg(long, value_name = "ADDRESS", default_value = ":8080")]
    pub metrics_bind_address: Bind,

    /// Where /healthz and /readyz are served; "0" serves none.
    #[arg(long, value_name = "ADDRESS", default_value = ":8081")]
    pub health_probe_bind_address: Bind,

    /// What a log line looks like.
    #[arg(long, value_enum, default_value_t = LogFormat::Json)]
    pub log_format: LogFormat,

    /// What is logged: a level, or a list like "info,manager=debug,kube=warn".
    #[arg(long, env = "RUST_LOG", value_name = "FILTER", default_value = "info")]
    pub log_level: String,
}

impl Args {
    /// The timings of the lease.
    pub fn timings(&self) -> Timings {
        Timings {
            duration: self.leader_election_lease_duration,
            renew_deadline: self.leader_election_renew_deadline,
            retry_period: self.leader_election_retry_period,
        }
    }

    /// The only namespace to watch, if there is one.
    pub fn only_namespace(&self) -> Option<&str> {
        Some(self.namespace.as_str()).filter(|namespace| !namespace.is_empty())
    }

    /// The kubeconfig given by flag.
    pub fn kubeconfig(&self) -> Option<&Path> {
        self.kubeconfig.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Args, clap::Error> {
        Args::try_parse_from([&["insitu-manager"], args].concat())
    }

    #[test]
    fn no_arguments_are_the_defaults_of_the_lease() {
        let args = parse(&[]).unwrap();
        assert_eq!(args.timings(), Timings::default());
        assert_eq!((args.workers, args.max_concurrent_writes), (8, 64));
        assert_eq!(args.resync, Duration::from_mins(10));
        assert!(args.leader_elect && args.only_namespace().is_none());
    }

    #[test]
    fn leader_election_is_switched_as_in_other_controllers() {
        assert!(!parse(&["--leader-elect=false"]).unwrap().leader_elect);
        assert!(parse(&["--leader-elect"]).unwrap().leader_elect);
    }

    #[test]
    fn nonsense_is_refused() {
        for args in [
            "--workers=0",
            "--resync=0s",
            "--resync=soon",
            "--metrics-bind-address=here",
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
