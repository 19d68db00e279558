//! The ResourceQuota controller: writes what each quota allows and what is used of it
//! (upstream: `pkg/controller/resourcequota`).
//!
//! What is created is charged by the admission plugin before it exists; here it is counted what has gone, and all of it
//! again from time to time. To count on creations too would undo the charges of those that are on their way.

mod plan;

use std::sync::Arc;
use std::time::Duration;

use api::resources::RESOURCEQUOTAS;
use apimachinery::{Reason, Resource};
use async_trait::async_trait;
use client::{Change, Client, Informer, Outcome, ReconcileError, Reconciler, WorkQueue, run_controller};
use parking_lot::RwLock;
use registry::quota::{self, Evaluator};

use crate::context::ControllerContext;

const NAME: &str = "resourcequota-controller";
/// Quotas that are counted at once (upstream's `--concurrent-resource-quota-syncs`).
const WORKERS: usize = 5;
/// How often all is counted (upstream's `--resource-quota-sync-period`).
const RECOUNT: Duration = Duration::from_secs(5 * 60);

struct ResourceQuotaController {
    client: Client,
    context: ControllerContext,
    quotas: Informer,
    counted: Arc<Counted>,
}

/// Everything that can be counted, with its informer; custom resources come and go.
#[derive(Default)]
struct Counted(RwLock<Vec<(Evaluator, Informer)>>);

/// What a quota can count: what lives in namespaces and can be made and deleted there.
fn countable() -> impl Iterator<Item = &'static Resource> {
    let verbs = ["create", "delete", "list", "watch"];
    api::RESOURCES
        .iter()
        .filter(move |r| verbs.iter().all(|verb| r.verbs.contains(verb)) && api::storage_resource(r).is(r))
}

/// Starts the controller.
pub(crate) fn start(context: &ControllerContext) {
    let queue = WorkQueue::new();
    let quotas = context.informers.of(RESOURCEQUOTAS);
    let of_quotas = queue.clone();
    quotas.on_change(move |change| {
        let changed = match change {
            Change::Added(_) => true,
            // The status is ours and the admission plugin's.
            Change::Updated(before, after) => before.value()["spec"]["hard"] != after.value()["spec"]["hard"],
            Change::Deleted(_) => false,
        };
        if changed {
            of_quotas.add(change.object().meta().key());
        }
    });
    let counted: Arc<Counted> = Arc::default();
    for resource in countable() {
        counted.watch(context, &queue, &quotas, resource, &context.informers.of(resource));
    }
    let (coming, going) = (counted.clone(), counted.clone());
    let (of_context, of_queue, of_quotas) = (context.clone(), queue.clone(), quotas.clone());
    let appear = move |resource: &'static Resource, informer: &Informer| {
        coming.watch(&of_context, &of_queue, &of_quotas, resource, informer);
        // What could not be counted before can be now.
        let Some(evaluator) = Evaluator::of(resource) else { return };
        for quota in of_quotas.store().list() {
            if plan::tracks(&evaluator, &quota.value()["spec"]) {
                of_queue.add(quota.meta().key());
            }
        }
    };
    let vanish = move |resource: &'static Resource| going.0.write().retain(|(kind, _)| !kind.resource().is(resource));
    crate::custom_resources::follow(context, appear, vanish);
    let client = context.client(NAME);
    let controller = ResourceQuotaController { client, context: context.clone(), quotas, counted };
    run_controller(&context.supervisor, &queue, WORKERS, Arc::new(controller));
}

impl Counted {
    /// Counts `resource` from now on, and again when its objects leave something of a quota.
    fn watch(
        &self,
        context: &ControllerContext,
        queue: &WorkQueue,
        quotas: &Informer,
        resource: &'static Resource,
        informer: &Informer,
    ) {
        let Some(evaluator) = Evaluator::of(resource) else { return };
        self.0.write().push((evaluator, informer.clone()));
        let (queue, quotas, clock) = (queue.clone(), quotas.clone(), context.clock.clone());
        informer.on_change(move |change| {
            for quota in quotas.store().in_namespace(&change.object().meta().namespace) {
                if plan::frees(&evaluator, &quota.value(), change, clock.now()) {
                    queue.add(quota.meta().key());
                }
            }
        });
    }
}

#[async_trait]
impl Reconciler for ResourceQuotaController {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn reconcile(&self, key: &str) -> Result<Outcome, ReconcileError> {
        self.context.informers.synced().await;
        let Some(object) = self.quotas.store().get(key) else { return Ok(Outcome::Done) };
        let meta = object.meta();
        let mut quota = object.value();
        let counted = self.counted.0.read().clone();
        let kinds: Vec<Evaluator> = counted.iter().map(|(kind, _)| *kind).collect();
        let objects = |kind: &Evaluator| {
            let informer = counted.iter().find(|(other, _)| other == kind).map(|(_, informer)| informer);
            informer.map(|informer| informer.store().in_namespace(&meta.namespace)).unwrap_or_default()
        };
        let used = quota::used(&quota, &kinds, objects, self.context.clock.now());
        let Some(status) = plan::status(&quota, used) else { return Ok(Outcome::After(RECOUNT)) };
        quota["status"] = status;
        match self.client.update_status(RESOURCEQUOTAS, &meta.namespace, &meta.name, quota).await {
            Ok(written) => self.quotas.caught_up(written.meta().resource_version).await,
            Err(error) if error.reason == Reason::Conflict => return Ok(Outcome::Retry),
            Err(error) if error.reason == Reason::NotFound => return Ok(Outcome::Done),
            Err(error) => return Err(error.into()),
        }
        Ok(Outcome::After(RECOUNT))
    }
}
