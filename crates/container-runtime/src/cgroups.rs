//! Control groups: v1, hybrid and v2 behind one type.
//!
//! The tree is upstream's: `/kubepods[/burstable|/besteffort]/pod<uid>/<container>`, below the root of what this process
//! sees (a node in namespaces of its own sees its own root). [`limits`] decides what is written where; this file does it.

mod devices;
mod hierarchy;
mod limits;
mod stats;

use std::fs;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cri::LinuxContainerResources;

pub(crate) use devices::DeviceRule;
pub(crate) use hierarchy::Hierarchies;
pub(crate) use stats::Usage;

/// How often, and how long apart, the removal of a directory is tried whose processes have all been killed: the kernel
/// gives no event for the moment when the last of them is out of a v1 hierarchy. Two seconds in all.
const REMOVE_TRIES_MAX: u32 = 1000;
const REMOVE_PAUSE_NANOSECONDS: i64 = 2_000_000;

/// Something that the kernel refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CgroupError {
    #[error("failed to create cgroup {path:?}")]
    Create { path: PathBuf, source: io::Error },
    #[error("failed to write {value:?} to {path:?}")]
    Write { path: PathBuf, value: String, source: io::Error },
    #[error("failed to read {path:?}")]
    Read { path: PathBuf, source: io::Error },
    #[error("failed to remove cgroup {path:?}")]
    Remove { path: PathBuf, source: io::Error },
    #[error("failed to restrict devices of cgroup {path:?}")]
    Devices { path: PathBuf, source: io::Error },
}

/// One group, the same path in all hierarchies.
#[derive(Debug, Clone)]
pub(crate) struct Cgroup {
    hierarchies: Arc<Hierarchies>,
    /// Without a leading slash.
    path: PathBuf,
}

/// Ways into a group that stall nobody. A write to `cgroup.procs` waits for a grace period of the kernel, tens of
/// milliseconds; a v1 `tasks` file moves the writing thread alone and waits for nothing, and on v2 a process can be born in
/// its group.
#[derive(Debug)]
pub(crate) struct Entrances {
    tasks: Vec<OwnedFd>,
    unified: Option<OwnedFd>,
}

impl Entrances {
    /// The v2 group's directory, for [`crate::sys::process::clone_into`].
    pub(crate) fn unified(&self) -> Option<BorrowedFd<'_>> {
        self.unified.as_ref().map(AsFd::as_fd)
    }

    /// Moves this thread into the v1 groups. Call it in the process that was born in the v2 group.
    pub(crate) fn enter(&self) -> io::Result<()> {
        // A zero stands for the thread that writes it.
        self.tasks.iter().try_for_each(|tasks| rustix::io::write(tasks, b"0").map(drop).map_err(Into::into))
    }
}

fn write(path: PathBuf, value: &str) -> Result<(), CgroupError> {
    let attempt = fs::OpenOptions::new().write(true).open(&path).and_then(|mut file| file.write_all(value.as_bytes()));
    attempt.map_err(|source| CgroupError::Write { path, value: value.into(), source })
}

fn read(path: PathBuf) -> Result<String, CgroupError> {
    fs::read_to_string(&path).map_err(|source| CgroupError::Read { path, source })
}

impl Cgroup {
    pub(crate) fn new(hierarchies: Arc<Hierarchies>, path: &str) -> Self {
        Self { hierarchies, path: path.trim_start_matches('/').into() }
    }

    /// Its directories, one in each hierarchy.
    pub(crate) fn directories(&self) -> Vec<PathBuf> {
        self.hierarchies.mounts().map(|mount| mount.join(&self.path)).collect()
    }

    fn directory_of(&self, controller: &str) -> Option<PathBuf> {
        self.hierarchies.mount_of(controller).map(|mount| mount.join(&self.path))
    }

    /// Makes it, and those above it, where they are missing.
    pub(crate) fn create(&self) -> Result<(), CgroupError> {
        // Somebody who removes an empty group above us may come between two steps; then it is made again.
        match self.try_create() {
            Err(CgroupError::Create { source, .. }) if source.kind() == io::ErrorKind::NotFound => self.try_create(),
            other => other,
        }
    }

    fn try_create(&self) -> Result<(), CgroupError> {
        let steps: Vec<&Path> = self.path.ancestors().filter(|step| !step.as_os_str().is_empty()).collect();
        for mount in self.hierarchies.mounts() {
            for step in steps.iter().rev() {
                let path = mount.join(step);
                match fs::create_dir(&path) {
                    Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                        return Err(CgroupError::Create { path, source: error });
                    }
                    _ => {}
                }
            }
        }
        if let Some(mount) = self.hierarchies.mount_of("cpuset").filter(|_| !self.hierarchies.is_unified("cpuset")) {
            for step in steps.iter().rev() {
                inherit_cpuset(&mount.join(step))?;
            }
        }
        if let Some(mount) = self.hierarchies.unified() {
            // A controller works in a group only if all groups above hand it down. The root of what we see does too.
            for parent in steps.iter().rev().filter_map(|step| step.parent()) {
                hand_down(&mount.join(parent))?;
            }
        }
        Ok(())
    }

    /// The ways into it, for a process that is about to be made.
    pub(crate) fn entrances(&self) -> Result<Entrances, CgroupError> {
        let mut entrances = Entrances { tasks: Vec::new(), unified: None };
        for (mount, unified) in self.hierarchies.mounts_with_kind() {
            let directory = mount.join(&self.path);
            let (path, write) = if unified { (directory, false) } else { (directory.join("tasks"), true) };
            let opened = fs::OpenOptions::new().read(!write).write(write).open(&path).map(OwnedFd::from);
            let opened = opened.map_err(|source| CgroupError::Read { path, source })?;
            if unified {
                entrances.unified = Some(opened);
            } else {
                entrances.tasks.push(opened);
            }
        }
        Ok(entrances)
    }

    /// Sets limits; what is none stays as it is.
    pub(crate) fn apply(&self, resources: &LinuxContainerResources) -> Result<(), CgroupError> {
        let mut refused = vec![];
        for write_to in limits::plan(resources, &|controller| self.hierarchies.is_unified(controller)) {
            if let Some(directory) = self.directory_of(write_to.controller) {
                let path = directory.join(&write_to.file);
                if write_to.optional && !path.exists() {
                    continue;
                }
                match write(path.clone(), &write_to.value) {
                    // v1 wants memory below memory and swap at any time: which of the two goes first depends on the direction.
                    Err(CgroupError::Write { source, .. }) if source.kind() == io::ErrorKind::InvalidInput => {
                        refused.push((path, write_to.value));
                    }
                    other => other?,
                }
            }
        }
        refused.into_iter().try_for_each(|(path, value)| write(path, &value))
    }

    /// On v2 the kernel kills all processes of a container that runs out of memory, not just one (upstream's default).
    pub(crate) fn kill_together_when_out_of_memory(&self) -> Result<(), CgroupError> {
        match self.directory_of("memory") {
            Some(directory) if self.hierarchies.is_unified("memory") => write(directory.join("memory.oom.group"), "1"),
            _ => Ok(()),
        }
    }

    /// Allows these devices and no others.
    pub(crate) fn restrict_devices(&self, rules: &[DeviceRule]) -> Result<(), CgroupError> {
        if let Some(directory) = self.directory_of("devices").filter(|_| !self.hierarchies.is_unified("devices")) {
            write(directory.join("devices.deny"), "a")?;
            for rule in rules {
                write(directory.join("devices.allow"), &rule.to_v1())?;
            }
            return Ok(());
        }
        let Some(mount) = self.hierarchies.unified() else { return Ok(()) };
        let path = mount.join(&self.path);
        let attach = || {
            let directory = fs::File::open(&path)?;
            crate::sys::devices::attach(directory.as_fd(), &devices::program(rules))
        };
        attach().map_err(|source| CgroupError::Devices { path: path.clone(), source })
    }

    /// Kills all processes in it and below.
    pub(crate) fn kill(&self) -> Result<(), CgroupError> {
        if let Some(mount) = self.hierarchies.unified() {
            let path = mount.join(&self.path).join("cgroup.kill");
            if path.exists() {
                return write(path, "1");
            }
        }
        for pid in self.processes() {
            // Gone already is what we want.
            let _ = crate::sys::process::kill(pid, libc::SIGKILL);
        }
        Ok(())
    }

    /// Processes in it and below, in any hierarchy.
    pub(crate) fn processes(&self) -> Vec<i32> {
        let mut pids = vec![];
        for directory in self.directories() {
            let mut pending = vec![directory];
            while let Some(directory) = pending.pop() {
                let text = fs::read_to_string(directory.join("cgroup.procs")).unwrap_or_default();
                pids.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()).filter(|pid| *pid > 0));
                pending.extend(children(&directory));
            }
        }
        pids.sort_unstable();
        pids.dedup();
        pids
    }

    /// Times that the kernel killed a process of it for want of memory.
    pub(crate) fn oom_kills(&self) -> u64 {
        let Some(directory) = self.directory_of("memory") else { return 0 };
        let file = if self.hierarchies.is_unified("memory") { "memory.events" } else { "memory.oom_control" };
        let text = fs::read_to_string(directory.join(file)).unwrap_or_default();
        stats::field(&text, "oom_kill").unwrap_or(0)
    }

    /// What it uses.
    pub(crate) fn usage(&self) -> Result<Usage, CgroupError> {
        let unified = |controller: &str| self.hierarchies.is_unified(controller);
        stats::read(
            &|controller, file| match self.directory_of(controller) {
                Some(directory) => read(directory.join(file)),
                None => Ok(String::new()),
            },
            &unified,
        )
    }

    /// Removes it with those below it. What runs in it has to be dead or dying.
    pub(crate) fn remove(&self) -> Result<(), CgroupError> {
        self.directories().iter().try_for_each(|directory| remove_tree(directory))
    }
}

impl Cgroup {
    /// Removes the group above it, where nobody else uses that.
    pub(crate) fn remove_parent_if_empty(&self) {
        for directory in self.directories() {
            if let Some(parent) = directory.parent().filter(|_| self.path.components().count() > 1) {
                // Not empty is the usual answer.
                let _ = fs::remove_dir(parent);
            }
        }
    }
}

fn children(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path()).collect()
}

fn remove_tree(directory: &Path) -> Result<(), CgroupError> {
    children(directory).iter().try_for_each(|child| remove_tree(child))?;
    let mut tries = 0;
    loop {
        match fs::remove_dir(directory) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(source) => {
                tries += 1;
                if source.kind() != io::ErrorKind::ResourceBusy || tries > REMOVE_TRIES_MAX {
                    return Err(CgroupError::Remove { path: directory.into(), source });
                }
                let pause = rustix::time::Timespec { tv_sec: 0, tv_nsec: REMOVE_PAUSE_NANOSECONDS };
                let _ = rustix::thread::nanosleep(&pause);
            }
        }
    }
}

/// A new v1 cpuset has no CPUs and lets nobody in until it gets its parent's.
fn inherit_cpuset(directory: &Path) -> Result<(), CgroupError> {
    for file in ["cpuset.cpus", "cpuset.mems"] {
        if read(directory.join(file))?.trim().is_empty() {
            let parent = directory.parent().unwrap_or(directory);
            write(directory.join(file), read(parent.join(file))?.trim())?;
        }
    }
    Ok(())
}

/// Lets the children of a v2 group have all controllers that it has itself.
fn hand_down(directory: &Path) -> Result<(), CgroupError> {
    let available = read(directory.join("cgroup.controllers"))?;
    let enabled = read(directory.join("cgroup.subtree_control"))?;
    let enabled: Vec<&str> = enabled.split_whitespace().collect();
    for controller in available.split_whitespace().filter(|name| !enabled.contains(name)) {
        // One by one: a controller that can't be handed down here (cpu with realtime processes) does not stop the others.
        let handed = write(directory.join("cgroup.subtree_control"), &format!("+{controller}"));
        if let Err(error) = handed
            && ["cpu", "memory", "pids"].contains(&controller)
        {
            return Err(error);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
