//! Which Pods to make and to delete, and the status. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::apps::v1::{DaemonSet, DaemonSetStatus};
use k8s_openapi::api::core::v1::{Node, Pod, PodSpec};
use k8s_openapi::jiff::Timestamp;

use super::failed::{FailedPods, Place};
use super::pod::{self, Suits};
use super::rolling;
use crate::history::HASH_LABEL;
use crate::percent::scaled;
use crate::pods;

/// The most Pods that one step makes, and that it deletes.
const BURST: usize = 250;

/// What the controller sees.
pub(super) struct Observed<'a> {
    pub(super) set: &'a DaemonSet,
    /// The hash of the newest template.
    pub(super) hash: &'a str,
    /// What each node is to the set.
    pub(super) nodes: BTreeMap<String, Suits>,
    /// The set's Pods by the node that they are for. Those that have ended and are leaving do not count any more.
    pub(super) pods: BTreeMap<String, Vec<Arc<Pod>>>,
    pub(super) failed: &'a FailedPods,
    pub(super) now: Timestamp,
}

/// What to do.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Plan {
    /// The nodes that get a Pod.
    pub(super) create: Vec<String>,
    pub(super) delete: Vec<Arc<Pod>>,
    /// Where a failed Pod is replaced.
    pub(super) failed: Vec<Place>,
    pub(super) events: Vec<Ended>,
    /// When a failed Pod's pause ends.
    pub(super) again: Option<Duration>,
}

/// A Pod that has ended and is therefore replaced.
#[derive(Debug, PartialEq)]
pub(super) struct Ended {
    pub(super) warning: bool,
    pub(super) reason: &'static str,
    pub(super) message: String,
}

impl<'a> Observed<'a> {
    pub(super) fn new(
        set: &'a DaemonSet,
        hash: &'a str,
        nodes: &[Arc<Node>],
        pods: &[Arc<Pod>],
        (failed, now): (&'a FailedPods, Timestamp),
    ) -> Self {
        let default = PodSpec::default();
        let template = set.spec.template.spec.as_ref().unwrap_or(&default);
        let tolerations = pod::tolerations(template);
        let name = |node: &Node| node.metadata.name.clone().unwrap_or_default();
        let mut by_node: BTreeMap<String, Vec<Arc<Pod>>> = BTreeMap::new();
        for pod in pods.iter().filter(|pod| !(pods::has_ended(pod) && pods::is_leaving(pod))) {
            if let Some(node) = pod::target(pod) {
                by_node.entry(node.to_owned()).or_default().push(pod.clone());
            }
        }
        for pods in by_node.values_mut() {
            pods.sort_by_key(|pod| oldest_first(pod));
        }
        let nodes = nodes.iter().map(|node| (name(node), pod::suits(template, &tolerations, node))).collect();
        Self { set, hash, nodes, pods: by_node, failed, now }
    }

    pub(super) fn on(&self, node: &str) -> &[Arc<Pod>] {
        self.pods.get(node).map(Vec::as_slice).unwrap_or_default()
    }

    pub(super) fn is_updated(&self, pod: &Pod) -> bool {
        pod::is_updated(self.set, pod, self.hash)
    }

    pub(super) fn is_available(&self, pod: &Pod) -> bool {
        pods::is_available(pod, self.set.spec.min_ready_seconds.unwrap_or(0), self.now)
    }

    /// How many nodes should have a Pod.
    pub(super) fn desired(&self) -> usize {
        self.nodes.values().filter(|suits| **suits == Suits::Yes).count()
    }

    /// Unavailable Pods and Pods beyond one a node that an update may bring, of so many nodes.
    pub(super) fn allowance(&self, nodes: usize) -> (usize, usize) {
        let total = i32::try_from(nodes).unwrap_or(i32::MAX);
        let rolling = self.set.spec.update_strategy.as_ref().filter(|s| s.type_.as_deref() == Some("RollingUpdate"));
        let Some(rolling) = rolling.and_then(|s| s.rolling_update.as_ref()) else { return (0, 0) };
        let number = |value: i32| usize::try_from(value).unwrap_or(0);
        let unavailable = rolling.max_unavailable.as_ref().map_or(0, |value| number(scaled(value, total, true)));
        let surge = rolling.max_surge.as_ref().map_or(0, |value| number(scaled(value, total, true)));
        (unavailable, surge)
    }
}

/// Those that are on a node come first, then the oldest.
fn oldest_first(pod: &Pod) -> (bool, Option<Timestamp>, Option<String>) {
    let placed = pod.spec.as_ref().and_then(|s| s.node_name.as_deref()).is_some_and(|node| !node.is_empty());
    (!placed, pod.metadata.creation_timestamp.as_ref().map(|t| t.0), pod.metadata.name.clone())
}

/// Decides: first that each node has what it should have; where that is so, the next step of an update.
pub(super) fn plan(observed: &Observed<'_>) -> Plan {
    let mut plan = Plan::default();
    for (node, suits) in &observed.nodes {
        plan.manage(observed, node, *suits);
    }
    // No garbage collector takes a Pod that never got to its node.
    let homeless = observed.pods.iter().filter(|(node, _)| !observed.nodes.contains_key(*node)).flat_map(|(_, p)| p);
    let unplaced = |pod: &&Arc<Pod>| pod.spec.as_ref().and_then(|s| s.node_name.as_ref()).is_none_or(String::is_empty);
    plan.delete.extend(homeless.filter(unplaced).filter(|pod| !pods::is_leaving(pod)).cloned());
    let rolls = observed.set.spec.update_strategy.as_ref().and_then(|s| s.type_.as_deref()) == Some("RollingUpdate");
    if rolls && plan.create.is_empty() && plan.delete.is_empty() {
        (plan.create, plan.delete) = rolling::step(observed);
    }
    plan.create.truncate(BURST);
    plan.delete.truncate(BURST);
    plan
}

impl Plan {
    fn manage(&mut self, observed: &Observed<'_>, node: &str, suits: Suits) {
        let pods = observed.on(node);
        match suits {
            Suits::Yes if pods.is_empty() => self.create.push(node.to_owned()),
            Suits::No => self.delete.extend(pods.iter().filter(|pod| !pods::is_leaving(pod)).cloned()),
            Suits::Yes | Suits::Stay => {
                let running = self.replace_ended(observed, node, pods);
                let (_, surge) = observed.allowance(1);
                if surge == 0 {
                    self.delete.extend(running.into_iter().skip(1));
                } else if running.is_empty() && suits == Suits::Yes {
                    self.create.push(node.to_owned());
                } else {
                    self.thin_out(observed, &running);
                }
            }
        }
    }

    /// Deletes Pods that have ended; gives the others, without those that are leaving.
    fn replace_ended(&mut self, observed: &Observed<'_>, node: &str, pods: &[Arc<Pod>]) -> Vec<Arc<Pod>> {
        let mut running = Vec::new();
        for pod in pods.iter().filter(|pod| !pods::is_leaving(pod)) {
            let name = format!(
                "{}/{}",
                pod.metadata.namespace.as_deref().unwrap_or_default(),
                pod.metadata.name.as_deref().unwrap_or_default()
            );
            match pods::phase(pod) {
                "Failed" => {
                    let generation = observed.set.status.as_ref().and_then(|s| s.observed_generation).unwrap_or(0);
                    let uid = observed.set.metadata.uid.clone().unwrap_or_default();
                    let place = (uid, generation, node.to_owned());
                    if let Some(pause) = observed.failed.pause(&place, observed.now) {
                        self.again = Some(self.again.map_or(pause, |again| again.min(pause)));
                        continue;
                    }
                    self.failed.push(place);
                    self.events.push(Ended {
                        warning: true,
                        reason: "FailedDaemonPod",
                        message: format!("Found failed daemon pod {name} on node {node}, will try to kill it"),
                    });
                    self.delete.push(pod.clone());
                }
                "Succeeded" => {
                    self.events.push(Ended {
                        warning: false,
                        reason: "SucceededDaemonPod",
                        message: format!("Found succeeded daemon pod {name} on node {node}, will try to delete it"),
                    });
                    self.delete.push(pod.clone());
                }
                _ => running.push(pod.clone()),
            }
        }
        running
    }

    /// While an update surges, a node may have two Pods: an old one that is ready, and a new one that is not available
    /// yet.
    fn thin_out(&mut self, observed: &Observed<'_>, running: &[Arc<Pod>]) {
        let is_new = |pod: &Pod| {
            let label = pod.metadata.labels.as_ref().and_then(|labels| labels.get(HASH_LABEL));
            label.is_some_and(|label| label == observed.hash)
        };
        let (new, old): (Vec<_>, Vec<_>) = running.iter().partition(|pod| is_new(pod));
        self.delete.extend(new.iter().skip(1).chain(old.iter().skip(1)).map(|pod| (*pod).clone()));
        if let (Some(new), Some(old)) = (new.first(), old.first())
            && (!pods::is_ready(old) || observed.is_available(new))
        {
            self.delete.push((*old).clone());
        }
    }
}

/// The set's status.
pub(super) fn status(observed: &Observed<'_>) -> DaemonSetStatus {
    let mut status = observed.set.status.clone().unwrap_or_default();
    let (mut current, mut misscheduled, mut ready, mut updated, mut available) = (0, 0, 0, 0, 0);
    for (node, suits) in &observed.nodes {
        let Some(oldest) = observed.on(node).first() else { continue };
        if *suits != Suits::Yes {
            misscheduled += 1;
            continue;
        }
        current += 1;
        ready += i32::from(pods::is_ready(oldest));
        available += i32::from(observed.is_available(oldest));
        updated += i32::from(observed.is_updated(oldest));
    }
    let nonzero = |number: i32| (number != 0).then_some(number);
    status.desired_number_scheduled = i32::try_from(observed.desired()).unwrap_or(i32::MAX);
    status.current_number_scheduled = current;
    status.number_misscheduled = misscheduled;
    status.number_ready = ready;
    status.updated_number_scheduled = nonzero(updated);
    status.number_available = nonzero(available);
    status.number_unavailable = nonzero(status.desired_number_scheduled - available);
    status.observed_generation = observed.set.metadata.generation;
    status
}

/// When the next Pod becomes available, where `minReadySeconds` makes that a matter of time.
pub(super) fn next_available(observed: &Observed<'_>) -> Option<Duration> {
    let seconds = observed.set.spec.min_ready_seconds.unwrap_or(0);
    let left = |pod: &Arc<Pod>| pods::available_in(pod, seconds, observed.now);
    observed.pods.values().flatten().filter_map(left).filter(|left| !left.is_zero()).min()
}

#[cfg(test)]
mod tests;
