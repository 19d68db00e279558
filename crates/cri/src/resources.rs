//! Limits of a container or pod.

use serde::{Deserialize, Serialize};

/// Limit of one size of huge pages.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct HugepageLimit {
    /// As in the cgroup's file names: `2MB`, `1GB`.
    pub page_size: String,
    /// Bytes.
    pub limit_bytes: u64,
}

/// Limits in cgroup v1's units, as CRI gives them; on v2 the runtime converts. None leaves the kernel's default.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LinuxContainerResources {
    /// CFS period in microseconds; none means 100,000.
    pub cpu_period_us: Option<u64>,
    /// CFS quota in microseconds for each period; -1 or none means no limit.
    pub cpu_quota_us: Option<i64>,
    /// Relative weight against siblings, 2 to 262144.
    pub cpu_shares: Option<u64>,
    /// Memory limit in bytes, swap included unless [`Self::memory_swap_limit_bytes`] says otherwise.
    pub memory_limit_bytes: Option<i64>,
    /// Memory and swap together, in bytes.
    pub memory_swap_limit_bytes: Option<i64>,
    /// Written to `/proc/self/oom_score_adj`, -1000 to 1000.
    pub oom_score_adj: Option<i32>,
    /// CPUs, as `0-2,5`; empty means all of the parent.
    pub cpuset_cpus: String,
    /// Memory nodes.
    pub cpuset_mems: String,
    /// Largest number of processes and threads.
    pub pids_limit: Option<i64>,
    /// Huge page limits.
    pub hugepage_limits: Vec<HugepageLimit>,
}

impl LinuxContainerResources {
    /// Takes over what `update` sets and keeps the rest.
    pub fn merge(&mut self, update: &Self) {
        fn take<T: Clone>(to: &mut Option<T>, from: &Option<T>) {
            if from.is_some() {
                to.clone_from(from);
            }
        }
        take(&mut self.cpu_period_us, &update.cpu_period_us);
        take(&mut self.cpu_quota_us, &update.cpu_quota_us);
        take(&mut self.cpu_shares, &update.cpu_shares);
        take(&mut self.memory_limit_bytes, &update.memory_limit_bytes);
        take(&mut self.memory_swap_limit_bytes, &update.memory_swap_limit_bytes);
        take(&mut self.oom_score_adj, &update.oom_score_adj);
        take(&mut self.pids_limit, &update.pids_limit);
        if !update.cpuset_cpus.is_empty() {
            self.cpuset_cpus.clone_from(&update.cpuset_cpus);
        }
        if !update.cpuset_mems.is_empty() {
            self.cpuset_mems.clone_from(&update.cpuset_mems);
        }
        if !update.hugepage_limits.is_empty() {
            self.hugepage_limits.clone_from(&update.hugepage_limits);
        }
    }
}
