//! What a node is launched with.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use cni::Cidr;
use cni::plan::{LINK_NAME_MAX, NodeLink};

use super::NodeError;
use crate::init::ListenAddress;

/// A listening socket that exists before the node does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeListener {
    /// By which the daemon asks for it.
    pub name: String,
    /// Where on the host.
    pub listen: ListenAddress,
}

impl NodeListener {
    /// A TCP listener.
    #[must_use]
    pub fn tcp(name: &str, address: SocketAddr) -> Self {
        Self { name: name.into(), listen: ListenAddress::tcp(address) }
    }
}

/// A node in namespaces of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeConfig {
    /// Its name and host name: a DNS label, unique on the host.
    pub name: String,
    /// Its own directory, on a file system that overlayfs can write to.
    pub state_dir: PathBuf,
    /// Its link to the host.
    pub link: NodeLink,
    /// Ranges of pods of the whole cluster: what comes from there and goes elsewhere gets the node's address.
    pub pod_cidrs: Vec<Cidr>,
    /// Path and arguments of the daemon. The path is executed at every start, so that a newer version takes over.
    pub daemon: Vec<String>,
    /// The daemon's environment, `KEY=value`, all of it.
    pub environment: Vec<String>,
    /// Sockets on the host that node init keeps.
    pub listeners: Vec<NodeListener>,
    /// Group under which the node's own one is made, in every hierarchy.
    pub cgroup_parent: String,
    /// Where the daemon's and node init's messages go.
    pub log_path: PathBuf,
    /// How long the daemon may take to end when the node is stopped.
    pub drain: Duration,
}

impl NodeConfig {
    pub(super) fn check(&self) -> Result<(), NodeError> {
        let invalid = |message: String| Err(NodeError::Invalid { name: self.name.clone(), message });
        let is_label = !self.name.is_empty()
            && self.name.len() <= 63
            && self.name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
            && !self.name.starts_with('-')
            && !self.name.ends_with('-');
        if !is_label {
            return invalid("the name has to be a DNS label: lower case letters, digits and '-', at most 63".into());
        }
        if self.link.host_name.is_empty() || self.link.host_name.len() > LINK_NAME_MAX {
            return invalid(format!("{:?} is not a link name: 1 to {LINK_NAME_MAX} bytes", self.link.host_name));
        }
        if self.daemon.is_empty() {
            return invalid("no daemon is given".into());
        }
        Ok(())
    }

    pub(super) fn cgroup(&self) -> String {
        format!("{}/{}", self.cgroup_parent.trim_matches('/'), self.name)
    }
}
