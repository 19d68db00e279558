//! `nodeSelector` and node affinity.

use std::collections::BTreeSet;

use registry::scheduling::{fits_affinity, fits_term};

use crate::framework::{Filter, FilterPlugin, NodeScore, Score, ScorePlugin, Status, default_normalize};
use crate::pod_info::PodInfo;
use crate::snapshot::{NodeInfo, Snapshot};

#[derive(Debug)]
pub(super) struct NodeAffinity;

/// Whether a node fits what a Pod requires.
pub(super) fn required_fits(pod: &PodInfo, node: &NodeInfo) -> bool {
    pod.pod.spec.as_ref().is_none_or(|spec| fits_affinity(spec, &node.node))
}

/// The nodes that a Pod names, if it names any in each of its terms, as those of a DaemonSet do. Other nodes need no look.
pub(crate) fn named_nodes(pod: &PodInfo) -> Option<BTreeSet<&str>> {
    let affinity = pod.pod.spec.as_ref()?.affinity.as_ref()?.node_affinity.as_ref()?;
    let terms = &affinity.required_during_scheduling_ignored_during_execution.as_ref()?.node_selector_terms;
    let mut named = BTreeSet::new();
    for term in terms {
        let fields = term.match_fields.iter().flatten();
        let lists = fields.filter(|field| field.key == "metadata.name" && field.operator == "In");
        let sets = lists.map(|field| field.values.iter().flatten().map(String::as_str).collect::<BTreeSet<_>>());
        named.extend(sets.reduce(|one, other| one.intersection(&other).copied().collect())?);
    }
    (!named.is_empty()).then_some(named)
}

impl FilterPlugin for NodeAffinity {
    fn name(&self) -> &'static str {
        "NodeAffinity"
    }

    fn filter<'a>(&self, pod: &'a PodInfo, _: &'a Snapshot) -> Option<Filter<'a>> {
        let spec = pod.pod.spec.as_ref()?;
        let affinity = spec.affinity.as_ref().and_then(|affinity| affinity.node_affinity.as_ref());
        if affinity.is_none() && spec.node_selector.is_none() {
            return None;
        }
        Some(Box::new(|node| match required_fits(pod, node) {
            true => Ok(()),
            false => Err(Status::unresolvable("node(s) didn't match Pod's node affinity/selector")),
        }))
    }
}

impl ScorePlugin for NodeAffinity {
    fn name(&self) -> &'static str {
        "NodeAffinity"
    }

    fn weight(&self) -> i64 {
        2
    }

    fn score<'a>(&self, pod: &'a PodInfo, _: &'a Snapshot) -> Option<Score<'a>> {
        let affinity = pod.pod.spec.as_ref()?.affinity.as_ref()?.node_affinity.as_ref()?;
        let preferred = affinity.preferred_during_scheduling_ignored_during_execution.as_ref()?;
        Some(Box::new(|node| {
            let fitting = preferred.iter().filter(|term| fits_term(&term.preference, &node.node));
            fitting.map(|term| i64::from(term.weight)).sum()
        }))
    }

    fn normalize(&self, scores: &mut [NodeScore]) {
        default_normalize(scores, false);
    }
}
