//! Containers.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{LinuxContainerResources, LinuxContainerSecurityContext, PodSandboxId};

/// Name of a container, given by the runtime: 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ContainerId(pub String);

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which container of its pod this is, and which try.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ContainerMetadata {
    /// Name in the pod's spec.
    pub name: String,
    /// How often it was restarted before.
    pub attempt: u32,
}

/// An environment variable.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct KeyValue {
    /// Name.
    pub key: String,
    /// Value.
    pub value: String,
}

/// How mounts made after the start travel between node and container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum MountPropagation {
    /// Not at all (`None`).
    #[default]
    Private,
    /// From the node to the container.
    HostToContainer,
    /// Both ways; needs a privileged container.
    Bidirectional,
}

/// A directory or file of the node, or of an image, that the container sees.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Mount {
    /// Path on the node; has to exist.
    pub host_path: PathBuf,
    /// The id of an image whose files are mounted instead of a path on the node: read-only, nothing of it can be executed.
    pub image: Option<String>,
    /// What of the image is mounted; empty for all.
    pub image_sub_path: PathBuf,
    /// Absolute path in the container; made where it is missing.
    pub container_path: PathBuf,
    /// Read-only.
    pub readonly: bool,
    /// Read-only also for mounts below it (KEP-3857). Needs `readonly` and private propagation.
    pub recursive_read_only: bool,
    /// Propagation of later mounts.
    pub propagation: MountPropagation,
}

/// A device node of the node that the container may use.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Device {
    /// Path on the node.
    pub host_path: PathBuf,
    /// Path in the container.
    pub container_path: PathBuf,
    /// Any of `r`, `w`, `m`.
    pub permissions: String,
}

/// What to make a container from.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ContainerConfig {
    /// Which container.
    pub metadata: ContainerMetadata,
    /// Image id, as [`crate::ImageService::pull`] gave it; the runtime asks the image store for its layers and configuration.
    pub image: String,
    /// What the user wrote, given back by status.
    pub user_specified_image: String,
    /// Replaces the image's entry point, where not empty.
    pub command: Vec<String>,
    /// Replaces the image's arguments, where not empty (and drops them where `command` is given).
    pub args: Vec<String>,
    /// Replaces the image's working directory; made where it is missing.
    pub working_dir: Option<PathBuf>,
    /// Added to, or replacing, the image's environment.
    pub envs: Vec<KeyValue>,
    /// Mounts, in order.
    pub mounts: Vec<Mount>,
    /// Devices.
    pub devices: Vec<Device>,
    /// Labels, given back by listings.
    pub labels: BTreeMap<String, String>,
    /// Annotations, given back by listings.
    pub annotations: BTreeMap<String, String>,
    /// Log file, relative to the sandbox's log directory; none writes no log.
    pub log_path: Option<PathBuf>,
    /// Keep standard input open for attach.
    pub stdin: bool,
    /// Close standard input after the first attach ends.
    pub stdin_once: bool,
    /// Give it a terminal.
    pub tty: bool,
    /// Signal that asks it to stop, as `SIGTERM`; none means the image's, else SIGTERM.
    pub stop_signal: Option<String>,
    /// A running container of the pod whose PID namespace it joins, where each has its own: an ephemeral container sees
    /// the processes of its target.
    pub target: Option<ContainerId>,
    /// Limits.
    pub resources: LinuxContainerResources,
    /// Identity and privileges.
    pub security_context: LinuxContainerSecurityContext,
}

/// Why a container ended; `Display` is the `reason` that a user sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ExitReason {
    /// Exit code 0.
    Completed,
    /// Any other exit code or signal.
    Error,
    /// The kernel killed a process of it for want of memory.
    OomKilled,
    /// It never ran: its program could not be executed. The exit code is 128, as containerd's.
    StartError,
    /// It ran while its supervisor died; the true exit code is lost and given as 255.
    ContainerStatusUnknown,
}

impl fmt::Display for ExitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Completed => "Completed",
            Self::Error => "Error",
            Self::OomKilled => "OOMKilled",
            Self::StartError => "StartError",
            Self::ContainerStatusUnknown => "ContainerStatusUnknown",
        })
    }
}

/// Life of a container; it only moves down this list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ContainerState {
    /// Made, not started.
    Created,
    /// Its first process runs.
    Running {
        /// Since when.
        started_at: Timestamp,
    },
    /// Its first process ended.
    Exited {
        /// When it was started; none if it never ran.
        started_at: Option<Timestamp>,
        /// When it ended.
        finished_at: Timestamp,
        /// Exit code; 128 + n for signal n.
        exit_code: i32,
        /// Why.
        reason: ExitReason,
        /// Details for the user, empty in ordinary cases.
        message: String,
    },
}

impl ContainerState {
    /// Whether the first process runs.
    #[must_use]
    pub fn is_running(&self) -> bool {
        matches!(self, Self::Running { .. })
    }

    /// Whether it ended.
    #[must_use]
    pub fn is_exited(&self) -> bool {
        matches!(self, Self::Exited { .. })
    }
}

/// A container as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerStatus {
    /// Its name.
    pub id: ContainerId,
    /// Sandbox it belongs to.
    pub sandbox_id: PodSandboxId,
    /// Which container of the pod, which try.
    pub metadata: ContainerMetadata,
    /// State with its data.
    pub state: ContainerState,
    /// When it was made.
    pub created_at: Timestamp,
    /// Image as the user wrote it.
    pub image: String,
    /// Image id, `sha256:…` of the image's configuration.
    pub image_id: String,
    /// `repository@sha256:…`, what `status.containerStatuses[].imageID` shows; the id where the image has no digest.
    pub image_ref: String,
    /// Absolute path of the log file.
    pub log_path: Option<PathBuf>,
    /// Host process id of the first process as seen in the node, while it runs.
    pub pid: Option<u32>,
    /// User id and groups of the first process, once made.
    pub user: Option<(u32, u32, Vec<u32>)>,
    /// Signal that asks it to stop.
    pub stop_signal: String,
    /// Mounts as asked for.
    pub mounts: Vec<Mount>,
    /// Limits as they are now.
    pub resources: LinuxContainerResources,
    /// Labels as given.
    pub labels: BTreeMap<String, String>,
    /// Annotations as given.
    pub annotations: BTreeMap<String, String>,
}

/// Which containers to list; everything given has to match.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ContainerFilter {
    /// This one only.
    pub id: Option<ContainerId>,
    /// Of this sandbox only.
    pub sandbox_id: Option<PodSandboxId>,
    /// With all of these labels.
    pub labels: BTreeMap<String, String>,
}

impl ContainerFilter {
    /// Whether `status` matches.
    #[must_use]
    pub fn matches(&self, status: &ContainerStatus) -> bool {
        self.id.as_ref().is_none_or(|id| *id == status.id)
            && self.sandbox_id.as_ref().is_none_or(|id| *id == status.sandbox_id)
            && self.labels.iter().all(|(key, value)| status.labels.get(key) == Some(value))
    }
}
