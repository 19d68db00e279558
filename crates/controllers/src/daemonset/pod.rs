//! Which nodes a DaemonSet's Pods are for, and what such a Pod looks like (upstream: `pkg/controller/daemon/util`).

use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{Node, Pod, PodSpec, Toleration};
use registry::scheduling;
use serde_json::{Value, json};

use crate::history::HASH_LABEL;

/// The label that says of which generation of the template a Pod is. It is older than [`HASH_LABEL`].
const GENERATION_LABEL: &str = "pod-template-generation";
/// The set's annotation with its template's generation.
const GENERATION: &str = "deprecated.daemonset.template.generation";
/// Taints that come with a node's troubles, which its daemons have to bear.
const TROUBLES: [(&str, &str); 6] = [
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
];
/// One more, for daemons in the host's network.
const NO_NETWORK: (&str, &str) = ("node.kubernetes.io/network-unavailable", "NoSchedule");

/// What a node is to a DaemonSet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Suits {
    /// A Pod should run there.
    Yes,
    /// None should be made, one that is there may stay.
    Stay,
    /// None should be there.
    No,
}

/// Which tolerations the set's Pods have.
pub(super) fn tolerations(spec: &PodSpec) -> Vec<Toleration> {
    let mut all = spec.tolerations.clone().unwrap_or_default();
    let network = (spec.host_network == Some(true)).then_some(NO_NETWORK);
    for (key, effect) in TROUBLES.into_iter().chain(network) {
        let toleration = Toleration {
            key: Some(key.to_owned()),
            operator: Some("Exists".to_owned()),
            effect: Some(effect.to_owned()),
            ..Toleration::default()
        };
        let same = |t: &Toleration| Toleration { toleration_seconds: None, ..t.clone() } == toleration;
        match all.iter_mut().find(|t| same(t)) {
            // For good, not for some seconds.
            Some(given) => *given = toleration,
            None => all.push(toleration),
        }
    }
    all
}

/// What `node` is to a set whose Pods have this spec and these tolerations.
pub(super) fn suits(spec: &PodSpec, tolerations: &[Toleration], node: &Node) -> Suits {
    let elsewhere = spec.node_name.as_ref().is_some_and(|n| !n.is_empty() && Some(n) != node.metadata.name.as_ref());
    if elsewhere || !scheduling::fits_affinity(spec, node) {
        return Suits::No;
    }
    if scheduling::tolerates_all(tolerations, node, &["NoSchedule", "NoExecute"]) {
        return Suits::Yes;
    }
    if scheduling::tolerates_all(tolerations, node, &["NoExecute"]) { Suits::Stay } else { Suits::No }
}

/// The generation of the set's template.
fn generation(set: &DaemonSet) -> Option<&str> {
    let text = set.metadata.annotations.as_ref()?.get(GENERATION)?;
    text.parse::<i64>().ok().map(|_| text.as_str())
}

/// Whether a Pod is of the set's newest template, which has this hash.
pub(super) fn is_updated(set: &DaemonSet, pod: &Pod, hash: &str) -> bool {
    let label = |key: &str| pod.metadata.labels.as_ref().and_then(|labels| labels.get(key)).map(String::as_str);
    label(HASH_LABEL) == Some(hash) || generation(set).is_some_and(|g| label(GENERATION_LABEL) == Some(g))
}

/// The set's Pod for a node, from the Pod of its template. It asks for its node, so that the scheduler places it there.
pub(super) fn for_node(set: &DaemonSet, mut pod: Value, hash: &str, node: &str) -> Value {
    let labels = &mut pod["metadata"]["labels"];
    labels[HASH_LABEL] = json!(hash);
    if let Some(generation) = generation(set) {
        labels[GENERATION_LABEL] = json!(generation);
    }
    pod["spec"]["tolerations"] = json!(set.spec.template.spec.as_ref().map(tolerations));
    let named = json!({"key": "metadata.name", "operator": "In", "values": [node]});
    let required = &mut pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
    *required = json!({"nodeSelectorTerms": [{"matchFields": [named]}]});
    pod
}

/// The node that a Pod is for: where it is, or where it asks to be.
pub(super) fn target(pod: &Pod) -> Option<&str> {
    let spec = pod.spec.as_ref()?;
    if let Some(node) = spec.node_name.as_deref().filter(|node| !node.is_empty()) {
        return Some(node);
    }
    let affinity = spec.affinity.as_ref()?.node_affinity.as_ref()?;
    let terms = &affinity.required_during_scheduling_ignored_during_execution.as_ref()?.node_selector_terms;
    let mut fields = terms.iter().flat_map(|term| term.match_fields.iter().flatten());
    let named = fields.find(|field| field.key == "metadata.name" && field.operator == "In")?;
    match named.values.as_deref() {
        Some([node]) => Some(node),
        _ => None,
    }
}
