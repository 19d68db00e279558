//! Pods that want to be, or not to be, where certain other Pods are.

use std::collections::{BTreeMap, BTreeSet};

use crate::framework::{Filter, FilterPlugin, MAX_NODE_SCORE, NodeScore, Score, ScorePlugin, Status};
use crate::pod_info::{PodInfo, Term};
use crate::snapshot::{NodeInfo, Snapshot};

#[derive(Debug)]
pub(super) struct InterPodAffinity;

/// A node label and its value: one place.
type Place<'a> = (&'a str, &'a str);

fn place<'a>(term: &'a Term, node: &'a NodeInfo) -> Option<Place<'a>> {
    node.label(&term.topology_key).map(|value| (term.topology_key.as_str(), value))
}

/// The places of the Pods that fit all terms at once.
fn places_near<'a>(pod: &'a PodInfo, snapshot: &'a Snapshot) -> BTreeSet<Place<'a>> {
    let mut places = BTreeSet::new();
    if pod.near.is_empty() {
        return places;
    }
    for node in &snapshot.nodes {
        if node.pods.iter().any(|other| pod.near.iter().all(|term| term.means(other))) {
            places.extend(pod.near.iter().filter_map(|term| place(term, node)));
        }
    }
    places
}

/// The places of the Pods from which the Pod wants to be apart.
fn places_apart<'a>(pod: &'a PodInfo, snapshot: &'a Snapshot) -> BTreeSet<Place<'a>> {
    let mut places = BTreeSet::new();
    for term in &pod.apart {
        let there = snapshot.nodes.iter().filter(|node| node.pods.iter().any(|other| term.means(other)));
        places.extend(there.filter_map(|node| place(term, node)));
    }
    places
}

/// The places of the Pods that want to be apart from the Pod.
fn places_refused<'a>(pod: &PodInfo, snapshot: &'a Snapshot) -> BTreeSet<Place<'a>> {
    let mut places = BTreeSet::new();
    for node in snapshot.nodes.iter().filter(|node| node.minding > 0) {
        let terms = node.pods.iter().flat_map(|other| &other.apart).filter(|term| term.means(pod));
        places.extend(terms.filter_map(|term| place(term, node)));
    }
    places
}

impl FilterPlugin for InterPodAffinity {
    fn name(&self) -> &'static str {
        "InterPodAffinity"
    }

    fn filter<'a>(&self, pod: &'a PodInfo, snapshot: &'a Snapshot) -> Option<Filter<'a>> {
        let (near, apart, refused) =
            (places_near(pod, snapshot), places_apart(pod, snapshot), places_refused(pod, snapshot));
        if pod.near.is_empty() && apart.is_empty() && refused.is_empty() {
            return None;
        }
        // The first Pod of a group that wants to be together may go anywhere.
        let first = near.is_empty() && pod.near.iter().all(|term| term.means(pod));
        Some(Box::new(move |node| {
            let together = pod.near.iter().all(|term| place(term, node).is_some_and(|at| first || near.contains(&at)));
            let label = |key: &&str| node.label(key);
            if !together {
                Err(Status::unresolvable("node(s) didn't match pod affinity rules"))
            } else if apart.iter().any(|(key, value)| label(key) == Some(*value)) {
                Err(Status::unschedulable("node(s) didn't match pod anti-affinity rules"))
            } else if refused.iter().any(|(key, value)| label(key) == Some(*value)) {
                Err(Status::unschedulable("node(s) didn't satisfy existing pods anti-affinity rules"))
            } else {
                Ok(())
            }
        }))
    }
}

impl ScorePlugin for InterPodAffinity {
    fn name(&self) -> &'static str {
        "InterPodAffinity"
    }

    fn weight(&self) -> i64 {
        2
    }

    fn score<'a>(&self, pod: &'a PodInfo, snapshot: &'a Snapshot) -> Option<Score<'a>> {
        let mut worth: BTreeMap<&'a str, BTreeMap<&'a str, i64>> = BTreeMap::new();
        let mut count = |term: &'a Term, node: &'a NodeInfo, weight: i64| {
            if let Some((key, value)) = place(term, node) {
                *worth.entry(key).or_default().entry(value).or_default() += weight;
            }
        };
        for node in snapshot.nodes.iter().filter(|node| node.minding > 0 || !pod.preferred.is_empty()) {
            for other in &node.pods {
                let mine = pod.preferred.iter().filter(|(term, _)| term.means(other));
                mine.for_each(|(term, weight)| count(term, node, *weight));
                let theirs = other.preferred.iter().filter(|(term, _)| term.means(pod));
                theirs.for_each(|(term, weight)| count(term, node, *weight));
                // Upstream's hardPodAffinityWeight of 1 for Pods that must be near such a Pod.
                other.near.iter().filter(|term| term.means(pod)).for_each(|term| count(term, node, 1));
            }
        }
        if worth.is_empty() {
            return None;
        }
        Some(Box::new(move |node| {
            worth.iter().filter_map(|(key, values)| node.label(key).and_then(|value| values.get(value))).sum()
        }))
    }

    fn normalize(&self, scores: &mut [NodeScore]) {
        let min = scores.iter().map(|(_, s)| *s).min().unwrap_or(0);
        let max = scores.iter().map(|(_, s)| *s).max().unwrap_or(0);
        for (_, score) in scores.iter_mut() {
            *score = if max == min { 0 } else { MAX_NODE_SCORE * (*score - min) / (max - min) };
        }
    }
}
