//! `nodeSelector` and node affinity.

use std::collections::BTreeMap;

use apimachinery::labels::Requirement;
use k8s_openapi::api::core::v1::{NodeSelectorRequirement, NodeSelectorTerm};

use crate::framework::{FilterPlugin, NodeScore, ScorePlugin, Status, default_normalize};
use crate::snapshot::{NodeInfo, PodInfo, Snapshot};

#[derive(Debug)]
pub(super) struct NodeAffinity;

fn requirement(r: &NodeSelectorRequirement) -> Option<Requirement> {
    Requirement::of_node(&r.key, &r.operator, r.values.as_deref().unwrap_or_default())
}

/// Whether a node fits a term: all its expressions and fields. An empty term fits none.
fn fits(term: &NodeSelectorTerm, node: &NodeInfo) -> bool {
    let (expressions, fields) = (term.match_expressions.as_deref(), term.match_fields.as_deref());
    if expressions.is_none_or(<[_]>::is_empty) && fields.is_none_or(<[_]>::is_empty) {
        return false;
    }
    let labels = node.node.metadata.labels.clone().unwrap_or_default();
    let named = BTreeMap::from([("metadata.name".to_owned(), node.name().to_owned())]);
    let all = |list: Option<&[NodeSelectorRequirement]>, set: &BTreeMap<String, String>| {
        list.unwrap_or_default().iter().all(|r| requirement(r).is_some_and(|r| r.matches(set)))
    };
    all(expressions, &labels) && all(fields, &named)
}

/// Whether a node fits what a Pod requires.
pub(super) fn required_fits(pod: &PodInfo, node: &NodeInfo) -> bool {
    let Some(spec) = &pod.pod.spec else { return true };
    let selector = spec.node_selector.iter().flatten();
    if !selector.into_iter().all(|(key, value)| node.label(key) == Some(value)) {
        return false;
    }
    let affinity = spec.affinity.as_ref().and_then(|a| a.node_affinity.as_ref());
    match affinity.and_then(|a| a.required_during_scheduling_ignored_during_execution.as_ref()) {
        None => true,
        Some(selector) => selector.node_selector_terms.iter().any(|term| fits(term, node)),
    }
}

impl FilterPlugin for NodeAffinity {
    fn name(&self) -> &'static str {
        "NodeAffinity"
    }

    fn filter(&self, pod: &PodInfo, node: &NodeInfo, _: &Snapshot) -> Result<(), Status> {
        if required_fits(pod, node) {
            return Ok(());
        }
        Err(Status::unresolvable("node(s) didn't match Pod's node affinity/selector"))
    }
}

impl ScorePlugin for NodeAffinity {
    fn name(&self) -> &'static str {
        "NodeAffinity"
    }

    fn weight(&self) -> i64 {
        2
    }

    fn score(&self, pod: &PodInfo, node: &NodeInfo, _: &Snapshot) -> i64 {
        let spec = pod.pod.spec.as_ref();
        let affinity = spec.and_then(|s| s.affinity.as_ref()).and_then(|a| a.node_affinity.as_ref());
        let preferred = affinity.and_then(|a| a.preferred_during_scheduling_ignored_during_execution.as_ref());
        let fitting = preferred.into_iter().flatten().filter(|term| fits(&term.preference, node));
        fitting.map(|term| i64::from(term.weight)).sum()
    }

    fn normalize(&self, scores: &mut [NodeScore]) {
        default_normalize(scores, false);
    }
}
