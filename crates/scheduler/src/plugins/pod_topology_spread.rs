//! Pods of a kind are spread over places. A Pod of a Service or ReplicaSet without a constraint of its own gets
//! upstream's system defaults for scoring: hostname (skew 3) and zone (skew 5).

use std::collections::BTreeMap;

use apimachinery::labels::Selector;
use k8s_openapi::api::core::v1::TopologySpreadConstraint;

use super::node_affinity::required_fits;
use super::taint_toleration::tolerates;
use crate::framework::{FilterPlugin, MAX_NODE_SCORE, NodeScore, ScorePlugin, Status};
use crate::snapshot::{NodeInfo, PodInfo, Snapshot};

#[derive(Debug)]
pub(super) struct PodTopologySpread;

fn constraints(pod: &PodInfo, when: &str) -> Vec<TopologySpreadConstraint> {
    let all = pod.pod.spec.as_ref().and_then(|s| s.topology_spread_constraints.clone()).unwrap_or_default();
    all.into_iter().filter(|c| c.when_unsatisfiable == when).collect()
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

/// How many matching Pods each place has.
fn spread(constraint: &TopologySpreadConstraint, pod: &PodInfo, snapshot: &Snapshot) -> BTreeMap<String, i64> {
    let selector = selector(constraint, pod);
    let mut places: BTreeMap<String, i64> = BTreeMap::new();
    for node in snapshot.nodes.iter().filter(|node| counts(constraint, pod, node)) {
        let Some(place) = node.label(&constraint.topology_key) else { continue };
        let matching = node.pods.iter().filter(|other| {
            other.namespace() == pod.namespace()
                && other.pod.metadata.deletion_timestamp.is_none()
                && selector.matches(&other.labels())
        });
        *places.entry(place.to_owned()).or_default() += i64::try_from(matching.count()).unwrap_or(0);
    }
    places
}

impl FilterPlugin for PodTopologySpread {
    fn name(&self) -> &'static str {
        "PodTopologySpread"
    }

    fn filter(&self, pod: &PodInfo, node: &NodeInfo, snapshot: &Snapshot) -> Result<(), Status> {
        for constraint in constraints(pod, "DoNotSchedule") {
            let Some(place) = node.label(&constraint.topology_key) else {
                return Err(Status::unresolvable(
                    "node(s) didn't match pod topology spread constraints (missing required label)",
                ));
            };
            let places = spread(&constraint, pod, snapshot);
            let enough = places.len() >= usize::try_from(constraint.min_domains.unwrap_or(1)).unwrap_or(1);
            let least = if enough { places.values().copied().min().unwrap_or(0) } else { 0 };
            let itself = i64::from(selector(&constraint, pod).matches(&pod.labels()));
            let here = places.get(place).copied().unwrap_or(0);
            if here + itself - least > i64::from(constraint.max_skew) {
                return Err(Status::unschedulable("node(s) didn't match pod topology spread constraints"));
            }
        }
        Ok(())
    }
}

impl ScorePlugin for PodTopologySpread {
    fn name(&self) -> &'static str {
        "PodTopologySpread"
    }

    fn weight(&self) -> i64 {
        2
    }

    /// Matching Pods in the node's places: the fewer the better.
    fn score(&self, pod: &PodInfo, node: &NodeInfo, snapshot: &Snapshot) -> i64 {
        let mut all = constraints(pod, "ScheduleAnyway");
        let has_own = pod
            .pod
            .spec
            .as_ref()
            .is_some_and(|s| s.topology_spread_constraints.as_ref().is_some_and(|c| !c.is_empty()));
        if !has_own && pod.pod.metadata.owner_references.is_some() {
            let selector = k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector {
                match_labels: pod.pod.metadata.labels.clone(),
                ..Default::default()
            };
            for (key, skew) in [("kubernetes.io/hostname", 3), ("topology.kubernetes.io/zone", 5)] {
                all.push(TopologySpreadConstraint {
                    topology_key: key.to_owned(),
                    max_skew: skew,
                    when_unsatisfiable: "ScheduleAnyway".to_owned(),
                    label_selector: Some(selector.clone()),
                    ..TopologySpreadConstraint::default()
                });
            }
        }
        let here = all.iter().filter_map(|constraint| {
            let place = node.label(&constraint.topology_key)?;
            let places = spread(constraint, pod, snapshot);
            // A constraint over few places weighs less than one over many, as upstream's log of the place count.
            let weight = ((places.len() + 2) as f64).ln();
            Some(places.get(place).copied().unwrap_or(0) as f64 * weight + f64::from(constraint.max_skew - 1))
        });
        here.sum::<f64>().round() as i64
    }

    fn normalize(&self, scores: &mut [NodeScore]) {
        let min = scores.iter().map(|(_, s)| *s).min().unwrap_or(0);
        let max = scores.iter().map(|(_, s)| *s).max().unwrap_or(0);
        for (_, score) in scores.iter_mut() {
            *score = if max == 0 { MAX_NODE_SCORE } else { MAX_NODE_SCORE * (max + min - *score) / max };
        }
    }
}
