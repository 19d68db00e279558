//! Cluster DNS in process: answers for Services, their endpoints and Pods come straight from the informers, after the
//! Kubernetes DNS specification 1.1.0 and with the words of CoreDNS' `kubernetes` plugin; everything else is forwarded to
//! the machine's own resolvers and cached.
//!
//! Who writes: the informers' reflectors. Who reads: one task a query, through [`ClusterView`]; there is no zone to
//! rebuild. [`answer()`] is pure: it decides from a question and a view, [`start`] does the sockets.
//!
//! Absent: IPv6 addresses (the cluster is IPv4, so AAAA is answered with no data), zone transfers, DNSSEC, federation,
//! names of Nodes.

mod answer;
mod cache;
mod forward;
mod name;
mod resolver;
mod server;
mod view;

pub use answer::{Answer, Reply, TTL_SECONDS, Zone, answer};
pub use forward::{ForwardError, Forwarder, Sockets, UpstreamForwarder, Upstreams};
pub use server::{DnsConfig, DnsError, DnsHandle, start};
pub use view::{ClusterView, InformerView};
