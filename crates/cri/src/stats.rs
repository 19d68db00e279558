//! What containers and pods use.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{ContainerId, ContainerMetadata, FilesystemUsage, PodSandboxId, PodSandboxMetadata};

/// Processor time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CpuUsage {
    /// Nanoseconds of all cores since the cgroup was made.
    pub usage_core_nanoseconds: u64,
}

/// Memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MemoryUsage {
    /// Usage minus inactive file pages: what `kubectl top` and eviction look at.
    pub working_set_bytes: u64,
    /// All that is charged, page cache included.
    pub usage_bytes: u64,
    /// Anonymous memory.
    pub rss_bytes: u64,
    /// Limit minus working set; none where there is no limit.
    pub available_bytes: Option<u64>,
    /// Minor page faults.
    pub page_faults: u64,
    /// Major page faults.
    pub major_page_faults: u64,
}

/// Bytes and errors of a pod's interface.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NetworkUsage {
    /// Interface in the pod, `eth0`.
    pub name: String,
    /// Bytes received.
    pub rx_bytes: u64,
    /// Receive errors.
    pub rx_errors: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
    /// Send errors.
    pub tx_errors: u64,
}

/// What a container uses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerStats {
    /// The container.
    pub id: ContainerId,
    /// Which of the pod.
    pub metadata: ContainerMetadata,
    /// When it was read.
    pub at: Timestamp,
    /// Processor time.
    pub cpu: CpuUsage,
    /// Memory.
    pub memory: MemoryUsage,
    /// What it wrote above its image.
    pub writable_layer: FilesystemUsage,
    /// Its log files.
    pub logs: FilesystemUsage,
}

/// What a pod uses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodSandboxStats {
    /// The sandbox.
    pub id: PodSandboxId,
    /// Which pod.
    pub metadata: PodSandboxMetadata,
    /// When it was read.
    pub at: Timestamp,
    /// Processor time of the pod's cgroup.
    pub cpu: CpuUsage,
    /// Memory of the pod's cgroup.
    pub memory: MemoryUsage,
    /// Its interfaces; empty where it uses the node's network.
    pub network: Vec<NetworkUsage>,
    /// Processes and threads in it.
    pub process_count: u64,
    /// Its containers.
    pub containers: Vec<ContainerStats>,
}
