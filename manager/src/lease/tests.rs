use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::{Method, Request, Response};
use k8s_openapi::api::coordination::v1::{Lease as LeaseObject, LeaseSpec};
use kube::{Client, client::Body, core::Status};
use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tower::BoxError;

use super::{Error, Held, Lease, Observed, Timings, Verdict, judge};

const SECOND: Duration = Duration::from_secs(1);

/// An API server with one lease.
#[derive(Default)]
struct Server {
    lease: Mutex<Option<LeaseObject>>,
    version: AtomicUsize,
}

/// The network between one candidate and the server.
#[derive(Default)]
struct Network {
    is_cut: AtomicBool,
    /// Requests arrive, answers are lost.
    is_deaf: AtomicBool,
    /// Nothing fails, nothing answers.
    hangs: AtomicBool,
}

impl Server {
    fn answer(&self, method: &Method, body: &[u8]) -> (u16, Vec<u8>) {
        let mut lease = self.lease.lock();
        if *method == Method::GET {
            return match &*lease {
                Some(lease) => (200, serde_json::to_vec(lease).unwrap()),
                None => refuse(404, "NotFound"),
            };
        }
        let mut new: LeaseObject = serde_json::from_slice(body).unwrap();
        let stored = lease
            .as_ref()
            .and_then(|lease| lease.metadata.resource_version.clone());
        match (method.as_str(), &stored) {
            ("POST", Some(_)) => return refuse(409, "AlreadyExists"),
            ("PUT", None) => return refuse(404, "NotFound"),
            // Without a resourceVersion a PUT overwrites whatever is there, as on a real server.
            ("PUT", Some(_))
                if new.metadata.resource_version.is_some()
                    && new.metadata.resource_version != stored =>
            {
                return refuse(409, "Conflict");
            }
            _ => {}
        }
        let version = self.version.fetch_add(1, Ordering::Relaxed) + 1;
        new.metadata.resource_version = Some(version.to_string());
        *lease = Some(new.clone());
        (
            if *method == Method::POST { 201 } else { 200 },
            serde_json::to_vec(&new).unwrap(),
        )
    }

    fn spec(&self) -> LeaseSpec {
        self.lease.lock().clone().unwrap().spec.unwrap()
    }
}

fn refuse(code: u16, reason: &str) -> (u16, Vec<u8>) {
    (
        code,
        serde_json::to_vec(&Status::failure(reason, reason).with_code(code)).unwrap(),
    )
}

fn client(server: &Arc<Server>, network: &Arc<Network>) -> Client {
    let (server, network) = (Arc::clone(server), Arc::clone(network));
    let service = tower::service_fn(move |request: Request<Body>| {
        let (server, network) = (Arc::clone(&server), Arc::clone(&network));
        async move {
            tokio::time::sleep(Duration::from_millis(20)).await;
            if network.hangs.load(Ordering::Relaxed) {
                std::future::pending::<()>().await;
            }
            if network.is_cut.load(Ordering::Relaxed) {
                return Err(BoxError::from("no route to host"));
            }
            let (parts, body) = request.into_parts();
            let body = body.collect_bytes().await?;
            let (code, answer) = server.answer(&parts.method, &body);
            if network.is_deaf.load(Ordering::Relaxed) {
                return Err(BoxError::from("connection reset"));
            }
            Ok(Response::builder().status(code).body(Body::from(answer))?)
        }
    });
    Client::new(service, "default")
}

struct Candidate {
    lease: Lease,
    network: Arc<Network>,
}

impl Candidate {
    fn new(server: &Arc<Server>, name: &str) -> Self {
        let network = Arc::<Network>::default();
        let client = client(server, &network);
        let lease = Lease::new(client, "ns", "manager", name, Timings::default()).unwrap();
        Self { lease, network }
    }

    async fn acquire(&self) -> Held {
        self.lease.acquire(&CancellationToken::new()).await.unwrap()
    }
}

fn observed(holder: &str, seconds: u64) -> Observed {
    Observed {
        holder: holder.into(),
        duration: SECOND * u32::try_from(seconds).unwrap(),
        resource_version: "1".into(),
        since: Instant::now(),
    }
}

#[test]
fn a_lease_is_taken_until_its_holder_was_silent_for_its_duration() {
    let seen = observed("a", 15);
    assert_eq!(judge(&seen, "b", seen.since + SECOND * 14), Verdict::Taken);
    assert_eq!(
        judge(&seen, "b", seen.since + SECOND * 15),
        Verdict::Expired
    );
    assert_eq!(judge(&seen, "a", seen.since), Verdict::Ours);
    assert_eq!(judge(&observed("", 1), "b", seen.since), Verdict::Free);
}

#[test]
fn silence_counts_from_the_last_change_and_not_from_the_times_in_the_lease() {
    let mut lease: LeaseObject = serde_json::from_value(serde_json::json!({
        "metadata": {"resourceVersion": "1"},
        "spec": {"holderIdentity": "a", "leaseDurationSeconds": 15,
                 "renewTime": "1999-01-01T00:00:00.000000Z"},
    }))
    .unwrap();
    let (mut seen, start) = (None, Instant::now());
    Observed::update(&mut seen, &lease, start);
    let same = Observed::update(&mut seen, &lease, start + SECOND * 9).clone();
    assert_eq!(
        (same.since, judge(&same, "b", start)),
        (start, Verdict::Taken)
    );
    lease.metadata.resource_version = Some("2".into());
    let renewed = Observed::update(&mut seen, &lease, start + SECOND * 9);
    assert_eq!(renewed.since, start + SECOND * 9);
}

#[tokio::test]
async fn timings_that_allow_two_holders_are_refused() {
    let (server, network) = (Arc::default(), Arc::default());
    for (duration, renew, retry) in [(10, 10, 2), (15, 2, 2), (15, 10, 0)] {
        let timings = Timings {
            duration: SECOND * duration,
            renew_deadline: SECOND * renew,
            retry_period: SECOND * retry,
        };
        let lease = Lease::new(client(&server, &network), "ns", "m", "a", timings);
        assert!(matches!(lease, Err(Error::Timings)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_holder_renews_and_nobody_else_gets_the_lease() {
    let server = Arc::default();
    let (a, b) = (Candidate::new(&server, "a"), Candidate::new(&server, "b"));
    let held = a.acquire().await;
    let before = server.spec();
    let other = tokio::time::timeout(SECOND * 600, b.acquire()).await;
    assert!(other.is_err() && !held.lost.is_cancelled());
    let after = server.spec();
    assert_eq!(after.holder_identity.as_deref(), Some("a"));
    assert_eq!(after.lease_duration_seconds, Some(15));
    assert_eq!(after.acquire_time, before.acquire_time);
    assert_ne!(after.renew_time, before.renew_time);
    assert_eq!(after.lease_transitions, Some(0));
}

#[tokio::test(start_paused = true)]
async fn a_clean_handover_takes_one_retry_period() {
    let server = Arc::default();
    let (a, b) = (Candidate::new(&server, "a"), Candidate::new(&server, "b"));
    let held = a.acquire().await;
    let waiting = tokio::spawn(async move { (b.acquire().await, Instant::now()) });
    tokio::time::sleep(SECOND * 7).await;
    held.release().await;
    let released = Instant::now();
    let (_held, taken) = waiting.await.unwrap();
    assert!(taken - released <= Timings::default().retry_period + SECOND / 5);
    assert_eq!(server.spec().lease_transitions, Some(1));
}

#[tokio::test(start_paused = true)]
async fn a_released_lease_is_empty_and_short() {
    let server = Arc::default();
    Candidate::new(&server, "a").acquire().await.release().await;
    let spec = server.spec();
    assert_eq!(spec.holder_identity.as_deref(), Some(""));
    assert_eq!(spec.lease_duration_seconds, Some(1));
}

#[tokio::test(start_paused = true)]
async fn a_crash_hands_over_within_the_duration_and_a_retry() {
    let server = Arc::default();
    let (a, b) = (Candidate::new(&server, "a"), Candidate::new(&server, "b"));
    let held = a.acquire().await;
    let waiting = tokio::spawn(async move { (b.acquire().await, Instant::now()) });
    tokio::time::sleep(SECOND * 7).await;
    // No release: renewals just end.
    drop(held);
    let crashed = Instant::now();
    let (_held, taken) = waiting.await.unwrap();
    let Timings {
        duration,
        retry_period,
        ..
    } = Timings::default();
    assert!(
        taken - crashed <= duration + retry_period + SECOND / 5,
        "{:?}",
        taken - crashed
    );
}

#[tokio::test(start_paused = true)]
async fn a_partitioned_holder_steps_down_before_another_one_can_begin() {
    for fault in [
        |n: &Network| n.is_cut.store(true, Ordering::Relaxed),
        |n: &Network| n.hangs.store(true, Ordering::Relaxed),
        |n: &Network| n.is_deaf.store(true, Ordering::Relaxed),
    ] {
        let server = Arc::default();
        let (a, b) = (Candidate::new(&server, "a"), Candidate::new(&server, "b"));
        let held = a.acquire().await;
        let waiting = tokio::spawn(async move { (b.acquire().await, Instant::now()) });
        tokio::time::sleep(SECOND * 7).await;
        fault(&a.network);
        let cut = Instant::now();
        held.lost.cancelled().await;
        let stopped = Instant::now();
        assert!(stopped - cut <= Timings::default().renew_deadline + SECOND / 5);
        let (_held, taken) = waiting.await.unwrap();
        assert!(
            taken - stopped >= SECOND * 4,
            "only {:?} apart",
            taken - stopped
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_to_a_renewal_is_no_reason_to_step_down() {
    let server = Arc::default();
    let a = Candidate::new(&server, "a");
    let held = a.acquire().await;
    for _ in 0..20 {
        a.network.is_deaf.store(true, Ordering::Relaxed);
        tokio::time::sleep(SECOND * 3).await;
        a.network.is_deaf.store(false, Ordering::Relaxed);
        tokio::time::sleep(SECOND * 3).await;
    }
    assert!(!held.lost.is_cancelled());
    assert_eq!(server.spec().lease_transitions, Some(0));
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_was_overruled_steps_down_at_its_next_renewal() {
    let server = Arc::<Server>::default();
    let held = Candidate::new(&server, "a").acquire().await;
    {
        let mut lease = server.lease.lock();
        let lease = lease.as_mut().unwrap();
        lease.metadata.resource_version = Some("99".into());
        lease.spec.as_mut().unwrap().holder_identity = Some("b".into());
    }
    let start = Instant::now();
    held.lost.cancelled().await;
    assert!(start.elapsed() <= SECOND * 3);
    held.release().await;
    assert_eq!(
        server.spec().holder_identity.as_deref(),
        Some("b"),
        "not ours to release"
    );
}

#[tokio::test(start_paused = true)]
async fn two_candidates_under_random_faults_never_hold_at_once() {
    for seed in 1..20_u64 {
        let server = Arc::default();
        let holders = Arc::new(AtomicUsize::new(0));
        let turns = Arc::new(AtomicUsize::new(0));
        let mut tasks = tokio::task::JoinSet::new();
        let mut networks = Vec::new();
        for name in ["a", "b", "c"] {
            let candidate = Candidate::new(&server, name);
            networks.push(Arc::clone(&candidate.network));
            let (holders, turns) = (Arc::clone(&holders), Arc::clone(&turns));
            tasks.spawn(async move {
                loop {
                    let held = candidate.acquire().await;
                    assert_eq!(holders.fetch_add(1, Ordering::SeqCst), 0, "two holders");
                    turns.fetch_add(1, Ordering::SeqCst);
                    let _ = tokio::time::timeout(SECOND * 60, held.lost.cancelled()).await;
                    holders.fetch_sub(1, Ordering::SeqCst);
                    held.release().await;
                }
            });
        }
        let mut random = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        for _ in 0..200 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let network = &networks[usize::try_from(random % 3).unwrap()];
            let is_bad = random & 0x100 != 0;
            match random >> 32 & 3 {
                0 => network.is_cut.store(is_bad, Ordering::Relaxed),
                1 => network.is_deaf.store(is_bad, Ordering::Relaxed),
                _ => network
                    .hangs
                    .store(is_bad && random & 0x200 != 0, Ordering::Relaxed),
            }
            tokio::time::sleep(Duration::from_millis(random >> 40 & 0x1FFF)).await;
            if let Some(ended) = tasks.try_join_next() {
                ended.unwrap();
            }
        }
        assert!(
            turns.load(Ordering::SeqCst) > 3,
            "seed {seed}: nobody ever led"
        );
    }
}
