//! What of the kernel a node needs, looked at before anything is made.

use std::path::Path;

use anyhow::{Result, bail};
use cni::nftables::NftSocket;
use rustix::mount::{FsOpenFlags, fsopen};

/// The oldest kernel: the first with `mount_setattr`.
const KERNEL_MIN: (u32, u32) = (5, 12);
/// The namespaces of a node, as /proc names them.
const NAMESPACES: [&str; 6] = ["net", "mnt", "pid", "uts", "ipc", "cgroup"];

/// What this kernel has.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Kernel {
    /// As `uname -r` prints it.
    release: String,
    /// Namespaces that it has not.
    namespaces_missing: Vec<&'static str>,
    overlay: bool,
    nftables: bool,
    cgroups: bool,
}

/// Refuses a kernel that no node can be made on, with all that it lacks. The caller is root: looking may load modules.
pub(crate) fn check() -> Result<()> {
    let faults = faults(&look());
    if faults.is_empty() {
        return Ok(());
    }
    bail!("this machine can't run a node: {}", faults.join("; "))
}

fn look() -> Kernel {
    let missing = |name: &&str| !Path::new("/proc/self/ns").join(name).exists();
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    Kernel {
        release: rustix::system::uname().release().to_string_lossy().into_owned(),
        namespaces_missing: NAMESPACES.into_iter().filter(missing).collect(),
        overlay: fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC).is_ok(),
        nftables: NftSocket::open().and_then(|mut socket| socket.generation()).is_ok(),
        cgroups: mounts.lines().any(|line| line.contains(" - cgroup")),
    }
}

/// What is missing, each with the way to have it.
fn faults(kernel: &Kernel) -> Vec<String> {
    let mut faults = Vec::new();
    let mut numbers = kernel.release.split(|c: char| !c.is_ascii_digit()).map_while(|number| number.parse().ok());
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if version < KERNEL_MIN {
        faults.push(format!(
            "its kernel is {}, and skiff needs Linux {}.{} or newer",
            kernel.release, KERNEL_MIN.0, KERNEL_MIN.1
        ));
    }
    if !kernel.namespaces_missing.is_empty() {
        faults.push(format!(
            "the kernel has no {} namespaces; use one that is built with them, as all distributions' are",
            kernel.namespaces_missing.join(", ")
        ));
    }
    for (has, what, next) in [
        (kernel.overlay, "overlayfs", "`modprobe overlay`, or a kernel with CONFIG_OVERLAY_FS"),
        (kernel.nftables, "nftables", "`modprobe nf_tables`, or a kernel with CONFIG_NF_TABLES"),
        (kernel.cgroups, "cgroup hierarchy that is mounted", "mount one: `mount -t cgroup2 none /sys/fs/cgroup`"),
    ] {
        if !has {
            faults.push(format!("there is no {what}; {next}"));
        }
    }
    faults
}

#[cfg(test)]
mod tests;
