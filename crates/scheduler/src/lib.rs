//! The scheduler: a queue of Pods that want a node, a snapshot of the nodes, plugins that filter and score them, and the
//! binding (upstream: `pkg/scheduler`). An API client like any other.
//!
//! Absent on purpose, until what they need exists: plugins for volumes and dynamic resources, preemption, extenders,
//! profiles other than the default one.

mod framework;
mod plugins;
mod queue;
mod schedule;
mod scheduler;
mod snapshot;

pub use framework::{FilterPlugin, NodeScore, ScorePlugin, Status};
pub use schedule::{Decision, FitError, Framework};
pub use scheduler::{SchedulerConfig, start};
pub use snapshot::{NodeInfo, PodInfo, Resources, Snapshot};
