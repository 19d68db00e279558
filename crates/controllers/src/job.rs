//! The Job controller: Pods until enough of them have succeeded or too many have failed, each counted once
//! (upstream: `pkg/controller/job`).

mod backoff;
mod counting;
mod end;
mod facts;
mod failure_policy;
mod indexes;
mod orphans;
mod plan;
mod release;
mod removal;
mod template;

use std::collections::BTreeMap;
use std::sync::Arc;

use api::resources::{JOBS, PODS};
use apimachinery::{ApiError, Object, Reason};
use async_trait::async_trait;
use client::{Informer, ObjectReference, Outcome, ReconcileError, Reconciler, WorkQueue, run_controller, typed_value};
use k8s_openapi::api::batch::v1::{Job, JobStatus};
use k8s_openapi::api::core::v1::Pod;
use parking_lot::Mutex;

use crate::context::ControllerContext;
use crate::owner::{self, BY_CONTROLLER, Claim};
use crate::pod_control::PodControl;
use crate::pods;
use crate::said;
use backoff::Failures;
use counting::Done;
pub(crate) use facts::{FINALIZER, finished};
use plan::{NewPod, Observed, PodChange, plan};

const NAME: &str = "job-controller";
/// Jobs that are worked on at once (upstream's `--concurrent-job-syncs`).
const WORKERS: usize = 5;

struct JobController {
    control: PodControl,
    context: ControllerContext,
    jobs: Informer,
    pods: Informer,
    /// The recent failures of each Job's Pods, with the Job's uid. As upstream's, they are forgotten with the process.
    failures: Mutex<BTreeMap<String, (String, Failures)>>,
}

/// Starts the controller.
pub(crate) fn start(context: &ControllerContext) {
    let client = context.client(NAME);
    let queue = WorkQueue::new();
    let [jobs, pods] = [JOBS, PODS].map(|resource| context.informers.of(resource));
    pods.add_index(BY_CONTROLLER, owner::controller_uids);
    jobs.on_change(owner::enqueue(&queue));
    pods.on_change(owner::enqueue_controller(&queue, "Job"));
    pods.on_change(owner::enqueue_adopters(&queue, &jobs, owner::label_selector));
    orphans::start(context, client.clone(), &jobs, &pods);
    let recorder = context.recorder(client.clone(), NAME);
    let control = PodControl { client, recorder, owner: JOBS };
    let controller = JobController { control, context: context.clone(), jobs, pods, failures: Mutex::default() };
    run_controller(&context.supervisor, &queue, WORKERS, Arc::new(controller));
}

#[async_trait]
impl Reconciler for JobController {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn reconcile(&self, key: &str) -> Result<Outcome, ReconcileError> {
        self.context.informers.synced().await;
        let Some(object) = self.jobs.store().get(key) else {
            self.failures.lock().remove(key);
            return Ok(Outcome::Done);
        };
        let job = object.typed::<Job>()?;
        if facts::is_managed_elsewhere(&job) || finished(&job).is_some() {
            self.failures.lock().remove(key);
            return Ok(Outcome::Done);
        }
        match self.step(key, &object, &job).await {
            Err(error) => match error.downcast_ref::<ApiError>().map(|error| error.reason) {
                Some(Reason::Conflict) => Ok(Outcome::Retry),
                Some(Reason::NotFound) => Ok(Outcome::Done),
                _ => Err(error),
            },
            outcome => outcome,
        }
    }
}

impl JobController {
    async fn step(&self, key: &str, object: &Arc<Object>, job: &Job) -> Result<Outcome, ReconcileError> {
        let pods = self.claim(object, job).await?;
        let uid = &object.meta().uid;
        let known = self.failures.lock().get(key).filter(|(of, _)| of == uid).map(|(_, failures)| *failures);
        let now = self.context.clock.now();
        let observed = Observed { job, pods: &pods, failures: known.unwrap_or_default(), now };
        let plan = plan(&observed);
        let (requeue_after, failures) = (plan.requeue_after, plan.failures);
        let (done, failure) = self.change(object, &plan.pods).await;
        let mut listed = counting::list(&observed, plan, done);
        let mut written = object.clone();
        if job.status.as_ref() != Some(&listed.status) {
            written = self.write(&written, &listed.status).await?;
        }
        if failures == Failures::default() {
            self.failures.lock().remove(key);
        } else {
            self.failures.lock().insert(key.to_owned(), (uid.clone(), failures));
        }
        let about = ObjectReference::to(JOBS, object);
        said::record(&self.control.recorder, &about, listed.said.drain(..));
        let released = release::release(&self.control.client, &listed.release).await;
        self.pods.caught_up(released.revision).await;
        let settled = listed.settle(&released.uids, released.failure.is_none());
        if settled.status != listed.status {
            self.write(&written, &settled.status).await?;
        }
        said::record(&self.control.recorder, &about, settled.said);
        match released.failure.or(failure) {
            Some(error) => Err(error.into()),
            None => Ok(requeue_after.map_or(Outcome::Done, Outcome::After)),
        }
    }

    async fn claim(&self, object: &Object, job: &Job) -> Result<Vec<Arc<Pod>>, ReconcileError> {
        let candidates = owner::candidates(self.pods.store(), object);
        let selector = serde_json::to_value(job.spec.as_ref().and_then(|spec| spec.selector.as_ref()))?;
        let claim = Claim { client: &self.control.client, resource: PODS, owner: JOBS, object };
        let (claimed, revision) = claim.run(&selector, candidates).await?;
        self.pods.caught_up(revision).await;
        claimed.iter().map(|pod| Ok(pod.typed::<Pod>()?)).collect()
    }

    /// Makes and deletes Pods; what was done, and the last failure.
    async fn change(&self, object: &Object, change: &PodChange) -> (Done, Option<ApiError>) {
        let deleted = match change {
            PodChange::None => return (Done::default(), None),
            PodChange::Create(new) => {
                let template = self.control.pod(object, object.value()["spec"]["template"].take());
                let make = |new: &NewPod| template::finish(template.clone(), &object.meta().name, *new);
                let pods: Vec<_> = new.iter().map(make).collect();
                let changed = self.control.create(object, pods).await;
                self.pods.caught_up(changed.revision).await;
                return (Done { count: changed.count, ready: 0 }, changed.failure);
            }
            PodChange::Delete(pods) => {
                let released = release::release(&self.control.client, pods).await;
                self.pods.caught_up(released.revision).await;
                if let Some(error) = released.failure {
                    return (Done::default(), Some(error));
                }
                pods
            }
            PodChange::End(pods) => pods,
        };
        let changed = self.control.delete(object, deleted).await;
        // After a failure too: the next step must not delete others in the place of those that this one did.
        self.pods.caught_up(changed.revision).await;
        let ready = deleted.iter().filter(|pod| pods::is_ready(pod)).count();
        // Those that were gone already count as deleted.
        let count = if changed.failure.is_none() { deleted.len() } else { changed.count };
        (Done { count, ready }, changed.failure)
    }

    async fn write(&self, object: &Object, status: &JobStatus) -> Result<Arc<Object>, ReconcileError> {
        let mut body = object.value();
        body["status"] = typed_value(status)?;
        let meta = object.meta();
        let written = self.control.client.update_status(JOBS, &meta.namespace, &meta.name, body).await?;
        self.jobs.caught_up(written.meta().resource_version).await;
        Ok(written)
    }
}
