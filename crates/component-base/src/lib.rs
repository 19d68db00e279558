//! What every long-running part of skiff needs and what its tests replace: wall time, randomness, supervised tasks,
//! back-off, metrics and watched values. Nothing here knows Kubernetes' kinds.

mod backoff;
mod clock;
pub mod metrics;
mod random;
mod supervisor;
pub mod watch;

pub use backoff::Backoff;
pub use clock::{Clock, SimulatedClock, SystemClock};
pub use random::Random;
pub use supervisor::{Shutdown, Supervisor, Task};
