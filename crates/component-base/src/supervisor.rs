//! Supervised tasks: every task has a name and a span, a panic ends that task only and is logged, and a shutdown waits
//! for all of them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

/// Spawns tasks and joins them. Clones share the same set of tasks; [`Supervisor::child`] makes a scope of its own that
/// ends with (or before) its parent.
#[derive(Debug, Clone, Default)]
pub struct Supervisor {
    tasks: TaskTracker,
    names: Names,
    token: CancellationToken,
    /// Blocking work is done by the task that asks for it.
    inline: bool,
}

/// How the tasks are called that run.
#[derive(Debug, Clone, Default)]
struct Names(Arc<Mutex<Running>>);

#[derive(Debug, Default)]
struct Running {
    started: u64,
    /// By the task's number.
    names: BTreeMap<u64, Cow<'static, str>>,
}

/// A task's entry among the names, for as long as it runs.
struct Named {
    names: Names,
    number: u64,
}

impl Names {
    fn enter(&self, name: Cow<'static, str>) -> Named {
        let mut running = self.0.lock();
        running.started += 1;
        let number = running.started;
        running.names.insert(number, name);
        Named { names: self.clone(), number }
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        self.names.0.lock().names.remove(&self.number);
    }
}

/// Tells a task that it should finish.
#[derive(Debug, Clone)]
pub struct Shutdown(CancellationToken);

/// A spawned task. Dropping it lets the task run on.
#[derive(Debug)]
pub struct Task<T> {
    handle: tokio::task::JoinHandle<Option<T>>,
}

impl Supervisor {
    /// A supervisor without tasks. Tasks are spawned on the runtime of the caller of `spawn`.
    pub fn new() -> Self {
        Self::default()
    }

    /// A supervisor that does blocking work on the task that asks for it instead of a thread of the pool. For simulations:
    /// virtual time stands still meanwhile, and what comes next does not depend on how fast a thread is.
    pub fn inline() -> Self {
        Self { inline: true, ..Self::default() }
    }

    /// A scope whose shutdown does not touch this one; it is shut down when this one is.
    pub fn child(&self) -> Self {
        Self {
            tasks: self.tasks.clone(),
            names: self.names.clone(),
            token: self.token.child_token(),
            inline: self.inline,
        }
    }

    /// Runs `future` as a task called `name`. It is awaited at shutdown, so it must watch [`Supervisor::shutdown`] if it
    /// does not end by itself.
    #[allow(clippy::disallowed_methods, reason = "this is the one place that spawns")]
    pub fn spawn<F>(&self, name: impl Into<Cow<'static, str>>, future: F) -> Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let name = name.into();
        let span = tracing::info_span!("task", name = %name);
        let named = self.names.enter(name.clone());
        let guarded = async move {
            let _named = named;
            match AssertUnwindSafe(future).catch_unwind().await {
                Ok(value) => Some(value),
                Err(panic) => {
                    tracing::error!(task = %name, panic = panic_text(&*panic), "task panicked");
                    None
                }
            }
        };
        Task { handle: tokio::spawn(self.tasks.track_future(guarded.instrument(span))) }
    }

    /// Like [`Supervisor::spawn`] for a task that may be dropped at any await when the shutdown comes.
    pub fn spawn_until_shutdown<F>(&self, name: impl Into<Cow<'static, str>>, future: F) -> Task<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let token = self.token.clone();
        self.spawn(name, async move {
            token.run_until_cancelled(future).await;
        })
    }

    /// Runs blocking work on a thread of the runtime's pool (or, [inline](Supervisor::inline), here) and waits for its
    /// value; `None` if it panicked.
    pub async fn blocking<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        if self.inline {
            return std::panic::catch_unwind(AssertUnwindSafe(work)).ok();
        }
        self.tasks.spawn_blocking(work).await.ok()
    }

    /// What tasks wait on to learn of the shutdown.
    pub fn shutdown(&self) -> Shutdown {
        Shutdown(self.token.clone())
    }

    /// Tells all tasks to finish, without waiting.
    pub fn begin_shutdown(&self) {
        self.token.cancel();
    }

    /// Tells all tasks to finish and waits for them, at most `deadline`. `Err` has the names of those that still run then.
    pub async fn drain(&self, deadline: Duration) -> Result<(), Vec<Cow<'static, str>>> {
        self.begin_shutdown();
        self.tasks.close();
        match tokio::time::timeout(deadline, self.tasks.wait()).await {
            Ok(()) => Ok(()),
            Err(_) => Err(self.names.0.lock().names.values().cloned().collect()),
        }
    }
}

impl Shutdown {
    /// Returns when the shutdown has begun.
    pub async fn requested(&self) {
        self.0.cancelled().await;
    }

    /// Whether the shutdown has begun.
    pub fn is_requested(&self) -> bool {
        self.0.is_cancelled()
    }
}

impl<T> Task<T> {
    /// Waits for the task's value; `None` if it panicked or was aborted.
    pub async fn join(self) -> Option<T> {
        self.handle.await.ok().flatten()
    }

    /// Drops the task at its next await.
    pub fn abort(&self) {
        self.handle.abort();
    }

    /// Whether the task has ended.
    pub fn is_finished(&self) -> bool {
        self.handle.is_finished()
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("(no text)")
}

#[cfg(test)]
mod tests;
