//! Pod sandboxes: what a pod's containers share.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{LinuxContainerResources, NamespaceOptions, RuntimeError};

/// Name of a sandbox, given by the runtime: 64 hexadecimal digits, as users of `crictl` know them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PodSandboxId(pub String);

impl fmt::Display for PodSandboxId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which pod a sandbox belongs to. `(uid, attempt)` is unique on a node.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PodSandboxMetadata {
    /// The pod's name.
    pub name: String,
    /// The pod's UID.
    pub uid: String,
    /// The pod's namespace.
    pub namespace: String,
    /// How many sandboxes this pod had before.
    pub attempt: u32,
}

/// Contents of the `resolv.conf` that the pod's containers see.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct DnsConfig {
    /// `nameserver` lines.
    pub servers: Vec<String>,
    /// Domains of the `search` line.
    pub searches: Vec<String>,
    /// Words of the `options` line, as `ndots:5`.
    pub options: Vec<String>,
}

/// Transport protocol of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub enum Protocol {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

/// A port of the node that leads to the pod. The runtime only keeps it: `proxy` writes the rule.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PortMapping {
    /// Transport protocol.
    pub protocol: Protocol,
    /// Port inside the pod.
    pub container_port: u16,
    /// Port of the node.
    pub host_port: u16,
    /// Address of the node that is bound; none means all.
    pub host_ip: Option<IpAddr>,
}

/// Quality of service of a pod: where its cgroup lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub enum QosClass {
    /// All limits equal requests: `/kubepods/pod<uid>`.
    Guaranteed,
    /// Some request or limit: `/kubepods/burstable/pod<uid>`.
    Burstable,
    /// None: `/kubepods/besteffort/pod<uid>`.
    #[default]
    BestEffort,
}

/// Linux part of a sandbox's configuration.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LinuxPodSandboxConfig {
    /// The pod's quality of service. The runtime makes the cgroup `/kubepods[/<qos>]/pod<uid>` under the node's own.
    pub qos_class: QosClass,
    /// Limits of the whole pod, written to the pod's cgroup.
    pub resources: LinuxContainerResources,
    /// Which namespaces the pod takes from the node, and whether its containers share the PID namespace.
    pub namespace_options: NamespaceOptions,
    /// Kernel parameters of the pod's namespaces, as `net.ipv4.ip_unprivileged_port_start`.
    pub sysctls: BTreeMap<String, String>,
    /// Size of the pod's `/dev/shm` in bytes; none means 64 MiB.
    pub shm_size_bytes: Option<u64>,
}

/// What to make a sandbox from.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PodSandboxConfig {
    /// Which pod.
    pub metadata: PodSandboxMetadata,
    /// Host name of the pod's UTS namespace; unused where the pod uses the node's.
    pub hostname: String,
    /// Directory of the container logs; [`crate::ContainerConfig::log_path`] is relative to it.
    pub log_directory: PathBuf,
    /// Contents of `resolv.conf`; none leaves the image's.
    pub dns_config: Option<DnsConfig>,
    /// Ports of the node that lead here.
    pub port_mappings: Vec<PortMapping>,
    /// Labels, given back by listings.
    pub labels: BTreeMap<String, String>,
    /// Annotations, given back by listings.
    pub annotations: BTreeMap<String, String>,
    /// Which runtime is to run it, from its RuntimeClass; empty means the default one.
    pub runtime_handler: String,
    /// Linux specifics.
    pub linux: LinuxPodSandboxConfig,
}

/// Names of the one runtime there is: the default's, and the one that it has in the configuration of most clusters.
pub const RUNTIME_HANDLERS: [&str; 2] = ["", "runc"];

impl PodSandboxConfig {
    /// Refuses a runtime that is not there, in containerd's words.
    ///
    /// # Errors
    /// [`RuntimeError::InvalidConfig`].
    pub fn check_handler(&self) -> Result<(), RuntimeError> {
        if RUNTIME_HANDLERS.contains(&self.runtime_handler.as_str()) {
            return Ok(());
        }
        let handler = &self.runtime_handler;
        Err(RuntimeError::InvalidConfig(format!(
            "failed to get sandbox runtime: no runtime for {handler:?} is configured"
        )))
    }
}

/// Whether containers may be made in a sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum PodSandboxState {
    /// Namespaces and network are there.
    Ready,
    /// Stopped, or its supervisor died.
    NotReady,
}

/// A sandbox as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodSandboxStatus {
    /// Its name.
    pub id: PodSandboxId,
    /// Which pod.
    pub metadata: PodSandboxMetadata,
    /// Ready or not.
    pub state: PodSandboxState,
    /// When it was made.
    pub created_at: Timestamp,
    /// Addresses of the pod, the primary one first; empty where the pod uses the node's network.
    pub ips: Vec<IpAddr>,
    /// Namespaces as asked for.
    pub namespace_options: NamespaceOptions,
    /// Ports of the node as asked for.
    pub port_mappings: Vec<PortMapping>,
    /// Labels as given.
    pub labels: BTreeMap<String, String>,
    /// Annotations as given.
    pub annotations: BTreeMap<String, String>,
}

/// Which sandboxes to list; everything given has to match.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PodSandboxFilter {
    /// This one only.
    pub id: Option<PodSandboxId>,
    /// In this state only.
    pub state: Option<PodSandboxState>,
    /// With all of these labels.
    pub labels: BTreeMap<String, String>,
}

impl PodSandboxFilter {
    /// Whether `status` matches.
    #[must_use]
    pub fn matches(&self, status: &PodSandboxStatus) -> bool {
        self.id.as_ref().is_none_or(|id| *id == status.id)
            && self.state.is_none_or(|state| state == status.state)
            && self.labels.iter().all(|(key, value)| status.labels.get(key) == Some(value))
    }
}
