//! What goes wrong in a life.

use fastrand::Rng;

/// Which kinds of trouble a run has.
#[allow(clippy::struct_excessive_bools, reason = "each on or off by itself")]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trouble {
    pub(crate) edits: bool,
    pub(crate) others: bool,
    pub(crate) watches: bool,
    pub(crate) crashes: bool,
    pub(crate) rivals: bool,
    pub(crate) calls: bool,
    pub(crate) nodes: bool,
    pub(crate) claims: bool,
    pub(crate) records: bool,
}

impl Trouble {
    /// What came later is drawn from `more`, a seed of its own: the other lives stay as they are.
    pub(super) fn any(rng: &mut Rng, more: &mut Rng) -> Self {
        Self {
            claims: more.u32(..3) == 0,
            records: more.u32(..6) == 0,
            edits: rng.u32(..8) > 0,
            others: rng.bool(),
            watches: rng.bool(),
            crashes: rng.bool(),
            rivals: rng.u32(..4) == 0,
            calls: rng.bool(),
            nodes: rng.u32(..3) == 0,
        }
    }

    pub(crate) fn none() -> Self {
        Self {
            edits: false,
            others: false,
            watches: false,
            crashes: false,
            rivals: false,
            calls: false,
            nodes: false,
            claims: false,
            records: false,
        }
    }
}
