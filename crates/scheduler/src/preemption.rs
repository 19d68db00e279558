//! Makes room for a Pod by the end of less important ones: says so in their status, deletes them, tells in an Event.

pub(crate) mod plan;

use std::sync::Arc;

use api::resources::PODS;
use apimachinery::{ApiError, Reason, metav1_time};
use client::{Client, DeleteOptions, EventRecorder, EventType, ObjectReference, PatchKind, Preconditions};
use component_base::Clock;
use k8s_openapi::api::core::v1::{Pod, PodCondition};
use serde_json::{Value, json};

use crate::pod_info::PodInfo;
use plan::Candidate;

/// Carries out what was decided.
#[derive(Debug, Clone)]
pub(crate) struct Executor {
    pub(crate) client: Client,
    pub(crate) recorder: EventRecorder,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Executor {
    /// Ends the candidate's victims for `preemptor`. Less important Pods that wait for room on the same node wait there no
    /// longer, for they may not fit any more.
    pub(crate) async fn carry_out(
        &self,
        preemptor: &PodInfo,
        candidate: &Candidate,
        waiting: &[Arc<PodInfo>],
    ) -> Result<(), ApiError> {
        for other in waiting.iter().filter(|other| other.priority < preemptor.priority) {
            let patch = json!({"status": {"nominatedNodeName": null}});
            self.patch_status(other, patch).await?;
        }
        let alive = |victim: &&Arc<PodInfo>| victim.pod.metadata.deletion_timestamp.is_none();
        for victim in candidate.victims.iter().filter(alive) {
            match self.end(preemptor, victim).await {
                // It is gone already, or another has its name.
                Err(error) if matches!(error.reason, Reason::NotFound | Reason::Conflict) => continue,
                ended => ended?,
            }
            let text = format!("Preempted by pod {} on node {}", preemptor.uid(), candidate.node);
            self.recorder.event(about(&victim.pod), EventType::Normal, "Preempted", text);
        }
        Ok(())
    }

    async fn end(&self, preemptor: &PodInfo, victim: &PodInfo) -> Result<(), ApiError> {
        let scheduler = preemptor.pod.spec.as_ref().and_then(|spec| spec.scheduler_name.as_deref()).unwrap_or_default();
        let message = format!("{scheduler}: preempting to accommodate a higher priority pod");
        let said = Said { of: "DisruptionTarget", status: "True", reason: "PreemptionByScheduler", message: &message };
        if let Some(condition) = said.unless_known(&victim.pod, &*self.clock) {
            self.patch_status(victim, json!({"status": {"conditions": [condition]}})).await?;
        }
        let preconditions = Preconditions { uid: Some(victim.uid().to_owned()), resource_version: None };
        let options = DeleteOptions { preconditions, ..DeleteOptions::default() };
        self.client.delete(PODS, victim.namespace(), victim.name(), &options).await.map(|_| ())
    }

    async fn patch_status(&self, pod: &PodInfo, patch: Value) -> Result<(), ApiError> {
        let patched = self.client.patch_status(PODS, pod.namespace(), pod.name(), PatchKind::Strategic, patch).await;
        patched.map(|_| ())
    }
}

fn about(pod: &Pod) -> ObjectReference {
    let meta = &pod.metadata;
    ObjectReference {
        api_version: PODS.api_version(),
        kind: PODS.kind.to_owned(),
        namespace: meta.namespace.clone().unwrap_or_default(),
        name: meta.name.clone().unwrap_or_default(),
        uid: meta.uid.clone().unwrap_or_default(),
        resource_version: meta.resource_version.clone().unwrap_or_default(),
        field_path: String::new(),
    }
}

/// A condition that the scheduler gives a Pod.
pub(crate) struct Said<'a> {
    pub(crate) of: &'a str,
    pub(crate) status: &'a str,
    pub(crate) reason: &'a str,
    pub(crate) message: &'a str,
}

impl Said<'_> {
    /// The condition, unless the Pod says so already. The time of the transition moves only with the status.
    pub(crate) fn unless_known(&self, pod: &Pod, clock: &dyn Clock) -> Option<Value> {
        let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
        let known = conditions.into_iter().flatten().find(|condition| condition.type_ == self.of);
        let generation = pod.metadata.generation;
        let same = |c: &PodCondition| {
            c.status == self.status
                && c.reason.as_deref() == Some(self.reason)
                && c.message.as_deref() == Some(self.message)
                && c.observed_generation == generation
        };
        if known.is_some_and(same) {
            return None;
        }
        let mut condition = json!({
            "type": self.of, "status": self.status, "reason": self.reason, "message": self.message,
            "observedGeneration": generation,
        });
        if known.is_none_or(|known| known.status != self.status) {
            condition["lastTransitionTime"] = json!(metav1_time(clock.now()));
        }
        Some(condition)
    }
}
