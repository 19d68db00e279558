//! Wall time as an argument. Monotonic time comes from `tokio::time`, which tests can pause.

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// Tells wall time. A process has one; pure code takes `now: Timestamp` instead.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// The time of day now.
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// A clock that starts at a given time and advances with tokio's (possibly paused) monotonic clock, so that a
/// simulated cluster lives in virtual time and the same seed gives the same timestamps.
#[derive(Debug, Clone, Copy)]
pub struct SimulatedClock {
    epoch: Timestamp,
    started: Instant,
}

impl SimulatedClock {
    /// A clock that says `epoch` now. Call it inside a tokio runtime.
    pub fn starting_at(epoch: Timestamp) -> Self {
        Self { epoch, started: Instant::now() }
    }
}

impl Clock for SimulatedClock {
    fn now(&self) -> Timestamp {
        let elapsed = SignedDuration::try_from(self.started.elapsed()).unwrap_or(SignedDuration::MAX);
        self.epoch.checked_add(elapsed).unwrap_or(Timestamp::MAX)
    }
}
