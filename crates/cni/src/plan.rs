//! What a pod's and a node's network consist of. Pure; [`crate::rtnetlink::RouteSocket::create`] makes it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use crate::Cidr;

/// Every pod's IPv4 gateway. It exists on each node end of a pod's veth and is reached on-link, so no address of the pod
/// range is spent on it.
pub const GATEWAY_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(169, 254, 1, 1));
/// Every pod's IPv6 gateway.
pub const GATEWAY_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1));
/// Interface name inside pods and nodes.
pub const INNER_LINK: &str = "eth0";
/// Longest name the kernel takes.
pub const LINK_NAME_MAX: usize = 15;

/// An address on a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// The address.
    pub ip: IpAddr,
    /// Length of the on-link prefix.
    pub prefix: u8,
}

/// A route through a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteTo {
    /// Where to; the whole address family (`0.0.0.0/0`) for a default route.
    pub destination: Cidr,
    /// Through which router, which needs no address of its link (`onlink`); none where the destination is on the link.
    pub gateway: Option<IpAddr>,
    /// Source address preferred for traffic that starts here.
    pub source: Option<IpAddr>,
}

/// One end of a veth pair.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// Link name.
    pub name: String,
    /// Addresses.
    pub addresses: Vec<Address>,
    /// Routes.
    pub routes: Vec<RouteTo>,
    /// Files below `/proc/sys/net` and their contents, to be written inside this end's namespace.
    pub sysctls: Vec<(String, String)>,
}

/// A veth pair between two network namespaces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Veth {
    /// The end in the node (for a pod) or on the host (for a node).
    pub outer: End,
    /// The end in the pod or in the node.
    pub inner: End,
    /// Bridge that the outer end is a port of.
    pub bridge: Option<String>,
    /// Bytes of the largest packet; none leaves the kernel's 1500.
    pub mtu: Option<u32>,
}

/// Name of the node end of a pod's veth: `pod` and twelve digits of the sandbox id, unique on a node.
#[must_use]
pub fn pod_link_name(sandbox_id: &str) -> String {
    let digits: String = sandbox_id.chars().filter(char::is_ascii_alphanumeric).take(LINK_NAME_MAX - 3).collect();
    format!("pod{digits}")
}

fn host_prefix(ip: IpAddr) -> u8 {
    if ip.is_ipv4() { 32 } else { 128 }
}

fn single(ip: IpAddr) -> Cidr {
    Cidr::new(ip, host_prefix(ip)).expect("the prefix is the family's own length")
}

fn everything(like: IpAddr) -> Cidr {
    let any = if like.is_ipv4() { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { IpAddr::V6(Ipv6Addr::UNSPECIFIED) };
    Cidr::new(any, 0).expect("zero bits fit any family")
}

/// A pod's network: addresses of one or two families, routed, no bridge.
///
/// `node_ips` are the node's own addresses: what the node itself sends to the pod carries them as source, so that the pod
/// sees probes and host-network traffic come from the node's address.
#[must_use]
pub fn pod(sandbox_id: &str, pod_ips: &[IpAddr], node_ips: &[IpAddr], mtu: Option<u32>) -> Veth {
    let name = pod_link_name(sandbox_id);
    let mut outer = End { name: name.clone(), addresses: vec![], routes: vec![], sysctls: vec![] };
    let mut inner = End { name: INNER_LINK.into(), addresses: vec![], routes: vec![], sysctls: vec![] };
    for &ip in pod_ips {
        let gateway = if ip.is_ipv4() { GATEWAY_V4 } else { GATEWAY_V6 };
        let source = node_ips.iter().copied().find(|node| node.is_ipv4() == ip.is_ipv4());
        outer.addresses.push(Address { ip: gateway, prefix: host_prefix(gateway) });
        outer.routes.push(RouteTo { destination: single(ip), gateway: None, source });
        inner.addresses.push(Address { ip, prefix: host_prefix(ip) });
        inner.routes.push(RouteTo { destination: everything(ip), gateway: Some(gateway), source: None });
    }
    Veth { outer, inner, bridge: None, mtu }
}

/// What joins a node in namespaces of its own with its host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeLink {
    /// Name of the host's end, at most 15 bytes, unique on the host.
    pub host_name: String,
    /// Bridge on the host that joins the nodes of a cluster; none for a link of its own.
    pub bridge: Option<String>,
    /// The host's addresses on the link (on the bridge, where there is one): the node's gateways.
    pub host_addresses: Vec<Address>,
    /// The node's addresses.
    pub node_addresses: Vec<Address>,
    /// Bytes of the largest packet; none leaves the kernel's 1500.
    pub mtu: Option<u32>,
}

/// A node's link.
#[must_use]
pub fn node(link: &NodeLink) -> Veth {
    let gateway_link = link.bridge.as_deref().unwrap_or(&link.host_name);
    let mut sysctls = vec![];
    if link.host_addresses.iter().any(|address| address.ip.is_ipv4()) {
        // The link's own switch is enough; the host's global one stays as the host has it.
        sysctls.push((format!("ipv4/conf/{gateway_link}/forwarding"), "1".to_owned()));
    }
    if link.host_addresses.iter().any(|address| address.ip.is_ipv6()) {
        sysctls.push(("ipv6/conf/all/forwarding".to_owned(), "1".to_owned()));
    }
    let outer = End {
        name: link.host_name.clone(),
        addresses: if link.bridge.is_some() { vec![] } else { link.host_addresses.clone() },
        routes: vec![],
        sysctls,
    };
    let default = |gateway: &Address| {
        let source = link.node_addresses.iter().find(|own| own.ip.is_ipv4() == gateway.ip.is_ipv4())?;
        Some(RouteTo { destination: everything(gateway.ip), gateway: Some(gateway.ip), source: Some(source.ip) })
    };
    let inner = End {
        name: INNER_LINK.into(),
        addresses: link.node_addresses.clone(),
        routes: link.host_addresses.iter().filter_map(default).collect(),
        sysctls: vec![],
    };
    Veth { outer, inner, bridge: link.bridge.clone(), mtu: link.mtu }
}

/// Routes of one node to the pods of the others, where they share a link.
#[must_use]
pub fn peer_routes(peers: &[(Cidr, IpAddr)], node_ips: &[IpAddr]) -> Vec<RouteTo> {
    let route = |&(destination, via): &(Cidr, IpAddr)| RouteTo {
        destination,
        gateway: Some(via),
        source: node_ips.iter().copied().find(|own| own.is_ipv4() == via.is_ipv4()),
    };
    peers.iter().map(route).collect()
}

#[cfg(test)]
mod tests;
