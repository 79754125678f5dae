//! Waiting for a condition, never for a time.

use std::time::{Duration, Instant};

/// How often a condition is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// What anything on a busy two-core machine may take.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// Waits until `look` gives a value.
///
/// # Panics
/// With `what` and the last thing `look` said against it, when [`PATIENCE`] is over.
pub async fn eventually<T, F>(what: &str, look: F) -> T
where
    F: AsyncFnMut() -> Result<T, String>,
{
    within(what, PATIENCE, look).await
}

/// As [`eventually`], with another deadline.
///
/// # Panics
/// See there.
pub async fn within<T, F>(what: &str, limit: Duration, mut look: F) -> T
where
    F: AsyncFnMut() -> Result<T, String>,
{
    let start = Instant::now();
    loop {
        match look().await {
            Ok(value) => return value,
            Err(why) => assert!(
                start.elapsed() < limit,
                "not within {limit:?}: {what}; {why}"
            ),
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Watches that something stays true for a while: for claims that nothing happens.
///
/// # Panics
/// With what `look` says as soon as it stops holding.
pub async fn holds_for<F>(what: &str, span: Duration, mut look: F)
where
    F: AsyncFnMut() -> Result<(), String>,
{
    let start = Instant::now();
    while start.elapsed() < span {
        if let Err(why) = look().await {
            panic!("{what} held for {:?} only: {why}", start.elapsed());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
