//! Pauses between attempts of what is tried for ever.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

/// One pause after the other; it never ends.
pub type Pauses = ExponentialBackoff;

/// From `min` up to `max`, each twice as long as the one before, and with jitter: replicas that fail
/// together shall not try together.
pub fn pauses(min: Duration, max: Duration) -> Pauses {
    ExponentialBuilder::new()
        .with_min_delay(min)
        .with_max_delay(max)
        .with_factor(2.0)
        .with_jitter()
        .without_max_times()
        .build()
}
