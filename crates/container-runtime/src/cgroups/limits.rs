//! Limits, as writes to files. Pure.

use cri::LinuxContainerResources;

/// Period of the CPU quota where none is given, in microseconds.
const CPU_PERIOD_US: u64 = 100_000;

/// One value for one file of one controller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WriteTo {
    pub(super) controller: &'static str,
    pub(super) file: String,
    pub(super) value: String,
    /// Left out where the kernel does not have the file (swap accounting).
    pub(super) optional: bool,
}

fn to(controller: &'static str, file: impl Into<String>, value: impl ToString) -> WriteTo {
    WriteTo { controller, file: file.into(), value: value.to_string(), optional: false }
}

/// CPU shares (2 to 262144) as a v2 weight (1 to 10000), so that 1024 shares are weight 100. runc's formula since KEP-4216's
/// discussion: quadratic in the logarithm.
pub(super) fn weight_from_shares(shares: u64) -> u64 {
    match shares {
        0..=2 => 1,
        262_144.. => 10_000,
        _ => {
            let log = (shares as f64).log2();
            let exponent = (log * log + 125.0 * log) / 612.0 - 7.0 / 34.0;
            10f64.powf(exponent).ceil() as u64
        }
    }
}

/// What has to be written; `unified` says which controllers are in the v2 hierarchy.
pub(super) fn plan(resources: &LinuxContainerResources, unified: &dyn Fn(&str) -> bool) -> Vec<WriteTo> {
    let mut writes = vec![];
    if let Some(shares) = resources.cpu_shares {
        writes.push(if unified("cpu") {
            to("cpu", "cpu.weight", weight_from_shares(shares))
        } else {
            to("cpu", "cpu.shares", shares.max(2))
        });
    }
    if resources.cpu_quota_us.is_some() || resources.cpu_period_us.is_some() {
        let period = resources.cpu_period_us.filter(|period| *period > 0).unwrap_or(CPU_PERIOD_US);
        let quota = resources.cpu_quota_us.filter(|quota| *quota > 0);
        if unified("cpu") {
            let quota = quota.map_or_else(|| "max".to_owned(), |quota| quota.to_string());
            writes.push(to("cpu", "cpu.max", format!("{quota} {period}")));
        } else {
            writes.push(to("cpu", "cpu.cfs_period_us", period));
            writes.push(to("cpu", "cpu.cfs_quota_us", quota.unwrap_or(-1)));
        }
    }
    memory(resources, unified("memory"), &mut writes);
    if let Some(limit) = resources.pids_limit {
        let value = if limit > 0 { limit.to_string() } else { "max".to_owned() };
        writes.push(to("pids", "pids.max", value));
    }
    if !resources.cpuset_cpus.is_empty() {
        writes.push(to("cpuset", "cpuset.cpus", &resources.cpuset_cpus));
    }
    if !resources.cpuset_mems.is_empty() {
        writes.push(to("cpuset", "cpuset.mems", &resources.cpuset_mems));
    }
    for limit in &resources.hugepage_limits {
        let (size, bytes) = (&limit.page_size, limit.limit_bytes);
        let file =
            if unified("hugetlb") { format!("hugetlb.{size}.max") } else { format!("hugetlb.{size}.limit_in_bytes") };
        writes.push(WriteTo { optional: true, ..to("hugetlb", file, bytes) });
    }
    writes
}

fn memory(resources: &LinuxContainerResources, unified: bool, writes: &mut Vec<WriteTo>) {
    let Some(limit) = resources.memory_limit_bytes.filter(|limit| *limit != 0) else { return };
    // Without a limit of its own, swap is not used: upstream's NoSwap.
    let with_swap = resources.memory_swap_limit_bytes.filter(|swap| *swap != 0).unwrap_or(limit);
    if unified {
        let or_max = |value: i64| if value < 0 { "max".to_owned() } else { value.to_string() };
        let swap = if with_swap < 0 || limit < 0 { -1 } else { (with_swap - limit).max(0) };
        writes.push(WriteTo { optional: true, ..to("memory", "memory.swap.max", or_max(swap)) });
        writes.push(to("memory", "memory.max", or_max(limit)));
    } else {
        writes.push(to("memory", "memory.limit_in_bytes", limit));
        writes.push(WriteTo { optional: true, ..to("memory", "memory.memsw.limit_in_bytes", with_swap) });
    }
}
