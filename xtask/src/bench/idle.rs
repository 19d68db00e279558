//! `bench idle`: what a cluster costs that has nothing to do.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use super::cluster::{Cluster, DEPLOYMENTS, Watch, create, deployment, expose, is_rolled_out};

/// Until what a start leaves behind has settled.
const SETTLE: Duration = Duration::from_secs(30);
/// How long it is watched.
const IDLE: Duration = Duration::from_secs(300);
/// The kernel's unit of CPU time in /proc (`USER_HZ`), which is fixed.
const TICKS_PER_SECOND: f64 = 100.0;

/// One of skiff's processes.
struct Process {
    pid: u32,
    role: &'static str,
    pss_kib: u64,
    cpu_ticks: u64,
}

pub(super) async fn measure(cluster: &Cluster) -> Result<String> {
    cluster.start()?;
    let api = cluster.api()?;
    expose(&api).await?;
    // The tutorial's Deployment has no probes; one that has them is not idle.
    let mut web = deployment(2);
    web["spec"]["template"]["spec"]["containers"][0]
        .as_object_mut()
        .context("a Deployment has a container")?
        .remove("readinessProbe");
    create(&api, DEPLOYMENTS, &web).await?;
    Watch::open(&api, DEPLOYMENTS).await?.until(is_rolled_out).await?;
    drop(api);
    tokio::time::sleep(SETTLE).await;
    let before = processes(cluster)?;
    tokio::time::sleep(IDLE).await;
    let after = processes(cluster)?;
    let seconds = IDLE.as_secs_f64();
    let mut text = format!("after {} idle minutes with two Pods\n", IDLE.as_secs() / 60);
    let (mut pss, mut ticks) = (0, 0);
    for process in &after {
        let earlier = before.iter().find(|earlier| earlier.pid == process.pid);
        let used = process.cpu_ticks - earlier.map_or(0, |earlier| earlier.cpu_ticks);
        text.push_str(&format!(
            "{:<12} Pss {:>8.2} MiB  CPU {:>6.3} % of a core\n",
            process.role,
            mib(process.pss_kib),
            percent(used, seconds)
        ));
        pss += process.pss_kib;
        ticks += used;
    }
    text.push_str(&format!(
        "{:<12} Pss {:>8.2} MiB  CPU {:>6.3} % of a core\n",
        "all",
        mib(pss),
        percent(ticks, seconds)
    ));
    Ok(text)
}

fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}

fn percent(ticks: u64, seconds: f64) -> f64 {
    ticks as f64 / TICKS_PER_SECOND / seconds * 100.0
}

/// The cluster's processes but those of its Pods' containers.
fn processes(cluster: &Cluster) -> Result<Vec<Process>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").context("failed to read /proc")?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        if pid == std::process::id() {
            continue;
        }
        // One that ends meanwhile is not the cluster's.
        if let Some(process) = process(pid, &entry.path(), &cluster.profile) {
            found.push(process);
        }
    }
    Ok(found)
}

/// Node init and the supervisors are forks of `skiff start`, so their command lines name the profile as the daemon's does.
fn process(pid: u32, directory: &Path, profile: &str) -> Option<Process> {
    let text = |name: &str| std::fs::read_to_string(directory.join(name)).ok();
    let command_line = text("cmdline")?;
    if !command_line.contains(profile) {
        return None;
    }
    let number = |text: &str, name: &str| -> Option<u64> {
        text.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok())
    };
    let stat = text("stat")?;
    // The name in parentheses may hold spaces; utime and stime are the 12th and 13th fields after it.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |index: usize| fields.get(index)?.parse::<u64>().ok();
    Some(Process {
        pid,
        role: if command_line.contains("daemon") { "daemon" } else { "init, pods" },
        pss_kib: number(&text("smaps_rollup")?, "Pss:")?,
        cpu_ticks: ticks(11)? + ticks(12)?,
    })
}
