//! The sockets: datagrams and streams come in, each query is answered by a task of its own, of which there are only so
//! many.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use client::Informers;
use component_base::{Clock, Supervisor};

use crate::forward::Forwarder;

/// What cluster DNS is given.
#[derive(Debug)]
pub struct DnsConfig {
    /// Addresses to serve, each by datagram and by stream. Port 0 chooses one, the same for both.
    pub listen: Vec<SocketAddr>,
    /// The cluster's domain, as `cluster.local`.
    pub cluster_domain: String,
    /// Who is asked about other domains; without one these questions are refused.
    pub forwarder: Option<Arc<dyn Forwarder>>,
    /// Local copies of Services, EndpointSlices and Namespaces.
    pub informers: Informers,
    /// Wall time, for the zone's serial.
    pub clock: Arc<dyn Clock>,
    /// Runs the tasks.
    pub supervisor: Supervisor,
}

/// Running cluster DNS; it ends with its supervisor.
#[derive(Debug, Clone)]
pub struct DnsHandle {
    addresses: Vec<SocketAddr>,
}

impl DnsHandle {
    /// The addresses served, in the order of [`DnsConfig::listen`], with the ports that were chosen.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }
}

/// Why cluster DNS did not start.
#[derive(Debug, thiserror::Error)]
pub enum DnsError {
    /// The cluster's domain is no domain name.
    #[error("{domain:?} is no domain name; name one as cluster.local")]
    Domain {
        /// What was given.
        domain: String,
    },
    /// An address can't be served.
    #[error("failed to listen for DNS on {address}/{protocol}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// `udp` or `tcp`.
        protocol: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
}
