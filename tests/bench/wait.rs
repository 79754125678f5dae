//! Waiting that ends: with what was waited for, or with the reason why it did not come.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

const LOOK_EVERY: Duration = Duration::from_millis(50);
const TELL_EVERY: Duration = Duration::from_secs(5);
/// Nothing that is measured here takes longer, unless it hangs.
const LIMIT: Duration = Duration::from_mins(15);

/// Says how far something is, now and then.
pub(crate) struct Progress {
    told: Instant,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self {
            told: Instant::now(),
        }
    }

    pub(crate) fn tell(&mut self, text: impl FnOnce() -> String) {
        if self.told.elapsed() >= TELL_EVERY {
            self.told = Instant::now();
            println!("    {}", text());
        }
    }
}

/// Looks until `look` finds something; meanwhile tells what it finds instead.
pub(crate) async fn until<T, F>(what: &str, mut look: F) -> Result<T>
where
    F: AsyncFnMut() -> Result<Result<T, String>>,
{
    let start = Instant::now();
    let mut progress = Progress::new();
    loop {
        match look().await? {
            Ok(found) => return Ok(found),
            Err(not_yet) if start.elapsed() < LIMIT => progress.tell(|| not_yet),
            Err(not_yet) => bail!("not within {LIMIT:?}: {what}; {not_yet}"),
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
