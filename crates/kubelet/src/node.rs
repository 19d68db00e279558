//! The node's own object and heartbeat (upstream: `pkg/kubelet/nodestatus`, `pkg/kubelet/nodelease`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use api::resources::{LEASES, NODES};
use apimachinery::{ApiError, Object, Reason};
use client::{Change, EventRecorder, EventType, Informer, ObjectReference, PatchKind};
use cri::RUNTIME_HANDLERS;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use serde_json::{Map, Value, json};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::admission::is_extended;
use crate::kubelet::{KubeletConfig, Shared};
use crate::status::time;

/// How often the Lease is renewed, and for how long it is good.
const LEASE_SECONDS: u64 = 40;
const RENEW_EVERY: Duration = Duration::from_secs(10);
/// How often the node's status is written although nothing changed.
const REPORT_EVERY: Duration = Duration::from_secs(300);
const LEASE_NAMESPACE: &str = "kube-node-lease";

/// The node's object as it is registered.
pub(crate) fn object(config: &KubeletConfig, runtime_version: &str, old: &Value, now: Timestamp) -> Value {
    let name = &config.node_name;
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {
                "kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "beta.kubernetes.io/os": "linux",
                "kubernetes.io/arch": config.facts.architecture, "beta.kubernetes.io/arch": config.facts.architecture,
            },
            "annotations": {"volumes.kubernetes.io/controller-managed-attach-detach": "true"},
        },
        "spec": {"podCIDR": config.pod_cidr, "podCIDRs": [config.pod_cidr]},
        "status": status(config, runtime_version, old, now),
    })
}

/// The node as long as the server knows none.
pub(crate) fn unregistered(config: &KubeletConfig, now: Timestamp) -> Node {
    serde_json::from_value(object(config, "", &Value::Null, now)).unwrap_or_default()
}

/// The node's status.
pub(crate) fn status(config: &KubeletConfig, runtime_version: &str, old: &Value, now: Timestamp) -> Value {
    let facts = &config.facts;
    let conditions = [
        ("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
        ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
        ("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
    ];
    let list: Vec<Value> = conditions
        .into_iter()
        .map(|(kind, status, reason, message)| {
            let before = old["conditions"].as_array().into_iter().flatten().find(|c| c["type"] == kind);
            let since =
                before.filter(|c| c["status"] == status).map_or_else(|| time(now), |c| c["lastTransitionTime"].clone());
            json!({"type": kind, "status": status, "reason": reason, "message": message,
                   "lastHeartbeatTime": time(now), "lastTransitionTime": since})
        })
        .collect();
    // What others say that the node has besides, such as dongles, is all for Pods.
    let besides = |own: &BTreeMap<String, String>| {
        let mut all = extended(&old["capacity"]);
        all.extend(own.iter().map(|(name, quantity)| (name.clone(), json!(quantity))));
        all
    };
    json!({
        "capacity": besides(&facts.capacity), "allocatable": besides(&facts.allocatable), "conditions": list,
        "addresses": [{"type": "InternalIP", "address": config.node_ip}, {"type": "Hostname", "address": config.node_name}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": 0}},
        "features": {"supplementalGroupsPolicy": true},
        "runtimeHandlers": RUNTIME_HANDLERS.map(|handler| json!({
            "name": handler, "features": {"recursiveReadOnlyMounts": true, "userNamespaces": false},
        })),
        "nodeInfo": {
            "machineID": facts.machine_id, "systemUUID": facts.machine_id, "bootID": facts.boot_id,
            "kernelVersion": facts.kernel_version, "osImage": facts.os_image, "containerRuntimeVersion": runtime_version,
            "kubeletVersion": "v1.37.2", "kubeProxyVersion": "", "operatingSystem": "linux",
            "architecture": facts.architecture,
        },
    })
}

/// The resources of a list that are not the project's own: extended ones, which whoever likes adds to a node's capacity.
fn extended(list: &Value) -> Map<String, Value> {
    let entries = list.as_object().into_iter().flatten().filter(|(name, _)| is_extended(name));
    entries.map(|(name, quantity)| (name.clone(), quantity.clone())).collect()
}

/// Whether the node's status has yet to say how much of its extended resources is for Pods, or that it is ready after all:
/// whoever found it silent said otherwise.
fn has_news(node: &Value) -> bool {
    let status = &node["status"];
    extended(&status["capacity"]) != extended(&status["allocatable"]) || !is_ready(status)
}

fn is_ready(status: &Value) -> bool {
    let mut conditions = status["conditions"].as_array().into_iter().flatten();
    conditions.any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

fn is_unschedulable(node: &Value) -> bool {
    node["spec"]["unschedulable"] == true
}

/// The patch that leads to the status `new`; an extended resource that is gone is taken out.
fn patch(mut new: Value, old: &Value) -> Value {
    for (name, _) in extended(&old["allocatable"]) {
        if new["allocatable"][&name].is_null() {
            new["allocatable"][&name] = Value::Null;
        }
    }
    json!({"status": new})
}

/// Registers the node and keeps its Lease and status fresh. `node` is what the server has of it.
pub(crate) async fn run(shared: Arc<Shared>, node: Informer) {
    let version = shared.runtime.version();
    let runtime_version = format!("{}://{}", version.name, version.version);
    let mut delay = Duration::from_millis(50);
    let registered = loop {
        match register(&shared, &runtime_version).await {
            Ok(registered) => break registered,
            Err(error) => {
                tracing::warn!(error = %error, "failed to register the node, will retry");
                tokio::time::sleep(delay).await;
                delay = (delay * 2).min(Duration::from_secs(7));
            }
        }
    };
    let about = ObjectReference { resource_version: String::new(), ..ObjectReference::to(NODES, &registered.node) };
    let events = NodeEvents { recorder: shared.recorder.clone(), about };
    events.started(registered.became_ready);
    let news = Arc::new(Notify::new());
    let notify = news.clone();
    node.on_change(move |change| {
        let node = change.object().value();
        let before = match change {
            Change::Updated(before, _) => is_unschedulable(&before.value()),
            Change::Added(_) | Change::Deleted(_) => false,
        };
        if has_news(&node) || is_unschedulable(&node) != before {
            notify.notify_one();
        }
    });
    let mut unschedulable = false;
    let mut reported = Instant::now();
    let (mut renewal, mut unsaid) = (reported, false);
    loop {
        tokio::select! {
            biased;
            () = tokio::time::sleep_until(renewal) => {
                renewal = Instant::now() + RENEW_EVERY;
                if let Err(error) = renew(&shared).await {
                    tracing::warn!(error = %error, "failed to renew the node's Lease");
                }
            }
            () = news.notified() => {
                let Some(node) = node.store().get(&shared.config.node_name) else { continue };
                let node = node.value();
                if is_unschedulable(&node) != unschedulable {
                    unschedulable = !unschedulable;
                    events.status_is(if unschedulable { "NodeNotSchedulable" } else { "NodeSchedulable" });
                }
                unsaid |= has_news(&node);
            }
        }
        if unsaid || reported.elapsed() >= REPORT_EVERY {
            reported = Instant::now();
            match report(&shared, &runtime_version).await {
                Ok(reported) => {
                    unsaid = false;
                    if reported.became_ready {
                        events.status_is("NodeReady");
                    }
                }
                // The next renewal is the next try.
                Err(error) => tracing::warn!(error = %error, "failed to write the node's status"),
            }
        }
    }
}

/// What the node says of itself. One object a run of the kubelet, so that each is said when it comes to be so.
struct NodeEvents {
    recorder: EventRecorder,
    about: ObjectReference,
}

impl NodeEvents {
    fn started(&self, became_ready: bool) {
        self.recorder.event(self.about.clone(), EventType::Normal, "Starting", "Starting kubelet.");
        for status in ["NodeHasSufficientMemory", "NodeHasNoDiskPressure", "NodeHasSufficientPID"] {
            self.status_is(status);
        }
        if became_ready {
            self.status_is("NodeReady");
        }
    }

    fn status_is(&self, status: &str) {
        let text = format!("Node {} status is now: {status}", self.about.name);
        self.recorder.event(self.about.clone(), EventType::Normal, status, text);
    }
}

/// The node as it was written.
struct Written {
    node: Arc<Object>,
    /// Whether it was not ready before.
    became_ready: bool,
}

async fn register(shared: &Shared, runtime_version: &str) -> Result<Written, ApiError> {
    let body = object(&shared.config, runtime_version, &Value::Null, shared.clock.now());
    match shared.client.create(NODES, "", body).await {
        Ok(node) => Ok(Written { node, became_ready: true }),
        Err(error) if error.reason == Reason::AlreadyExists => report(shared, runtime_version).await,
        Err(error) => Err(error),
    }
}

async fn report(shared: &Shared, runtime_version: &str) -> Result<Written, ApiError> {
    let name = &shared.config.node_name;
    let old = shared.client.get(NODES, "", name).await?;
    let old = &old.value()["status"];
    let patch = patch(status(&shared.config, runtime_version, old, shared.clock.now()), old);
    let node = shared.client.patch_status(NODES, "", name, PatchKind::Strategic, patch).await?;
    Ok(Written { node, became_ready: !is_ready(old) })
}

async fn renew(shared: &Shared) -> Result<(), ApiError> {
    let name = &shared.config.node_name;
    let now = shared.clock.now().strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string();
    let patch = json!({"spec": {"renewTime": now}});
    match shared.client.patch(LEASES, LEASE_NAMESPACE, name, PatchKind::Merge, patch).await {
        Ok(_) => Ok(()),
        Err(error) if error.reason == Reason::NotFound => {
            let node = shared.client.get(NODES, "", name).await?;
            let owner = json!([{"apiVersion": "v1", "kind": "Node", "name": name, "uid": node.meta().uid}]);
            let lease = json!({
                "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
                "metadata": {"name": name, "namespace": LEASE_NAMESPACE, "ownerReferences": owner},
                "spec": {"holderIdentity": name, "leaseDurationSeconds": LEASE_SECONDS, "renewTime": now},
            });
            shared.client.create(LEASES, LEASE_NAMESPACE, lease).await.map(|_| ())
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extended_resources_are_all_for_pods_until_they_are_gone() {
        let node = |capacity: Value, allocatable: Value| {
            json!({"status": {"capacity": capacity, "allocatable": allocatable,
                "conditions": [{"type": "Ready", "status": "True"}]}})
        };
        let told = node(json!({"cpu": "2", "example.com/dongle": "4"}), json!({"cpu": "1900m"}));
        assert!(has_news(&told), "nobody has said how many are for Pods");
        assert!(!has_news(&node(json!({"cpu": "2"}), json!({"cpu": "1900m"}))), "the node's own differ as they do");
        let gone = node(json!({"cpu": "2"}), json!({"cpu": "1900m", "example.com/dongle": "4"}));
        assert!(has_news(&gone));
        let new = json!({"allocatable": {"cpu": "1900m"}});
        let wanted = json!({"status": {"allocatable": {"cpu": "1900m", "example.com/dongle": null}}});
        assert_eq!(patch(new, &gone["status"]), wanted);
    }
}
