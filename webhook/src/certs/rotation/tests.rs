use std::collections::VecDeque;

use super::*;
use crate::certs::material::{AUTHORITY_KEY, BUNDLE, LEAF, LEAF_KEY};

fn start() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

fn wanted(authority: SignedDuration, leaf: SignedDuration) -> Wanted {
    Wanted {
        names: Names {
            service: "insitu-webhook".into(),
            namespace: "insitu-system".into(),
        },
        lifetimes: Lifetimes { authority, leaf },
    }
}

fn default() -> Wanted {
    let Lifetimes { authority, leaf } = Lifetimes::default();
    wanted(authority, leaf)
}

fn decided(data: &Data, is_published: bool, wanted: &Wanted, now: Timestamp) -> Decision {
    let material = Material::read(data, now);
    let (material, decision) = decide(data, material, is_published, wanted, now).unwrap();
    let stored = match &decision {
        Decision::Write(next, _) => next,
        Decision::Keep(_) => data,
    };
    let read = Material::read(stored, now);
    assert_eq!(
        (&material.trusted, &material.leaf),
        (&read.trusted, &read.leaf)
    );
    decision
}

fn written(data: &Data, is_published: bool, now: Timestamp) -> (Data, Why) {
    match decided(data, is_published, &default(), now) {
        Decision::Write(data, why) => (data, why),
        Decision::Keep(until) => panic!("kept until {until}"),
    }
}

fn kept(data: &Data, is_published: bool, now: Timestamp) -> Timestamp {
    match decided(data, is_published, &default(), now) {
        Decision::Keep(until) => until,
        Decision::Write(_, why) => panic!("written: {why:?}"),
    }
}

fn serves(data: &Data, bundle: &[u8], now: Timestamp) -> bool {
    let material = Material::read(data, now);
    let bundle = bundle::read(bundle);
    let name = default().names.server_name();
    let leaf = material.leaf.expect("a leaf").1;
    bundle::believes(&bundle, &leaf, &name, now)
}

fn days(days: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * days)
}

#[test]
fn nothing_becomes_everything_with_one_write() {
    let (data, why) = written(&Data::new(), false, start());
    assert_eq!(why, Why::NoAuthority);
    assert!(serves(&data, &data[BUNDLE], start()));
    assert_eq!(kept(&data, true, start()), start() + SETTLE_MAX);
    assert_eq!(kept(&data, false, start()), start() + SETTLE_MAX);
    let Lifetimes { leaf, .. } = Lifetimes::default();
    let later = start() + SETTLE_MAX;
    assert_eq!(kept(&data, true, later), start() + leaf * 2 / 3);
}

#[test]
fn clocks_may_differ() {
    let (data, _) = written(&Data::new(), false, start());
    let early = start() - SignedDuration::from_mins(55);
    assert!(serves(&data, &data[BUNDLE], early));
    kept(&data, false, early);
}

#[test]
fn a_leaf_is_renewed_by_the_same_authority() {
    let (before, _) = written(&Data::new(), false, start());
    kept(&before, true, start() + days(59));
    let (after, why) = written(&before, true, start() + days(60));
    assert_eq!(why, Why::LeafDue);
    assert_eq!(after[BUNDLE], before[BUNDLE]);
    assert!(serves(&after, &before[BUNDLE], start() + days(60)));
    assert_ne!(after[LEAF_KEY], before[LEAF_KEY], "a new key as well");
}

#[test]
fn a_new_authority_is_trusted_before_it_is_used() {
    let (first, _) = written(&Data::new(), false, start());
    let (leaf, _) = written(&first, true, start() + days(200));
    let due = start() + days(244);
    let (second, why) = written(&leaf, true, due);
    assert_eq!((why, &second[LEAF]), (Why::AuthorityDue, &leaf[LEAF]));
    assert!(serves(&second, &first[BUNDLE], due), "old clients");
    assert!(serves(&second, &second[BUNDLE], due), "new clients");
    kept(&second, true, due);
    kept(&second, false, due + days(1));
    let (third, why) = written(&second, true, due + SETTLE_MAX);
    assert_eq!(why, Why::NewAuthority);
    assert_eq!(third[BUNDLE], second[BUNDLE], "late replicas are believed");
    assert!(serves(&third, &second[BUNDLE], due + SETTLE_MAX));
    // The old authority goes when it expires.
    let (fourth, _) = written(&third, true, start() + days(366));
    assert_eq!(bundle::read(&fourth[BUNDLE]).len(), 1);
}

#[test]
fn what_is_damaged_is_made_anew_and_the_rest_is_kept() {
    let (whole, _) = written(&Data::new(), false, start());
    let now = start() + days(1);
    for (key, expected) in [
        (BUNDLE, Why::NoAuthority),
        (AUTHORITY_KEY, Why::NoAuthority),
        (LEAF, Why::NoLeaf),
        (LEAF_KEY, Why::NoLeaf),
    ] {
        for damage in [
            "",
            "garbage",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        ] {
            let mut damaged = whole.clone();
            damaged.insert(key.into(), damage.into());
            let (healed, why) = written(&damaged, true, now);
            assert_eq!(why, expected, "{key}: {damage}");
            assert!(serves(&healed, &healed[BUNDLE], now), "{key}: {damage}");
            let keeps_leaf = key == AUTHORITY_KEY;
            assert_eq!(healed[LEAF] == whole[LEAF], keeps_leaf, "{key}");
            kept(&healed, true, now);
        }
        let mut missing = whole.clone();
        missing.remove(key);
        assert_eq!(written(&missing, true, now).1, expected);
    }
}

#[test]
fn a_key_of_another_certificate_is_no_key() {
    let ((mut data, _), (other, _)) = (
        written(&Data::new(), false, start()),
        written(&Data::new(), false, start()),
    );
    data.insert(LEAF_KEY.into(), other[LEAF_KEY].clone());
    assert_eq!(written(&data, true, start()).1, Why::NoLeaf);
    data.insert(AUTHORITY_KEY.into(), other[AUTHORITY_KEY].clone());
    assert_eq!(written(&data, true, start()).1, Why::NoAuthority);
}

#[test]
fn a_leaf_for_another_name_is_no_leaf() {
    let (data, _) = written(&Data::new(), false, start());
    let mut other = default();
    other.names.service = "door".into();
    let decision = decided(&data, true, &other, start());
    assert!(
        matches!(decision, Decision::Write(_, Why::NoLeaf)),
        "{decision:?}"
    );
}

#[test]
fn what_was_never_ours_is_dropped() {
    let (clean, _) = written(&Data::new(), false, start());
    let mut data = clean.clone();
    data.insert("password".into(), b"secret".to_vec());
    assert_eq!(written(&data, true, start()), (clean, Why::Tidy));
}

#[test]
fn keys_are_not_printed() {
    let pair = issue::authority(start(), days(1)).unwrap();
    assert_eq!(format!("{pair:?}"), "Pair { .. }");
}

/// An hour in which certificates live for minutes. Replicas take up a new leaf late
/// and clients a new bundle late, and no call is ever refused.
#[test]
fn no_call_fails_while_everything_is_rotated() {
    let (lag_of_leaf, lag_of_bundle) = (3, 3);
    let wanted = wanted(SignedDuration::from_mins(6), SignedDuration::from_mins(2));
    let name = wanted.names.server_name();
    let mut data = match decided(&Data::new(), false, &wanted, start()) {
        Decision::Write(data, _) => data,
        Decision::Keep(_) => panic!("there is nothing to keep"),
    };
    let (mut leaves, mut bundles) = (VecDeque::new(), VecDeque::new());
    let mut writes = Vec::new();
    for second in (0..3600).step_by(3) {
        let now = start() + SignedDuration::from_secs(second);
        leaves.push_front(Material::read(&data, now).leaf.expect("a leaf").1);
        bundles.push_front(data[BUNDLE].clone());
        leaves.truncate(lag_of_leaf + 1);
        bundles.truncate(lag_of_bundle + 1);
        for leaf in [leaves.front(), leaves.back()].into_iter().flatten() {
            for bundle in [bundles.front(), bundles.back()].into_iter().flatten() {
                let trusted = bundle::read(bundle);
                assert!(
                    bundle::believes(&trusted, leaf, &name, now),
                    "second {second}"
                );
            }
        }
        let is_published = bundles.back() == Some(&data[BUNDLE]);
        match decided(&data, is_published, &wanted, now) {
            Decision::Keep(until) => assert!(until > now),
            Decision::Write(next, why) => {
                writes.push(why);
                data = next;
            }
        }
    }
    let count = |why: Why| writes.iter().filter(|w| **w == why).count();
    // Each of four minutes.
    assert!((13..=15).contains(&count(Why::AuthorityDue)), "{writes:?}");
    assert_eq!(
        count(Why::NoLeaf) + count(Why::NoAuthority),
        0,
        "{writes:?}"
    );
    assert!(writes.len() < 100, "{}", writes.len());
}
