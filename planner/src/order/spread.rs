//! Which Pods stand closest together: those are deleted first, so that the others stay spread.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::{Node, Pod};

/// The label that names the node itself.
const HOSTNAME: &str = "kubernetes.io/hostname";
/// So many keys of a template are looked at. Pods have one or two; a template is free to list a
/// thousand, and each costs a look at every Pod.
const KEYS_MAX: usize = 8;

/// How crowded the place of a Pod is: the more, the sooner it is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank {
    /// Bits of a float that is never negative, which order as the float does.
    spread: u64,
    /// Pods on the same node that stay longer.
    neighbours: usize,
}

/// The topology keys that `template` wants its Pods spread over.
pub(crate) fn keys(template: &Value) -> Vec<&str> {
    let constraints = template.pointer("/spec/topologySpreadConstraints");
    let constraints = constraints.and_then(Value::as_array).into_iter().flatten();
    constraints
        .filter_map(|c| c.get("topologyKey")?.as_str())
        .take(KEYS_MAX)
        .collect()
}

/// Whether `template` spreads its Pods over anything that only the labels of nodes can tell.
pub fn needs_nodes(template: &Value) -> bool {
    keys(template).iter().any(|key| *key != HOSTNAME)
}

/// The rank of each of `pods`, which are in the order in which they would be deleted. Without
/// `keys` nodes are what they are spread over.
pub(crate) fn ranks(pods: &[&Pod], keys: &[&str], nodes: &[Arc<Node>]) -> Vec<Rank> {
    let node = |pod: &Pod| pod.spec.node_name.as_deref().map(str::to_owned);
    let mut ranks = vec![Rank::default(); pods.len()];
    // Over nodes as such the sum below says it all.
    if keys.is_empty() || keys.iter().any(|key| *key != HOSTNAME) {
        for members in domains(pods, node).values() {
            for (position, member) in members.iter().enumerate() {
                ranks[*member].neighbours = members.len() - 1 - position;
            }
        }
    }
    let by_name: BTreeMap<&str, &Node> = nodes.iter().map(|n| (n.name(), &**n)).collect();
    let mut sums = vec![0.0_f64; pods.len()];
    for key in keys {
        let domains = domains(pods, |pod| {
            let name = pod.spec.node_name.as_deref()?;
            let labels = by_name.get(name).and_then(|n| n.metadata.labels.as_ref());
            let value = labels
                .filter(|_| *key != HOSTNAME)
                .and_then(|l| l.get(*key));
            // A node of which nothing is known is a domain of its own.
            Some(value.map_or_else(|| format!("node {name}"), |value| format!("= {value}")))
        });
        // As the scheduler weighs a constraint: the more domains there are, the more it counts.
        let weight = (float(domains.len()) + 2.0).ln();
        for members in domains.values() {
            for (position, member) in members.iter().enumerate() {
                sums[*member] += float(members.len() - position) * weight;
            }
        }
    }
    for (rank, sum) in ranks.iter_mut().zip(sums) {
        rank.spread = sum.to_bits();
    }
    ranks
}

/// Pods, as indices into `pods`, by what `of` says of them.
fn domains(pods: &[&Pod], of: impl Fn(&Pod) -> Option<String>) -> BTreeMap<String, Vec<usize>> {
    let mut domains: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (index, pod) in pods.iter().enumerate() {
        if let Some(domain) = of(pod) {
            domains.entry(domain).or_default().push(index);
        }
    }
    domains
}

fn float(n: usize) -> f64 {
    f64::from(u32::try_from(n).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pods(nodes: &str) -> Vec<Pod> {
        let pod = |c: char| {
            let node = (c != '-').then(|| c.to_string());
            serde_json::from_value(json!({"metadata": {}, "spec": {"nodeName": node}})).unwrap()
        };
        nodes.chars().map(pod).collect()
    }

    fn neighbours(nodes: &str) -> Vec<usize> {
        let pods = pods(nodes);
        let pods: Vec<_> = pods.iter().collect();
        ranks(&pods, &[], &[])
            .iter()
            .map(|r| r.neighbours)
            .collect()
    }

    #[test]
    fn pods_that_share_a_node_rank_by_how_many_stay_beside_them() {
        assert_eq!(neighbours("a--ba-bddda"), [2, 0, 0, 1, 1, 0, 0, 2, 1, 0, 0]);
    }

    fn spread(nodes: &str, keys: &[&str], zones: &[(&str, &str)]) -> Vec<usize> {
        let pods = pods(nodes);
        let pods: Vec<_> = pods.iter().collect();
        let node = |(name, zone): &(&str, &str)| {
            let labels = json!({"zone": zone});
            Arc::new(
                serde_json::from_value(json!({"metadata": {"name": name, "labels": labels}}))
                    .unwrap(),
            )
        };
        let nodes: Vec<Arc<Node>> = zones.iter().map(node).collect();
        let ranks = ranks(&pods, keys, &nodes);
        let mut order: Vec<usize> = (0..pods.len()).collect();
        order.sort_by_key(|i| std::cmp::Reverse(ranks[*i]));
        order
    }

    #[test]
    fn pods_of_the_fullest_zone_go_first_and_of_its_fullest_node_before_others() {
        let zones = [("a", "1"), ("b", "1"), ("c", "2")];
        assert_eq!(spread("cabb", &["zone"], &zones)[0], 1, "the zone of three");
        assert_eq!(spread("cbba", &["zone"], &zones)[..2], [1, 2]);
        assert_eq!(
            spread("ccab", &["zone"], &zones)[0],
            0,
            "two nodes of one, or one of two"
        );
    }

    #[test]
    fn over_hosts_no_node_needs_to_be_known() {
        assert_eq!(spread("abb", &[HOSTNAME], &[])[0], 1);
        assert!(!needs_nodes(&json!({"spec": {"topologySpreadConstraints":
            [{"topologyKey": HOSTNAME}]}})));
        assert!(needs_nodes(&json!({"spec": {"topologySpreadConstraints":
            [{"topologyKey": "topology.kubernetes.io/zone"}]}})));
    }

    #[test]
    fn a_node_without_the_label_is_a_domain_of_its_own() {
        assert_eq!(spread("xyaa", &["zone"], &[("a", "1")])[0], 2);
    }
}
