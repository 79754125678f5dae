//! `scatterStrategy`: Pods that carry a label are spread over the sequence, so that they are not
//! all away at the same time.

use crate::pod::Words;

/// A label pair.
type Pair = (String, String);

/// The new sequence of the candidates, as indices into `candidates`. `all` are the labels of every
/// Pod of the set, candidates included: they say how dense the pairs are as a whole.
pub(crate) fn sequence(pairs: &[Pair], candidates: &[&Words], all: &[&Words]) -> Vec<usize> {
    let matches = |pair: &Pair, labels: &Words| labels.get(&pair.0) == Some(&*pair.1);
    let count =
        |pair: &Pair, of: &[&Words]| of.iter().filter(|labels| matches(pair, labels)).count();
    // The pair with the most Pods first: those of later pairs are moved among its own.
    let mut counted: Vec<(usize, &Pair)> =
        pairs.iter().map(|p| (count(p, candidates), p)).collect();
    counted.retain(|(matching, _)| *matching > 0);
    counted.sort_by_key(|(matching, _)| std::cmp::Reverse(*matching));
    let mut sequence: Vec<usize> = (0..candidates.len()).collect();
    for (_, pair) in counted {
        let is_match = |i: &usize| {
            candidates
                .get(*i)
                .is_some_and(|labels| matches(pair, labels))
        };
        let (matching, others) = sequence.iter().copied().partition(is_match);
        let matching_of_all = count(pair, all);
        let others_of_all = all.len().saturating_sub(matching_of_all);
        if let Some(spread) = spread(matching, others, (matching_of_all, others_of_all)) {
            sequence = spread;
        }
    }
    sequence
}

/// Groups of matching Pods and groups of others in turn, with one matching Pod at the very end.
/// None where there are too few of either to spread.
fn spread(
    mut matching: Vec<usize>,
    others: Vec<usize>,
    (matching_of_all, others_of_all): (usize, usize),
) -> Option<Vec<usize>> {
    if matching.len() <= 1 || others.len() <= 1 {
        return None;
    }
    let last = matching.pop()?;
    let mut groups = Groups::of(matching.len(), others.len());
    let matching_of_all = matching_of_all.saturating_sub(1);
    // Others are rarer among the candidates than in the set: they would be used up too early. The
    // spacing of the whole set is kept, and the surplus of others goes first.
    let mut first = 0;
    if others_of_all * matching.len() < others.len() * matching_of_all {
        let sizes = Groups::of(matching_of_all, others_of_all);
        let count = (matching.len() / sizes.matching).min(others.len() / sizes.others);
        first = others.len().saturating_sub(count * sizes.others);
        groups = Groups { count, ..sizes };
    }
    let mut matching = matching.into_iter();
    let mut others = others.into_iter();
    let mut sequence: Vec<usize> = others.by_ref().take(first).collect();
    for _ in 0..groups.count {
        sequence.extend(matching.by_ref().take(groups.matching));
        sequence.extend(others.by_ref().take(groups.others));
    }
    sequence.extend(matching);
    sequence.extend(others);
    sequence.push(last);
    Some(sequence)
}

/// How many pairs of groups there are, and how large they are; none of it is 0.
struct Groups {
    count: usize,
    matching: usize,
    others: usize,
}

impl Groups {
    fn of(matching: usize, others: usize) -> Self {
        let count = matching.min(others).max(1);
        let rounded = |n: usize| ((2 * n + count) / (2 * count)).max(1);
        Self {
            count,
            matching: rounded(matching),
            others: rounded(others),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each letter is a Pod: `-` carries no label, any other the label of its name.
    fn scattered(pods: &str, pairs: &str) -> Vec<usize> {
        let labels: Vec<Words> = pods
            .chars()
            .map(|c| match c {
                '-' => Words::default(),
                c => [(c.to_string(), "yes")].into_iter().collect(),
            })
            .collect();
        let pods: Vec<_> = labels.iter().collect();
        let pairs: Vec<Pair> = pairs
            .chars()
            .map(|c| (c.to_string(), "yes".into()))
            .collect();
        sequence(&pairs, &pods, &pods)
    }

    #[test]
    fn pods_of_one_label_are_spread_and_the_last_of_them_comes_last() {
        assert_eq!(scattered("----AA", "A"), [4, 0, 1, 2, 3, 5]);
        assert_eq!(scattered("---AAA", "A"), [3, 0, 1, 4, 2, 5]);
        assert_eq!(scattered("--AAAA", "A"), [2, 3, 0, 4, 1, 5]);
    }

    #[test]
    fn two_labels_are_spread_one_after_the_other() {
        assert_eq!(scattered("BB--AA", "AB"), [0, 4, 2, 3, 5, 1]);
    }

    #[test]
    fn too_few_to_spread_stay_as_they_are() {
        assert_eq!(scattered("----A", "A"), [0, 1, 2, 3, 4]);
        assert_eq!(scattered("-AAA", "A"), [0, 1, 2, 3]);
        assert_eq!(scattered("AAA", "A"), [0, 1, 2]);
        assert_eq!(scattered("", "A"), Vec::<usize>::new());
    }

    #[test]
    fn the_spacing_of_the_whole_set_is_kept_when_others_are_many_among_the_candidates() {
        let a: Words = [("A", "yes")].into_iter().collect();
        let none = Words::default();
        let candidates = [&none, &none, &none, &none, &a, &a];
        let all = [vec![&a; 6], vec![&none; 4]].concat();
        let pairs = [("A".to_owned(), "yes".to_owned())];
        assert_eq!(sequence(&pairs, &candidates, &all), [0, 1, 2, 4, 3, 5]);
    }

    #[test]
    fn nobody_is_lost_or_doubled() {
        for n in 0..40usize {
            let pods: String = (0..n).map(|i| ["-", "A", "B"][(i * i) % 3]).collect();
            let mut sequence = scattered(&pods, "AB");
            sequence.sort_unstable();
            assert_eq!(sequence, (0..n).collect::<Vec<_>>());
        }
    }
}
