//! The pod network on one node.
//!
//! - [`Ipam`]: which address a pod gets; pure, the caller persists it.
//! - [`plan`]: which links, addresses, routes and kernel switches a pod or a node needs; pure.
//! - [`rtnetlink`]: makes them, by synchronous netlink: no async crate, so that it works in a forked single-threaded
//!   supervisor, and an order of magnitude faster than a round trip through a runtime.
//! - [`nftables`]: an encoder for rules, sets and maps. `proxy` writes the node's rules with it; node init writes the
//!   host's masquerade table ([`egress`]).
//!
//! Shape: every pod has a veth of its own and a /32 address; its default gateway is 169.254.1.1, on-link, which every node
//! end owns. There is no bridge, so traffic between two pods of a node is routed, and policy and un-DNAT see it.
//! Absent on purpose: host ports and services (those are `proxy`'s), any daemon.

pub mod egress;
mod ipam;
mod netlink;
pub mod nftables;
pub mod plan;
pub mod rtnetlink;

pub use ipam::{Cidr, CidrError, Ipam, IpamError};
pub use netlink::NetlinkError;
