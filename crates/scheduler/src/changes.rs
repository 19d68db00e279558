//! What happens to Pods and nodes: taken over into the cache, and told to those in the queue whom it may help.

use std::sync::Arc;

use client::{Change, Informer};
use k8s_openapi::api::core::v1::{Node, Pod};
use parking_lot::Mutex;

use crate::cache::Cache;
use crate::pod_info::{PodInfo, nominated_node};
use crate::queue::SchedulingQueue;

/// The scheduler's name, which Pods ask for by default.
pub(crate) const NAME: &str = "default-scheduler";

/// Follows both kinds from now on.
pub(crate) fn follow(pods: &Informer, nodes: &Informer, queue: &SchedulingQueue, cache: &Arc<Mutex<Cache>>) {
    let (of_pods, cached) = (queue.clone(), cache.clone());
    pods.on_change(move |change| match change {
        // One was deleted and another made while nobody looked.
        Change::Updated(before, after) if before.meta().uid != after.meta().uid => {
            pod_changed(&Change::Deleted(before.clone()), &of_pods, &cached);
            pod_changed(&Change::Added(after.clone()), &of_pods, &cached);
        }
        change => pod_changed(change, &of_pods, &cached),
    });
    let (of_nodes, cached) = (queue.clone(), cache.clone());
    nodes.on_change(move |change| {
        let object = change.object();
        match (change, object.typed::<Node>()) {
            (Change::Deleted(_), _) => cached.lock().remove_node(&object.meta().name),
            (_, Ok(node)) => cached.lock().set_node(node),
            (_, Err(_)) => {}
        }
        if node_changed(change) {
            of_nodes.move_all();
        }
    });
}

/// Takes over what happened to a Pod, and wakes whom it may help.
fn pod_changed(change: &Change, queue: &SchedulingQueue, cache: &Mutex<Cache>) {
    let object = change.object();
    let Ok(pod) = object.typed::<Pod>() else { return };
    let (key, uid) = (object.meta().key(), object.meta().uid.as_str());
    let gone = matches!(change, Change::Deleted(_)) || has_ended(&pod);
    let before = match change {
        Change::Updated(before, _) => before.typed::<Pod>().ok(),
        _ => None,
    };
    let helps = match node_of(&pod) {
        _ if gone => {
            let mut cache = cache.lock();
            let waited = cache.withdraw(uid);
            cache.displace(uid).is_some() || waited
        }
        Some(node) => {
            let info = Arc::new(PodInfo::new(pod.clone()));
            let mut cache = cache.lock();
            let assumed = cache.is_assumed(uid);
            let before = cache.place(node, info.clone());
            assumed || before.is_none_or(|before| eases(&before, &info))
        }
        None => {
            renominate(before.as_deref(), &pod, &mut cache.lock());
            false
        }
    };
    if gone || node_of(&pod).is_some() || !wants_node(&pod) {
        queue.remove(&key);
    } else {
        queue.add(&key, pod.spec.as_ref().and_then(|s| s.priority).unwrap_or(0));
        if before.is_some_and(|before| asks_otherwise(&before, &pod)) {
            queue.wake(&key);
        }
    }
    if helps {
        queue.move_all();
    }
}

/// Whether a change of a Pod that runs may help one that waits.
fn eases(before: &PodInfo, after: &PodInfo) -> bool {
    before.labels() != after.labels() || before.requests.exceeds(&after.requests)
}

/// Takes over on which node a Pod waits for room. What was decided here and is not written yet stays.
fn renominate(before: Option<&Pod>, after: &Arc<Pod>, cache: &mut Cache) {
    let uid = after.metadata.uid.as_deref().unwrap_or_default();
    let node = match (before.and_then(nominated_node), nominated_node(after)) {
        (None, None) => cache.nomination(uid).map(str::to_owned),
        (_, node) => node.map(str::to_owned),
    };
    match node {
        Some(node) if !cache.is_assumed(uid) => {
            cache.nominate(&Arc::new(PodInfo::new(after.clone())), Some(&node));
        }
        _ => {
            cache.withdraw(uid);
        }
    }
}

/// Whether a change of a Pod that waits may help itself: what the scheduler itself writes in its status does not.
fn asks_otherwise(before: &Pod, after: &Pod) -> bool {
    before.spec != after.spec
        || before.metadata.labels != after.metadata.labels
        || (nominated_node(before).is_some() && nominated_node(after).is_none())
}

fn has_ended(pod: &Pod) -> bool {
    matches!(pod.status.as_ref().and_then(|s| s.phase.as_deref()), Some("Succeeded" | "Failed"))
}

/// The node that a Pod is bound to.
pub(crate) fn node_of(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.node_name.as_deref().filter(|name| !name.is_empty())
}

/// Whether a Pod is for us to place: ours, alive, not gated.
pub(crate) fn wants_node(pod: &Pod) -> bool {
    let Some(spec) = &pod.spec else { return false };
    spec.scheduler_name.as_deref().unwrap_or(NAME) == NAME
        && spec.scheduling_gates.as_ref().is_none_or(Vec::is_empty)
        && pod.metadata.deletion_timestamp.is_none()
        && !has_ended(pod)
}

/// Whether a change of a node can matter to a Pod: heartbeats do not.
fn node_changed(change: &Change) -> bool {
    let Change::Updated(before, after) = change else { return true };
    let (Ok(before), Ok(after)) = (before.typed::<Node>(), after.typed::<Node>()) else { return true };
    let allocatable = |n: &Node| n.status.as_ref().and_then(|s| s.allocatable.clone());
    before.spec != after.spec
        || before.metadata.labels != after.metadata.labels
        || allocatable(&before) != allocatable(&after)
}
