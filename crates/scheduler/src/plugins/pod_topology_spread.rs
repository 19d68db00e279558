//! Pods of a kind are spread over places. A Pod of a Service or ReplicaSet without a constraint of its own gets
//! upstream's system defaults for scoring: hostname (skew 3) and zone (skew 5).

use std::collections::BTreeMap;
use std::sync::Arc;

use apimachinery::labels::Selector;
use k8s_openapi::api::core::v1::TopologySpreadConstraint;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use super::node_affinity::required_fits;
use super::taint_toleration::tolerates;
use crate::framework::{Filter, FilterPlugin, MAX_NODE_SCORE, NodeScore, Score, ScorePlugin, Status};
use crate::pod_info::PodInfo;
use crate::snapshot::{NodeInfo, Snapshot};

#[derive(Debug)]
pub(super) struct PodTopologySpread;

fn constraints(pod: &PodInfo, when: &str) -> Vec<TopologySpreadConstraint> {
    let all = pod.pod.spec.as_ref().and_then(|spec| spec.topology_spread_constraints.as_ref());
    all.into_iter().flatten().filter(|constraint| constraint.when_unsatisfiable == when).cloned().collect()
}

/// The constraint's selector, with the Pod's own values of `matchLabelKeys`.
fn selector(constraint: &TopologySpreadConstraint, pod: &PodInfo) -> Selector {
    let mut value = serde_json::to_value(&constraint.label_selector).unwrap_or_default();
    for key in constraint.match_label_keys.iter().flatten() {
        if let Some(own) = pod.labels().get(key) {
            value["matchLabels"][key] = serde_json::json!(own);
        }
    }
    Selector::from_label_selector(&value).unwrap_or_else(|_| Selector::nothing())
}

/// Whether a node counts for a constraint.
fn counts(constraint: &TopologySpreadConstraint, pod: &PodInfo, node: &NodeInfo) -> bool {
    let affinity = constraint.node_affinity_policy.as_deref() != Some("Ignore");
    let taints = constraint.node_taints_policy.as_deref() == Some("Honor");
    let hard = node.node.spec.as_ref().and_then(|s| s.taints.as_deref()).unwrap_or_default();
    let tolerated = || hard.iter().filter(|t| t.effect != "PreferNoSchedule").all(|t| tolerates(pod, t));
    (!affinity || required_fits(pod, node)) && (!taints || tolerated())
}

/// How many Pods of each node a selector means, and whether it means the Pod itself.
struct Matching {
    nodes: Vec<i64>,
    itself: i64,
}

impl Matching {
    fn new(selector: &Selector, pod: &PodInfo, snapshot: &Snapshot) -> Self {
        let means = |other: &&Arc<PodInfo>| {
            other.namespace() == pod.namespace()
                && other.pod.metadata.deletion_timestamp.is_none()
                && selector.matches(other.labels())
        };
        let count = |node: &Arc<NodeInfo>| i64::try_from(node.pods.iter().filter(means).count()).unwrap_or(0);
        let nodes = snapshot.nodes.iter().map(count).collect();
        Self { nodes, itself: i64::from(selector.matches(pod.labels())) }
    }
}

/// A constraint with how many matching Pods each place has.
struct Spread<'a> {
    constraint: TopologySpreadConstraint,
    places: BTreeMap<&'a str, i64>,
    /// Whether the Pod itself matches.
    itself: i64,
}

/// The constraints with their places. Those with one selector after the other, as upstream's defaults, are counted once.
fn spreads<'a>(constraints: Vec<TopologySpreadConstraint>, pod: &PodInfo, snapshot: &'a Snapshot) -> Vec<Spread<'a>> {
    let mut counted: Option<(Selector, Matching)> = None;
    let spread = |constraint: TopologySpreadConstraint| {
        let selector = selector(&constraint, pod);
        let (_, matching) = match counted.take() {
            Some(known) if known.0 == selector => counted.insert(known),
            _ => {
                let matching = Matching::new(&selector, pod, snapshot);
                counted.insert((selector, matching))
            }
        };
        Spread::new(constraint, matching, pod, snapshot)
    };
    constraints.into_iter().map(spread).collect()
}

impl<'a> Spread<'a> {
    fn new(constraint: TopologySpreadConstraint, matching: &Matching, pod: &PodInfo, snapshot: &'a Snapshot) -> Self {
        let mut places: BTreeMap<&str, i64> = BTreeMap::new();
        for (node, count) in snapshot.nodes.iter().zip(&matching.nodes) {
            if counts(&constraint, pod, node)
                && let Some(place) = node.label(&constraint.topology_key)
            {
                *places.entry(place).or_default() += count;
            }
        }
        Self { constraint, places, itself: matching.itself }
    }

    /// The fewest matching Pods of a place; none if there are fewer places than the constraint wants.
    fn least(&self) -> i64 {
        let enough = self.places.len() >= usize::try_from(self.constraint.min_domains.unwrap_or(1)).unwrap_or(1);
        if enough { self.places.values().copied().min().unwrap_or(0) } else { 0 }
    }
}

impl FilterPlugin for PodTopologySpread {
    fn name(&self) -> &'static str {
        "PodTopologySpread"
    }

    fn filter<'a>(&self, pod: &'a PodInfo, snapshot: &'a Snapshot) -> Option<Filter<'a>> {
        let hard = spreads(constraints(pod, "DoNotSchedule"), pod, snapshot);
        if hard.is_empty() {
            return None;
        }
        let least: Vec<i64> = hard.iter().map(Spread::least).collect();
        Some(Box::new(move |node| {
            for (spread, least) in hard.iter().zip(&least) {
                let Some(place) = node.label(&spread.constraint.topology_key) else {
                    return Err(Status::unresolvable(
                        "node(s) didn't match pod topology spread constraints (missing required label)",
                    ));
                };
                let here = spread.places.get(place).copied().unwrap_or(0);
                if here + spread.itself - least > i64::from(spread.constraint.max_skew) {
                    return Err(Status::unschedulable("node(s) didn't match pod topology spread constraints"));
                }
            }
            Ok(())
        }))
    }
}

/// The constraints by which nodes are scored.
fn soft(pod: &PodInfo) -> Vec<TopologySpreadConstraint> {
    let own = pod.pod.spec.as_ref().and_then(|spec| spec.topology_spread_constraints.as_ref());
    if own.is_some_and(|own| !own.is_empty()) || pod.pod.metadata.owner_references.is_none() {
        return constraints(pod, "ScheduleAnyway");
    }
    let selector = LabelSelector { match_labels: pod.pod.metadata.labels.clone(), ..LabelSelector::default() };
    let default = |(key, skew): (&str, i32)| TopologySpreadConstraint {
        topology_key: key.to_owned(),
        max_skew: skew,
        when_unsatisfiable: "ScheduleAnyway".to_owned(),
        label_selector: Some(selector.clone()),
        ..TopologySpreadConstraint::default()
    };
    [("kubernetes.io/hostname", 3), ("topology.kubernetes.io/zone", 5)].map(default).into()
}

impl ScorePlugin for PodTopologySpread {
    fn name(&self) -> &'static str {
        "PodTopologySpread"
    }

    fn weight(&self) -> i64 {
        2
    }

    /// Matching Pods in the node's places: the fewer the better.
    fn score<'a>(&self, pod: &'a PodInfo, snapshot: &'a Snapshot) -> Option<Score<'a>> {
        let all = spreads(soft(pod), pod, snapshot);
        if all.is_empty() {
            return None;
        }
        Some(Box::new(move |node| {
            let here = all.iter().filter_map(|spread| {
                let place = node.label(&spread.constraint.topology_key)?;
                // A constraint over few places weighs less than one over many, as upstream's log of the place count.
                let weight = ((spread.places.len() + 2) as f64).ln();
                let matching = spread.places.get(place).copied().unwrap_or(0);
                Some(matching as f64 * weight + f64::from(spread.constraint.max_skew - 1))
            });
            here.sum::<f64>().round() as i64
        }))
    }

    fn normalize(&self, scores: &mut [NodeScore]) {
        let min = scores.iter().map(|(_, s)| *s).min().unwrap_or(0);
        let max = scores.iter().map(|(_, s)| *s).max().unwrap_or(0);
        for (_, score) in scores.iter_mut() {
            *score = if max == 0 { MAX_NODE_SCORE } else { MAX_NODE_SCORE * (max + min - *score) / max };
        }
    }
}
