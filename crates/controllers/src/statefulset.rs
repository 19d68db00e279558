//! The StatefulSet controller: Pods with names, places in an order and claims of their own
//! (upstream: `pkg/controller/statefulset`).

mod act;
mod claims;
mod identity;
mod plan;
mod rolling;
mod status;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use api::resources::{CONTROLLERREVISIONS, PERSISTENTVOLUMECLAIMS, PODS, STATEFULSETS};
use apimachinery::labels::Selector;
use apimachinery::{ApiError, Object, Reason};
use async_trait::async_trait;
use client::{Informer, Outcome, ReconcileError, Reconciler, WorkQueue, run_controller, typed_value};
use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetStatus};
use k8s_openapi::api::core::v1::Pod;
use serde_json::Value;

use crate::context::ControllerContext;
use crate::history::{self, History, Made, Newest, Revision};
use crate::owner::{self, BY_CONTROLLER, Claim};
use crate::pod_control::PodControl;
use claims::Claims;
use plan::{Observed, Plan, Version, plan};

const NAME: &str = "statefulset-controller";
/// Sets that are worked on at once (upstream's `--concurrent-statefulset-syncs`).
const WORKERS: usize = 5;
/// The most that is done at once where Pods need not keep their order.
const BATCH_MAX: usize = 500;
/// How many old revisions are kept where the set does not say (upstream's default).
const HISTORY_LIMIT: i32 = 10;

struct StatefulSetController {
    control: PodControl,
    context: ControllerContext,
    sets: Informer,
    pods: Informer,
    claims: Informer,
    revisions: Informer,
}

/// Starts the controller.
pub(crate) fn start(context: &ControllerContext) {
    let client = context.client(NAME);
    let queue = WorkQueue::new();
    let informers = [STATEFULSETS, PODS, PERSISTENTVOLUMECLAIMS, CONTROLLERREVISIONS]
        .map(|resource| context.informers.of(resource));
    let [sets, pods, claims, revisions] = informers;
    pods.add_index(BY_CONTROLLER, owner::controller_uids);
    revisions.add_index(BY_CONTROLLER, owner::controller_uids);
    sets.on_change(owner::enqueue(&queue));
    pods.on_change(owner::enqueue_controller(&queue, STATEFULSETS.kind));
    pods.on_change(owner::enqueue_adopters(&queue, &sets, owner::label_selector));
    let recorder = context.recorder(client.clone(), NAME);
    let control = PodControl { client, recorder, owner: STATEFULSETS };
    let controller = StatefulSetController { control, context: context.clone(), sets, pods, claims, revisions };
    run_controller(&context.supervisor, &queue, WORKERS, Arc::new(controller));
}

/// A set at work: the object, and what it says.
struct Set<'a> {
    object: &'a Object,
    typed: &'a StatefulSet,
    value: &'a Value,
}

/// The revisions of a set.
struct Revisions {
    /// All, in their order.
    all: Vec<Revision>,
    current: Revision,
    update: Revision,
    collisions: i32,
}

#[async_trait]
impl Reconciler for StatefulSetController {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn reconcile(&self, key: &str) -> Result<Outcome, ReconcileError> {
        self.context.informers.synced().await;
        let Some(object) = self.sets.store().get(key) else { return Ok(Outcome::Done) };
        let typed = object.typed::<StatefulSet>()?;
        let value = object.value();
        let set = Set { object: &object, typed: &typed, value: &value };
        match self.step(&set).await {
            // Somebody was faster, or the copy was behind.
            Err(error) if matches!(error.reason, Reason::Conflict | Reason::AlreadyExists) => Ok(Outcome::Retry),
            outcome => Ok(outcome?.map_or(Outcome::Done, Outcome::After)),
        }
    }
}

impl StatefulSetController {
    /// One step; gives the time until the next one, if that is a matter of time.
    async fn step(&self, set: &Set<'_>) -> Result<Option<Duration>, ApiError> {
        let history = History {
            client: &self.control.client,
            revisions: &self.revisions,
            owner: STATEFULSETS,
            object: set.object,
        };
        let mut revisions = history.claim().await?;
        let pods = self.claim(set).await?;
        let revisions = self.revise(&history, set, &mut revisions).await?;
        let (plan, next) = self.decide(set, &revisions, &pods);
        let failure = self.execute(set, &plan).await;
        self.write_status(set, &plan.status).await?;
        history.delete(surplus(set.typed, &revisions, &pods)).await?;
        match failure {
            Some(error) => Err(error),
            None => Ok(next),
        }
    }

    /// The set's Pods, after taking matching orphans and letting go of others.
    async fn claim(&self, set: &Set<'_>) -> Result<Vec<Arc<Pod>>, ApiError> {
        let selector = Selector::from_label_selector(&set.value["spec"]["selector"])
            .map_err(|error| ApiError::bad_request(error.to_string()))?;
        let name = &set.object.meta().name;
        let fits = |pod: &Object| selector.matches(&pod.meta().labels) && identity::is_member(name, pod);
        let candidates = owner::candidates(self.pods.store(), set.object);
        let claim = Claim { client: &self.control.client, resource: PODS, owner: STATEFULSETS, object: set.object };
        let (claimed, revision) = claim.run_where(fits, candidates).await?;
        self.pods.caught_up(revision).await;
        claimed.iter().map(|pod| pod.typed::<Pod>().map_err(ApiError::internal)).collect()
    }

    /// Finds or makes the revision of the set's template, and the one from before the update.
    async fn revise(
        &self,
        history: &History<'_>,
        set: &Set<'_>,
        all: &mut Vec<Revision>,
    ) -> Result<Revisions, ApiError> {
        let data = history::patch_to(set.object);
        let status = set.typed.status.as_ref();
        let mut collisions = status.and_then(|status| status.collision_count).unwrap_or(0);
        let update = match history::newest(all, &data) {
            Newest::Is(at) => all[at].clone(),
            Newest::Again(at, number) => {
                history.renumber(&mut all[at], number).await?;
                all[at].clone()
            }
            Newest::Missing(number) => loop {
                match history.make(&data, number, Some(collisions)).await? {
                    Made::Revision(revision) => break revision,
                    Made::Collision => collisions += 1,
                }
            },
        };
        let before = status.and_then(|status| status.current_revision.as_ref());
        let current = all.iter().find(|revision| Some(&revision.name) == before).unwrap_or(&update).clone();
        Ok(Revisions { all: std::mem::take(all), current, update, collisions })
    }

    fn decide(&self, set: &Set<'_>, revisions: &Revisions, pods: &[Arc<Pod>]) -> (Plan, Option<Duration>) {
        let version = |revision: &Revision| Version {
            name: revision.name.clone(),
            pod: self.control.pod(set.object, revision.template()),
        };
        let has_claims = set.value["spec"]["volumeClaimTemplates"].as_array().is_some_and(|all| !all.is_empty());
        let meta = set.object.meta();
        let mut existing = BTreeMap::new();
        if has_claims {
            let claims = self.claims.store().in_namespace(&meta.namespace);
            existing.extend(claims.into_iter().map(|claim| (claim.meta().name.clone(), claim)));
        }
        let observed = Observed {
            set: set.typed,
            current: &version(&revisions.current),
            update: &version(&revisions.update),
            collisions: revisions.collisions,
            pods,
            claims: Claims { set: meta, spec: &set.value["spec"], existing },
            now: crate::time::now(&*self.context.clock),
        };
        (plan(&observed), status::next_available(&observed))
    }

    /// Does what is planned: one after the other, or in batches of 1, 2, 4 and so on; gives the first failure, after
    /// which nothing more is done.
    async fn execute(&self, set: &Set<'_>, plan: &Plan) -> Option<ApiError> {
        let (mut rest, mut size) = (plan.actions.as_slice(), 1);
        while !rest.is_empty() {
            let (batch, later) = rest.split_at(size.min(rest.len()));
            let done = futures_util::future::join_all(batch.iter().map(|action| self.act(set, action))).await;
            if let Some(failure) = done.into_iter().find_map(Result::err) {
                return Some(failure);
            }
            rest = later;
            if plan.parallel {
                size = (size * 2).min(BATCH_MAX);
            }
        }
        None
    }

    async fn write_status(&self, set: &Set<'_>, status: &StatefulSetStatus) -> Result<(), ApiError> {
        if set.typed.status.as_ref() == Some(status) {
            return Ok(());
        }
        let mut body = set.value.clone();
        body["status"] = typed_value(status)?;
        let meta = set.object.meta();
        match self.control.client.update_status(STATEFULSETS, &meta.namespace, &meta.name, body).await {
            Ok(updated) => self.sets.caught_up(updated.meta().resource_version).await,
            Err(error) if error.reason == Reason::NotFound => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// The revisions beyond the limit, the oldest first, of those that neither the set nor a Pod is of.
fn surplus<'r>(set: &StatefulSet, revisions: &'r Revisions, pods: &[Arc<Pod>]) -> Vec<&'r Revision> {
    let limit = set.spec.revision_history_limit.unwrap_or(HISTORY_LIMIT);
    let mut live: BTreeSet<&str> = pods.iter().map(|pod| identity::revision(pod)).collect();
    live.extend([revisions.current.name.as_str(), revisions.update.name.as_str()]);
    let old: Vec<&Revision> = revisions.all.iter().filter(|revision| !live.contains(revision.name.as_str())).collect();
    let count = usize::try_from(limit).map_or(0, |limit| old.len().saturating_sub(limit));
    old.into_iter().take(count).collect()
}
