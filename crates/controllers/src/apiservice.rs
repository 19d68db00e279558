//! APIServices: whether the server of each answers, and those that are made for what this cluster's own server has
//! (upstream: `kube-aggregator/pkg/controllers/{status,autoregister}`). Upstream's API server runs these in its own
//! process and under its own name; so it does here.

mod plan;
mod registration;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use api::resources::{APISERVICES, ENDPOINTSLICES, SERVICES};
use apimachinery::Object;
use async_trait::async_trait;
use client::{Change, Client, Informer, Outcome, ReconcileError, Reconciler, WorkQueue, run_controller};
use component_base::Backoff;
use parking_lot::Mutex;
use serde_json::Value;

use crate::context::ControllerContext;
use crate::settled::settled;
use plan::{Finding, Observed, find, with_condition};

pub(crate) use registration::start as start_registration;

const NAME: &str = "apiservice-status-available-controller";
/// A server that does not answer keeps its worker for seconds.
const WORKERS: usize = 5;
/// How often a server is asked again: no event tells that one behind a Service has stopped answering.
const RECHECK: Duration = Duration::from_secs(30);
/// First and longest wait after a server did not answer.
const RETRY_INITIAL: Duration = Duration::from_millis(5);
const RETRY_MAX: Duration = Duration::from_secs(30);
/// The label of slices that names their Service.
const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// Asks servers behind APIServices whether they answer.
#[async_trait]
pub trait ApiServiceProbe: Send + Sync + std::fmt::Debug {
    /// Asks the server of the APIService `name` for what it serves. An error is the message of the condition.
    async fn probe(&self, name: &str) -> Result<(), String>;
}

struct Availability {
    client: Client,
    context: ControllerContext,
    api_services: Informer,
    services: Informer,
    slices: Informer,
    /// Of APIServices whose server did not answer.
    failing: Mutex<BTreeMap<String, Backoff>>,
}

/// Starts the controller of the condition `Available`.
pub(crate) fn start(context: &ControllerContext) {
    let queue = WorkQueue::new();
    let [api_services, services, slices] =
        [APISERVICES, SERVICES, ENDPOINTSLICES].map(|resource| context.informers.of(resource));
    // By the name of each APIService, the Service before its server.
    let known: Arc<Mutex<BTreeMap<String, String>>> = Arc::default();
    let (changed, remembered) = (queue.clone(), known.clone());
    api_services.on_change(move |change| {
        let object = change.object();
        let name = object.meta().name.clone();
        match service_of(object).filter(|_| !matches!(change, Change::Deleted(_))) {
            Some(service) => remembered.lock().insert(name.clone(), service),
            None => remembered.lock().remove(&name),
        };
        changed.add(name);
    });
    let concerned = move |queue: &WorkQueue, service: &str| {
        let known = known.lock();
        for (name, _) in known.iter().filter(|(_, known)| *known == service) {
            queue.add(name.clone());
        }
    };
    let (changed, of_service) = (queue.clone(), concerned.clone());
    services.on_change(move |change| of_service(&changed, &change.object().meta().key()));
    let changed = queue.clone();
    slices.on_change(move |change| {
        let meta = change.object().meta();
        if let Some(service) = meta.labels.get(SERVICE_NAME) {
            concerned(&changed, &format!("{}/{service}", meta.namespace));
        }
    });
    let controller = Availability {
        client: context.apiserver.clone(),
        context: context.clone(),
        api_services,
        services,
        slices,
        failing: Mutex::default(),
    };
    run_controller(&context.supervisor, &queue, WORKERS, Arc::new(controller));
}

/// `NAMESPACE/NAME` of the Service that an APIService names.
fn service_of(api_service: &Object) -> Option<String> {
    let service = api_service.value()["spec"]["service"].take();
    Some(format!("{}/{}", service["namespace"].as_str()?, service["name"].as_str()?))
}

#[async_trait]
impl Reconciler for Availability {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn reconcile(&self, name: &str) -> Result<Outcome, ReconcileError> {
        for informer in [&self.api_services, &self.services, &self.slices] {
            informer.synced().await;
        }
        let Some(object) = self.api_services.store().get(name) else {
            self.failing.lock().remove(name);
            return Ok(Outcome::Done);
        };
        let api_service = object.value();
        let key = service_of(&object);
        let service = key.as_ref().and_then(|key| self.services.store().get(key)).map(|service| service.value());
        let slices = key.as_deref().map(|key| self.slices_of(key)).unwrap_or_default();
        let observed = Observed { api_service: &api_service, service: service.as_ref(), slices: &slices };
        let (finding, next) = match find(&observed) {
            Some(finding) => (finding, Outcome::Done),
            None => match self.context.api_services.probe(name).await {
                Ok(()) => (Finding::passed(), Outcome::After(RECHECK)),
                Err(why) => (Finding::no_answer(why), Outcome::After(self.retry_after(name))),
            },
        };
        if finding.is_available() {
            self.failing.lock().remove(name);
        }
        let now = crate::time::now(&*self.context.clock);
        let changed = with_condition(&api_service, &finding, now);
        if changed["status"] == api_service["status"] {
            return Ok(next);
        }
        tracing::info!(api_service = name, reason = finding.reason, message = finding.message, "availability changed");
        self.write(name, changed, next).await
    }
}

impl Availability {
    fn slices_of(&self, service: &str) -> Vec<Value> {
        let Some((namespace, name)) = service.split_once('/') else { return Vec::new() };
        let all = self.slices.store().in_namespace(namespace);
        let own = all.iter().filter(|slice| slice.meta().labels.get(SERVICE_NAME).is_some_and(|named| named == name));
        own.map(|slice| slice.value()).collect()
    }

    /// Upstream's queue waits so long at most; the one that all controllers share would wait much longer.
    fn retry_after(&self, name: &str) -> Duration {
        let mut failing = self.failing.lock();
        let backoff = failing.entry(name.to_owned()).or_insert_with(|| Backoff::new(RETRY_INITIAL, RETRY_MAX, 0.0));
        backoff.next(&self.context.random)
    }

    async fn write(&self, name: &str, body: Value, next: Outcome) -> Result<Outcome, ReconcileError> {
        match self.client.update_status(APISERVICES, "", name, body).await {
            Ok(written) => {
                self.api_services.caught_up(written.meta().resource_version).await;
                Ok(next)
            }
            Err(error) => settled(error),
        }
    }
}
