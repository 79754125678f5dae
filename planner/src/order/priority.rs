//! `priorityStrategy`: whom the spec wants to be updated first.

use std::cmp::Reverse;

use apis::names::INSTANCE_ID_LABEL;
use apis::validation::clone_set::Priority;
use kube::core::SelectorExt;

use crate::pod::Words;

/// A Pod's place: the lower, the earlier. Pods of equal place keep their order.
pub(crate) type Place = (usize, Reverse<u64>);

/// Nobody in particular comes first.
pub(crate) fn is_none(priority: &Priority) -> bool {
    priority.weights.is_empty() && priority.order.is_empty()
}

/// Whether it asks for the one label in which kin differ.
pub(crate) fn tells_kin_apart(priority: &Priority) -> bool {
    let mut selectors = priority.weights.iter();
    selectors.any(|(_, selector)| selector.to_string().contains(INSTANCE_ID_LABEL))
        || priority.order.iter().any(|key| *key == INSTANCE_ID_LABEL)
}

/// The place of a Pod with `labels`.
pub(crate) fn place(priority: &Priority, labels: &Words) -> Place {
    if priority.order.is_empty() {
        let labels = &labels.to_map();
        let matching = priority.weights.iter().filter(|(_, s)| s.matches(labels));
        let weight = matching.map(|(weight, _)| u64::from(*weight)).sum();
        return (0, Reverse(weight));
    }
    // A Pod with none of the labels comes last: it was given no priority.
    let found = priority
        .order
        .iter()
        .enumerate()
        .find_map(|(level, key)| Some((level, labels.get(key)?)));
    found.map_or((priority.order.len(), Reverse(0)), |(level, value)| {
        (level, Reverse(number_at_end(value)))
    })
}

/// The number that `value` ends with; 0 where it ends with none, and the largest one where it does
/// not fit.
fn number_at_end(value: &str) -> u64 {
    let rest = value.trim_end_matches(|c: char| c.is_ascii_digit());
    let digits = value.get(rest.len()..).unwrap_or_default();
    if digits.is_empty() {
        0
    } else {
        digits.parse().unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use kube::core::Selector;

    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let owned = pairs.iter().map(|(k, v)| ((*k).into(), (*v).into()));
        owned.collect()
    }

    fn selector(key: &str, value: &str) -> Selector {
        Selector::from_iter(labels(&[(key, value)]))
    }

    #[test]
    fn the_weights_of_all_matching_terms_add_up_and_the_heaviest_goes_first() {
        let priority = Priority {
            weights: vec![(20, selector("a", "1")), (30, selector("b", "1"))],
            order: Vec::new(),
        };
        let place = |pairs: &[_]| place(&priority, &labels(pairs).into_iter().collect());
        assert!(place(&[("a", "1"), ("b", "1")]) < place(&[("b", "1")]));
        assert!(place(&[("b", "1")]) < place(&[("a", "1")]));
        assert!(place(&[("a", "1")]) < place(&[("a", "2")]));
    }

    #[test]
    fn the_first_key_and_the_highest_number_go_first_and_pods_without_a_key_last() {
        let priority = Priority {
            weights: Vec::new(),
            order: vec!["key1".into(), "key2".into()],
        };
        let place = |pairs: &[_]| place(&priority, &labels(pairs).into_iter().collect());
        assert!(place(&[("key1", "o-10")]) < place(&[("key1", "o-5")]));
        assert!(place(&[("key1", "o-5")]) < place(&[("key2", "o-10")]));
        assert!(place(&[("key2", "none")]) < place(&[]), "OpenKruise: first");
    }

    #[test]
    fn numbers_beyond_all_bounds_are_large_numbers() {
        assert_eq!(number_at_end("o-99999999999999999999999"), u64::MAX);
        assert_eq!(number_at_end("o"), 0);
        assert_eq!(number_at_end(""), 0);
        assert_eq!(number_at_end("ü7"), 7);
    }
}
