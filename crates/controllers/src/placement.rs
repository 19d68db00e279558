//! Whether a node suits a Pod: tolerations of taints, node selector and required node affinity
//! (upstream: `component-helpers/scheduling/corev1`).

use std::collections::BTreeMap;

use apimachinery::labels::Requirement;
use k8s_openapi::api::core::v1::{Node, NodeSelectorRequirement, NodeSelectorTerm, PodSpec, Taint, Toleration};

/// Whether a toleration is of this taint.
pub(crate) fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    let (effect, key) = (text(&toleration.effect), text(&toleration.key));
    (effect.is_empty() || effect == taint.effect)
        && (key.is_empty() || key == taint.key)
        && match toleration.operator.as_deref() {
            Some("Exists") => true,
            _ => text(&toleration.value) == text(&taint.value),
        }
}

/// Whether all taints of a node that have one of `effects` are tolerated.
pub(crate) fn tolerates_all(tolerations: &[Toleration], node: &Node, effects: &[&str]) -> bool {
    let taints = node.spec.as_ref().and_then(|s| s.taints.as_deref()).unwrap_or_default();
    let mut hard = taints.iter().filter(|taint| effects.contains(&taint.effect.as_str()));
    hard.all(|taint| tolerations.iter().any(|toleration| tolerates(toleration, taint)))
}

/// Whether a node has what a Pod's node selector and required node affinity ask for.
pub(crate) fn fits_affinity(spec: &PodSpec, node: &Node) -> bool {
    let labels = node.metadata.labels.clone().unwrap_or_default();
    if !spec.node_selector.iter().flatten().all(|(key, value)| labels.get(key) == Some(value)) {
        return false;
    }
    let affinity = spec.affinity.as_ref().and_then(|a| a.node_affinity.as_ref());
    let required = affinity.and_then(|a| a.required_during_scheduling_ignored_during_execution.as_ref());
    let fields = BTreeMap::from([("metadata.name".to_owned(), node.metadata.name.clone().unwrap_or_default())]);
    required.is_none_or(|selector| selector.node_selector_terms.iter().any(|term| fits(term, &labels, &fields)))
}

/// An empty term fits no node.
fn fits(term: &NodeSelectorTerm, labels: &BTreeMap<String, String>, fields: &BTreeMap<String, String>) -> bool {
    let expressions = term.match_expressions.as_deref().unwrap_or_default();
    let named = term.match_fields.as_deref().unwrap_or_default();
    let all = |requirements: &[NodeSelectorRequirement], set: &BTreeMap<String, String>| {
        requirements.iter().all(|r| {
            let values = r.values.as_deref().unwrap_or_default();
            Requirement::of_node(&r.key, &r.operator, values).is_some_and(|requirement| requirement.matches(set))
        })
    };
    !(expressions.is_empty() && named.is_empty()) && all(expressions, labels) && all(named, fields)
}
