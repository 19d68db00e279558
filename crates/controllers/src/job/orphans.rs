//! Takes the finalizer from Pods that no Job will count: theirs is gone, has ended, or has let go of them. Without that
//! they could not be deleted.

use std::sync::Arc;

use api::resources::PODS;
use apimachinery::{Object, Reason};
use async_trait::async_trait;
use client::{
    Change, Client, Informer, Outcome, PatchKind, ReconcileError, Reconciler, Store, WorkQueue, run_controller,
};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;

use super::facts::{self, FINALIZER};
use super::release;
use crate::context::ControllerContext;
use crate::owner::BY_CONTROLLER;

struct Orphans {
    client: Client,
    context: ControllerContext,
    jobs: Informer,
    pods: Informer,
}

/// Starts the part of the controller that looks for them.
pub(super) fn start(context: &ControllerContext, client: Client, jobs: &Informer, pods: &Informer) {
    let queue = WorkQueue::new();
    let (of_pods, all_jobs) = (queue.clone(), jobs.store().clone());
    pods.on_change(move |change| {
        let pod = change.object();
        // A Pod may be seen before its Job, but hardly be on its way out by then.
        let is_left = pod.meta().controller().is_none() || pod.meta().deletion_timestamp.is_some();
        if is_left && is_tracked(pod) && is_orphan(&all_jobs, pod) {
            of_pods.add(pod.meta().key());
        }
    });
    let (of_jobs, all_pods) = (queue.clone(), pods.store().clone());
    jobs.on_change(move |change| {
        let job = change.object();
        let is_gone = matches!(change, Change::Deleted(_));
        if is_gone || job.typed::<Job>().is_ok_and(|job| facts::finished(&job).is_some()) {
            let pods = all_pods.by_index(BY_CONTROLLER, &job.meta().uid);
            pods.iter().filter(|pod| is_tracked(pod)).for_each(|pod| of_jobs.add(pod.meta().key()));
        }
    });
    let orphans = Orphans { client, context: context.clone(), jobs: jobs.clone(), pods: pods.clone() };
    run_controller(&context.supervisor, &queue, 1, Arc::new(orphans));
}

fn is_tracked(pod: &Object) -> bool {
    pod.meta().finalizers.iter().any(|finalizer| finalizer == FINALIZER)
}

/// Whether nobody will count the Pod.
fn is_orphan(jobs: &Store, pod: &Object) -> bool {
    let Some(owner) = pod.meta().controller() else { return true };
    if owner.kind != "Job" || owner.api_version != "batch/v1" {
        return false;
    }
    let job = jobs.get(&format!("{}/{}", pod.meta().namespace, owner.name));
    let job = job.filter(|job| job.meta().uid == owner.uid).and_then(|job| job.typed::<Job>().ok());
    job.is_none_or(|job| !facts::is_managed_elsewhere(&job) && facts::finished(&job).is_some())
}

#[async_trait]
impl Reconciler for Orphans {
    fn name(&self) -> &'static str {
        "job-controller-orphans"
    }

    async fn reconcile(&self, key: &str) -> Result<Outcome, ReconcileError> {
        self.context.informers.synced().await;
        if let Some(pod) = self.pods.store().get(key)
            && is_tracked(&pod)
            && is_orphan(self.jobs.store(), &pod)
        {
            let meta = pod.meta();
            // A Job may be adopting it at this moment, and then has to count it.
            let mut patch = release::patch(&*pod.typed::<Pod>()?);
            patch["metadata"]["resourceVersion"] = meta.resource_version.to_string().into();
            match self.client.patch(PODS, &meta.namespace, &meta.name, PatchKind::Strategic, patch).await {
                Ok(released) => self.pods.caught_up(released.meta().resource_version).await,
                Err(error) if error.reason == Reason::Conflict => return Ok(Outcome::Retry),
                Err(error) if error.reason == Reason::NotFound => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Outcome::Done)
    }
}
