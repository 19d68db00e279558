//! Whether a node suits a Pod: tolerations of taints, node selector and required node affinity, host ports
//! (upstream: `component-helpers/scheduling/corev1`).

use std::collections::BTreeMap;

use apimachinery::labels::Requirement;
use k8s_openapi::api::core::v1::{Node, NodeSelectorRequirement, NodeSelectorTerm, PodSpec, Taint, Toleration};

/// Whether a toleration is of this taint.
pub fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
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
pub fn tolerates_all(tolerations: &[Toleration], node: &Node, effects: &[&str]) -> bool {
    let taints = node.spec.as_ref().and_then(|s| s.taints.as_deref()).unwrap_or_default();
    let mut hard = taints.iter().filter(|taint| effects.contains(&taint.effect.as_str()));
    hard.all(|taint| tolerations.iter().any(|toleration| tolerates(toleration, taint)))
}

/// Whether a node has what a Pod's node selector and required node affinity ask for.
pub fn fits_affinity(spec: &PodSpec, node: &Node) -> bool {
    let label = |key: &str| node.metadata.labels.as_ref().and_then(|labels| labels.get(key));
    if !spec.node_selector.iter().flatten().all(|(key, value)| label(key) == Some(value)) {
        return false;
    }
    let affinity = spec.affinity.as_ref().and_then(|a| a.node_affinity.as_ref());
    let required = affinity.and_then(|a| a.required_during_scheduling_ignored_during_execution.as_ref());
    required.is_none_or(|selector| selector.node_selector_terms.iter().any(|term| fits_term(term, node)))
}

/// Whether a node fits a term: all its expressions and fields. An empty term fits none.
pub fn fits_term(term: &NodeSelectorTerm, node: &Node) -> bool {
    let expressions = term.match_expressions.as_deref().unwrap_or_default();
    let named = term.match_fields.as_deref().unwrap_or_default();
    let labels = node.metadata.labels.clone().unwrap_or_default();
    let fields = BTreeMap::from([("metadata.name".to_owned(), node.metadata.name.clone().unwrap_or_default())]);
    let all = |requirements: &[NodeSelectorRequirement], set: &BTreeMap<String, String>| {
        requirements.iter().all(|r| {
            let values = r.values.as_deref().unwrap_or_default();
            Requirement::of_node(&r.key, &r.operator, values).is_some_and(|requirement| requirement.matches(set))
        })
    };
    !(expressions.is_empty() && named.is_empty()) && all(expressions, &labels) && all(named, &fields)
}

/// The host ports that a Pod takes: protocol, address, port.
pub fn host_ports(spec: &PodSpec) -> Vec<(String, String, i32)> {
    let sidecars = spec.init_containers.iter().flatten().filter(|c| c.restart_policy.as_deref() == Some("Always"));
    let containers = spec.containers.iter().chain(sidecars);
    let ports = containers.flat_map(|c| c.ports.iter().flatten());
    ports
        .filter_map(|port| {
            let number = port.host_port.filter(|n| *n > 0)?;
            let protocol = port.protocol.clone().unwrap_or_else(|| "TCP".to_owned());
            let address = port.host_ip.clone().filter(|ip| !ip.is_empty()).unwrap_or_else(|| "0.0.0.0".to_owned());
            Some((protocol, address, number))
        })
        .collect()
}

/// Whether one of the ports `wanted` is among those `taken`.
pub fn ports_clash(wanted: &[(String, String, i32)], taken: &[(String, String, i32)]) -> bool {
    const ANY: &str = "0.0.0.0";
    wanted.iter().any(|(protocol, address, port)| {
        taken.iter().any(|(p, a, n)| p == protocol && n == port && (a == address || a == ANY || address == ANY))
    })
}
