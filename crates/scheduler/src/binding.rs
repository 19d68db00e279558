//! Carries out a decision: what the Pod's claims get is bound first, then the Pod. If that fails, what was assumed is
//! forgotten, and the Pod goes back to the queue.

use std::sync::Arc;

use api::resources::PODS;
use apimachinery::{Object, Reason};
use client::{Client, EventRecorder, EventType, ObjectReference, PatchKind, Target};
use component_base::Clock;
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::cache::Cache;
use crate::pod_info::PodInfo;
use crate::preemption::Said;
use crate::queue::SchedulingQueue;
use crate::volume_binder::VolumeBinder;
use crate::volumes::Reservation;

/// What is needed to carry out decisions.
#[derive(Debug, Clone)]
pub(crate) struct Binder {
    pub(crate) client: Client,
    pub(crate) recorder: EventRecorder,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) queue: SchedulingQueue,
    pub(crate) cache: Arc<Mutex<Cache>>,
    pub(crate) volumes: VolumeBinder,
}

/// A decision.
#[derive(Debug)]
pub(crate) struct Decided {
    pub(crate) object: Arc<Object>,
    pub(crate) info: Arc<PodInfo>,
    pub(crate) node: String,
    /// What the Pod's claims get there.
    pub(crate) reservation: Reservation,
}

impl Binder {
    /// Carries a decision out.
    pub(crate) async fn bind(self, decided: Decided) {
        let Decided { object, node, reservation, .. } = &decided;
        if !reservation.is_empty()
            && let Err(why) = self.volumes.bind(object, node, reservation).await
        {
            return self.failed(&decided, format!("running PreBind plugin \"VolumeBinding\": {why}")).await;
        }
        let meta = object.meta();
        let target = Target::object(PODS, &meta.namespace, &meta.name).subresource("binding");
        let body = json!({
            "apiVersion": "v1", "kind": "Binding",
            "metadata": {"name": meta.name, "namespace": meta.namespace, "uid": meta.uid},
            "target": {"kind": "Node", "name": node},
        });
        match self.client.create_subresource(target, body).await {
            Ok(_) => {
                let about = ObjectReference::to(PODS, object);
                let text = format!("Successfully assigned {} to {node}", meta.key());
                self.recorder.event(about, EventType::Normal, "Scheduled", text);
            }
            Err(error) if error.reason == Reason::NotFound => {
                self.cache.lock().forget(&meta.uid);
                self.queue.remove(&meta.key());
            }
            Err(error) => self.failed(&decided, format!("binding rejected: {error}")).await,
        }
    }

    /// Says why nothing came of it, and that the Pod is to be decided on again.
    async fn failed(&self, Decided { object, info, reservation, .. }: &Decided, text: String) {
        let meta = object.meta();
        {
            let mut cache = self.cache.lock();
            cache.forget(&meta.uid);
            if !reservation.is_empty() {
                cache.volumes_mut().release(reservation);
            }
        }
        let said = Said { of: "PodScheduled", status: "False", reason: "SchedulerError", message: &text };
        if let Some(condition) = said.unless_known(&info.pod, &*self.clock) {
            write_status(&self.client, object, json!({"conditions": [condition]})).await;
        }
        let about = ObjectReference::to(PODS, object);
        self.recorder.event(about, EventType::Warning, "FailedScheduling", text);
        self.queue.failed(&meta.key());
        self.queue.move_all();
    }
}

/// Merges `status` into a Pod's. The Pod is decided on again in any case, so a failure is only noted.
pub(crate) async fn write_status(client: &Client, pod: &Object, status: Value) {
    let (meta, patch) = (pod.meta(), json!({"status": status}));
    if let Err(error) = client.patch_status(PODS, &meta.namespace, &meta.name, PatchKind::Strategic, patch).await {
        tracing::debug!(pod = %meta.key(), error = %error, "failed to write the scheduling condition");
    }
}
