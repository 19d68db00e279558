//! The disruption controller: how many Pods of a PodDisruptionBudget may be evicted
//! (upstream: `pkg/controller/disruption`). The API server's eviction takes from that number.

mod plan;
mod scale;
mod stale;

use std::sync::Arc;

use api::resources::{PODDISRUPTIONBUDGETS, PODS};
use apimachinery::labels::Selector;
use apimachinery::{Object, Reason};
use async_trait::async_trait;
use client::{
    Change, Client, EventRecorder, EventType, Informer, ObjectReference, Outcome, ReconcileError, Reconciler,
    WorkQueue, run_controller, typed_value,
};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;

use crate::context::ControllerContext;
use crate::owner;
use crate::said;
use plan::{Observed, Scale, needs_scale, plan};
use scale::Owners;

const NAME: &str = "disruption-controller";
/// Who speaks in its Events; upstream's are no more exact.
const COMPONENT: &str = "controllermanager";
/// Budgets that are worked on at once (upstream has as many workers).
const WORKERS: usize = 5;

struct DisruptionController {
    client: Client,
    recorder: EventRecorder,
    context: ControllerContext,
    budgets: Informer,
    pods: Informer,
    owners: Owners,
}

/// Starts the controller.
pub(crate) fn start(context: &ControllerContext) {
    let client = context.client(NAME);
    let queue = WorkQueue::new();
    let [budgets, pods] = [PODDISRUPTIONBUDGETS, PODS].map(|resource| context.informers.of(resource));
    let recorder = context.recorder(client.clone(), COMPONENT);
    budgets.on_change(owner::enqueue(&queue));
    let (of_pods, all, warnings) = (queue.clone(), budgets.clone(), recorder.clone());
    pods.on_change(move |change| {
        let pod = change.object();
        let matching = of_pod(&all, pod);
        if let ([first, _, ..], false) = (matching.as_slice(), matches!(change, Change::Deleted(_))) {
            let meta = pod.meta();
            let message = format!(
                "Pod {:?}/{:?} matches multiple PodDisruptionBudgets.  Chose {:?} arbitrarily.",
                meta.namespace,
                meta.name,
                first.meta().name
            );
            let about = ObjectReference::to(PODS, pod);
            warnings.event(about, EventType::Warning, "MultiplePodDisruptionBudgets", message);
        }
        let before = match change {
            Change::Updated(before, _) if before.meta().labels != pod.meta().labels => of_pod(&all, before),
            _ => Vec::new(),
        };
        matching.iter().chain(&before).for_each(|budget| of_pods.add(budget.meta().key()));
    });
    stale::start(context, client.clone(), &pods);
    let owners = Owners::new(client.clone(), &context.informers);
    let controller = DisruptionController { client, recorder, context: context.clone(), budgets, pods, owners };
    run_controller(&context.supervisor, &queue, WORKERS, Arc::new(controller));
}

/// The budgets that select a Pod.
fn of_pod(budgets: &Informer, pod: &Object) -> Vec<Arc<Object>> {
    let all = budgets.store().in_namespace(&pod.meta().namespace);
    all.into_iter().filter(|budget| selector(budget).is_some_and(|s| s.matches(&pod.meta().labels))).collect()
}

fn selector(budget: &Object) -> Option<Selector> {
    let budget = budget.typed::<PodDisruptionBudget>().ok()?;
    let selector = typed_value(&budget.spec.as_ref()?.selector).ok()?;
    Selector::from_label_selector(&selector).ok()
}

#[async_trait]
impl Reconciler for DisruptionController {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn reconcile(&self, key: &str) -> Result<Outcome, ReconcileError> {
        self.context.informers.synced().await;
        let Some(object) = self.budgets.store().get(key) else { return Ok(Outcome::Done) };
        let budget = object.typed::<PodDisruptionBudget>()?;
        let Some(selector) = selector(&object) else { return Ok(Outcome::Done) };
        let mut selected = self.pods.store().in_namespace(&object.meta().namespace);
        selected.retain(|pod| selector.matches(&pod.meta().labels));
        let pods = selected.iter().map(|pod| pod.typed::<Pod>()).collect::<Result<Vec<_>, _>>()?;
        let scale = if needs_scale(&budget) { self.owners.scale(&selected).await } else { Ok(Scale::default()) };
        let plan = plan(&Observed { budget: &budget, pods: &pods, scale, now: self.context.clock.now() });
        said::record(&self.recorder, &ObjectReference::to(PODDISRUPTIONBUDGETS, &object), plan.said);
        let meta = object.meta();
        for name in plan.not_deleted.iter().filter_map(|pod| pod.metadata.name.as_deref()) {
            let Some(pod) = selected.iter().find(|pod| pod.meta().name == name) else { continue };
            // It says the namespace twice, and so does upstream.
            let namespace = &meta.namespace;
            let message = format!("Pod was expected by PDB {namespace}/{namespace} to be deleted but it wasn't");
            self.recorder.event(ObjectReference::to(PODS, pod), EventType::Warning, "NotDeleted", message);
        }
        if budget.status.as_ref() != Some(&plan.status) {
            let mut body = object.value();
            body["status"] = typed_value(&plan.status)?;
            match self.client.update_status(PODDISRUPTIONBUDGETS, &meta.namespace, &meta.name, body).await {
                Ok(updated) => self.budgets.caught_up(updated.meta().resource_version).await,
                Err(error) if error.reason == Reason::Conflict => return Ok(Outcome::Retry),
                Err(error) if error.reason == Reason::NotFound => return Ok(Outcome::Done),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(plan.requeue_after.map_or(Outcome::Done, Outcome::After))
    }
}
