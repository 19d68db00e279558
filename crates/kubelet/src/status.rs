//! A Pod's status from what its containers do (upstream: `pkg/kubelet/kubelet_pods.go`, `pkg/kubelet/status/generate.go`).
//! Pure.

use apimachinery::metav1_time;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Pod, PodSpec};
use serde_json::{Map, Value, json};

use crate::actions::{Doing, Ended, Views, is_initialized, is_sidecar};
use crate::ephemeral;

/// What the worker knows beside the containers.
#[derive(Debug, Clone, Default)]
pub(crate) struct PodView {
    /// The node's address.
    pub(crate) host_ip: String,
    /// The Pod's address; empty until the sandbox is made.
    pub(crate) pod_ip: String,
    /// When the kubelet took the Pod over.
    pub(crate) start_time: Option<Timestamp>,
    /// Whether namespaces and network are there.
    pub(crate) sandbox_ready: bool,
    /// The Pod is over for a reason of its own, not of its containers (`Evicted`, `DeadlineExceeded`).
    pub(crate) failed: Option<(String, String)>,
    /// The node did not take the Pod: nothing of it was ever there.
    pub(crate) refused: bool,
    /// Everything of the Pod has ended for good.
    pub(crate) finished: bool,
    /// How far a resize is.
    pub(crate) resize: Vec<ResizeCondition>,
}

const RESIZE_PENDING: &str = "PodResizePending";
const RESIZE_IN_PROGRESS: &str = "PodResizeInProgress";

/// A condition that is only there while a resize is on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ResizeCondition {
    kind: &'static str,
    reason: &'static str,
    message: String,
    /// The Pod's generation that asked for the resize.
    pub(crate) generation: i64,
}

impl ResizeCondition {
    /// The node can't give that now.
    pub(crate) fn deferred(message: String, generation: i64) -> Self {
        Self { kind: RESIZE_PENDING, reason: "Deferred", message, generation }
    }

    /// It was granted.
    pub(crate) fn in_progress(generation: i64) -> Self {
        Self { kind: RESIZE_IN_PROGRESS, reason: "", message: String::new(), generation }
    }

    /// It was granted and could not be carried out. Whether that is news.
    pub(crate) fn fail(&mut self, message: String) -> bool {
        let news = self.message != message;
        (self.reason, self.message) = ("Error", message);
        news
    }
}

/// A time in an object.
pub(crate) fn time(at: Timestamp) -> Value {
    json!(metav1_time(at))
}

pub(crate) fn runtime_id(id: &cri::ContainerId) -> String {
    format!("skiff://{id}")
}

/// The whole status. `old` keeps transition times where a condition stays as it was.
pub(crate) fn build(pod: &Pod, views: &Views, view: &PodView, old: &Value, now: Timestamp) -> Value {
    let Some(spec) = &pod.spec else { return json!({}) };
    let phase = phase(spec, views, view);
    let mut status = Map::new();
    status.insert("phase".to_owned(), json!(phase));
    status.insert("observedGeneration".to_owned(), json!(pod.metadata.generation.unwrap_or(0)));
    if let Some((reason, message)) = &view.failed {
        status.insert("reason".to_owned(), json!(reason));
        status.insert("message".to_owned(), json!(message));
    }
    if let Some(at) = view.start_time {
        status.insert("startTime".to_owned(), time(at));
    }
    let qos = old["qosClass"].clone();
    if !qos.is_null() {
        status.insert("qosClass".to_owned(), qos);
    }
    if view.refused {
        status.insert("conditions".to_owned(), others(old).cloned().collect());
        return Value::Object(status);
    }
    if !view.host_ip.is_empty() {
        status.insert("hostIP".to_owned(), json!(view.host_ip));
        status.insert("hostIPs".to_owned(), json!([{"ip": view.host_ip}]));
    }
    if !view.pod_ip.is_empty() {
        status.insert("podIP".to_owned(), json!(view.pod_ip));
        status.insert("podIPs".to_owned(), json!([{"ip": view.pod_ip}]));
    }
    let init = spec.init_containers.as_deref().unwrap_or_default();
    let after_init = !init.is_empty();
    if after_init {
        let list: Vec<Value> = init.iter().map(|c| container(c, views, after_init, true)).collect();
        status.insert("initContainerStatuses".to_owned(), Value::Array(list));
    }
    let list: Vec<Value> = spec.containers.iter().map(|c| container(c, views, after_init, false)).collect();
    status.insert("containerStatuses".to_owned(), Value::Array(list));
    let ephemeral: Vec<Value> = ephemeral::containers(spec).iter().map(|c| ephemeral_container(c, views)).collect();
    if !ephemeral.is_empty() {
        status.insert("ephemeralContainerStatuses".to_owned(), Value::Array(ephemeral));
    }
    let conditions = conditions(pod, spec, views, view, phase, old, now);
    status.insert("conditions".to_owned(), Value::Array(conditions));
    Value::Object(status)
}

/// The phase, by upstream's rules (`getPhase`).
fn phase(spec: &PodSpec, views: &Views, view: &PodView) -> &'static str {
    if view.failed.is_some() {
        return "Failed";
    }
    let doing = |c: &Container| views.get(&c.name).map(|v| (&v.doing, v.last.is_some()));
    if view.finished {
        let init_failed = spec
            .init_containers
            .iter()
            .flatten()
            .filter(|c| !is_sidecar(c))
            .any(|c| matches!(doing(c), Some((Doing::Ended(end), _)) if end.code != 0));
        let failed = spec.containers.iter().any(|c| match doing(c) {
            Some((Doing::Ended(end), _)) => end.code != 0,
            _ => true,
        });
        return if init_failed || failed { "Failed" } else { "Succeeded" };
    }
    if !is_initialized(spec, views) {
        return "Pending";
    }
    // A container that was never started keeps the Pod pending.
    let never = |c: &Container| match doing(c) {
        Some((Doing::Waiting { .. } | Doing::Starting, ran)) => !ran,
        None => true,
        _ => false,
    };
    if spec.containers.iter().any(never) { "Pending" } else { "Running" }
}

fn terminated(end: &Ended) -> Value {
    let mut state = json!({"exitCode": end.code, "reason": end.reason, "finishedAt": time(end.finished_at),
                           "containerID": runtime_id(&end.id)});
    // containerd says nothing of a container that never ran, which upstream's kubelet takes for the beginning of time.
    let never = (end.reason == "StartError").then_some(Timestamp::UNIX_EPOCH);
    if let Some(at) = end.started_at.or(never) {
        state["startedAt"] = time(at);
    }
    if !end.message.is_empty() {
        state["message"] = json!(end.message);
    }
    state
}

fn waiting(reason: &str, message: &str) -> Value {
    let mut state = json!({"reason": reason});
    if !message.is_empty() {
        state["message"] = json!(message);
    }
    json!({"waiting": state})
}

fn container(container: &Container, views: &Views, after_init: bool, init: bool) -> Value {
    let default = crate::actions::ContainerView::default();
    let view = views.get(&container.name).unwrap_or(&default);
    let mut id = String::new();
    let state = match &view.doing {
        // In a Pod with init containers all that have yet to start say so, those included.
        Doing::Waiting { reason, .. } if reason == "ContainerCreating" && after_init => waiting("PodInitializing", ""),
        Doing::Waiting { reason, message, .. } => waiting(reason, message),
        Doing::Starting if after_init => waiting("PodInitializing", ""),
        Doing::Starting => waiting("ContainerCreating", ""),
        Doing::Running { id: running, since } | Doing::Stopping { id: running, since } => {
            id = runtime_id(running);
            json!({"running": {"startedAt": time(*since)}})
        }
        Doing::Ended(end) => {
            id = runtime_id(&end.id);
            json!({"terminated": terminated(end)})
        }
    };
    let running = matches!(view.doing, Doing::Running { .. } | Doing::Stopping { .. });
    let ended_well = matches!(&view.doing, Doing::Ended(end) if end.code == 0);
    let ready = if init && !is_sidecar(container) { ended_well } else { running && view.ready };
    let (image_id, image_ref) = view.image.clone().unwrap_or_default();
    let mut status = json!({
        "name": container.name, "state": state, "ready": ready, "restartCount": view.restarts,
        "image": container.image.clone().unwrap_or_default(),
        "imageID": if image_ref.is_empty() { image_id } else { image_ref },
        "started": running && view.started, "lastState": {},
    });
    if let Some(last) = &view.last {
        status["lastState"] = json!({"terminated": terminated(last)});
        if id.is_empty() {
            id = runtime_id(&last.id);
        }
    }
    if !id.is_empty() {
        status["containerID"] = json!(id);
        let allocated = view.allocated.clone().unwrap_or_else(|| crate::resize::resources(container));
        if !allocated["requests"].is_null() {
            status["allocatedResources"] = allocated["requests"].clone();
        }
        let actuated = view.actuated.clone().filter(|_| running);
        status["resources"] = actuated.unwrap_or(allocated);
    }
    let mounts: Vec<Value> = container
        .volume_mounts
        .iter()
        .flatten()
        .map(|mount| {
            let mut value = json!({"name": mount.name, "mountPath": mount.mount_path});
            if mount.read_only == Some(true) {
                value["readOnly"] = json!(true);
                let recursive = crate::config::recursive_read_only(mount) == Ok(true);
                value["recursiveReadOnly"] = json!(if recursive { "Enabled" } else { "Disabled" });
            }
            value
        })
        .collect();
    if !mounts.is_empty() {
        status["volumeMounts"] = Value::Array(mounts);
    }
    status
}

/// An ephemeral container is never ready, for nobody sends it requests.
fn ephemeral_container(of: &Container, views: &Views) -> Value {
    let mut status = container(of, views, false, false);
    status["ready"] = json!(false);
    if let Some(status) = status.as_object_mut() {
        status.remove("started");
    }
    status
}

/// Conditions of others, such as readiness gates and disruptions, are theirs.
fn others(old: &Value) -> impl Iterator<Item = &Value> {
    const OWN: [&str; 7] = [
        "PodReadyToStartContainers",
        "Initialized",
        "Ready",
        "ContainersReady",
        "PodScheduled",
        RESIZE_PENDING,
        RESIZE_IN_PROGRESS,
    ];
    let all = old["conditions"].as_array().into_iter().flatten();
    all.filter(|condition| !OWN.iter().any(|own| condition["type"] == *own))
}

fn conditions(
    pod: &Pod,
    spec: &PodSpec,
    views: &Views,
    view: &PodView,
    phase: &str,
    old: &Value,
    now: Timestamp,
) -> Vec<Value> {
    let initialized = is_initialized(spec, views) || phase == "Succeeded";
    let ready_now = |c: &Container| {
        views.get(&c.name).is_some_and(|v| matches!(v.doing, Doing::Running { .. } | Doing::Stopping { .. }) && v.ready)
    };
    let mut unready: Vec<&str> = spec.containers.iter().filter(|c| !ready_now(c)).map(|c| c.name.as_str()).collect();
    let sidecars = spec.init_containers.iter().flatten().filter(|c| is_sidecar(c));
    unready.extend(sidecars.filter(|c| !ready_now(c)).map(|c| c.name.as_str()));
    let (containers_ready, reason, message) = match phase {
        "Succeeded" => (false, "PodCompleted", String::new()),
        "Failed" => (false, "PodFailed", String::new()),
        _ if unready.is_empty() => (true, "", String::new()),
        _ => (false, "ContainersNotReady", format!("containers with unready status: [{}]", unready.join(" "))),
    };
    let missing_gates: Vec<String> = spec
        .readiness_gates
        .iter()
        .flatten()
        .filter(|gate| {
            let list = old["conditions"].as_array();
            !list.into_iter().flatten().any(|c| c["type"] == gate.condition_type.as_str() && c["status"] == "True")
        })
        .map(|gate| format!("the status of pod readiness gate {:?} is not \"True\"", gate.condition_type))
        .collect();
    let ready = containers_ready && missing_gates.is_empty();
    let (ready_reason, ready_message) = if containers_ready && !ready {
        ("ReadinessGatesNotReady", missing_gates.join(", "))
    } else {
        (reason, message.clone())
    };
    let (init_reason, init_message) = if initialized {
        (if phase == "Succeeded" { "PodCompleted" } else { "" }, String::new())
    } else {
        let open = spec.init_containers.iter().flatten().filter(|c| match views.get(&c.name) {
            Some(v) if is_sidecar(c) => !v.started,
            Some(v) => !matches!(&v.doing, Doing::Ended(end) if end.code == 0),
            None => true,
        });
        let names: Vec<&str> = open.map(|c| c.name.as_str()).collect();
        ("ContainersNotInitialized", format!("containers with incomplete status: [{}]", names.join(" ")))
    };
    let list = [
        ("PodReadyToStartContainers", view.sandbox_ready, "", String::new()),
        ("Initialized", initialized, init_reason, init_message),
        ("Ready", ready, ready_reason, ready_message),
        ("ContainersReady", containers_ready, reason, message),
        ("PodScheduled", true, "", String::new()),
    ];
    let generation = pod.metadata.generation.unwrap_or(0);
    let list = list.into_iter().map(|(kind, status, reason, message)| (kind, status, reason, message, generation));
    let resize = view.resize.iter().map(|c| (c.kind, true, c.reason, c.message.clone(), c.generation));
    list.chain(resize)
        .map(|(kind, status, reason, message, generation)| {
            let status = if status { "True" } else { "False" };
            let before = old["conditions"].as_array().into_iter().flatten().find(|c| c["type"] == kind);
            let since = before.filter(|c| c["status"] == status).map(|c| c["lastTransitionTime"].clone());
            let mut condition = json!({
                "type": kind, "status": status, "lastProbeTime": null,
                "lastTransitionTime": since.filter(|s| !s.is_null()).unwrap_or_else(|| time(now)),
                "observedGeneration": generation,
            });
            if !reason.is_empty() {
                condition["reason"] = json!(reason);
            }
            if !message.is_empty() {
                condition["message"] = json!(message);
            }
            condition
        })
        .chain(others(old).cloned())
        .collect()
}

#[cfg(test)]
mod tests;
