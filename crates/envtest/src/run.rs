//! Running a scenario.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;

use crate::cluster::Cluster;
use crate::event_log::EventLog;
use crate::failure::Failure;
use crate::options::Options;
use crate::world::World;

/// Lines of the log that a failed test shows.
const TAIL_LINES: usize = 80;

/// How a run ended.
#[derive(Debug)]
pub struct Outcome {
    /// What the scenario says.
    pub result: Result<(), Failure>,
    /// What happened.
    pub log: Arc<EventLog>,
}

/// Makes the cluster that `options` describe and runs `scenario` with it, on this thread and in virtual time.
pub fn run(options: &Options, scenario: impl AsyncFnOnce(&Cluster) -> Result<(), Failure>) -> Outcome {
    let log = Arc::new(EventLog::default());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(play(options, log.clone(), scenario)),
        Err(error) => Err(Failure::Start(error.to_string())),
    };
    Outcome { result, log }
}

async fn play(
    options: &Options,
    log: Arc<EventLog>,
    scenario: impl AsyncFnOnce(&Cluster) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let world = World::new(options, log);
    let supervisor = world.supervisor.clone();
    let cluster = Cluster::start(options, world).await?;
    let playing = AssertUnwindSafe(scenario(&cluster)).catch_unwind();
    let result = tokio::select! {
        biased;
        failure = cluster.play_faults() => Err(failure),
        played = playing => played.unwrap_or_else(|panic| Err(Failure::Wrong(panic_text(&*panic)))),
    };
    let result = match result {
        Ok(()) => cluster.final_check().await,
        failed => failed,
    };
    supervisor.begin_shutdown();
    result
}

/// Runs `scenario` in a test: a failure panics with the seed and the end of the log.
#[track_caller]
pub fn check(options: &Options, scenario: impl AsyncFnOnce(&Cluster) -> Result<(), Failure>) {
    let Outcome { result, log } = run(options, scenario);
    if let Err(failure) = result {
        panic!("seed {}: {}\n\nThe log's end:\n{}", options.seed, failure.text(), log.tail(TAIL_LINES));
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().map(str::to_owned);
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "the scenario panicked".to_owned())
}
