//! What the invariants look at in objects.

use serde_json::Value;

/// A Pod.
#[derive(Debug, Clone)]
pub(super) struct Pod {
    pub(super) uid: String,
    pub(super) node: Option<String>,
    /// Its own address; none in the node's network.
    pub(super) address: Option<String>,
    /// The uid of the ReplicaSet that controls it.
    pub(super) set: Option<String>,
    /// Neither ended nor on its way.
    pub(super) alive: bool,
    pub(super) ready: bool,
}

/// A ReplicaSet.
#[derive(Debug, Clone)]
pub(super) struct ReplicaSet {
    pub(super) uid: String,
    pub(super) name: String,
    pub(super) replicas: i64,
    /// The uid of the Deployment that controls it.
    pub(super) deployment: Option<String>,
}

/// A Deployment.
#[derive(Debug, Clone)]
pub(super) struct Deployment {
    pub(super) uid: String,
    pub(super) name: String,
    pub(super) replicas: i64,
    pub(super) surge: i64,
    pub(super) unavailable: i64,
    /// Whether it replaces Pods by and by, and counts them as available at once.
    pub(super) rolling: bool,
    pub(super) deleted: bool,
    /// Whether its controller has seen the newest spec and says that all is available.
    pub(super) settled: bool,
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn owner(object: &Value, kind: &str) -> Option<String> {
    let owners = object["metadata"]["ownerReferences"].as_array()?;
    owners.iter().find(|owner| owner["controller"] == true && owner["kind"] == kind).map(|owner| text(&owner["uid"]))
}

fn condition(object: &Value, kind: &str) -> bool {
    let conditions = object["status"]["conditions"].as_array();
    conditions.into_iter().flatten().any(|c| c["type"] == kind && c["status"] == "True")
}

pub(super) fn pod(bytes: &[u8]) -> Option<Pod> {
    let object: Value = serde_json::from_slice(bytes).ok()?;
    let (spec, status) = (&object["spec"], &object["status"]);
    let ended = matches!(status["phase"].as_str(), Some("Succeeded" | "Failed"));
    Some(Pod {
        uid: text(&object["metadata"]["uid"]),
        node: spec["nodeName"].as_str().map(str::to_owned),
        address: status["podIP"].as_str().filter(|_| spec["hostNetwork"] != true).map(str::to_owned),
        set: owner(&object, "ReplicaSet"),
        alive: !ended && object["metadata"]["deletionTimestamp"].is_null(),
        ready: condition(&object, "Ready"),
    })
}

pub(super) fn replica_set(bytes: &[u8]) -> Option<ReplicaSet> {
    let object: Value = serde_json::from_slice(bytes).ok()?;
    Some(ReplicaSet {
        uid: text(&object["metadata"]["uid"]),
        name: text(&object["metadata"]["name"]),
        replicas: object["spec"]["replicas"].as_i64().unwrap_or(1),
        deployment: owner(&object, "Deployment"),
    })
}

pub(super) fn deployment(bytes: &[u8]) -> Option<Deployment> {
    let object: Value = serde_json::from_slice(bytes).ok()?;
    let (metadata, spec, status) = (&object["metadata"], &object["spec"], &object["status"]);
    let replicas = spec["replicas"].as_i64().unwrap_or(1);
    let rolling = &spec["strategy"]["rollingUpdate"];
    let surge = share(&rolling["maxSurge"], replicas, true);
    let unavailable = share(&rolling["maxUnavailable"], replicas, false);
    Some(Deployment {
        uid: text(&metadata["uid"]),
        name: text(&metadata["name"]),
        replicas,
        surge,
        // Both zero would mean no way forward: upstream then lets one be unavailable.
        unavailable: if surge == 0 && unavailable == 0 { 1 } else { unavailable },
        rolling: spec["strategy"]["type"] != "Recreate" && spec["minReadySeconds"].as_i64().unwrap_or(0) == 0,
        deleted: !metadata["deletionTimestamp"].is_null(),
        settled: status["observedGeneration"] == metadata["generation"]
            && status["availableReplicas"].as_i64().unwrap_or(0) >= replicas,
    })
}

/// The volume of a claim that is bound.
pub(super) fn bound_volume(bytes: &[u8]) -> Option<String> {
    let object: Value = serde_json::from_slice(bytes).ok()?;
    (object["status"]["phase"] == "Bound").then(|| text(&object["spec"]["volumeName"]))
}

/// A number, or percents of `of`, rounded.
fn share(value: &Value, of: i64, up: bool) -> i64 {
    let percent = value.as_str().and_then(|text| text.strip_suffix('%')?.parse::<i64>().ok());
    match (value.as_i64(), percent) {
        (Some(number), _) => number,
        (None, Some(percent)) if up => (of * percent + 99) / 100,
        (None, Some(percent)) => of * percent / 100,
        (None, None) => 0,
    }
}

/// Whether a node's Ready condition says that its kubelet is not heard of, or that it is not ready.
pub(super) fn node_is_lost(bytes: &[u8]) -> bool {
    serde_json::from_slice::<Value>(bytes).is_ok_and(|node| {
        let conditions = node["status"]["conditions"].as_array();
        conditions.into_iter().flatten().any(|c| c["type"] == "Ready" && c["status"] != "True")
    })
}
