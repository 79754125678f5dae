//! How often the Secret may be healed: somebody who empties it again and again must not turn the
//! webhook into a generator of certificates.

use std::time::Duration;

use tokio::time::Instant;

use crate::certs::rotation::Why;

/// After the second write in a row; doubled with each further one.
const PAUSE: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(64);
/// So long without a write, and the next one is the first in a row again.
const QUIET: Duration = Duration::from_mins(2);

/// Of the writes that somebody could bring about again and again. Rotations are as rare as
/// lifetimes make them.
#[derive(Debug, Default)]
pub(super) struct Paces {
    healing: Pace,
    tidying: Pace,
}

impl Paces {
    /// That of writes for this reason, if they have one.
    pub(super) fn of(&mut self, why: Why) -> Option<&mut Pace> {
        match why {
            Why::NoAuthority | Why::NoLeaf => Some(&mut self.healing),
            Why::Tidy => Some(&mut self.tidying),
            Why::AuthorityDue | Why::LeafDue | Why::NewAuthority => None,
        }
    }
}

/// The writes of a while.
#[derive(Debug, Default)]
pub(super) struct Pace {
    in_a_row: u32,
    last: Option<Instant>,
}

impl Pace {
    /// When the next write may be made: at once, unless writes follow one another.
    pub(super) fn next(&self, now: Instant) -> Instant {
        let Some(last) = self.last.filter(|last| now < *last + QUIET) else {
            return now;
        };
        // The first heals at once, the second too: a rotation may come after it.
        let doublings = self.in_a_row.saturating_sub(2);
        let pause = match self.in_a_row {
            0 | 1 => Duration::ZERO,
            _ => PAUSE.saturating_mul(2_u32.saturating_pow(doublings)),
        };
        now.max(last + pause.min(PAUSE_MAX))
    }

    /// A write was made.
    pub(super) fn wrote(&mut self, now: Instant) {
        let is_quiet = self.last.is_none_or(|last| now >= last + QUIET);
        self.in_a_row = if is_quiet {
            1
        } else {
            self.in_a_row.saturating_add(1)
        };
        self.last = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_who_empties_it_all_the_time_is_answered_ever_more_slowly() {
        let start = Instant::now();
        let hour = start + Duration::from_hours(1);
        let (mut pace, mut now, mut pauses) = (Pace::default(), start, Vec::new());
        while now < hour {
            let next = pace.next(now);
            pauses.push((next - now).as_secs());
            now = next;
            pace.wrote(now);
        }
        assert_eq!(pauses[..10], [0, 0, 1, 2, 4, 8, 16, 32, 64, 64]);
        assert!(pauses.len() < 70, "{} writes in an hour", pauses.len());
    }

    #[test]
    fn a_write_after_a_quiet_time_is_made_at_once() {
        let start = Instant::now();
        let mut pace = Pace::default();
        for _ in 0..20 {
            pace.wrote(start);
        }
        let later = start + QUIET;
        assert_eq!(pace.next(later), later);
        pace.wrote(later);
        assert_eq!(pace.next(later), later);
    }
}
