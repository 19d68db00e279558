//! What the kernel shall do, as plain data, and what differs between two of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{Ipv4Addr, SocketAddrV4};

use cni::Cidr;

/// A transport protocol that Services have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl Protocol {
    /// The protocol that the API calls so; TCP where it says nothing.
    #[must_use]
    pub fn from_api(name: Option<&str>) -> Option<Self> {
        match name {
            None | Some("TCP") => Some(Self::Tcp),
            Some("UDP") => Some(Self::Udp),
            Some("SCTP") => Some(Self::Sctp),
            Some(_) => None,
        }
    }

    /// Its number in IP headers.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::Sctp => 132,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        })
    }
}

/// A port of an address that leads to a Service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServiceKey {
    /// Cluster IP, external IP, load balancer address, or address of a host port.
    pub ip: Ipv4Addr,
    /// The protocol.
    pub protocol: Protocol,
    /// The port.
    pub port: u16,
}

/// A port of every address of the node but loopback.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PortKey {
    /// The protocol.
    pub protocol: Protocol,
    /// The port.
    pub port: u16,
}

/// A place that answers.
pub type Endpoint = SocketAddrV4;

/// What happens to a new connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// A chain decides.
    Goto(String),
    /// It is refused at once (TCP reset, else ICMP port unreachable): nobody in the cluster serves it.
    Reject,
    /// It is dropped: others serve it, but the traffic policy forbids this node to send it there.
    Drop,
}

/// A chain of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chain {
    /// Chooses one of the endpoints, of which there is at least one.
    Endpoints {
        /// Where connections go.
        endpoints: BTreeSet<Endpoint>,
        /// A client comes back to the same endpoint until it was quiet for so many seconds.
        affinity_seconds: Option<u32>,
    },
    /// Comes before, for what may come from outside the cluster.
    External {
        /// Where it goes, with its source translated if the endpoint would not answer through this node.
        cluster: Action,
        /// With `externalTrafficPolicy: Local`: where it goes if it comes from outside. What comes from this node or its
        /// Pods still goes to `cluster`.
        local: Option<Action>,
    },
    /// Drops what comes from elsewhere (`loadBalancerSourceRanges`).
    SourceRanges {
        /// Sources that may pass.
        ranges: BTreeSet<Cidr>,
        /// What happens to them.
        then: Action,
    },
}

/// Everything that a node needs for its Services and host ports.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ruleset {
    /// Chains by name.
    pub chains: BTreeMap<String, Chain>,
    /// Ports of addresses.
    pub services: BTreeMap<ServiceKey, Action>,
    /// Ports of the node.
    pub node_ports: BTreeMap<PortKey, Action>,
    /// All cluster IPs: a port that none of them has is refused.
    pub cluster_ips: BTreeSet<Ipv4Addr>,
    /// Endpoints that are Pods of this node: their answers pass through it, and they may reach themselves.
    pub local_endpoints: BTreeSet<Ipv4Addr>,
    /// Addresses that the node's uplink answers for.
    pub addresses: BTreeSet<Ipv4Addr>,
    /// TCP ports of `127.0.0.1`, and where they are relayed to. Not for the kernel.
    pub relays: BTreeMap<u16, Endpoint>,
}

/// What changes in a map of the kernel. A key whose value changes is in both lists: it is removed, then added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapChanges<K, V> {
    /// Keys to remove.
    pub remove: Vec<K>,
    /// Entries to add.
    pub add: Vec<(K, V)>,
}

impl<K: Ord + Clone, V: PartialEq + Clone> MapChanges<K, V> {
    fn between(old: &BTreeMap<K, V>, new: &BTreeMap<K, V>) -> Self {
        let same = |key: &K| old.get(key).is_some_and(|value| new.get(key) == Some(value));
        Self {
            remove: old.keys().filter(|key| !same(key)).cloned().collect(),
            add: new.iter().filter(|(key, _)| !same(key)).map(|(k, v)| (k.clone(), v.clone())).collect(),
        }
    }

    fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.add.is_empty()
    }
}

impl<K: Ord + Copy> MapChanges<K, ()> {
    fn of_sets(old: &BTreeSet<K>, new: &BTreeSet<K>) -> Self {
        Self {
            remove: old.difference(new).copied().collect(),
            add: new.difference(old).map(|key| (*key, ())).collect(),
        }
    }
}

/// What differs between two rulesets, as far as the kernel is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes {
    /// Chains that are new.
    pub chains_added: Vec<(String, Chain)>,
    /// Chains that change: name, before, after.
    pub chains_changed: Vec<(String, Chain, Chain)>,
    /// Chains that go.
    pub chains_removed: Vec<String>,
    /// See [`Ruleset::services`].
    pub services: MapChanges<ServiceKey, Action>,
    /// See [`Ruleset::node_ports`].
    pub node_ports: MapChanges<PortKey, Action>,
    /// See [`Ruleset::cluster_ips`].
    pub cluster_ips: MapChanges<Ipv4Addr, ()>,
    /// See [`Ruleset::local_endpoints`].
    pub local_endpoints: MapChanges<Ipv4Addr, ()>,
    /// See [`Ruleset::addresses`].
    pub addresses: MapChanges<Ipv4Addr, ()>,
}

impl Changes {
    /// Whether the table stays as it is.
    #[must_use]
    pub fn keep_table(&self) -> bool {
        self.chains_added.is_empty()
            && self.chains_changed.is_empty()
            && self.chains_removed.is_empty()
            && self.services.is_empty()
            && self.node_ports.is_empty()
            && self.cluster_ips.is_empty()
            && self.local_endpoints.is_empty()
    }
}

/// What has to change in the kernel to get from `old` to `new`.
#[must_use]
pub fn diff(old: &Ruleset, new: &Ruleset) -> Changes {
    let mut chains_added = vec![];
    let mut chains_changed = vec![];
    for (name, chain) in &new.chains {
        match old.chains.get(name) {
            None => chains_added.push((name.clone(), chain.clone())),
            Some(before) if before != chain => chains_changed.push((name.clone(), before.clone(), chain.clone())),
            Some(_) => {}
        }
    }
    Changes {
        chains_added,
        chains_changed,
        chains_removed: old.chains.keys().filter(|name| !new.chains.contains_key(*name)).cloned().collect(),
        services: MapChanges::between(&old.services, &new.services),
        node_ports: MapChanges::between(&old.node_ports, &new.node_ports),
        cluster_ips: MapChanges::of_sets(&old.cluster_ips, &new.cluster_ips),
        local_endpoints: MapChanges::of_sets(&old.local_endpoints, &new.local_endpoints),
        addresses: MapChanges::of_sets(&old.addresses, &new.addresses),
    }
}
