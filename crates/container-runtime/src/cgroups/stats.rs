//! What a group uses, from its files.

use cri::{CpuUsage, MemoryUsage};

use super::CgroupError;

/// What a group uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Usage {
    pub(crate) cpu: CpuUsage,
    pub(crate) memory: MemoryUsage,
    pub(crate) processes: u64,
}

/// The number after `name` in a file of `name value` lines.
pub(super) fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

fn number(text: &str) -> u64 {
    text.trim().parse().unwrap_or(0)
}

/// v1 shows "no limit" as the largest multiple of a page.
const V1_NO_LIMIT: u64 = 1 << 62;

/// Reads all. `file` gives a file's text by controller and name.
pub(super) fn read(
    file: &dyn Fn(&str, &str) -> Result<String, CgroupError>,
    unified: &dyn Fn(&str) -> bool,
) -> Result<Usage, CgroupError> {
    let usage_core_nanoseconds = if unified("cpuacct") {
        // The file is there without the controller.
        field(&file("cpuacct", "cpu.stat")?, "usage_usec").unwrap_or(0) * 1000
    } else {
        number(&file("cpuacct", "cpuacct.usage")?)
    };
    let memory = if unified("memory") {
        let stat = file("memory", "memory.stat")?;
        let of = |name: &str| field(&stat, name).unwrap_or(0);
        let limit = file("memory", "memory.max")?.trim().parse::<u64>().ok();
        memory(number(&file("memory", "memory.current")?), of("inactive_file"), of("anon"), limit, &stat, "")
    } else {
        let stat = file("memory", "memory.stat")?;
        let of = |name: &str| field(&stat, name).unwrap_or(0);
        let limit =
            Some(number(&file("memory", "memory.limit_in_bytes")?)).filter(|limit| (1..V1_NO_LIMIT).contains(limit));
        memory(
            number(&file("memory", "memory.usage_in_bytes")?),
            of("total_inactive_file"),
            of("total_rss"),
            limit,
            &stat,
            "total_",
        )
    };
    let processes = number(&file("pids", "pids.current")?);
    Ok(Usage { cpu: CpuUsage { usage_core_nanoseconds }, memory, processes })
}

fn memory(usage: u64, inactive_file: u64, rss: u64, limit: Option<u64>, stat: &str, prefix: &str) -> MemoryUsage {
    let working_set_bytes = usage.saturating_sub(inactive_file);
    MemoryUsage {
        working_set_bytes,
        usage_bytes: usage,
        rss_bytes: rss,
        available_bytes: limit.map(|limit| limit.saturating_sub(working_set_bytes)),
        page_faults: field(stat, &format!("{prefix}pgfault")).unwrap_or(0),
        major_page_faults: field(stat, &format!("{prefix}pgmajfault")).unwrap_or(0),
    }
}
