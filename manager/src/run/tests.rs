use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Check, Controllers, DRAIN_WITHIN, Outcome, work};

/// Needs so long to finish after it was told to stop.
struct Slow(Duration);

impl Controllers for Slow {
    fn ready_checks(&self) -> Vec<Check> {
        Vec::new()
    }

    fn live_checks(&self) -> Vec<Check> {
        Vec::new()
    }

    async fn work(self, stop: CancellationToken) {
        stop.cancelled().await;
        tokio::time::sleep(self.0).await;
    }
}

fn after(delay: Duration) -> CancellationToken {
    let token = CancellationToken::new();
    let fired = token.clone();
    tokio::spawn(async move {
        tokio::time::sleep(delay).await;
        fired.cancel();
    });
    token
}

const SECOND: Duration = Duration::from_secs(1);
const NEVER: Duration = Duration::from_hours(1);

#[tokio::test(start_paused = true)]
async fn passes_in_flight_are_finished() {
    let start = Instant::now();
    let outcome = work(Slow(SECOND * 3), &after(SECOND), &after(NEVER)).await;
    assert_eq!((outcome, start.elapsed().as_secs()), (Outcome::Drained, 4));
}

#[tokio::test(start_paused = true)]
async fn a_pass_that_hangs_is_cut_off() {
    let start = Instant::now();
    let outcome = work(Slow(NEVER), &after(SECOND), &after(NEVER)).await;
    assert_eq!(
        (outcome, start.elapsed()),
        (Outcome::DrainTimeout, SECOND + DRAIN_WITHIN)
    );
}

#[tokio::test(start_paused = true)]
async fn a_lost_lease_stops_everything_at_once_also_while_draining() {
    for told in [NEVER, SECOND] {
        let start = Instant::now();
        let outcome = work(Slow(NEVER), &after(told), &after(SECOND * 2)).await;
        assert_eq!((outcome, start.elapsed().as_secs()), (Outcome::Lost, 2));
    }
}
