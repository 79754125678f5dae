//! The simulation can fail: races that other controllers had are put back, and found.

use crate::mutation::Mutation;
use crate::{Course, clock, run};

/// The first seed, of a thousand after `first`, on which a promise whose breach begins with
/// `promise` is broken. Some races are rare: `first` is chosen so that nobody waits for long.
fn found(mutation: Mutation, first: u64, promise: &str) -> Option<u64> {
    let clock = clock();
    let course = Course {
        mutation,
        sidecars: mutation == Mutation::Careless,
    };
    (first..first + 1_000).find(|seed| {
        let end = run(*seed, course, false, &clock);
        end.is_err_and(|failure| failure.what.starts_with(promise))
    })
}

/// A drain is written; the pass after it acts on a view from before it, undrains, and a later write
/// changes the image of a Pod that serves.
#[test]
fn an_undrain_from_an_old_view_is_found() {
    assert!(found(Mutation::Blind, 360, "traffic on a restart").is_some());
}

/// Pods that were just drained still count as available.
#[test]
fn own_writes_that_are_forgotten_are_found() {
    assert!(found(Mutation::Forgetful, 560, "budget broken").is_some());
}

/// A drain got no answer, and the next pass goes on as if it had not happened.
#[test]
fn a_lost_answer_that_is_taken_for_a_no_is_found() {
    assert!(found(Mutation::Unread, 500, "budget broken").is_some());
}

/// The current revision moves by head count, and new Pods are made beyond the partition.
#[test]
fn a_current_revision_by_head_count_is_found() {
    assert!(found(Mutation::HeadCount, 350, "partition broken").is_some());
}

/// Between the decision and the write a workload has begun with the Pod.
#[test]
fn a_write_to_sidecars_whatever_became_of_the_pod_is_found() {
    assert!(found(Mutation::Careless, 0, "not alone").is_some());
}

const PLAIN: Course = Course {
    mutation: Mutation::None,
    sidecars: false,
};

/// Lives that ended badly once, and why.
const ENDED_BADLY: &[(u64, &str)] = &[
    (
        952,
        "a kubelet that does not tell what it has seen, and an edit taken back: never let in again",
    ),
    (3_364, "the record of the current revision was forgotten"),
    (7_201, "a claim was gone before its Pod had started"),
    (20_084, "an image was taken back before its kubelet saw it"),
    (
        21_123,
        "what was under way was judged by an older partition",
    ),
    (23_885, "a claim was left over when a released Pod was gone"),
    (28_109, "a resize waited for itself"),
    (39_663, "a resize waited for itself"),
    (
        49_511,
        "a claim of a Pod that is gone was called somebody else's",
    ),
    (68_775, "a Pod that was let go meanwhile was patched"),
    (
        17_067,
        "who a hook keeps from counting was said to wait for the budget",
    ),
    (
        86_884,
        "an image was taken back that a kubelet had seen and not started",
    ),
    (
        79_845,
        "a claim was deleted by the other one of two processes",
    ),
    (
        147_053,
        "a claim that the other one of two processes gave away was deleted when there was one",
    ),
    (
        147_805,
        "a Pod that was to be deleted was let in when its hook was gone from the spec",
    ),
    (
        155_119,
        "who a hook keeps from counting was said to wait for the budget while it was resized",
    ),
    (
        193_985,
        "no status had told of the current revision when its record was lost",
    ),
    (
        314_584,
        "a Pod's place was given away when one of two writes to it was refused",
    ),
    (332_424, "the same with three Pods"),
    (
        427_547,
        "a Pod that its node could not resize was prepared for deletion and spared in turn",
    ),
    (
        488_001,
        "a Pod that waited for its hook to be deleted was to have its claim (the judge's fault)",
    ),
    (
        497_830,
        "what stood in for a lost record was applied again, and the partition kept nothing",
    ),
];

/// Where it was the planner's fault, a test of `planner/tests/rollout/broken` tells of it too.
#[test]
fn lives_that_failed_once_are_lived_to_their_end() {
    let clock = clock();
    for (seed, story) in ENDED_BADLY {
        let end = run(*seed, PLAIN, false, &clock);
        assert!(end.is_ok(), "{seed}: {story}");
    }
}
