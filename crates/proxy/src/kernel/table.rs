//! The table: its fixed part, and what each change does to it.
//!
//! ```text
//! prerouting, output (destination NAT) → services
//! services:     to a cluster IP, not from a Pod of this node: mark
//!               address . protocol . port → verdict          (map "services")
//!               other ports of cluster IPs → reject; other addresses of their range → drop
//!               protocol . port of the node's addresses → verdict   (map "node-ports")
//! external/…:   not from a Pod of this node: mark; then cluster/… or local/…
//! cluster/…:    affinity; then a random endpoint
//! postrouting:  an endpoint that reaches itself → from the node's address
//!               marked, and not to a Pod of this node → from the node's address
//! ```
//! The node's address is used instead of masquerading, which would take the gateway's address of a Pod's link.

use std::net::Ipv4Addr;

use cni::Cidr;
use cni::nftables::{
    BaseChain, Batch, ChainKind, CmpOp, Element, Expressions, Family, Hook, MetaKey, NatKind, Policy, Reg, RejectWith,
    Set, SetData, TableFlags, Verdict, ct_status,
};

use crate::plan::NodeFacts;
use crate::ruleset::{Action, Chain, Changes, Endpoint, PortKey, ServiceKey};

/// The table's name.
pub(super) const TABLE: &str = "skiff-proxy";
/// Set on packets whose source may have to be translated; upstream uses the same bit.
const MARK: u32 = 0x4000;
const PRIORITY_DESTINATION_NAT: i32 = -100;
/// Just before the node's egress table, which translates what Pods send out.
const PRIORITY_SOURCE_NAT: i32 = 99;
/// Most clients that a port remembers: 65,536 entries of about 100 bytes are 6 MiB.
const AFFINITY_CLIENTS_MAX: u32 = 65_536;
/// What `fib` says of addresses of this machine (`RTN_LOCAL`).
const LOCAL: u32 = 2;

const SERVICES: &str = "services";
const NODE_PORTS: &str = "node-ports";
const CLUSTER_IPS: &str = "cluster-ips";
const LOCAL_ENDPOINTS: &str = "local-endpoints";
const HAIRPIN: &str = "hairpin";
const REJECT: &str = "reject";
const POSTROUTING: &str = "postrouting";

/// Numbers by which `nft list` shows keys.
mod kind {
    pub(super) const NUMBER: u32 = 4;
    pub(super) const IPV4: u32 = 7;
    const PROTOCOL: u32 = 12;
    const PORT: u32 = 13;
    pub(super) const PROTOCOL_PORT: u32 = PROTOCOL << 6 | PORT;
    pub(super) const IPV4_PROTOCOL_PORT: u32 = IPV4 << 12 | PROTOCOL_PORT;
    pub(super) const IPV4_IPV4: u32 = IPV4 << 6 | IPV4;
    pub(super) const IPV4_PORT: u32 = IPV4 << 6 | PORT;
}

fn padded_port(port: u16) -> [u8; 4] {
    let [high, low] = port.to_be_bytes();
    [high, low, 0, 0]
}

fn service_key(key: &ServiceKey) -> Vec<u8> {
    let ip = key.ip.octets();
    [ip, [key.protocol.number(), 0, 0, 0], padded_port(key.port)].concat()
}

fn port_key(key: &PortKey) -> Vec<u8> {
    [[key.protocol.number(), 0, 0, 0], padded_port(key.port)].concat()
}

fn endpoint_data(endpoint: &Endpoint) -> Vec<u8> {
    [endpoint.ip().octets(), padded_port(endpoint.port())].concat()
}

fn pair(ip: &Ipv4Addr) -> Vec<u8> {
    [ip.octets(), ip.octets()].concat()
}

fn verdict(action: &Action) -> Verdict {
    match action {
        Action::Goto(chain) => Verdict::Goto(chain.clone()),
        Action::Reject => Verdict::Goto(REJECT.to_owned()),
        Action::Drop => Verdict::Drop,
    }
}

/// Replaces the whole table by one that holds what `changes` add.
pub(super) fn replace(node: &NodeFacts, changes: &Changes) -> Batch {
    let mut batch = remove();
    batch.add_table(TABLE, TableFlags::default());
    skeleton(&mut batch, node);
    fill(&mut batch, node, changes);
    batch
}

/// Changes the table.
pub(super) fn change(node: &NodeFacts, changes: &Changes) -> Batch {
    let mut batch = Batch::new(Family::Inet);
    fill(&mut batch, node, changes);
    batch
}

/// Removes the table, whether or not it is there.
pub(super) fn remove() -> Batch {
    let mut batch = Batch::new(Family::Inet);
    batch.add_table(TABLE, TableFlags::default());
    batch.delete_table(TABLE);
    batch
}

fn skeleton(batch: &mut Batch, node: &NodeFacts) {
    let verdicts = |name: &str, key_kind, key_fields| Set {
        name: name.to_owned(),
        key_kind,
        key_fields,
        data: Some(SetData::Verdict),
        ..Set::default()
    };
    let set = |name: &str, key_kind, key_fields| Set { name: name.to_owned(), key_kind, key_fields, ..Set::default() };
    batch.add_set(TABLE, &verdicts(SERVICES, kind::IPV4_PROTOCOL_PORT, vec![4, 1, 2]));
    batch.add_set(TABLE, &verdicts(NODE_PORTS, kind::PROTOCOL_PORT, vec![1, 2]));
    batch.add_set(TABLE, &set(CLUSTER_IPS, kind::IPV4, vec![4]));
    batch.add_set(TABLE, &set(LOCAL_ENDPOINTS, kind::IPV4, vec![4]));
    batch.add_set(TABLE, &set(HAIRPIN, kind::IPV4_IPV4, vec![4, 4]));
    batch.add_chain(TABLE, REJECT);
    batch.add_chain(TABLE, SERVICES);
    for (name, hook, priority) in [
        ("prerouting", Hook::Prerouting, PRIORITY_DESTINATION_NAT),
        ("output", Hook::Output, PRIORITY_DESTINATION_NAT),
        (POSTROUTING, Hook::Postrouting, PRIORITY_SOURCE_NAT),
    ] {
        let base = BaseChain { kind: ChainKind::Nat, hook, priority, policy: Policy::Accept };
        batch.add_base_chain(TABLE, name, base);
        if hook != Hook::Postrouting {
            batch.add_rule(TABLE, name, |e| {
                e.is_ipv4(Reg(0)).verdict(&Verdict::Jump(SERVICES.to_owned()));
            });
        }
    }
    batch.add_rule(TABLE, REJECT, |e| {
        e.meta(Reg(0), MetaKey::TransportProtocol).compare(Reg(0), CmpOp::Eq, &[6]).reject(RejectWith::TcpReset);
    });
    batch.add_rule(TABLE, REJECT, |e| {
        e.reject(RejectWith::PortUnreachable);
    });
    services(batch, node);
    postrouting(batch, node.node_ip);
}

fn services(batch: &mut Batch, node: &NodeFacts) {
    batch.add_rule(TABLE, SERVICES, |e| {
        e.ip_destination(Reg(0)).lookup(CLUSTER_IPS, 0, Reg(0), None);
        source_in(e, node.pod_cidr, CmpOp::Ne);
        mark(e);
    });
    batch.add_rule(TABLE, SERVICES, |e| {
        e.ip_destination(Reg(0)).meta(Reg(1), MetaKey::TransportProtocol).destination_port(Reg(2));
        e.verdict_map(SERVICES, 0, Reg(0));
    });
    batch.add_rule(TABLE, SERVICES, |e| {
        e.ip_destination(Reg(0)).lookup(CLUSTER_IPS, 0, Reg(0), None);
        e.verdict(&Verdict::Goto(REJECT.to_owned()));
    });
    batch.add_rule(TABLE, SERVICES, |e| {
        let range = node.service_cidr;
        e.ip_destination(Reg(0)).mask(Reg(0), &range.netmask()).compare(Reg(0), CmpOp::Eq, &network(range));
        e.verdict(&Verdict::Drop);
    });
    batch.add_rule(TABLE, SERVICES, |e| {
        e.destination_type(Reg(0)).compare(Reg(0), CmpOp::Eq, &LOCAL.to_ne_bytes());
        e.ip_destination(Reg(0)).mask(Reg(0), &[255, 0, 0, 0]).compare(Reg(0), CmpOp::Ne, &[127, 0, 0, 0]);
        e.meta(Reg(0), MetaKey::TransportProtocol).destination_port(Reg(1));
        e.verdict_map(NODE_PORTS, 0, Reg(0));
    });
}

fn postrouting(batch: &mut Batch, node_ip: Ipv4Addr) {
    let from_node = |e: &mut Expressions<'_>| {
        e.immediate(Reg(0), &node_ip.octets()).nat(NatKind::Source, false, Reg(0), None);
    };
    batch.add_rule(TABLE, POSTROUTING, |e| {
        e.is_ipv4(Reg(0)).has_ct_status(Reg(0), ct_status::DNAT);
        e.ip_source(Reg(0)).ip_destination(Reg(1)).lookup(HAIRPIN, 0, Reg(0), None);
        from_node(e);
    });
    batch.add_rule(TABLE, POSTROUTING, |e| {
        e.is_ipv4(Reg(0)).meta(Reg(0), MetaKey::Mark).mask(Reg(0), &MARK.to_ne_bytes());
        e.compare(Reg(0), CmpOp::Ne, &[0; 4]);
        // The mark has done its work; a tunnel that wraps the packet would inherit it.
        e.meta(Reg(0), MetaKey::Mark).mask(Reg(0), &(!MARK).to_ne_bytes()).set_mark(Reg(0));
        e.ip_destination(Reg(0)).lookup_not(LOCAL_ENDPOINTS, 0, Reg(0));
        from_node(e);
    });
}

fn network(range: Cidr) -> Vec<u8> {
    match range.network() {
        std::net::IpAddr::V4(ip) => ip.octets().to_vec(),
        std::net::IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}

/// Goes on if the packet's source is in `range`, or is not.
fn source_in(e: &mut Expressions<'_>, range: Cidr, op: CmpOp) {
    e.ip_source(Reg(0)).mask(Reg(0), &range.netmask()).compare(Reg(0), op, &network(range));
}

fn mark(e: &mut Expressions<'_>) {
    e.meta(Reg(0), MetaKey::Mark).bitwise(Reg(0), &(!MARK).to_ne_bytes(), &MARK.to_ne_bytes()).set_mark(Reg(0));
}

/// Sets that belong to a chain of endpoints.
struct OwnSets {
    /// number → address . port
    endpoints: String,
    /// address . port of those that are endpoints now
    live: String,
    /// client → address . port, outlives changes of the endpoints
    affinity: String,
}

impl OwnSets {
    fn of(chain: &str) -> Self {
        let name = |kind: &str| format!("{kind}/{chain}");
        Self { endpoints: name("endpoints"), live: name("live"), affinity: name("affinity") }
    }
}

fn affinity_of(chain: &Chain) -> Option<u32> {
    match chain {
        Chain::Endpoints { affinity_seconds, .. } => *affinity_seconds,
        _ => None,
    }
}

/// The order matters: what refers to a chain or set goes before it, and comes after it.
fn fill(batch: &mut Batch, node: &NodeFacts, changes: &Changes) {
    for (name, _) in &changes.chains_added {
        batch.add_chain(TABLE, name);
    }
    for (name, before, after) in &changes.chains_changed {
        batch.flush_chain(TABLE, name);
        destroy_sets(batch, name, before, affinity_of(before) == affinity_of(after));
    }
    for name in &changes.chains_removed {
        batch.flush_chain(TABLE, name);
    }
    let keys = |keys: Vec<Vec<u8>>| keys.into_iter().map(Element::key).collect::<Vec<_>>();
    let ips = |ips: &[Ipv4Addr]| keys(ips.iter().map(|ip| ip.octets().to_vec()).collect());
    let added = |entries: &[(Ipv4Addr, ())]| entries.iter().map(|(ip, ())| *ip).collect::<Vec<_>>();
    let delete = |batch: &mut Batch, set, elements: Vec<Element>| batch.delete_elements(TABLE, set, &elements);
    delete(batch, SERVICES, keys(changes.services.remove.iter().map(service_key).collect()));
    delete(batch, NODE_PORTS, keys(changes.node_ports.remove.iter().map(port_key).collect()));
    delete(batch, CLUSTER_IPS, ips(&changes.cluster_ips.remove));
    delete(batch, LOCAL_ENDPOINTS, ips(&changes.local_endpoints.remove));
    delete(batch, HAIRPIN, keys(changes.local_endpoints.remove.iter().map(pair).collect()));

    for (name, chain) in &changes.chains_added {
        fill_chain(batch, node, name, chain, true);
    }
    for (name, before, after) in &changes.chains_changed {
        fill_chain(batch, node, name, after, affinity_of(before) != affinity_of(after));
    }

    let add = |batch: &mut Batch, set, elements: Vec<Element>| batch.add_elements(TABLE, set, &elements);
    let services = changes.services.add.iter().map(|(key, to)| Element::verdict(service_key(key), verdict(to)));
    add(batch, SERVICES, services.collect());
    let ports = changes.node_ports.add.iter().map(|(key, to)| Element::verdict(port_key(key), verdict(to)));
    add(batch, NODE_PORTS, ports.collect());
    add(batch, CLUSTER_IPS, ips(&added(&changes.cluster_ips.add)));
    let local = added(&changes.local_endpoints.add);
    add(batch, LOCAL_ENDPOINTS, ips(&local));
    add(batch, HAIRPIN, keys(local.iter().map(pair).collect()));

    for name in &changes.chains_removed {
        batch.delete_chain(TABLE, name);
        let sets = OwnSets::of(name);
        for set in [&sets.endpoints, &sets.live, &sets.affinity] {
            batch.destroy_set(TABLE, set);
        }
    }
}

fn destroy_sets(batch: &mut Batch, name: &str, before: &Chain, keep_affinity: bool) {
    if matches!(before, Chain::Endpoints { .. }) {
        let sets = OwnSets::of(name);
        batch.destroy_set(TABLE, &sets.endpoints);
        batch.destroy_set(TABLE, &sets.live);
        if !keep_affinity {
            batch.destroy_set(TABLE, &sets.affinity);
        }
    }
}

fn fill_chain(batch: &mut Batch, node: &NodeFacts, name: &str, chain: &Chain, new_affinity: bool) {
    match chain {
        Chain::Endpoints { endpoints, affinity_seconds } => {
            let endpoints: Vec<Endpoint> = endpoints.iter().copied().collect();
            let affinity = affinity_seconds.map(|seconds| u64::from(seconds) * 1000);
            endpoint_rules(batch, name, &endpoints, affinity, new_affinity);
        }
        Chain::External { cluster, local: None } => {
            batch.add_rule(TABLE, name, |e| {
                source_in(e, node.pod_cidr, CmpOp::Ne);
                mark(e);
            });
            go(batch, name, cluster);
        }
        Chain::External { cluster, local: Some(local) } => {
            batch.add_rule(TABLE, name, |e| {
                source_in(e, node.pod_cidr, CmpOp::Eq);
                e.verdict(&verdict(cluster));
            });
            batch.add_rule(TABLE, name, |e| {
                // What starts on the node itself came in by no interface.
                e.meta(Reg(0), MetaKey::InputInterface).compare(Reg(0), CmpOp::Eq, &[0; 4]);
                mark(e);
                e.verdict(&verdict(cluster));
            });
            go(batch, name, local);
        }
        Chain::SourceRanges { ranges, then } => {
            for range in ranges {
                batch.add_rule(TABLE, name, |e| {
                    source_in(e, *range, CmpOp::Eq);
                    e.verdict(&verdict(then));
                });
            }
            go(batch, name, &Action::Drop);
        }
    }
}

fn go(batch: &mut Batch, chain: &str, action: &Action) {
    batch.add_rule(TABLE, chain, |e| {
        e.verdict(&verdict(action));
    });
}

fn endpoint_rules(batch: &mut Batch, name: &str, endpoints: &[Endpoint], affinity: Option<u64>, new_affinity: bool) {
    /// The chosen endpoint: its address, and in the next register its port.
    const CHOSEN: Reg = Reg(0);
    const CHOSEN_PORT: Reg = Reg(1);
    const NUMBER: Reg = Reg(4);
    const CLIENT: Reg = Reg(5);
    let sets = OwnSets::of(name);
    let count = u32::try_from(endpoints.len()).unwrap_or(u32::MAX);
    let data = SetData::Value { kind: kind::IPV4_PORT, length: 8 };
    if count > 1 {
        let map = Set {
            name: sets.endpoints.clone(),
            key_kind: kind::NUMBER,
            key_fields: vec![4],
            data: Some(data),
            ..Set::default()
        };
        batch.add_set(TABLE, &map);
        let numbered = (0u32..).zip(endpoints);
        let elements: Vec<_> = numbered.map(|(n, to)| Element::data(n.to_ne_bytes(), endpoint_data(to))).collect();
        batch.add_elements(TABLE, &sets.endpoints, &elements);
    }
    if let Some(timeout_ms) = affinity {
        if new_affinity {
            let clients = Set {
                name: sets.affinity.clone(),
                key_kind: kind::IPV4,
                key_fields: vec![4],
                data: Some(data),
                dynamic: true,
                timeout_ms: Some(timeout_ms),
                size: Some(AFFINITY_CLIENTS_MAX),
                ..Set::default()
            };
            batch.add_set(TABLE, &clients);
        }
        let live = Set { name: sets.live.clone(), key_kind: kind::IPV4_PORT, key_fields: vec![4, 2], ..Set::default() };
        batch.add_set(TABLE, &live);
        let elements: Vec<_> = endpoints.iter().map(|to| Element::key(endpoint_data(to))).collect();
        batch.add_elements(TABLE, &sets.live, &elements);
        batch.add_rule(TABLE, name, |e| {
            e.ip_source(CLIENT).lookup(&sets.affinity, 0, CLIENT, Some(CHOSEN));
            // A client whose endpoint is gone gets another one below.
            e.lookup(&sets.live, 0, CHOSEN, None).dynset_update(&sets.affinity, CLIENT, Some(CHOSEN), timeout_ms);
            e.nat(NatKind::Destination, false, CHOSEN, Some(CHOSEN_PORT));
        });
    }
    batch.add_rule(TABLE, name, |e| {
        match endpoints {
            [only] => {
                e.immediate(CHOSEN, &only.ip().octets()).immediate(CHOSEN_PORT, &padded_port(only.port()));
            }
            _ => {
                e.random(NUMBER, count).lookup(&sets.endpoints, 0, NUMBER, Some(CHOSEN));
            }
        }
        if let Some(timeout_ms) = affinity {
            e.ip_source(CLIENT).dynset_update(&sets.affinity, CLIENT, Some(CHOSEN), timeout_ms);
        }
        e.nat(NatKind::Destination, false, CHOSEN, Some(CHOSEN_PORT));
    });
}
