//! Which Pods the node takes: a Pod that was bound to it and never ran here is refused if the node does not suit it, lacks what
//! it asks for or has given away its ports (upstream: `pkg/kubelet/lifecycle/predicate.go`, `pkg/kubelet/sysctl`). Pure.
//!
//! Absent: a critical Pod does not push out others; it is refused like them.

use std::collections::BTreeMap;

use apimachinery::Quantity;
use k8s_openapi::api::core::v1::{Node, Pod, PodSpec};
use registry::resource_list::{self, ResourceList};
use registry::scheduling::{fits_affinity, host_ports, ports_clash, tolerates_all};
use serde_json::{Value, json};

use crate::resize::pod_requests;

/// Sysctls that are the Pod's own and change nothing for others, and the namespace that makes them so.
const SAFE_SYSCTLS: [(&str, &str); 14] = [
    ("kernel.shm_rmid_forced", "IPC"),
    ("net.ipv4.ip_local_port_range", "Net"),
    ("net.ipv4.tcp_syncookies", "Net"),
    ("net.ipv4.ping_group_range", "Net"),
    ("net.ipv4.ip_unprivileged_port_start", "Net"),
    ("net.ipv4.ip_local_reserved_ports", "Net"),
    ("net.ipv4.tcp_keepalive_time", "Net"),
    ("net.ipv4.tcp_fin_timeout", "Net"),
    ("net.ipv4.tcp_keepalive_intvl", "Net"),
    ("net.ipv4.tcp_keepalive_probes", "Net"),
    ("net.ipv4.tcp_rmem", "Net"),
    ("net.ipv4.tcp_wmem", "Net"),
    ("net.ipv4.tcp_slow_start_after_idle", "Net"),
    ("net.ipv4.tcp_notsent_lowat", "Net"),
];

const NODE_AFFINITY: &str = "NodeAffinity";

/// What a Pod has of its node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Share {
    pub(crate) requests: ResourceList,
    pub(crate) ports: Vec<(String, String, i32)>,
}

impl Share {
    /// What a Pod that is new asks for.
    pub(crate) fn asked(pod: &Pod, value: &Value) -> Self {
        let ports = pod.spec.as_ref().map(host_ports).unwrap_or_default();
        Self { requests: pod_requests(value), ports }
    }

    /// What a Pod that was admitted before has: its status tells what it was granted.
    pub(crate) fn granted(pod: &Pod, mut value: Value) -> Self {
        let lists = [("containers", "containerStatuses"), ("initContainers", "initContainerStatuses")];
        for (containers, statuses) in lists {
            let statuses = value["status"][statuses].take();
            for container in value["spec"].get_mut(containers).and_then(Value::as_array_mut).into_iter().flatten() {
                let mut all = statuses.as_array().into_iter().flatten();
                let own = all.find(|status| status["name"] == container["name"]);
                if let Some(granted) = own.map(|status| &status["allocatedResources"]).filter(|list| !list.is_null()) {
                    container["resources"]["requests"] = granted.clone();
                }
            }
        }
        Self::asked(pod, &value)
    }
}

/// What all other Pods of the node have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) pods: i64,
    pub(crate) share: Share,
}

impl Taken {
    /// Adds one more Pod.
    pub(crate) fn add(&mut self, share: &Share) {
        self.pods += 1;
        resource_list::add(&mut self.share.requests, &share.requests);
        self.share.ports.extend(share.ports.iter().cloned());
    }
}

/// Why a Pod is refused, as its status and an Event say it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) reason: String,
    pub(crate) message: String,
}

impl Refusal {
    fn new(reason: &str, message: impl Into<String>) -> Self {
        Self { reason: reason.to_owned(), message: message.into() }
    }

    fn predicate(name: &str, why: &str) -> Self {
        Self::new(name, format!("Predicate {name} failed: {why}"))
    }

    /// Whether it rests on the node's labels, which may be newer than what is known of them.
    pub(crate) fn is_of_labels(&self) -> bool {
        self.reason == NODE_AFFINITY
    }
}

/// Whether the node takes the Pod beside what is `taken`. Of several reasons against it the first is told.
pub(crate) fn check(pod: &Pod, asked: &Share, node: &Node, taken: &Taken) -> Result<(), Refusal> {
    let Some(spec) = &pod.spec else { return Ok(()) };
    sysctls(spec)?;
    let os = pod.metadata.labels.as_ref().and_then(|labels| labels.get("kubernetes.io/os"));
    if os.is_some_and(|os| os != "linux") {
        let text = "Failed to admit pod as the `kubernetes.io/os` label doesn't match node label";
        return Err(Refusal::new("PodOSSelectorNodeLabelDoesNotMatch", text));
    }
    if spec.os.as_ref().is_some_and(|os| os.name != "linux") {
        return Err(Refusal::new("PodOSNotSupported", "Failed to admit pod as the OS field doesn't match node OS"));
    }
    resources(asked, node, taken)?;
    if !fits_affinity(spec, node) {
        return Err(Refusal::predicate(NODE_AFFINITY, "node(s) didn't match Pod's node affinity/selector"));
    }
    if ports_clash(&asked.ports, &taken.share.ports) {
        let why = "node(s) didn't have free ports for the requested pod ports";
        return Err(Refusal::predicate("NodePorts", why));
    }
    if !tolerates_all(spec.tolerations.as_deref().unwrap_or_default(), node, &["NoExecute"]) {
        return Err(Refusal::predicate("TaintToleration", "node(s) had taints that the pod didn't tolerate"));
    }
    Ok(())
}

fn resources(asked: &Share, node: &Node, taken: &Taken) -> Result<(), Refusal> {
    let allocatable = node.status.as_ref().and_then(|status| status.allocatable.as_ref());
    let allocatable: BTreeMap<&str, Quantity> =
        allocatable.into_iter().flatten().filter_map(|(name, q)| Some((name.as_str(), q.0.parse().ok()?))).collect();
    let short = |name: &str, requested: i64, used: i64, capacity: i64| {
        let text = format!(
            "Node didn't have enough resource: {name}, requested: {requested}, used: {used}, capacity: {capacity}"
        );
        Err(Refusal::new(&format!("OutOf{name}"), text))
    };
    let room = allocatable.get("pods").map_or(0, Quantity::value);
    if taken.pods + 1 > room {
        return short("pods", 1, taken.pods, room);
    }
    let order = |name: &str| ["cpu", "memory", "ephemeral-storage"].iter().position(|n| *n == name).unwrap_or(3);
    let mut names: Vec<&str> = asked.requests.keys().map(String::as_str).collect();
    names.sort_by_key(|name| order(name));
    for name in names {
        // An extended resource that no node plugin tells of is the cluster's business.
        if is_extended(name) && !allocatable.contains_key(name) {
            continue;
        }
        let unit = |q: &Quantity| if name == "cpu" { q.milli_value() } else { q.value() };
        let of = |list: &ResourceList| list.get(name).map_or(0, unit);
        let (requested, used) = (of(&asked.requests), of(&taken.share.requests));
        let capacity = allocatable.get(name).map_or(0, unit);
        if requested > 0 && requested > capacity - used {
            return short(name, requested, used, capacity);
        }
    }
    Ok(())
}

/// Whether a resource is not the project's own.
pub(crate) fn is_extended(name: &str) -> bool {
    name.contains('/') && !name.contains("kubernetes.io/")
}

fn sysctls(spec: &PodSpec) -> Result<(), Refusal> {
    let context = spec.security_context.as_ref();
    for sysctl in context.into_iter().flat_map(|context| context.sysctls.iter().flatten()) {
        let name = dotted(&sysctl.name);
        let forbidden = |why: String| Err(Refusal::new("SysctlForbidden", format!("forbidden sysctl: {why}")));
        let Some((_, namespace)) = SAFE_SYSCTLS.iter().find(|(safe, _)| *safe == name) else {
            return forbidden(format!("{} not allowlisted", json!(name)));
        };
        let shared = if *namespace == "IPC" { spec.host_ipc } else { spec.host_network };
        if shared == Some(true) {
            return forbidden(format!("{} not allowed with host {namespace} enabled", json!(name)));
        }
    }
    Ok(())
}

/// A sysctl's name with dots between its parts. If the first mark in it is a slash, slashes and dots stand for each other.
fn dotted(name: &str) -> String {
    if name.find(['.', '/']).is_none_or(|at| name[at..].starts_with('.')) {
        return name.to_owned();
    }
    let swap = |c| match c {
        '.' => '/',
        '/' => '.',
        other => other,
    };
    name.chars().map(swap).collect()
}

#[cfg(test)]
mod tests;
