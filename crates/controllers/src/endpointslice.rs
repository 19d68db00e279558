//! The EndpointSlice controller: the addresses behind each Service, at most a hundred a slice
//! (upstream: `pkg/controller/endpointslice` and `k8s.io/endpointslice`).

mod plan;

use std::sync::Arc;

use api::resources::{ENDPOINTSLICES, SERVICES};
use apimachinery::Reason;
use async_trait::async_trait;
use client::{
    Client, DeleteOptions, EventRecorder, EventType, Informer, ObjectReference, Outcome, ReconcileError, Reconciler,
    WorkQueue, run_controller, typed_value,
};
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;

use crate::context::ControllerContext;
use crate::service_pods;
use plan::{MANAGED_BY, MANAGER, SERVICE_NAME, plan};

const NAME: &str = "endpointslice-controller";
/// Services that are worked on at once.
const WORKERS: usize = 5;
/// The index of slices by the Service's key.
const BY_SERVICE: &str = "service";

struct EndpointSliceController {
    client: Client,
    recorder: EventRecorder,
    context: ControllerContext,
    services: Informer,
    pods: Informer,
    slices: Informer,
}

/// Starts the controller.
pub(crate) fn start(context: &ControllerContext) {
    let client = context.client(NAME);
    let queue = WorkQueue::new();
    let (services, pods) = service_pods::watch(context, &queue);
    let slices = context.informers.of(ENDPOINTSLICES);
    slices.add_index(BY_SERVICE, |slice| {
        let labels = &slice.meta().labels;
        let ours = labels.get(MANAGED_BY).is_some_and(|by| by == MANAGER);
        let service = labels.get(SERVICE_NAME).filter(|_| ours);
        service.map(|name| format!("{}/{name}", slice.meta().namespace)).into_iter().collect()
    });
    let of_slices = queue.clone();
    slices.on_change(move |change| {
        let meta = change.object().meta();
        if let Some(name) = meta.labels.get(SERVICE_NAME) {
            of_slices.add(format!("{}/{name}", meta.namespace));
        }
    });
    let recorder = context.recorder(client.clone(), NAME);
    let controller = EndpointSliceController { client, recorder, context: context.clone(), services, pods, slices };
    run_controller(&context.supervisor, &queue, WORKERS, Arc::new(controller));
}

#[async_trait]
impl Reconciler for EndpointSliceController {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn reconcile(&self, key: &str) -> Result<Outcome, ReconcileError> {
        self.context.informers.synced().await;
        // The garbage collector takes the slices of a Service that is gone.
        let Some(object) = self.services.store().get(key) else { return Ok(Outcome::Done) };
        let service = object.typed::<Service>()?;
        let has_selector = service.spec.as_ref().and_then(|s| s.selector.as_ref()).is_some_and(|s| !s.is_empty());
        let external = service.spec.as_ref().and_then(|s| s.type_.as_deref()) == Some("ExternalName");
        if !has_selector || external || object.meta().deletion_timestamp.is_some() {
            return Ok(Outcome::Done);
        }
        let backends = service_pods::backends(&object, &self.pods);
        let existing: Vec<Arc<EndpointSlice>> =
            self.slices.store().by_index(BY_SERVICE, key).iter().filter_map(|s| s.typed().ok()).collect();
        let plan = plan(&service, &backends, &existing);
        let namespace = &object.meta().namespace;
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
            Ok::<(), apimachinery::ApiError>(())
        };
        let result = written.await;
        self.slices.caught_up(revision).await;
        match result {
            Ok(()) => Ok(Outcome::Done),
            Err(error) if matches!(error.reason, Reason::Conflict | Reason::NotFound) => Ok(Outcome::Retry),
            Err(error) if error.causes.iter().any(|c| c.reason == "NamespaceTerminating") => Ok(Outcome::Done),
            Err(error) => {
                let text = format!("Error updating Endpoint Slices for Service {key}: {error}");
                let about = ObjectReference::to(SERVICES, &object);
                self.recorder.event(about, EventType::Warning, "FailedToUpdateEndpointSlices", text);
                Err(error.into())
            }
        }
    }
}
