//! Runs a reconciler: workers take keys from its queue, a failure comes again after a back-off.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use component_base::Supervisor;

use crate::queue::WorkQueue;

/// What a reconcile asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing more until something changes.
    Done,
    /// Once more after this time.
    After(Duration),
    /// Once more after the key's back-off, without an error being logged (an optimistic conflict).
    Retry,
}

/// What a reconcile failed with: anything with a text. It is logged and the key comes again.
pub type ReconcileError = Box<dyn std::error::Error + Send + Sync>;

/// Brings one object's world to what it should be. Gets a key and no event data, is idempotent, does not retry inside.
#[async_trait]
pub trait Reconciler: Send + Sync + 'static {
    /// The controller's name, for logs and metrics.
    fn name(&self) -> &'static str;

    /// One step for `key`.
    async fn reconcile(&self, key: &str) -> Result<Outcome, ReconcileError>;
}

/// Starts `workers` workers on `queue`. The queue closes when the supervisor shuts down; what is under way then is dropped:
/// what it waits for may not come any more, and the next life takes it up.
pub fn run_controller(supervisor: &Supervisor, queue: &WorkQueue, workers: usize, reconciler: Arc<dyn Reconciler>) {
    let name = reconciler.name();
    let (closing, shutdown) = (queue.clone(), supervisor.shutdown());
    supervisor.spawn(format!("{name}-close"), async move {
        shutdown.requested().await;
        closing.close();
    });
    for worker in 0..workers {
        let (queue, reconciler) = (queue.clone(), reconciler.clone());
        supervisor.spawn_until_shutdown(format!("{name}-{worker}"), async move {
            while let Some(key) = queue.next().await {
                work(&queue, &*reconciler, &key).await;
                queue.done(&key);
            }
        });
    }
}

async fn work(queue: &WorkQueue, reconciler: &dyn Reconciler, key: &str) {
    use futures_util::FutureExt;
    let step = std::panic::AssertUnwindSafe(reconciler.reconcile(key)).catch_unwind();
    match step.await {
        Ok(Ok(Outcome::Done)) => queue.forget(key),
        Ok(Ok(Outcome::After(delay))) => {
            queue.forget(key);
            queue.add_after(key, delay);
        }
        Ok(Ok(Outcome::Retry)) => queue.add_rate_limited(key),
        Ok(Err(error)) => {
            tracing::warn!(controller = reconciler.name(), key, error = %error, "reconcile failed, will retry");
            queue.add_rate_limited(key);
        }
        Err(_) => {
            tracing::error!(controller = reconciler.name(), key, "reconcile panicked, will retry");
            queue.add_rate_limited(key);
        }
    }
}
