//! In-place resize: what a Pod is granted of the node, and how its containers come to it
//! (upstream: `pkg/kubelet/allocation`, `pkg/kubelet/kuberuntime`). Pure but for [`Allocations`].
//!
//! Absent: resources of a Pod as a whole, which have no cgroup limits of their own here.

use std::collections::BTreeMap;

use apimachinery::Quantity;
use component_base::watch;
use k8s_openapi::api::core::v1::{Container, ContainerResizePolicy, PodSpec};
use parking_lot::Mutex;
use registry::resource_list::{self, Reckoning, ResourceList};
use serde_json::{Value, json};

use crate::actions::{Views, is_sidecar};
use crate::admission::{Refusal, Share, Taken};

/// What all Pods of the node are granted, by uid. Who writes: the dispatcher, what a Pod has at first; each Pod's worker, its
/// own. Who reads: the dispatcher for Pods that are new, and workers that ask for more.
#[derive(Debug)]
pub(crate) struct Allocations {
    granted: Mutex<BTreeMap<String, Share>>,
    /// Counts how often something was given back.
    freed: watch::Sender<u64>,
}

impl Allocations {
    pub(crate) fn new() -> Self {
        Self { granted: Mutex::default(), freed: watch::Sender::new(0) }
    }

    /// Notes what a Pod has that was admitted before.
    pub(crate) fn keep(&self, uid: &str, share: Share) {
        self.granted.lock().insert(uid.to_owned(), share);
    }

    /// Notes that a new Pod has `share`, if `check` agrees in view of what the others have.
    pub(crate) fn admit(
        &self,
        uid: &str,
        share: Share,
        check: impl FnOnce(&Share, &Taken) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        let mut granted = self.granted.lock();
        let mut taken = Taken::default();
        granted.iter().filter(|(other, _)| *other != uid).for_each(|(_, own)| taken.add(own));
        check(&share, &taken)?;
        granted.insert(uid.to_owned(), share);
        Ok(())
    }

    /// Notes what a Pod requests.
    pub(crate) fn note(&self, uid: &str, requests: ResourceList) {
        self.granted.lock().entry(uid.to_owned()).or_default().requests = requests;
    }

    /// Notes that a Pod has `requests` instead of what it had, if the node can give that.
    pub(crate) fn grant(
        &self,
        uid: &str,
        requests: ResourceList,
        allocatable: &BTreeMap<String, String>,
    ) -> Result<(), String> {
        let mut granted = self.granted.lock();
        let mut used = ResourceList::new();
        granted
            .iter()
            .filter(|(other, _)| *other != uid)
            .for_each(|(_, own)| resource_list::add(&mut used, &own.requests));
        fits(&requests, &used, allocatable)?;
        let own = granted.entry(uid.to_owned()).or_default();
        let before = std::mem::replace(&mut own.requests, requests.clone());
        drop(granted);
        if before.iter().any(|(name, amount)| requests.get(name).is_none_or(|now| now < amount)) {
            self.tell();
        }
        Ok(())
    }

    /// Forgets a Pod that has ended.
    pub(crate) fn release(&self, uid: &str) {
        if self.granted.lock().remove(uid).is_some() {
            self.tell();
        }
    }

    fn tell(&self) {
        self.freed.send_if_modified(|count| {
            *count += 1;
            true
        });
    }

    /// Tells whenever something is given back.
    pub(crate) fn freed(&self) -> watch::Receiver<u64> {
        self.freed.subscribe()
    }
}

/// Whether the node can give `requested` beside what is `used`.
fn fits(requested: &ResourceList, used: &ResourceList, allocatable: &BTreeMap<String, String>) -> Result<(), String> {
    type Unit = fn(&Quantity) -> i64;
    let units: [(&str, Unit); 2] = [("cpu", Quantity::milli_value), ("memory", Quantity::value)];
    for (name, unit) in units {
        let of = |list: &ResourceList| list.get(name).map_or(0, unit);
        let capacity = allocatable.get(name).and_then(|text| text.parse().ok()).map_or(0, |amount| unit(&amount));
        let (requested, used) = (of(requested), of(used));
        if requested > 0 && requested > capacity - used {
            return Err(format!(
                "Node didn't have enough resource: {name}, requested: {requested}, used: {used}, capacity: {capacity}"
            ));
        }
    }
    Ok(())
}

/// The containers that can be resized: all but init containers that end.
pub(crate) fn resizable(spec: &PodSpec) -> impl Iterator<Item = &Container> {
    spec.containers.iter().chain(spec.init_containers.iter().flatten().filter(|c| is_sidecar(c)))
}

/// What a container asks for, as a value.
pub(crate) fn resources(container: &Container) -> Value {
    let resources = container.resources.as_ref().and_then(|resources| serde_json::to_value(resources).ok());
    resources.unwrap_or_else(|| json!({}))
}

/// Whether two sets of requirements are the same amounts.
pub(crate) fn same(one: &Value, other: &Value) -> bool {
    ["requests", "limits"].iter().all(|list| resource_list::read(&one[list]) == resource_list::read(&other[list]))
}

/// What the Pod asks for, with its overhead.
pub(crate) fn pod_requests(pod: &Value) -> ResourceList {
    resource_list::pod_requests(pod, Reckoning::Spec)
}

/// The Pod with what its containers were granted in the place of what they ask for.
pub(crate) fn with_allocated(mut pod: Value, views: &Views) -> Value {
    for list in ["containers", "initContainers"] {
        for container in pod["spec"].get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            let view = container["name"].as_str().and_then(|name| views.get(name));
            if let Some(allocated) = view.and_then(|view| view.allocated.clone()) {
                container["resources"] = allocated;
            }
        }
    }
    pod
}

/// How a container that runs comes to what it was granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// It has it already.
    Keep,
    /// Its limits are changed while it runs.
    Update,
    /// It wants to be started anew.
    Restart,
}

/// Decides for one container.
pub(crate) fn step(policies: Option<&Vec<ContainerResizePolicy>>, allocated: &Value, actuated: &Value) -> Step {
    let amount = |of: &Value, list: &str, name: &str| of[list][name].as_str().and_then(|n| n.parse::<Quantity>().ok());
    let changes = |name: &str| {
        ["requests", "limits"].iter().any(|list| amount(allocated, list, name) != amount(actuated, list, name))
    };
    let restarts = |name: &str| {
        let mut policies = policies.into_iter().flatten();
        policies.any(|policy| policy.resource_name == name && policy.restart_policy == "RestartContainer")
    };
    let changed: Vec<&str> = ["cpu", "memory"].into_iter().filter(|name| changes(name)).collect();
    match changed.as_slice() {
        [] => Step::Keep,
        changed if changed.iter().any(|name| restarts(name)) => Step::Restart,
        _ => Step::Update,
    }
}

/// The memory limit that goes down, if one does.
pub(crate) fn lower_memory_limit(allocated: &Value, actuated: &Value) -> Option<u64> {
    let limit = |of: &Value| of["limits"]["memory"].as_str().and_then(|n| n.parse::<Quantity>().ok());
    let new = limit(allocated)?;
    let lower = limit(actuated).is_none_or(|old| new < old);
    u64::try_from(new.value()).ok().filter(|new| lower && *new > 0)
}

/// The text of an Event of a resize (upstream: `pkg/kubelet/events/resize.go`).
pub(crate) fn event_text(what: &str, spec: &PodSpec, generation: i64, error: &str) -> String {
    let list = |name: &str, containers: &[Container]| {
        let one = |c: &Container| format!("{{\"name\":{},\"resources\":{}}}", json!(c.name), resources(c));
        let all: Vec<String> = containers.iter().map(one).collect();
        (!all.is_empty()).then(|| format!("\"{name}\":[{}]", all.join(",")))
    };
    let mut parts: Vec<String> = list("initContainers", spec.init_containers.as_deref().unwrap_or_default())
        .into_iter()
        .chain(list("containers", &spec.containers))
        .collect();
    parts.push(format!("\"generation\":{generation}"));
    if !error.is_empty() {
        parts.push(format!("\"error\":{}", json!(error)));
    }
    format!("{what}: {{{}}}", parts.join(","))
}

#[cfg(test)]
mod tests;
