//! Which Pods to delete first (upstream: `ActivePodsWithRanks` in `pkg/controller/controller_utils.go`).

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;

use crate::pods::ready_since;

const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";

fn node(pod: &Pod) -> &str {
    pod.spec.as_ref().and_then(|s| s.node_name.as_deref()).unwrap_or_default()
}

fn phase_rank(pod: &Pod) -> u8 {
    match pod.status.as_ref().and_then(|s| s.phase.as_deref()) {
        Some("Running") => 2,
        Some("Unknown") => 1,
        _ => 0,
    }
}

fn cost(pod: &Pod) -> i32 {
    let annotation = pod.metadata.annotations.as_ref().and_then(|a| a.get(DELETION_COST));
    annotation.and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn restarts(pod: &Pod) -> i32 {
    let statuses = pod.status.as_ref().and_then(|s| s.container_statuses.as_ref());
    statuses.into_iter().flatten().map(|s| s.restart_count).max().unwrap_or(0)
}

/// An age on a logarithmic scale, so that ages that are about equal count as equal.
fn age_rank(at: Option<Timestamp>, now: Timestamp) -> u32 {
    let seconds = at.map_or(0, |at| now.duration_since(at).as_secs().max(0));
    u64::try_from(seconds).unwrap_or(0).checked_ilog2().map_or(0, |log| log + 1)
}

/// The Pods, the first to go first.
pub(super) fn order(pods: &[Arc<Pod>], now: Timestamp) -> Vec<Arc<Pod>> {
    let mut on_node: BTreeMap<&str, usize> = BTreeMap::new();
    for pod in pods {
        *on_node.entry(node(pod)).or_default() += 1;
    }
    let compare = |a: &Arc<Pod>, b: &Arc<Pod>| -> Ordering {
        let uid = |pod: &Pod| pod.metadata.uid.clone();
        let created = |pod: &Pod| pod.metadata.creation_timestamp.as_ref().map(|t| t.0);
        let (ready_a, ready_b) = (ready_since(a), ready_since(b));
        (!node(a).is_empty())
            .cmp(&!node(b).is_empty())
            .then_with(|| phase_rank(a).cmp(&phase_rank(b)))
            .then_with(|| ready_a.is_some().cmp(&ready_b.is_some()))
            .then_with(|| cost(a).cmp(&cost(b)))
            .then_with(|| on_node.get(node(b)).cmp(&on_node.get(node(a))))
            .then_with(|| match (ready_a, ready_b) {
                (Some(x), Some(y)) if x != y => {
                    age_rank(Some(x), now).cmp(&age_rank(Some(y), now)).then_with(|| uid(a).cmp(&uid(b)))
                }
                _ => Ordering::Equal,
            })
            .then_with(|| restarts(b).cmp(&restarts(a)))
            .then_with(|| age_rank(created(a), now).cmp(&age_rank(created(b), now)))
            .then_with(|| uid(a).cmp(&uid(b)))
    };
    let mut ordered = pods.to_vec();
    ordered.sort_by(compare);
    ordered
}
