//! A runtime and an image store in memory and in virtual time, for tests and simulated nodes.
//!
//! Containers do what a [`Script`] says: how long a start takes, when they exit by themselves, what they do when told to
//! stop, what an exec prints. Without a script they run until stopped. All delays are tokio's (possibly paused) time, all
//! timestamps the injected clock's, all ids the injected generator's: the same seed gives the same run.
//! State has one owner, [`FakeRuntime`], behind a short lock; others see it through the [`RuntimeService`] trait.
//! Absent: log files (no disk is touched), so `kubectl logs` of a simulated pod finds none.
//!
//! [`RuntimeService`]: crate::RuntimeService

mod images;
mod runtime;
mod script;
mod state;

pub use images::{FakeImage, FakeImages, PullFailure};
pub use runtime::{FakeRuntime, FakeRuntimeOptions};
pub use script::{ExecHandler, OnStop, Script, ScriptedExit, Selector};

#[cfg(test)]
mod tests;
