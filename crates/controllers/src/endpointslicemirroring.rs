//! The EndpointSliceMirroring controller: Endpoints that somebody wrote for a Service without a selector, as
//! EndpointSlices (upstream: `pkg/controller/endpointslicemirroring`).

mod plan;

use std::sync::Arc;

use api::resources::{ENDPOINTS, ENDPOINTSLICES, SERVICES};
use apimachinery::{ApiError, Object, Reason};
use async_trait::async_trait;
use client::{
    Change, Client, DeleteOptions, EventRecorder, EventType, Informer, ObjectReference, Outcome, ReconcileError,
    Reconciler, WorkQueue, run_controller, typed_value,
};
use k8s_openapi::api::core::v1::{Endpoints, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;

use crate::context::ControllerContext;
use plan::{ADDRESSES_MAX, MANAGED_BY, MANAGER, Plan, SERVICE_NAME, is_mirrored, plan};

const NAME: &str = "endpointslicemirroring-controller";
/// Endpoints that are worked on at once (upstream's `--mirroring-concurrent-service-endpoint-syncs`).
const WORKERS: usize = 5;
/// The index of mirrored slices by the key of their Endpoints.
const BY_ENDPOINTS: &str = "mirrored";

struct EndpointSliceMirroringController {
    client: Client,
    recorder: EventRecorder,
    context: ControllerContext,
    services: Informer,
    endpoints: Informer,
    slices: Informer,
}

/// The keys of the Endpoints that a slice mirrors.
fn mirrored(slice: &Object) -> Vec<String> {
    let labels = &slice.meta().labels;
    let ours = labels.get(MANAGED_BY).is_some_and(|by| by == MANAGER);
    let service = labels.get(SERVICE_NAME).filter(|_| ours);
    service.map(|name| format!("{}/{name}", slice.meta().namespace)).into_iter().collect()
}

/// Starts the controller.
pub(crate) fn start(context: &ControllerContext) {
    let queue = WorkQueue::new();
    let [services, endpoints, slices] =
        [SERVICES, ENDPOINTS, ENDPOINTSLICES].map(|resource| context.informers.of(resource));
    slices.add_index(BY_ENDPOINTS, mirrored);
    services.on_change(crate::owner::enqueue(&queue));
    endpoints.on_change(crate::owner::enqueue(&queue));
    let of_slices = queue.clone();
    slices.on_change(move |change| {
        mirrored(change.object()).into_iter().for_each(|key| of_slices.add(key));
        // A label may have been taken away.
        if let Change::Updated(before, _) = change {
            mirrored(before).into_iter().for_each(|key| of_slices.add(key));
        }
    });
    let client = context.client(NAME);
    let recorder = context.recorder(client.clone(), "endpoint-slice-mirroring-controller");
    let context = context.clone();
    let supervisor = context.supervisor.clone();
    let controller = EndpointSliceMirroringController { client, recorder, context, services, endpoints, slices };
    run_controller(&supervisor, &queue, WORKERS, Arc::new(controller));
}

#[async_trait]
impl Reconciler for EndpointSliceMirroringController {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn reconcile(&self, key: &str) -> Result<Outcome, ReconcileError> {
        self.context.informers.synced().await;
        let existing: Vec<Arc<EndpointSlice>> =
            self.slices.store().by_index(BY_ENDPOINTS, key).iter().filter_map(|slice| slice.typed().ok()).collect();
        let endpoints = self.endpoints.store().get(key);
        let service = self.services.store().get(key);
        let without_selector = match &service {
            Some(service) => service.typed::<Service>()?.spec.as_ref().is_some_and(|spec| spec.selector.is_none()),
            None => false,
        };
        let plan = match &endpoints {
            Some(object) if without_selector => {
                let endpoints = object.typed::<Endpoints>()?;
                if is_mirrored(&endpoints) { plan(&endpoints, &existing) } else { Plan::delete_all(&existing) }
            }
            _ => Plan::delete_all(&existing),
        };
        if let Some(object) = &endpoints {
            self.tell(object, &plan);
        }
        let namespace = key.split_once('/').map_or("", |(namespace, _)| namespace);
        match self.carry_out(namespace, plan).await {
            Ok(()) => Ok(Outcome::Done),
            Err(error) if matches!(error.reason, Reason::Conflict | Reason::NotFound) => Ok(Outcome::Retry),
            Err(error) if error.causes.iter().any(|c| c.reason == "NamespaceTerminating") => Ok(Outcome::Done),
            Err(error) => Err(error.into()),
        }
    }
}

impl EndpointSliceMirroringController {
    /// Says on the Endpoints what was left out.
    fn tell(&self, endpoints: &Object, plan: &Plan) {
        let warn = |reason: &'static str, text: String| {
            self.recorder.event(ObjectReference::to(ENDPOINTS, endpoints), EventType::Warning, reason, text);
        };
        if plan.invalid > 0 {
            let text = format!("Skipped {} invalid IP addresses when mirroring to EndpointSlices", plan.invalid);
            warn("InvalidIPAddress", text);
        }
        if plan.too_many > 0 {
            let text = format!(
                "A max of {ADDRESSES_MAX} addresses can be mirrored to EndpointSlices per Endpoints subset. {} addresses \
                 were skipped",
                plan.too_many + plan.invalid
            );
            warn("TooManyAddressesToMirror", text);
        }
    }

    async fn carry_out(&self, namespace: &str, plan: Plan) -> Result<(), ApiError> {
        let mut revision = 0;
        let written = async {
            for slice in plan.create {
                let made = self.client.create(ENDPOINTSLICES, namespace, typed_value(&slice)?).await?;
                revision = revision.max(made.meta().resource_version);
            }
            for slice in plan.update {
                let name = slice.metadata.name.clone().unwrap_or_default();
                let updated = self.client.update(ENDPOINTSLICES, namespace, &name, typed_value(&slice)?).await?;
                revision = revision.max(updated.meta().resource_version);
            }
            for name in plan.delete {
                match self.client.delete(ENDPOINTSLICES, namespace, &name, &DeleteOptions::default()).await {
                    Ok(at) => revision = revision.max(at),
                    Err(error) if error.reason == Reason::NotFound => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        };
        let result = written.await;
        self.slices.caught_up(revision).await;
        result
    }
}
