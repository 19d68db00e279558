//! The CronJob controller: starts Jobs at the times of a schedule and forgets old ones
//! (upstream: `pkg/controller/cronjob`).

mod plan;
mod schedule;
mod template;

use std::collections::BTreeSet;
use std::sync::Arc;

use api::resources::{CRONJOBS, JOBS};
use apimachinery::{ApiError, Object, Reason};
use async_trait::async_trait;
use client::{
    Change, Client, DeleteOptions, EventRecorder, Informer, ObjectReference, Outcome, Propagation, ReconcileError,
    Reconciler, WorkQueue, run_controller, typed_value,
};
use k8s_openapi::api::batch::v1::{CronJob, CronJobStatus, Job};
use k8s_openapi::api::core::v1;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::context::ControllerContext;
use crate::owner::{self, BY_CONTROLLER};
use crate::said::{self, Said};
use plan::{Observed, Start, plan};

const NAME: &str = "cronjob-controller";
/// CronJobs that are worked on at once (upstream's `--concurrent-cron-job-syncs`).
const WORKERS: usize = 5;

struct CronJobController {
    client: Client,
    recorder: EventRecorder,
    context: ControllerContext,
    crons: Informer,
    jobs: Informer,
}

/// Starts the controller.
pub(crate) fn start(context: &ControllerContext) {
    let client = context.client(NAME);
    let queue = WorkQueue::new();
    let [crons, jobs] = [CRONJOBS, JOBS].map(|resource| context.informers.of(resource));
    jobs.add_index(BY_CONTROLLER, owner::controller_uids);
    jobs.on_change(owner::enqueue_controller(&queue, "CronJob"));
    let (changed, clock) = (queue.clone(), context.clock.clone());
    crons.on_change(move |change| {
        let key = change.object().meta().key();
        match new_schedule(change) {
            // What the new schedule has missed, was not missed: it waits for its first time.
            Some(cron) => match schedule::of(&cron) {
                Ok(parsed) => changed.add_after(key, schedule::next_in(&cron, &parsed, clock.now())),
                Err(_) => changed.add(key),
            },
            None => changed.add(key),
        }
    });
    let recorder = context.recorder(client.clone(), NAME);
    let controller = CronJobController { client, recorder, context: context.clone(), crons, jobs };
    run_controller(&context.supervisor, &queue, WORKERS, Arc::new(controller));
}

/// The CronJob, if its schedule or its time zone has changed.
fn new_schedule(change: &Change) -> Option<Arc<CronJob>> {
    let Change::Updated(before, after) = change else { return None };
    let [before, after] = [before, after].map(|object| object.typed::<CronJob>().ok());
    let (before, after) = (before?, after?);
    let schedule = |cron: &CronJob| (cron.spec.schedule.clone(), cron.spec.time_zone.clone());
    (schedule(&before) != schedule(&after)).then_some(after)
}

#[async_trait]
impl Reconciler for CronJobController {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn reconcile(&self, key: &str) -> Result<Outcome, ReconcileError> {
        self.context.informers.synced().await;
        let Some(object) = self.crons.store().get(key) else { return Ok(Outcome::Done) };
        let cron = object.typed::<CronJob>()?;
        let jobs = self.jobs.store().by_index(BY_CONTROLLER, &object.meta().uid);
        let jobs = jobs.iter().map(|job| job.typed::<Job>()).collect::<Result<Vec<_>, _>>()?;
        let gone = self.gone(&cron, &jobs).await?;
        let plan = plan(&Observed { cron: &cron, jobs: &jobs, gone: &gone, now: self.context.clock.now() });
        let about = ObjectReference::to(CRONJOBS, &object);
        let mut status = plan.status;
        for job in &plan.forget {
            let name = job.metadata.name.clone().unwrap_or_default();
            // It stays in the history until the next time.
            let _ = self.delete(&about, &name).await;
        }
        said::record(&self.recorder, &about, plan.said);
        let started = match &plan.start {
            Some(start) => self.start(&object, &about, start, &mut status).await,
            None => Ok(()),
        };
        if cron.status.clone().unwrap_or_default() != status {
            let mut body = object.value();
            body["status"] = typed_value(&status)?;
            let meta = object.meta();
            match self.client.update_status(CRONJOBS, &meta.namespace, &meta.name, body).await {
                Ok(updated) => self.crons.caught_up(updated.meta().resource_version).await,
                Err(error) if error.reason == Reason::Conflict => return Ok(Outcome::Retry),
                Err(error) if error.reason == Reason::NotFound => return Ok(Outcome::Done),
                Err(error) => return Err(error.into()),
            }
        }
        started?;
        Ok(plan.requeue_after.map_or(Outcome::Done, Outcome::After))
    }
}

impl CronJobController {
    /// Uids of active Jobs that there are no more. The server is asked, for the copy may be behind.
    async fn gone(&self, cron: &CronJob, jobs: &[Arc<Job>]) -> Result<BTreeSet<String>, ApiError> {
        let mut gone = BTreeSet::new();
        for listed in cron.status.iter().flat_map(|status| status.active.iter().flatten()) {
            let (namespace, name) = (listed.namespace.as_deref(), listed.name.as_deref().unwrap_or_default());
            if jobs.iter().all(|job| job.metadata.uid != listed.uid) {
                match self.client.get(JOBS, namespace.unwrap_or_default(), name).await {
                    Err(error) if error.reason == Reason::NotFound => gone.extend(listed.uid.clone()),
                    Ok(_) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(gone)
    }

    async fn delete(&self, about: &ObjectReference, name: &str) -> Result<(), ApiError> {
        let options = DeleteOptions { propagation: Some(Propagation::Background), ..DeleteOptions::default() };
        match self.client.delete(JOBS, &about.namespace, name, &options).await {
            Ok(revision) => {
                self.jobs.caught_up(revision).await;
                said::record(&self.recorder, about, [Said::normal("SuccessfulDelete", format!("Deleted job {name}"))]);
                Ok(())
            }
            Err(error) => {
                said::record(&self.recorder, about, [Said::warning("FailedDelete", format!("Deleted job: {error}"))]);
                Err(error)
            }
        }
    }

    /// Starts a Job, in the place of others if there are any, and lists it in `status`.
    async fn start(
        &self,
        cron: &Object,
        about: &ObjectReference,
        start: &Start,
        status: &mut CronJobStatus,
    ) -> Result<(), ReconcileError> {
        for listed in &start.replaces {
            let name = listed.name.as_deref().unwrap_or_default();
            if let Err(error) = self.client.get(JOBS, &about.namespace, name).await {
                said::record(&self.recorder, about, [Said::warning("FailedGet", format!("Get job: {error}"))]);
                return Err(error.into());
            }
            if self.delete(about, name).await.is_err() {
                return Err(format!("could not replace job {}/{name}", about.namespace).into());
            }
            status.active = status.active.take().map(|all| all.into_iter().filter(|one| one != listed).collect());
        }
        let job = match self.client.create(JOBS, &about.namespace, template::job(cron, start)).await {
            Ok(job) => {
                let message = format!("Created job {}", job.meta().name);
                said::record(&self.recorder, about, [Said::normal("SuccessfulCreate", message)]);
                job
            }
            Err(error) if error.causes.iter().any(|c| c.reason == "NamespaceTerminating") => return Ok(()),
            // An earlier step made it and could not list it, or it is somebody else's.
            Err(error) if error.reason == Reason::AlreadyExists => {
                let job = self.client.get(JOBS, &about.namespace, &start.name).await?;
                let is_own = job.meta().controller().is_some_and(|owner| owner.uid == about.uid);
                let mut active = status.active.iter().flatten();
                if !is_own || active.any(|listed| listed.uid.as_ref() == Some(&job.meta().uid)) {
                    return Ok(());
                }
                job
            }
            Err(error) => {
                let message = format!("Error creating job: {error}");
                said::record(&self.recorder, about, [Said::warning("FailedCreate", message)]);
                return Err(error.into());
            }
        };
        self.jobs.caught_up(job.meta().resource_version).await;
        status.active.get_or_insert_default().push(reference(&job));
        status.last_schedule_time = Some(Time(start.at));
        Ok(())
    }
}

fn reference(job: &Object) -> v1::ObjectReference {
    let meta = job.meta();
    v1::ObjectReference {
        api_version: Some(JOBS.api_version()),
        kind: Some(JOBS.kind.to_owned()),
        namespace: Some(meta.namespace.clone()),
        name: Some(meta.name.clone()),
        uid: Some(meta.uid.clone()),
        resource_version: Some(meta.resource_version.to_string()),
        field_path: None,
    }
}
