//! Whether a node still lives, which taints its conditions bring, and which Pods must leave. Pure.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Node, NodeCondition, Pod, Taint};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use registry::scheduling::tolerates;

use crate::pods;

/// How long a node may be silent (upstream's `--node-monitor-grace-period`).
pub(super) const SILENCE_MAX: SignedDuration = SignedDuration::from_secs(50);
/// How long a new node may take for its first word (upstream's `--node-startup-grace-period`).
const STARTUP_MAX: SignedDuration = SignedDuration::from_secs(60);
const NOT_READY: &str = "node.kubernetes.io/not-ready";
const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";
/// Condition, the status that is bad, the taint that it brings.
const BY_CONDITION: [(&str, &str, &str); 6] = [
    ("Ready", "False", NOT_READY),
    ("Ready", "Unknown", UNREACHABLE),
    ("MemoryPressure", "True", "node.kubernetes.io/memory-pressure"),
    ("DiskPressure", "True", "node.kubernetes.io/disk-pressure"),
    ("PIDPressure", "True", "node.kubernetes.io/pid-pressure"),
    ("NetworkUnavailable", "True", "node.kubernetes.io/network-unavailable"),
];

/// What the controller sees.
#[derive(Debug)]
pub(super) struct Observed<'a> {
    pub(super) node: &'a Node,
    /// When the node last renewed its Lease.
    pub(super) renewed: Option<Timestamp>,
    pub(super) pods: &'a [Arc<Pod>],
    pub(super) now: Timestamp,
}

/// What to do.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Plan {
    /// The node's conditions, where it fell silent.
    pub(super) conditions: Option<Vec<NodeCondition>>,
    /// The node's taints, where they change.
    pub(super) taints: Option<Vec<Taint>>,
    /// Pods that nobody can vouch for any more.
    pub(super) not_ready: Vec<Arc<Pod>>,
    pub(super) evict: Vec<Arc<Pod>>,
    pub(super) look_again: Option<Duration>,
}

fn conditions(node: &Node) -> &[NodeCondition] {
    node.status.as_ref().and_then(|s| s.conditions.as_deref()).unwrap_or_default()
}

fn taints(node: &Node) -> &[Taint] {
    node.spec.as_ref().and_then(|s| s.taints.as_deref()).unwrap_or_default()
}

/// Whether a node has a taint that makes Pods leave.
pub(super) fn evicts(node: &Node) -> bool {
    taints(node).iter().any(|taint| taint.effect == "NoExecute")
}

/// Decides.
pub(super) fn plan(observed: &Observed<'_>) -> Plan {
    let mut plan = Plan::default();
    let (deadline, silent) = heartbeat(observed);
    if silent {
        let unknown = silent_conditions(observed);
        if unknown.as_slice() != conditions(observed.node) {
            plan.conditions = Some(unknown);
            return plan;
        }
    } else {
        plan.look_again = Some(left(deadline, observed.now));
    }
    let wanted = wanted_taints(observed);
    if wanted.as_slice() != taints(observed.node) {
        plan.taints = Some(wanted.clone());
    }
    let ready = conditions(observed.node).iter().find(|c| c.type_ == "Ready").map(|c| c.status.as_str());
    for pod in observed.pods.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()) {
        if silent && ready == Some("Unknown") && pods::is_ready(pod) {
            plan.not_ready.push(pod.clone());
        }
        match leaves_at(pod, &wanted, observed.now) {
            Some(at) if at <= observed.now => plan.evict.push(pod.clone()),
            Some(at) => {
                let wait = left(at, observed.now);
                plan.look_again = Some(plan.look_again.map_or(wait, |w| w.min(wait)));
            }
            None => {}
        }
    }
    plan
}

fn left(until: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(until.duration_since(now)).unwrap_or_default().max(Duration::from_millis(10))
}

/// Until when the node is believed, and whether that is over.
fn heartbeat(observed: &Observed<'_>) -> (Timestamp, bool) {
    let ready = conditions(observed.node).iter().find(|c| c.type_ == "Ready");
    let posted = ready.and_then(|c| c.last_heartbeat_time.as_ref()).map(|t| t.0);
    let created = observed.node.metadata.creation_timestamp.as_ref().map_or(observed.now, |t| t.0);
    let (from, allowed) = match posted.into_iter().chain(observed.renewed).max() {
        Some(at) => (at, SILENCE_MAX),
        None => (created, STARTUP_MAX),
    };
    let deadline = from.checked_add(allowed).unwrap_or(Timestamp::MAX);
    (deadline, deadline <= observed.now)
}

fn silent_conditions(observed: &Observed<'_>) -> Vec<NodeCondition> {
    let mut all = conditions(observed.node).to_vec();
    let now = crate::time::whole_seconds(observed.now);
    for kind in ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"] {
        match all.iter_mut().find(|c| c.type_ == kind) {
            Some(condition) if condition.status != "Unknown" => {
                condition.status = "Unknown".to_owned();
                condition.reason = Some("NodeStatusUnknown".to_owned());
                condition.message = Some("Kubelet stopped posting node status.".to_owned());
                condition.last_transition_time = Some(Time(now));
            }
            Some(_) => {}
            None => all.push(NodeCondition {
                type_: kind.to_owned(),
                status: "Unknown".to_owned(),
                reason: Some("NodeStatusNeverUpdated".to_owned()),
                message: Some("Kubelet never posted node status.".to_owned()),
                last_heartbeat_time: observed.node.metadata.creation_timestamp.clone(),
                last_transition_time: Some(Time(now)),
            }),
        }
    }
    all
}

/// The node's taints with ours made to fit its conditions; others' stay as they are.
fn wanted_taints(observed: &Observed<'_>) -> Vec<Taint> {
    let mut wanted: Vec<(&str, &str)> = Vec::new();
    for condition in conditions(observed.node) {
        for (kind, bad, taint) in BY_CONDITION {
            if condition.type_ == kind && condition.status == bad {
                wanted.push((taint, "NoSchedule"));
                if kind == "Ready" {
                    wanted.push((taint, "NoExecute"));
                }
            }
        }
    }
    if !conditions(observed.node).iter().any(|c| c.type_ == "Ready") {
        // Nothing is known yet: what admission said stays.
        wanted.push((NOT_READY, "NoSchedule"));
    }
    if observed.node.spec.as_ref().and_then(|s| s.unschedulable) == Some(true) {
        wanted.push((UNSCHEDULABLE, "NoSchedule"));
    }
    let ours = |taint: &Taint| {
        let known = BY_CONDITION.iter().any(|(_, _, key)| taint.key == *key) || taint.key == UNSCHEDULABLE;
        known && matches!(taint.effect.as_str(), "NoSchedule" | "NoExecute")
    };
    let mut result: Vec<Taint> = taints(observed.node)
        .iter()
        .filter(|t| !ours(t) || wanted.contains(&(t.key.as_str(), t.effect.as_str())))
        .cloned()
        .collect();
    for (key, effect) in wanted {
        if !result.iter().any(|t| t.key == key && t.effect == effect) {
            let since =
                (effect == "NoExecute" || key == UNSCHEDULABLE).then(|| Time(crate::time::whole_seconds(observed.now)));
            result.push(Taint { key: key.to_owned(), effect: effect.to_owned(), value: None, time_added: since });
        }
    }
    result
}

/// When a Pod must leave; `None` if it tolerates all for ever.
fn leaves_at(pod: &Pod, taints: &[Taint], now: Timestamp) -> Option<Timestamp> {
    let tolerations = pod.spec.as_ref().and_then(|s| s.tolerations.as_deref()).unwrap_or_default();
    taints
        .iter()
        .filter(|taint| taint.effect == "NoExecute")
        .filter_map(|taint| {
            let since = taint.time_added.as_ref().map_or(now, |t| t.0);
            let mut tolerating = tolerations.iter().filter(|t| tolerates(t, taint)).peekable();
            tolerating.peek()?;
            // The shortest word counts; one without a time stays for ever.
            let seconds = tolerating.filter_map(|t| t.toleration_seconds).min()?;
            since.checked_add(SignedDuration::from_secs(seconds.max(0))).ok()
        })
        .chain(taints.iter().filter_map(|taint| {
            let tolerated = tolerations.iter().any(|t| tolerates(t, taint));
            (taint.effect == "NoExecute" && !tolerated).then_some(now)
        }))
        .min()
}
