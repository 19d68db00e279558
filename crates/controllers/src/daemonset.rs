//! The DaemonSet controller: a Pod on every node that suits, replaced step by step when the template changes
//! (upstream: `pkg/controller/daemon`).

mod failed;
mod plan;
mod pod;
mod rolling;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use api::resources::{CONTROLLERREVISIONS, DAEMONSETS, NODES, PODS};
use apimachinery::{ApiError, Object, Reason};
use async_trait::async_trait;
use client::{
    Change, EventType, Informer, ObjectReference, Outcome, PatchKind, ReconcileError, Reconciler, WorkQueue,
    run_controller, typed_value,
};
use k8s_openapi::api::apps::v1::{DaemonSet, DaemonSetSpec};
use k8s_openapi::api::core::v1::{Node, Pod};
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::context::ControllerContext;
use crate::history::{self, HASH_LABEL, History, Made, Newest, Revision};
use crate::owner::{self, BY_CONTROLLER, Claim};
use crate::pod_control::PodControl;
use failed::FailedPods;
use plan::{Observed, Plan, plan};

const NAME: &str = "daemon-set-controller";
/// What Events say: upstream's service account and its recorder have different names.
const COMPONENT: &str = "daemonset-controller";
/// Sets that are worked on at once (upstream's `--concurrent-daemonset-syncs`).
const WORKERS: usize = 2;
/// How many old revisions are kept where the set does not say (upstream's default).
const HISTORY_LIMIT: i32 = 10;

struct DaemonSetController {
    control: PodControl,
    context: ControllerContext,
    sets: Informer,
    nodes: Informer,
    pods: Informer,
    revisions: Informer,
    failed: Mutex<FailedPods>,
}

/// Starts the controller.
pub(crate) fn start(context: &ControllerContext) {
    let client = context.client(NAME);
    let queue = WorkQueue::new();
    let informers = [DAEMONSETS, NODES, PODS, CONTROLLERREVISIONS].map(|resource| context.informers.of(resource));
    let [sets, nodes, pods, revisions] = informers;
    pods.add_index(BY_CONTROLLER, owner::controller_uids);
    revisions.add_index(BY_CONTROLLER, owner::controller_uids);
    sets.on_change(owner::enqueue(&queue));
    pods.on_change(owner::enqueue_controller(&queue, DAEMONSETS.kind));
    pods.on_change(owner::enqueue_adopters(&queue, &sets, owner::label_selector));
    revisions.on_change(owner::enqueue_adopters(&queue, &sets, owner::label_selector));
    let of_revision = owner::enqueue_controller(&queue, DAEMONSETS.kind);
    revisions.on_change(move |change| {
        // A new one is the controller's own, or somebody brings it who still has more to do.
        if !matches!(change, Change::Added(_)) {
            of_revision(change);
        }
    });
    let (of_nodes, all) = (queue.clone(), sets.clone());
    nodes.on_change(move |change| {
        if changes_placement(change) {
            all.store().list().iter().for_each(|set| of_nodes.add(set.meta().key()));
        }
    });
    let recorder = context.recorder(client.clone(), COMPONENT);
    let control = PodControl { client, recorder, owner: DAEMONSETS };
    let failed = Mutex::default();
    let controller = DaemonSetController { control, context: context.clone(), sets, nodes, pods, revisions, failed };
    run_controller(&context.supervisor, &queue, WORKERS, Arc::new(controller));
}

/// Whether a change of a node may change which Pods are for it.
fn changes_placement(change: &Change) -> bool {
    let Change::Updated(before, after) = change else { return true };
    let taints = |node: &Object| node.typed::<Node>().ok().and_then(|node| node.spec.clone()?.taints);
    before.meta().labels != after.meta().labels || taints(before) != taints(after)
}

/// A set at work: the object, and what it says.
struct Set<'a> {
    object: &'a Object,
    typed: &'a DaemonSet,
}

#[async_trait]
impl Reconciler for DaemonSetController {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn reconcile(&self, key: &str) -> Result<Outcome, ReconcileError> {
        self.context.informers.synced().await;
        let Some(object) = self.sets.store().get(key) else { return Ok(Outcome::Done) };
        let typed = object.typed::<DaemonSet>()?;
        if object.value()["spec"]["selector"] == json!({}) {
            let text = "This daemon set is selecting all pods. A non-empty selector is required.";
            let about = ObjectReference::to(DAEMONSETS, &object);
            self.control.recorder.event(about, EventType::Warning, "SelectingAll", text);
            return Ok(Outcome::Done);
        }
        // Of a set that is being deleted the revisions may be gone before the Pods: nothing can be said of it any more.
        if object.meta().deletion_timestamp.is_some() {
            return Ok(Outcome::Done);
        }
        let set = Set { object: &object, typed: &typed };
        match self.step(&set).await {
            Err(error) if error.reason == Reason::Conflict => Ok(Outcome::Retry),
            outcome => Ok(outcome?),
        }
    }
}

impl DaemonSetController {
    async fn step(&self, set: &Set<'_>) -> Result<Outcome, ApiError> {
        let pods = self.claim(set).await?;
        let history =
            History { client: &self.control.client, revisions: &self.revisions, owner: DAEMONSETS, object: set.object };
        let Some((newest, old)) = self.revise(&history, set, &pods).await? else { return Ok(Outcome::Retry) };
        let plan = self.decide(set, newest.hash(), &pods);
        let again = plan.again;
        let failure = self.execute(set, newest.hash(), plan).await;
        let owned = self.pods.store().by_index(BY_CONTROLLER, &set.object.meta().uid);
        let pods = typed_pods(&owned)?;
        if failure.is_none() {
            history.delete(surplus(&set.typed.spec, &old, &pods)).await?;
        }
        let next = self.write_status(set, newest.hash(), &pods).await?;
        match failure {
            Some(error) => Err(error),
            None => Ok(again.into_iter().chain(next).min().map_or(Outcome::Done, Outcome::After)),
        }
    }

    /// The set's Pods, after taking matching orphans and letting go of others.
    async fn claim(&self, set: &Set<'_>) -> Result<Vec<Arc<Pod>>, ApiError> {
        let candidates = owner::candidates(self.pods.store(), set.object);
        let claim = Claim { client: &self.control.client, resource: PODS, owner: DAEMONSETS, object: set.object };
        let (claimed, revision) = claim.run(&set.object.value()["spec"]["selector"], candidates).await?;
        self.pods.caught_up(revision).await;
        typed_pods(&claimed)
    }

    /// The revision of the set's template, made if there is none yet, and the others in their order; `None` if its
    /// name collides, which is counted so that the next try finds another one.
    async fn revise(
        &self,
        history: &History<'_>,
        set: &Set<'_>,
        pods: &[Arc<Pod>],
    ) -> Result<Option<(Revision, Vec<Revision>)>, ApiError> {
        let data = history::patch_to(set.object);
        let mut revisions = history.claim().await?;
        for revision in revisions.iter_mut().filter(|revision| revision.label.is_none()) {
            history.label(revision).await?;
        }
        let newest = match history::newest(&revisions, &data) {
            Newest::Is(at) => revisions.remove(at),
            Newest::Again(at, number) => {
                let mut revision = revisions.remove(at);
                history.renumber(&mut revision, number).await?;
                revision
            }
            Newest::Missing(number) => {
                let collisions = set.typed.status.as_ref().and_then(|status| status.collision_count);
                match history.make(&data, number, collisions).await? {
                    Made::Revision(revision) => revision,
                    Made::Collision => {
                        self.count_collision(set, collisions).await?;
                        return Ok(None);
                    }
                }
            }
        };
        let (twins, old): (Vec<_>, Vec<_>) = revisions.into_iter().partition(|revision| revision.data == data);
        if !twins.is_empty() {
            self.relabel(pods, newest.hash()).await?;
            history.delete(&twins).await?;
        }
        Ok(Some((newest, old)))
    }

    async fn count_collision(&self, set: &Set<'_>, collisions: Option<i32>) -> Result<(), ApiError> {
        let mut body = set.object.value();
        body["status"]["collisionCount"] = json!(collisions.unwrap_or(0) + 1);
        self.update_status(set, body).await
    }

    async fn update_status(&self, set: &Set<'_>, body: Value) -> Result<(), ApiError> {
        let meta = set.object.meta();
        match self.control.client.update_status(DAEMONSETS, &meta.namespace, &meta.name, body).await {
            Ok(updated) => self.sets.caught_up(updated.meta().resource_version).await,
            Err(error) if error.reason == Reason::NotFound => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Files all Pods under one revision, before its twins go.
    async fn relabel(&self, pods: &[Arc<Pod>], hash: &str) -> Result<(), ApiError> {
        for pod in pods {
            let label = pod.metadata.labels.as_ref().and_then(|labels| labels.get(HASH_LABEL));
            if label.is_none_or(|label| label != hash) {
                let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
                let name = pod.metadata.name.as_deref().unwrap_or_default();
                let patch = json!({"metadata": {"labels": {HASH_LABEL: hash}}});
                let patched = self.control.client.patch(PODS, namespace, name, PatchKind::Merge, patch).await?;
                self.pods.caught_up(patched.meta().resource_version).await;
            }
        }
        Ok(())
    }

    fn observed<R>(&self, set: &Set<'_>, hash: &str, pods: &[Arc<Pod>], look: impl Fn(&Observed<'_>) -> R) -> R {
        let nodes: Vec<Arc<Node>> = self.nodes.store().list().iter().filter_map(|node| node.typed().ok()).collect();
        let now = crate::time::now(&*self.context.clock);
        let failed = self.failed.lock();
        look(&Observed::new(set.typed, hash, &nodes, pods, (&failed, now)))
    }

    fn decide(&self, set: &Set<'_>, hash: &str, pods: &[Arc<Pod>]) -> Plan {
        self.observed(set, hash, pods, plan)
    }

    /// Does what is planned; gives the last failure.
    async fn execute(&self, set: &Set<'_>, hash: &str, plan: Plan) -> Option<ApiError> {
        let now = crate::time::now(&*self.context.clock);
        plan.failed.into_iter().for_each(|place| self.failed.lock().count(place, now));
        let about = ObjectReference::to(DAEMONSETS, set.object);
        for event in plan.events {
            let kind = if event.warning { EventType::Warning } else { EventType::Normal };
            self.control.recorder.event(about.clone(), kind, event.reason, event.message);
        }
        let template = self.control.pod(set.object, set.object.value()["spec"]["template"].take());
        let pod = |node: &String| pod::for_node(set.typed, template.clone(), hash, node);
        let pods: Vec<Value> = plan.create.iter().map(pod).collect();
        let made = self.control.create(set.object, pods).await;
        let deleted = self.control.delete(set.object, &plan.delete).await;
        // After a failure too: the next try must not make Pods where this one did.
        self.pods.caught_up(made.revision.max(deleted.revision)).await;
        deleted.failure.or(made.failure)
    }

    /// Writes the status if it differs; gives the time until it will differ.
    async fn write_status(&self, set: &Set<'_>, hash: &str, pods: &[Arc<Pod>]) -> Result<Option<Duration>, ApiError> {
        let (status, next) = self.observed(set, hash, pods, |o| (plan::status(o), plan::next_available(o)));
        if set.typed.status.as_ref() != Some(&status) {
            let mut body = set.object.value();
            body["status"] = typed_value(&status)?;
            self.update_status(set, body).await?;
        }
        Ok(next)
    }
}

fn typed_pods(objects: &[Arc<Object>]) -> Result<Vec<Arc<Pod>>, ApiError> {
    objects.iter().map(|pod| pod.typed::<Pod>().map_err(ApiError::internal)).collect()
}

/// The old revisions beyond the limit, the oldest first; not those that a Pod is of.
fn surplus<'r>(spec: &DaemonSetSpec, old: &'r [Revision], pods: &[Arc<Pod>]) -> Vec<&'r Revision> {
    let limit = usize::try_from(spec.revision_history_limit.unwrap_or(HISTORY_LIMIT)).unwrap_or(0);
    let labels = pods.iter().filter_map(|pod| pod.metadata.labels.as_ref());
    let live: BTreeSet<String> = labels.filter_map(|labels| labels.get(HASH_LABEL)).cloned().collect();
    old.iter().filter(|revision| !live.contains(revision.hash())).take(old.len().saturating_sub(limit)).collect()
}
