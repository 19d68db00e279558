//! The kubelet: a worker for each Pod of the node, probes, volumes, status, the node's own heartbeat, and the way into
//! containers (logs, exec, attach). It knows only `cri`, not the runtime behind it, and is an API client like any other.
//!
//! Absent on purpose, until what they need exists: static Pods, volumes of CSI drivers and of network file systems,
//! eviction, image garbage collection, resource managers, checkpointing,
//! the HTTP API on port 10250.

mod actions;
mod admission;
mod certificates;
mod config;
mod containers;
mod env;
mod ephemeral;
mod images;
mod kubelet;
mod logs;
mod names;
mod news;
mod node;
mod probe;
mod resize;
mod status;
mod traffic;
mod volumes;
mod worker;

pub use kubelet::{Kubelet, KubeletConfig, KubeletWorld, NodeFacts};
pub use logs::{LogError, LogQuery, LogSource};
pub use probe::{ProbeDialer, TcpProbeDialer};
pub use traffic::{NoTrafficBarrier, TrafficBarrier};
