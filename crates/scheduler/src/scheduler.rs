//! The loop: takes Pods from the queue one after the other, decides, and binds in the background. A Pod that is being
//! bound counts as on its node at once ("assumed"), so that the next decision sees it.

use std::collections::BTreeMap;
use std::sync::Arc;

use api::resources::{NODES, PODS};
use apimachinery::{Object, Reason};
use client::{Change, Client, EventRecorder, EventType, Informer, Informers, ObjectReference, PatchKind, Target};
use component_base::{Clock, Random, Supervisor};
use k8s_openapi::api::core::v1::{Node, Pod};
use parking_lot::Mutex;
use serde_json::json;

use crate::queue::SchedulingQueue;
use crate::schedule::{FitError, Framework};
use crate::snapshot::{PodInfo, Snapshot};

/// The scheduler's name, which Pods ask for by default.
const NAME: &str = "default-scheduler";

/// What the scheduler is given.
#[derive(Debug)]
pub struct SchedulerConfig {
    /// Speaks as `system:kube-scheduler`.
    pub client: Client,
    /// The shared local copies.
    pub informers: Informers,
    /// Runs the loop.
    pub supervisor: Supervisor,
    /// Wall time.
    pub clock: Arc<dyn Clock>,
    /// Tie-breaks.
    pub random: Arc<Random>,
}

struct Scheduler {
    client: Client,
    informers: Informers,
    supervisor: Supervisor,
    clock: Arc<dyn Clock>,
    random: Arc<Random>,
    recorder: EventRecorder,
    framework: Framework,
    queue: SchedulingQueue,
    pods: Informer,
    nodes: Informer,
    /// Pods that are being bound, by uid: the node and the Pod.
    assumed: Arc<Mutex<BTreeMap<String, (String, PodInfo)>>>,
}

/// Starts the scheduler.
pub fn start(config: SchedulerConfig) {
    let queue = SchedulingQueue::default();
    let [pods, nodes] = [PODS, NODES].map(|resource| config.informers.of(resource));
    let assumed: Arc<Mutex<BTreeMap<String, (String, PodInfo)>>> = Arc::default();
    let (of_pods, settled) = (queue.clone(), assumed.clone());
    pods.on_change(move |change| {
        let object = change.object();
        let Ok(pod) = object.typed::<Pod>() else { return };
        let key = object.meta().key();
        let bound = node_of(&pod).is_some();
        if bound || matches!(change, Change::Deleted(_)) {
            settled.lock().remove(&object.meta().uid);
            of_pods.remove(&key);
        } else if wants_node(&pod) {
            of_pods.add(&key, pod.spec.as_ref().and_then(|s| s.priority).unwrap_or(0));
        } else {
            of_pods.remove(&key);
        }
        // Room may have come free, or a Pod that others want to be near has come.
        if matches!(change, Change::Deleted(_)) || bound {
            of_pods.move_all();
        }
    });
    let of_nodes = queue.clone();
    nodes.on_change(move |change| {
        if node_changed(change) {
            of_nodes.move_all();
        }
    });
    let recorder = EventRecorder::start(config.client.clone(), &config.supervisor, config.clock.clone(), NAME, "");
    let scheduler = Arc::new(Scheduler {
        client: config.client,
        informers: config.informers,
        supervisor: config.supervisor.clone(),
        clock: config.clock,
        random: config.random,
        recorder,
        framework: Framework::default(),
        queue,
        pods,
        nodes,
        assumed,
    });
    config.supervisor.spawn_until_shutdown("scheduler", async move {
        scheduler.informers.synced().await;
        loop {
            let key = scheduler.queue.next().await;
            scheduler.step(&key).await;
        }
    });
}

fn node_of(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.node_name.as_deref().filter(|name| !name.is_empty())
}

/// Whether a Pod is for us to place: ours, alive, not gated.
fn wants_node(pod: &Pod) -> bool {
    let Some(spec) = &pod.spec else { return false };
    let phase = pod.status.as_ref().and_then(|s| s.phase.as_deref());
    spec.scheduler_name.as_deref().unwrap_or(NAME) == NAME
        && spec.scheduling_gates.as_ref().is_none_or(Vec::is_empty)
        && pod.metadata.deletion_timestamp.is_none()
        && !matches!(phase, Some("Succeeded" | "Failed"))
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

impl Scheduler {
    async fn step(&self, key: &str) {
        let Some(object) = self.pods.store().get(key) else { return self.queue.remove(key) };
        let Ok(pod) = object.typed::<Pod>() else { return self.queue.remove(key) };
        if node_of(&pod).is_some() || !wants_node(&pod) || self.assumed.lock().contains_key(&object.meta().uid) {
            return self.queue.remove(key);
        }
        let info = PodInfo::new(pod);
        let snapshot = self.snapshot();
        match self.framework.schedule(&info, &snapshot, &self.random) {
            Ok(decision) => {
                self.assumed.lock().insert(object.meta().uid.clone(), (decision.node.clone(), info));
                self.bind(object, decision.node);
            }
            Err(error) => {
                self.refuse(&object, &info, &error).await;
                self.queue.refused(key);
            }
        }
    }

    fn snapshot(&self) -> Snapshot {
        let nodes = self.nodes.store().list().iter().filter_map(|node| node.typed::<Node>().ok()).collect();
        let mut placed: BTreeMap<String, (String, PodInfo)> = self.assumed.lock().clone();
        for object in self.pods.store().list() {
            let Ok(pod) = object.typed::<Pod>() else { continue };
            let phase = pod.status.as_ref().and_then(|s| s.phase.as_deref());
            if matches!(phase, Some("Succeeded" | "Failed")) {
                continue;
            }
            if let Some(node) = node_of(&pod).map(str::to_owned) {
                placed.insert(object.meta().uid.clone(), (node, PodInfo::new(pod)));
            }
        }
        Snapshot::new(nodes, placed.into_values())
    }

    /// Writes the decision; the Pod goes back to the queue if that fails.
    fn bind(&self, object: Arc<Object>, node: String) {
        let (client, recorder, queue, assumed) =
            (self.client.clone(), self.recorder.clone(), self.queue.clone(), self.assumed.clone());
        self.supervisor.spawn("bind", async move {
            let meta = object.meta();
            let target = Target::object(PODS, &meta.namespace, &meta.name).subresource("binding");
            let body = json!({
                "apiVersion": "v1", "kind": "Binding",
                "metadata": {"name": meta.name, "namespace": meta.namespace, "uid": meta.uid},
                "target": {"kind": "Node", "name": node},
            });
            let about = ObjectReference::to(PODS, &object);
            match client.create_subresource(target, body).await {
                Ok(_) => {
                    let text = format!("Successfully assigned {} to {node}", meta.key());
                    recorder.event(about, EventType::Normal, "Scheduled", text);
                }
                Err(error) if error.reason == Reason::NotFound => {
                    assumed.lock().remove(&meta.uid);
                    queue.remove(&meta.key());
                }
                Err(error) => {
                    assumed.lock().remove(&meta.uid);
                    let text = format!("binding rejected: {error}");
                    recorder.event(about, EventType::Warning, "FailedScheduling", text);
                    queue.refused(&meta.key());
                    queue.move_all();
                }
            }
        });
    }

    /// Says in an Event and in the Pod's status why it has no node.
    async fn refuse(&self, object: &Object, info: &PodInfo, error: &FitError) {
        let text = error.to_string();
        let about = ObjectReference::to(PODS, object);
        self.recorder.event(about, EventType::Warning, "FailedScheduling", text.clone());
        let known = info
            .pod
            .status
            .as_ref()
            .and_then(|s| s.conditions.as_ref())
            .into_iter()
            .flatten()
            .any(|c| c.type_ == "PodScheduled" && c.status == "False" && c.message.as_deref() == Some(&text));
        if known {
            return;
        }
        let now = self.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let patch = json!({"status": {"conditions": [{
            "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": text,
            "lastTransitionTime": now,
        }]}});
        let meta = object.meta();
        if let Err(error) =
            self.client.patch_status(PODS, &meta.namespace, &meta.name, PatchKind::Strategic, patch).await
        {
            tracing::debug!(pod = %meta.key(), error = %error, "failed to write the scheduling condition");
        }
    }
}
