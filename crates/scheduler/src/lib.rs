//! The scheduler: a queue of Pods that want a node, a snapshot of the nodes, plugins that filter and score them, and the
//! binding (upstream: `pkg/scheduler`). An API client like any other.
//!
//! Absent on purpose, until what they need exists: limits and free space of CSI drivers (`NodeVolumeLimits`), a plugin for
//! dynamic resources, extenders, profiles other than the default one.

mod binding;
mod cache;
mod changes;
mod framework;
mod plugins;
mod pod_info;
mod preemption;
mod queue;
mod resources;
mod schedule;
mod scheduler;
mod snapshot;
mod volume_binder;
mod volume_changes;
mod volumes;

pub use cache::Cache;
pub use framework::{Filter, FilterPlugin, NodeScore, Score, ScorePlugin, Status};
pub use pod_info::{PodInfo, Term};
pub use resources::Resources;
pub use schedule::{Decision, FitError, Framework};
pub use scheduler::{SchedulerConfig, start};
pub use snapshot::{NodeInfo, Snapshot};
pub use volumes::Volumes;
