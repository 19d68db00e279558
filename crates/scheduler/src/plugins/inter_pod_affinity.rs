//! Pods that want to be, or not to be, where certain other Pods are.

use apimachinery::labels::Selector;
use k8s_openapi::api::core::v1::PodAffinityTerm;

use crate::framework::{FilterPlugin, MAX_NODE_SCORE, NodeScore, ScorePlugin, Status};
use crate::snapshot::{NodeInfo, PodInfo, Snapshot};

#[derive(Debug)]
pub(super) struct InterPodAffinity;

fn required(pod: &PodInfo, anti: bool) -> Vec<PodAffinityTerm> {
    let Some(affinity) = pod.pod.spec.as_ref().and_then(|s| s.affinity.as_ref()) else { return Vec::new() };
    let terms = if anti {
        affinity.pod_anti_affinity.as_ref().and_then(|a| a.required_during_scheduling_ignored_during_execution.clone())
    } else {
        affinity.pod_affinity.as_ref().and_then(|a| a.required_during_scheduling_ignored_during_execution.clone())
    };
    terms.unwrap_or_default()
}

/// The preferred terms with their weights; those of anti-affinity are negative.
fn preferred(pod: &PodInfo) -> Vec<(PodAffinityTerm, i64)> {
    let Some(affinity) = pod.pod.spec.as_ref().and_then(|s| s.affinity.as_ref()) else { return Vec::new() };
    let near =
        affinity.pod_affinity.as_ref().and_then(|a| a.preferred_during_scheduling_ignored_during_execution.as_ref());
    let far = affinity
        .pod_anti_affinity
        .as_ref()
        .and_then(|a| a.preferred_during_scheduling_ignored_during_execution.as_ref());
    let near = near.into_iter().flatten().map(|t| (t.pod_affinity_term.clone(), i64::from(t.weight)));
    let far = far.into_iter().flatten().map(|t| (t.pod_affinity_term.clone(), -i64::from(t.weight)));
    near.chain(far).collect()
}

/// Whether a term of `owner` means `other`. Without namespaces it means Pods of the owner's namespace; an empty
/// namespace selector means all.
fn means(term: &PodAffinityTerm, owner: &PodInfo, other: &PodInfo) -> bool {
    let listed = term.namespaces.as_deref().unwrap_or_default();
    let in_namespace = match &term.namespace_selector {
        Some(selector) => {
            let everything = selector.match_labels.is_none() && selector.match_expressions.is_none();
            everything || listed.iter().any(|n| n == other.namespace())
        }
        None if listed.is_empty() => owner.namespace() == other.namespace(),
        None => listed.iter().any(|n| n == other.namespace()),
    };
    let selector = serde_json::to_value(&term.label_selector).unwrap_or_default();
    in_namespace && Selector::from_label_selector(&selector).is_ok_and(|s| s.matches(&other.labels()))
}

/// Whether a Pod that the term means is in the same place as `node`.
fn there(term: &PodAffinityTerm, owner: &PodInfo, node: &NodeInfo, snapshot: &Snapshot) -> bool {
    let Some(place) = node.label(&term.topology_key) else { return false };
    let same_place = snapshot.nodes.iter().filter(|n| n.label(&term.topology_key) == Some(place));
    same_place.flat_map(|n| &n.pods).any(|other| means(term, owner, other))
}

impl FilterPlugin for InterPodAffinity {
    fn name(&self) -> &'static str {
        "InterPodAffinity"
    }

    fn filter(&self, pod: &PodInfo, node: &NodeInfo, snapshot: &Snapshot) -> Result<(), Status> {
        let near = required(pod, false);
        if !near.is_empty() && !near.iter().all(|term| there(term, pod, node, snapshot)) {
            // The first Pod of a group that wants to be together may go anywhere.
            let nobody = !snapshot.nodes.iter().flat_map(|n| &n.pods).any(|o| near.iter().any(|t| means(t, pod, o)));
            let has_keys = near.iter().all(|term| node.label(&term.topology_key).is_some());
            if !(nobody && has_keys && near.iter().all(|term| means(term, pod, pod))) {
                return Err(Status::unresolvable("node(s) didn't match pod affinity rules"));
            }
        }
        if required(pod, true).iter().any(|term| there(term, pod, node, snapshot)) {
            return Err(Status::unschedulable("node(s) didn't match pod anti-affinity rules"));
        }
        let refused = snapshot.nodes.iter().any(|n| {
            n.pods.iter().any(|other| {
                required(other, true).iter().any(|term| {
                    let place = n.label(&term.topology_key);
                    place.is_some() && place == node.label(&term.topology_key) && means(term, other, pod)
                })
            })
        });
        if refused {
            return Err(Status::unschedulable("node(s) didn't satisfy existing pods anti-affinity rules"));
        }
        Ok(())
    }
}

impl ScorePlugin for InterPodAffinity {
    fn name(&self) -> &'static str {
        "InterPodAffinity"
    }

    fn weight(&self) -> i64 {
        2
    }

    fn score(&self, pod: &PodInfo, node: &NodeInfo, snapshot: &Snapshot) -> i64 {
        let mut score = 0;
        let own = preferred(pod);
        for other_node in &snapshot.nodes {
            let same = |key: &str| node.label(key).is_some() && node.label(key) == other_node.label(key);
            for other in &other_node.pods {
                let mine = own.iter().filter(|(t, _)| same(&t.topology_key) && means(t, pod, other)).map(|(_, w)| w);
                score += mine.sum::<i64>();
                let theirs = preferred(other);
                let theirs =
                    theirs.iter().filter(|(t, _)| same(&t.topology_key) && means(t, other, pod)).map(|(_, w)| w);
                score += theirs.sum::<i64>();
                // Upstream's hardPodAffinityWeight of 1 for Pods that must be near such a Pod.
                let hard = required(other, false);
                score += i64::try_from(hard.iter().filter(|t| same(&t.topology_key) && means(t, other, pod)).count())
                    .unwrap_or(0);
            }
        }
        score
    }

    fn normalize(&self, scores: &mut [NodeScore]) {
        let min = scores.iter().map(|(_, s)| *s).min().unwrap_or(0);
        let max = scores.iter().map(|(_, s)| *s).max().unwrap_or(0);
        for (_, score) in scores.iter_mut() {
            *score = if max == min { 0 } else { MAX_NODE_SCORE * (*score - min) / (max - min) };
        }
    }
}
