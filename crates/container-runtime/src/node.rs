//! Nodes, from the outside: launching, finding, stopping, deleting, entering them.

mod config;
mod enter;
mod host;
mod launch;

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use cni::egress;
use cni::nftables::NftSocket;
use cni::rtnetlink::RouteSocket;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde::{Deserialize, Serialize};

use crate::cgroups::{Cgroup, Hierarchies};
use crate::init::permit_comment;
use crate::sys::process::pidfd_kill;

pub use config::{NodeConfig, NodeListener};
pub use host::{HostNodeConfig, run_on_host};

/// How long the kernel may take to end all processes of a killed node.
const KILL_PATIENCE: Duration = Duration::from_secs(30);

/// A node could not be launched, stopped or deleted.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The launcher has threads, so it can't fork what goes on without exec.
    #[error("a node can only be launched before the process starts its first thread")]
    Threads,
    /// One of that name runs.
    #[error("node {name:?} is already running (process {pid}); stop it first")]
    AlreadyRunning {
        /// Its name.
        name: String,
        /// Process id of its init.
        pid: i32,
    },
    /// The configuration can't work.
    #[error("node {name:?}: {message}")]
    Invalid {
        /// Its name.
        name: String,
        /// What is wrong.
        message: String,
    },
    /// An address of the host is taken.
    #[error("node {name:?}: failed to listen on {address} for {listener:?}")]
    Listen {
        /// Its name.
        name: String,
        /// The listener.
        listener: String,
        /// The address.
        address: std::net::SocketAddr,
        /// The kernel's error.
        #[source]
        source: io::Error,
    },
    /// Something failed while it was being made; it is gone again.
    #[error("node {name:?} did not start: {message}")]
    Start {
        /// Its name.
        name: String,
        /// What failed and why.
        message: String,
    },
    /// It could not be ended or cleaned up.
    #[error("node {name:?}: failed to {operation}: {message}")]
    End {
        /// Its name.
        name: String,
        /// What was tried.
        operation: &'static str,
        /// Why it failed.
        message: String,
    },
}

/// What is remembered of a node, in `node.json` in its state directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    name: String,
    /// Process id of its init, and when that started in clock ticks since boot, by which a reused number is told apart. 0
    /// before it runs.
    pid: i32,
    started_ticks: u64,
    host_link: String,
    cgroup: String,
}

/// A node that was launched, running or not.
#[derive(Debug)]
pub struct Node {
    record: Record,
    state_dir: PathBuf,
    /// Of its init; none if that does not run.
    pidfd: Option<OwnedFd>,
}

/// Start of a process in clock ticks since boot; none if it is gone or a zombie.
fn started_ticks(pid: i32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    if fields.first() == Some(&"Z") {
        return None;
    }
    fields.get(19)?.parse().ok()
}

impl Node {
    /// The node whose state is in `state_dir`, if one was launched there and not deleted.
    ///
    /// # Errors
    /// The state can't be read.
    pub fn find(state_dir: &Path) -> io::Result<Option<Self>> {
        let record: Record = match fs::read(state_dir.join("node.json")) {
            Ok(bytes) => serde_json::from_slice(&bytes)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let pidfd = match Pid::from_raw(record.pid) {
            Some(pid) => pidfd_open(pid, PidfdFlags::empty()).ok(),
            None => None,
        };
        // Opened first and compared afterwards, so that the descriptor is of the process that was compared.
        let pidfd = pidfd.filter(|_| started_ticks(record.pid) == Some(record.started_ticks));
        Ok(Some(Self { record, state_dir: state_dir.into(), pidfd }))
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.record.name
    }

    /// Process id of its init; none if it does not run.
    #[must_use]
    pub fn pid(&self) -> Option<i32> {
        self.pidfd.as_ref().map(|_| self.record.pid)
    }

    /// Whether it runs.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.pidfd.as_ref().is_some_and(|pidfd| !wait_for_end(pidfd, Duration::ZERO))
    }

    fn error(&self, operation: &'static str) -> impl Fn(&dyn std::fmt::Display) -> NodeError {
        let name = self.record.name.clone();
        move |error| NodeError::End { name: name.clone(), operation, message: error.to_string() }
    }

    /// Asks its daemon to end and, after at most `grace`, kills everything in it. One that does not run is fine.
    ///
    /// # Errors
    /// The kernel did not end it.
    pub fn stop(&mut self, grace: Duration) -> Result<(), NodeError> {
        if let Some(pidfd) = &self.pidfd {
            if !grace.is_zero() {
                // A signal that comes too late finds nobody, which is fine.
                let _ = pidfd_kill(pidfd.as_fd(), libc::SIGTERM);
            }
            if grace.is_zero() || !wait_for_end(pidfd, grace) {
                let _ = pidfd_kill(pidfd.as_fd(), libc::SIGKILL);
                if !wait_for_end(pidfd, KILL_PATIENCE) {
                    return Err(self.error("kill its init")(&"it is still there"));
                }
            }
        }
        self.pidfd = None;
        Ok(())
    }

    /// Kills it and removes its link, rules and cgroups. Its state directory stays, but for what says that it is there; what
    /// it holds is its owner's to remove.
    ///
    /// # Errors
    /// Something could not be removed; calling it again goes on.
    pub fn delete(mut self) -> Result<(), NodeError> {
        self.stop(Duration::ZERO)?;
        sweep(&self.record).map_err(|(operation, message)| self.error(operation)(&message))?;
        match fs::remove_file(self.state_dir.join("node.json")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.error("forget it")(&error)),
            _ => Ok(()),
        }
    }
}

/// True if the process ended in time.
fn wait_for_end(pidfd: &OwnedFd, patience: Duration) -> bool {
    let timeout = Timespec::try_from(patience).ok();
    let mut polled = [PollFd::new(pidfd, PollFlags::IN)];
    loop {
        match rustix::event::poll(&mut polled, timeout.as_ref()) {
            Err(rustix::io::Errno::INTR) => {}
            other => return other.is_ok_and(|ready| ready > 0),
        }
    }
}

/// Removes what a dead node leaves outside of itself.
fn sweep(record: &Record) -> Result<(), (&'static str, String)> {
    // The link goes with the node's network namespace, but that takes the kernel a while.
    let mut route = RouteSocket::open().map_err(|error| ("open a netlink socket", error.to_string()))?;
    if !record.host_link.is_empty() {
        route.delete_link(&record.host_link).map_err(|error| ("delete its link", error.to_string()))?;
    }
    // Our own table went with its owner; the rules in foreign chains are taken out one by one.
    let mut nft = NftSocket::open().map_err(|error| ("open a netlink socket", error.to_string()))?;
    let revoked = egress::revoke(&mut nft, &permit_comment(&record.name));
    revoked.map_err(|error| ("remove its rules", error.to_string()))?;
    let hierarchies = Hierarchies::detect().map_err(|error| ("find its cgroups", error.to_string()))?;
    let cgroup = Cgroup::new(hierarchies.into(), &record.cgroup);
    // Where the node is the host itself, its pods are still there.
    let _ = cgroup.kill();
    cgroup.remove().map_err(|error| ("remove its cgroups", error.to_string()))?;
    cgroup.remove_parent_if_empty();
    Ok(())
}
