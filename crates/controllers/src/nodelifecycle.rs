//! Watches nodes' heartbeats, marks nodes that fell silent, taints nodes by their conditions and evicts Pods that do not
//! tolerate it (upstream: `pkg/controller/{nodelifecycle,tainteviction}`).

mod plan;

use std::sync::Arc;

use api::resources::{LEASES, NODES, PODS};
use apimachinery::{ApiError, Object, Reason};
use async_trait::async_trait;
use client::{
    Change, Client, DeleteOptions, EventRecorder, EventType, Informer, ObjectReference, Outcome, PatchKind,
    Preconditions, ReconcileError, Reconciler, WorkQueue, run_controller, typed_value,
};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node, Pod};
use serde_json::json;

use crate::context::ControllerContext;
use crate::settled::settled;
use plan::{Observed, Plan, plan};

const NAME: &str = "node-controller";
const WORKERS: usize = 4;
const BY_NODE: &str = "node-name";
const LEASE_NAMESPACE: &str = "kube-node-lease";

struct NodeLifecycle {
    client: Client,
    recorder: EventRecorder,
    context: ControllerContext,
    nodes: Informer,
    leases: Informer,
    pods: Informer,
}

/// The node that an Event is about.
fn reference(node: &Object) -> ObjectReference {
    ObjectReference { resource_version: String::new(), ..ObjectReference::to(NODES, node) }
}

/// Starts the controller.
pub(crate) fn start(context: &ControllerContext) {
    let queue = WorkQueue::new();
    let [nodes, leases, pods] = [NODES, LEASES, PODS].map(|resource| context.informers.of(resource));
    pods.add_index(BY_NODE, |pod| {
        let pod = pod.typed::<Pod>().ok();
        pod.and_then(|pod| pod.spec.as_ref().and_then(|s| s.node_name.clone())).into_iter().collect()
    });
    nodes.on_change(crate::owner::enqueue(&queue));
    let client = context.client(NAME);
    let recorder = context.recorder(client.clone(), NAME);
    let said = recorder.clone();
    nodes.on_change(move |change| {
        let node = change.object();
        let name = &node.meta().name;
        let (reason, what) = match change {
            Change::Added(_) => ("RegisteredNode", format!("Registered Node {name} in Controller")),
            Change::Deleted(_) => ("RemovingNode", format!("Removing Node {name} from Controller")),
            Change::Updated(..) => return,
        };
        said.event(reference(node), EventType::Normal, reason, format!("Node {name} event: {what}"));
    });
    let (of_pods, all) = (queue.clone(), nodes.clone());
    pods.on_change(move |change| {
        // A new Pod on a tainted node may have to leave it.
        let Ok(pod) = change.object().typed::<Pod>() else { return };
        let Some(name) = pod.spec.as_ref().and_then(|s| s.node_name.clone()) else { return };
        let evicts = all.store().get(&name).and_then(|n| n.typed::<Node>().ok()).is_some_and(|n| plan::evicts(&n));
        if evicts {
            of_pods.add(name);
        }
    });
    let controller = NodeLifecycle { client, recorder, context: context.clone(), nodes, leases, pods };
    run_controller(&context.supervisor, &queue, WORKERS, Arc::new(controller));
}

#[async_trait]
impl Reconciler for NodeLifecycle {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn reconcile(&self, name: &str) -> Result<Outcome, ReconcileError> {
        self.context.informers.synced().await;
        let Some(object) = self.nodes.store().get(name) else { return Ok(Outcome::Done) };
        let node = object.typed::<Node>()?;
        let lease = self.leases.store().get(&format!("{LEASE_NAMESPACE}/{name}"));
        let lease = lease.and_then(|lease| lease.typed::<Lease>().ok());
        let pods: Vec<Arc<Pod>> =
            self.pods.store().by_index(BY_NODE, name).iter().filter_map(|pod| pod.typed().ok()).collect();
        let plan = plan(&Observed {
            node: &node,
            renewed: lease.and_then(|l| l.spec.as_ref().and_then(|s| s.renew_time.as_ref().map(|t| t.0))),
            pods: &pods,
            now: self.context.clock.now(),
        });
        match self.execute(&object, plan).await {
            Ok(outcome) => Ok(outcome),
            Err(error) => settled(error),
        }
    }
}

impl NodeLifecycle {
    async fn execute(&self, object: &Object, plan: Plan) -> Result<Outcome, ApiError> {
        let name = &object.meta().name;
        if let Some(conditions) = plan.conditions {
            let mut body = object.value();
            body["status"]["conditions"] = typed_value(&conditions)?;
            let updated = self.client.update_status(NODES, "", name, body).await?;
            self.recorder.event(
                reference(object),
                EventType::Normal,
                "NodeNotReady",
                format!("Node {name} status is now: NodeNotReady"),
            );
            self.nodes.caught_up(updated.meta().resource_version).await;
            // The new conditions bring new taints.
            return Ok(Outcome::After(std::time::Duration::from_millis(1)));
        }
        if let Some(taints) = plan.taints {
            let patch = json!({"metadata": {"resourceVersion": object.meta().resource_version.to_string()},
                               "spec": {"taints": typed_value(&taints)?}});
            let patched = self.client.patch(NODES, "", name, PatchKind::Merge, patch).await?;
            self.nodes.caught_up(patched.meta().resource_version).await;
        }
        for pod in plan.not_ready {
            let (namespace, pod_name) =
                (pod.metadata.namespace.clone().unwrap_or_default(), pod.metadata.name.clone().unwrap_or_default());
            let patch = json!({"status": {"conditions": [{"type": "Ready", "status": "False", "lastTransitionTime":
                crate::time::now(&*self.context.clock).to_string()}]}});
            match self.client.patch_status(PODS, &namespace, &pod_name, PatchKind::Strategic, patch).await {
                Err(error) if error.reason != Reason::NotFound => return Err(error),
                Err(_) => {}
                Ok(pod) => {
                    let about = ObjectReference::to(PODS, &pod);
                    self.recorder.event(about, EventType::Warning, "NodeNotReady", "Node is not ready");
                }
            }
        }
        for pod in plan.evict {
            let (namespace, pod_name) =
                (pod.metadata.namespace.clone().unwrap_or_default(), pod.metadata.name.clone().unwrap_or_default());
            let about = ObjectReference {
                kind: "Pod".to_owned(),
                namespace: namespace.clone(),
                name: pod_name.clone(),
                ..ObjectReference::default()
            };
            let text = format!("Marking for deletion Pod {namespace}/{pod_name}");
            self.recorder.event(about, EventType::Normal, "TaintManagerEviction", text);
            let preconditions = Preconditions { uid: pod.metadata.uid.clone(), resource_version: None };
            let options = DeleteOptions { preconditions, ..DeleteOptions::default() };
            match self.client.delete(PODS, &namespace, &pod_name, &options).await {
                Err(error) if error.reason != Reason::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(plan.look_again.map_or(Outcome::Done, Outcome::After))
    }
}
