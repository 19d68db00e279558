//! Who a container's process is and what it may do.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Whose namespace a pod or container uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum NamespaceMode {
    /// One for the whole pod.
    #[default]
    Pod,
    /// One for each container (PID only; the usual case there).
    Container,
    /// The node's own.
    Node,
}

/// Namespaces of a pod.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct NamespaceOptions {
    /// `Node` for `hostNetwork`.
    pub network: NamespaceMode,
    /// `Container` normally, `Pod` for `shareProcessNamespace`, `Node` for `hostPID`.
    pub pid: NamespaceMode,
    /// `Node` for `hostIPC`.
    pub ipc: NamespaceMode,
}

impl Default for NamespaceOptions {
    fn default() -> Self {
        Self { network: NamespaceMode::Pod, pid: NamespaceMode::Container, ipc: NamespaceMode::Pod }
    }
}

/// Changes to the default capability set. `ALL` is understood; the prefix `CAP_` is optional.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Capabilities {
    /// Added to the default set.
    pub add: Vec<String>,
    /// Taken from the default set.
    pub drop: Vec<String>,
}

/// Which system calls a container may make.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum SeccompProfile {
    /// All (Kubernetes' default where the kubelet sets no other).
    #[default]
    Unconfined,
    /// The runtime's own profile.
    RuntimeDefault,
    /// A profile in the OCI JSON format, at this absolute path on the node.
    Localhost(PathBuf),
}

/// How `fsGroup`, `supplementalGroups` and the image's `/etc/group` are combined (KEP-3619).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum SupplementalGroupsPolicy {
    /// Groups of the image's `/etc/group` are added.
    #[default]
    Merge,
    /// Only what the pod names.
    Strict,
}

/// Identity and privileges of a container's processes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LinuxContainerSecurityContext {
    /// Changes to the default capabilities.
    pub capabilities: Capabilities,
    /// All capabilities, all devices, no masked path, no seccomp.
    pub privileged: bool,
    /// User id; none means [`Self::run_as_username`] or the image's user.
    pub run_as_user: Option<u32>,
    /// User name, looked up in the image's `/etc/passwd`.
    pub run_as_username: Option<String>,
    /// Group id; none means the user's primary group in the image, else 0.
    pub run_as_group: Option<u32>,
    /// Further groups.
    pub supplemental_groups: Vec<u32>,
    /// Whether the image's groups are added to them.
    pub supplemental_groups_policy: SupplementalGroupsPolicy,
    /// Mount the root file system read-only.
    pub readonly_rootfs: bool,
    /// Set `no_new_privs`, so that set-uid programs gain nothing (`allowPrivilegeEscalation: false`).
    pub no_new_privs: bool,
    /// Paths hidden from the container. None means the runtime's default; an empty list hides nothing (`procMount: Unmasked`).
    pub masked_paths: Option<Vec<PathBuf>>,
    /// Paths it may only read. None means the runtime's default.
    pub readonly_paths: Option<Vec<PathBuf>>,
    /// System call filter.
    pub seccomp: SeccompProfile,
}
