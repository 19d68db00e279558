//! Removes Pods that nobody else will: on nodes that are gone, ending without ever having had a node, and ended ones
//! beyond a limit (upstream: `pkg/controller/podgc`).

use std::sync::Arc;
use std::time::Duration;

use api::resources::{NODES, PODS};
use apimachinery::{ApiError, Reason};
use async_trait::async_trait;
use client::{
    Change, Client, DeleteOptions, Informer, Outcome, PatchKind, ReconcileError, Reconciler, WorkQueue, run_controller,
};
use k8s_openapi::api::core::v1::Pod;
use serde_json::json;

use crate::context::ControllerContext;

const NAME: &str = "pod-garbage-collector";
/// Ended Pods that are kept (upstream's `--terminated-pod-gc-threshold`).
const ENDED_MAX: usize = 12_500;
/// How long a node must be gone before its Pods are: it may come back under the same name.
const QUARANTINE: Duration = Duration::from_secs(40);
/// The only key: a step looks at all Pods.
const ALL: &str = "pods";

struct PodGc {
    client: Client,
    context: ControllerContext,
    pods: Informer,
    nodes: Informer,
}

/// Starts the collector.
pub(crate) fn start(context: &ControllerContext) {
    let queue = WorkQueue::new();
    let [pods, nodes] = [PODS, NODES].map(|resource| context.informers.of(resource));
    let of_pods = queue.clone();
    pods.on_change(move |change| {
        let value = change.object();
        let Ok(pod) = value.typed::<Pod>() else { return };
        let ended = matches!(pod.status.as_ref().and_then(|s| s.phase.as_deref()), Some("Succeeded" | "Failed"));
        if ended || value.meta().deletion_timestamp.is_some() {
            of_pods.add(ALL);
        }
    });
    let of_nodes = queue.clone();
    nodes.on_change(move |change| {
        if let Change::Deleted(_) = change {
            of_nodes.add_after(ALL, QUARANTINE);
        }
    });
    // Pods of nodes that vanished while nobody watched.
    queue.add_after(ALL, QUARANTINE);
    let controller = PodGc { client: context.client(NAME), context: context.clone(), pods, nodes };
    run_controller(&context.supervisor, &queue, 1, Arc::new(controller));
}

#[async_trait]
impl Reconciler for PodGc {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn reconcile(&self, _key: &str) -> Result<Outcome, ReconcileError> {
        self.context.informers.synced().await;
        let pods: Vec<Arc<Pod>> = self.pods.store().list().iter().filter_map(|pod| pod.typed().ok()).collect();
        let node_of = |pod: &Pod| pod.spec.as_ref().and_then(|s| s.node_name.clone()).unwrap_or_default();
        let phase_of = |pod: &Pod| pod.status.as_ref().and_then(|s| s.phase.clone()).unwrap_or_default();
        let ended = |pod: &Pod| matches!(phase_of(pod).as_str(), "Succeeded" | "Failed");
        let mut ended_pods: Vec<&Arc<Pod>> =
            pods.iter().filter(|p| ended(p) && p.metadata.deletion_timestamp.is_none()).collect();
        if ended_pods.len() > ENDED_MAX {
            ended_pods.sort_by_key(|p| p.metadata.creation_timestamp.as_ref().map(|t| t.0));
            for pod in &ended_pods[..ended_pods.len() - ENDED_MAX] {
                self.delete(pod).await?;
            }
        }
        for pod in &pods {
            let node = node_of(pod);
            if node.is_empty() {
                if pod.metadata.deletion_timestamp.is_some() {
                    self.delete(pod).await?;
                }
            } else if self.nodes.store().get(&node).is_none() && self.is_gone(&node).await? {
                if !ended(pod) {
                    self.fail(pod).await?;
                }
                self.delete(pod).await?;
            }
        }
        Ok(Outcome::Done)
    }
}

impl PodGc {
    async fn is_gone(&self, node: &str) -> Result<bool, ApiError> {
        match self.client.get(NODES, "", node).await {
            Ok(_) => Ok(false),
            Err(error) if error.reason == Reason::NotFound => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Marks a Pod as failed, so that its owner sees why it went.
    async fn fail(&self, pod: &Pod) -> Result<(), ApiError> {
        let (namespace, name) = names(pod);
        let now = crate::time::now(&*self.context.clock).to_string();
        let patch = json!({"status": {"phase": "Failed", "conditions": [{
            "type": "DisruptionTarget", "status": "True", "reason": "DeletionByPodGC",
            "message": "PodGC: node no longer exists", "lastTransitionTime": now,
        }]}});
        match self.client.patch_status(PODS, &namespace, &name, PatchKind::Strategic, patch).await {
            Err(error) if error.reason != Reason::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    async fn delete(&self, pod: &Pod) -> Result<(), ApiError> {
        let (namespace, name) = names(pod);
        let options = DeleteOptions { grace_period_seconds: Some(0), ..DeleteOptions::default() };
        match self.client.delete(PODS, &namespace, &name, &options).await {
            Err(error) if error.reason != Reason::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

fn names(pod: &Pod) -> (String, String) {
    (pod.metadata.namespace.clone().unwrap_or_default(), pod.metadata.name.clone().unwrap_or_default())
}
