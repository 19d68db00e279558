//! All that a container's start needs, resolved by the daemon so that supervisors stay small.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use cri::{Mount, NamespaceMode};
use serde::{Deserialize, Serialize};

use crate::capabilities::CapabilityMask;
use crate::sys::seccomp::Instruction;
use crate::user::UserRequest;

/// A process in a container.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct ProcessSpec {
    pub(crate) argv: Vec<String>,
    /// `KEY=value`.
    pub(crate) env: Vec<String>,
    pub(crate) cwd: String,
    pub(crate) user: UserRequest,
    pub(crate) capabilities: CapabilityMask,
    pub(crate) no_new_privs: bool,
    pub(crate) seccomp: Option<Vec<Instruction>>,
    pub(crate) tty: bool,
    pub(crate) oom_score_adj: i32,
}

/// A device node to make in the container's `/dev`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct DeviceNode {
    /// Absolute, in the container.
    pub(crate) path: PathBuf,
    pub(crate) block: bool,
    pub(crate) major: u32,
    pub(crate) minor: u32,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// A container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ContainerSpec {
    pub(crate) id: String,
    /// Its own directory: `upper`, `work`, `rootfs`, `exit.json`.
    pub(crate) directory: PathBuf,
    /// Image layers, top first.
    pub(crate) lowers: Vec<PathBuf>,
    pub(crate) process: ProcessSpec,
    pub(crate) mounts: Vec<Mount>,
    /// Layers of the images that are mounted, top first, by the image's id.
    #[serde(default)]
    pub(crate) images: BTreeMap<String, Vec<PathBuf>>,
    pub(crate) devices: Vec<DeviceNode>,
    pub(crate) masked_paths: Vec<PathBuf>,
    pub(crate) readonly_paths: Vec<PathBuf>,
    pub(crate) readonly_rootfs: bool,
    pub(crate) privileged: bool,
    /// Path of its cgroup.
    pub(crate) cgroup: String,
    /// The pod's `/dev/shm`.
    pub(crate) shm: PathBuf,
    pub(crate) pid: NamespaceMode,
    /// The container whose PID namespace it joins.
    #[serde(default)]
    pub(crate) target: Option<String>,
    /// Absolute path of its log.
    pub(crate) log_path: Option<PathBuf>,
    pub(crate) stdin: bool,
    pub(crate) stdin_once: bool,
}

/// Standard streams of a process without a terminal.
#[derive(Debug)]
pub(crate) struct Streams {
    pub(crate) stdin: OwnedFd,
    pub(crate) stdout: OwnedFd,
    pub(crate) stderr: OwnedFd,
}
