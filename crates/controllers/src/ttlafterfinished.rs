//! Deletes Jobs some time after they have ended (upstream: `pkg/controller/ttlafterfinished`).

mod plan;

use std::sync::Arc;

use api::resources::JOBS;
use apimachinery::{ApiError, Reason};
use async_trait::async_trait;
use client::{
    Client, DeleteOptions, Informer, Outcome, Preconditions, Propagation, ReconcileError, Reconciler, WorkQueue,
    run_controller,
};
use k8s_openapi::api::batch::v1::Job;

use crate::context::ControllerContext;
use crate::owner;

const NAME: &str = "ttl-after-finished-controller";
/// Jobs that are worked on at once (upstream's `--concurrent-ttl-after-finished-syncs`).
const WORKERS: usize = 5;

struct TtlAfterFinished {
    client: Client,
    context: ControllerContext,
    jobs: Informer,
}

/// Starts the controller.
pub(crate) fn start(context: &ControllerContext) {
    let queue = WorkQueue::new();
    let jobs = context.informers.of(JOBS);
    jobs.on_change(owner::enqueue(&queue));
    let controller = TtlAfterFinished { client: context.client(NAME), context: context.clone(), jobs };
    run_controller(&context.supervisor, &queue, WORKERS, Arc::new(controller));
}

#[async_trait]
impl Reconciler for TtlAfterFinished {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn reconcile(&self, key: &str) -> Result<Outcome, ReconcileError> {
        self.context.informers.synced().await;
        let Some(object) = self.jobs.store().get(key) else { return Ok(Outcome::Done) };
        let left = |job: &Job| plan::left(job, self.context.clock.now());
        match left(&*object.typed::<Job>()?) {
            Some(left) if left.is_zero() => {}
            left => return Ok(left.map_or(Outcome::Done, Outcome::After)),
        }
        // The copy may be behind: somebody may have given it more time.
        let meta = object.meta();
        let fresh = match self.client.get(JOBS, &meta.namespace, &meta.name).await {
            Ok(fresh) => fresh,
            Err(error) => return gone(error),
        };
        match left(&*fresh.typed::<Job>()?) {
            Some(left) if left.is_zero() => {}
            left => return Ok(left.map_or(Outcome::Done, Outcome::After)),
        }
        let options = DeleteOptions {
            propagation: Some(Propagation::Foreground),
            preconditions: Preconditions { uid: Some(fresh.meta().uid.clone()), resource_version: None },
            ..DeleteOptions::default()
        };
        match self.client.delete(JOBS, &meta.namespace, &meta.name, &options).await {
            Ok(revision) => self.jobs.caught_up(revision).await,
            Err(error) => return gone(error),
        }
        Ok(Outcome::Done)
    }
}

/// Nothing is to be done for a Job that is gone.
fn gone(error: ApiError) -> Result<Outcome, ReconcileError> {
    if error.reason == Reason::NotFound { Ok(Outcome::Done) } else { Err(error.into()) }
}
