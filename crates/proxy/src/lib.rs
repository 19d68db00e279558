//! Services on one node: what the cluster's Services, EndpointSlices and this node's host ports want becomes rules of one
//! nftables table, which nobody else writes.
//!
//! - [`plan`]: objects and facts of the node → [`Ruleset`], plain data; [`diff`] tells what changed. Pure.
//! - [`Kernel`]: makes the kernel agree, incrementally and atomically; also the addresses of load balancers on the node's
//!   uplink and the route to the Services' range.
//! - relays: node ports and host ports on `127.0.0.1`, which no rule can serve without `route_localnet`.
//! - [`start`]: informers wake one task, which plans and applies. Nothing polls.
//!
//! Rules survive the daemon: they serve while it is replaced, and its successor takes them over. [`remove`] takes them away.
//!
//! Absent on purpose: IPv6 Services (a node has one IPv4 address so far), NetworkPolicy, health check node ports, removal of
//! conntrack entries of UDP endpoints that are gone, and UDP node ports on `127.0.0.1`. Every node answers for every load
//! balancer address; electing one takes more than one node knows.

mod kernel;
mod plan;
mod proxy;
mod relay;
mod ruleset;

pub use kernel::{ApplyError, Kernel, remove};
pub use plan::{NodeFacts, Objects, plan};
pub use proxy::{Proxy, ProxyConfig, StartError, start};
pub use ruleset::{Action, Chain, Changes, Endpoint, MapChanges, PortKey, Protocol, Ruleset, ServiceKey, diff};
