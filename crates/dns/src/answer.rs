//! The decision: question and cluster in, records out.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use hickory_proto::op::{Query, ResponseCode};
use hickory_proto::rr::rdata::{A, CNAME, PTR, SOA, SRV, TXT};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};

use crate::name::{Part, Subject, labels};
use crate::view::{ClusterView, cluster_ips, service_of};

/// How long clients may keep a cluster record, as in kubeadm's configuration of CoreDNS.
pub const TTL_SECONDS: u32 = 30;
/// How long they may keep the version; CoreDNS' number.
const VERSION_TTL_SECONDS: u32 = 28_800;
/// The version of the specification that is followed.
const VERSION: &str = "1.1.0";
/// How many aliases inside the cluster are followed; an ExternalName may name another one.
const ALIASES_MAX: usize = 8;

/// The domain that is answered for.
#[derive(Debug, Clone)]
pub struct Zone {
    name: Name,
    labels: Vec<String>,
}

impl Zone {
    /// The zone of `domain`, as `cluster.local`; `None` if that is no domain name.
    pub fn new(domain: &str) -> Option<Self> {
        let mut name = Name::from_ascii(domain).ok()?.to_lowercase();
        name.set_fqdn(true);
        let labels = labels(&name)?;
        (!labels.is_empty()).then_some(Self { name, labels })
    }

    fn child(&self, labels: &[&str]) -> Option<Name> {
        Name::from_labels(labels.iter().map(|label| label.as_bytes())).ok()?.append_domain(&self.name).ok()
    }

    /// Who is responsible for the zone; goes with every answer that has no records.
    fn soa(&self, serial: u32) -> Option<Record> {
        let (mname, rname) = (self.child(&["ns", "dns"])?, self.child(&["hostmaster"])?);
        // CoreDNS' numbers; the last one bounds how long an absent name may be remembered.
        let soa = SOA::new(mname, rname, serial, 7200, 1800, 86400, TTL_SECONDS);
        Some(Record::from_rdata(self.name.clone(), TTL_SECONDS, RData::SOA(soa)))
    }
}

/// Records of an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    /// `NoError` without records: the name exists, this type does not.
    pub code: ResponseCode,
    /// What was asked for.
    pub answers: Vec<Record>,
    /// The zone's SOA where there is nothing to answer.
    pub authorities: Vec<Record>,
    /// Addresses of the targets of SRV records.
    pub additionals: Vec<Record>,
}

/// What is to be said.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// This is ours, and this is all of it.
    Here(Reply),
    /// The name is an alias of one that is not ours: the reply lacks what `target` has.
    Alias {
        /// The aliases.
        reply: Reply,
        /// Whom to ask about.
        target: Name,
    },
    /// Not ours.
    Elsewhere,
}

/// A record's content and, where it is an SRV's target, that target's address.
struct Found {
    address: Ipv4Addr,
    /// The name that an SRV record points at.
    target: Name,
    ports: Vec<u16>,
}

/// Answers `query` as of now. `serial` is the zone's, in seconds since 1970.
pub fn answer(query: &Query, zone: &Zone, serial: u32, view: &dyn ClusterView) -> Answer {
    if !matches!(query.query_class(), DNSClass::IN | DNSClass::ANY) {
        return Answer::Elsewhere;
    }
    if let Some(address) = reverse_address(query.name()) {
        return reverse(query, address, zone, serial, view);
    }
    let mut answers = Vec::new();
    let mut name = query.name().clone();
    for _ in 0..=ALIASES_MAX {
        let Some(labels) = labels(&name) else { return Answer::Elsewhere };
        let Some(own) = labels.strip_suffix(&zone.labels[..]) else {
            if answers.is_empty() {
                return Answer::Elsewhere;
            }
            let reply = Reply { code: ResponseCode::NoError, answers, authorities: vec![], additionals: vec![] };
            return Answer::Alias { reply, target: name };
        };
        match records(query.query_type(), &name, &Subject::parse(own), zone, serial, view) {
            Records::Absent => return Answer::Here(empty(ResponseCode::NXDomain, answers, zone, serial)),
            Records::Alias(target) => {
                answers.push(Record::from_rdata(name, TTL_SECONDS, RData::CNAME(CNAME(target.clone()))));
                if query.query_type() == RecordType::CNAME {
                    let reply =
                        Reply { code: ResponseCode::NoError, answers, authorities: vec![], additionals: vec![] };
                    return Answer::Here(reply);
                }
                name = target;
            }
            Records::Present { records, .. } if records.is_empty() => {
                return Answer::Here(empty(ResponseCode::NoError, answers, zone, serial));
            }
            Records::Present { records, additionals } => {
                answers.extend(records);
                return Answer::Here(Reply { code: ResponseCode::NoError, answers, authorities: vec![], additionals });
            }
        }
    }
    // Aliases of each other: there is no end to follow.
    Answer::Here(Reply { code: ResponseCode::ServFail, answers: vec![], authorities: vec![], additionals: vec![] })
}

fn empty(code: ResponseCode, answers: Vec<Record>, zone: &Zone, serial: u32) -> Reply {
    Reply { code, answers, authorities: zone.soa(serial).into_iter().collect(), additionals: vec![] }
}

enum Records {
    /// No such name.
    Absent,
    /// Another name has the records.
    Alias(Name),
    /// The name exists; there may be no records of the type.
    Present { records: Vec<Record>, additionals: Vec<Record> },
}

impl Records {
    fn of(records: Vec<Record>) -> Self {
        Self::Present { records, additionals: vec![] }
    }
}

fn records(
    kind: RecordType,
    name: &Name,
    subject: &Subject,
    zone: &Zone,
    serial: u32,
    view: &dyn ClusterView,
) -> Records {
    match subject {
        Subject::Apex if kind == RecordType::SOA => Records::of(zone.soa(serial).into_iter().collect()),
        Subject::Version if kind == RecordType::TXT => {
            let text = RData::TXT(TXT::new(vec![VERSION.to_owned()]));
            Records::of(vec![Record::from_rdata(name.clone(), VERSION_TTL_SECONDS, text)])
        }
        Subject::Apex | Subject::Version | Subject::Branch => Records::of(vec![]),
        Subject::Namespace(namespace) if view.has_namespace(namespace) => Records::of(vec![]),
        Subject::Pod { namespace, address } if view.has_namespace(namespace) => match pod_address(address) {
            Some(PodAddress::V4(address)) if kind == RecordType::A => {
                Records::of(vec![Record::from_rdata(name.clone(), TTL_SECONDS, RData::A(A(address)))])
            }
            Some(_) => Records::of(vec![]),
            None => Records::Absent,
        },
        Subject::Service { namespace, service, part } => match view.service(namespace, service) {
            Some(service) => service_records(kind, name, &service, part, zone, view),
            None => Records::Absent,
        },
        Subject::Nothing | Subject::Namespace(_) | Subject::Pod { .. } => Records::Absent,
    }
}

enum PodAddress {
    V4(Ipv4Addr),
    V6,
}

fn pod_address(label: &str) -> Option<PodAddress> {
    if label.matches('-').count() == 3 && !label.contains("--") {
        return label.replace('-', ".").parse().ok().map(PodAddress::V4);
    }
    label.replace('-', ":").parse::<std::net::Ipv6Addr>().ok().map(|_| PodAddress::V6)
}

fn service_records(
    kind: RecordType,
    name: &Name,
    service: &Service,
    part: &Part,
    zone: &Zone,
    view: &dyn ClusterView,
) -> Records {
    let spec = service.spec.as_ref();
    if spec.and_then(|s| s.type_.as_deref()) == Some("ExternalName") {
        // It has no endpoints, so no name of one. An address is no alias, as in CoreDNS.
        let external = spec.and_then(|s| s.external_name.as_deref()).unwrap_or_default();
        if matches!(part, Part::Endpoint(_)) || external.parse::<std::net::IpAddr>().is_ok() {
            return Records::Absent;
        }
        let Ok(mut target) = Name::from_ascii(external) else { return Records::Absent };
        target.set_fqdn(true);
        return if target.is_root() { Records::Absent } else { Records::Alias(target) };
    }
    let headless = spec.and_then(|s| s.cluster_ip.as_deref()) == Some("None");
    let found = if headless || matches!(part, Part::Endpoint(_)) {
        endpoints(service, part, zone, view)
    } else {
        cluster_addresses(service, part, zone)
    };
    match found {
        Some(found) if !found.is_empty() => of_type(kind, name, &found),
        Some(_) => Records::of(vec![]),
        None => Records::Absent,
    }
}

fn of_type(kind: RecordType, name: &Name, found: &[Found]) -> Records {
    let record = |owner: &Name, data| Record::from_rdata(owner.clone(), TTL_SECONDS, data);
    match kind {
        RecordType::A => {
            let addresses: BTreeSet<Ipv4Addr> = found.iter().map(|f| f.address).collect();
            Records::of(addresses.into_iter().map(|address| record(name, RData::A(A(address)))).collect())
        }
        RecordType::SRV => {
            let pairs: BTreeSet<(&Name, u16)> =
                found.iter().flat_map(|f| f.ports.iter().map(move |port| (&f.target, *port))).collect();
            // CoreDNS shares 100 among the records.
            let weight = u16::try_from(100 / pairs.len().max(1)).unwrap_or(0).max(1);
            let srv =
                |(target, port): (&Name, u16)| record(name, RData::SRV(SRV::new(0, weight, port, target.clone())));
            let targets: BTreeSet<(&Name, Ipv4Addr)> =
                found.iter().filter(|f| !f.ports.is_empty()).map(|f| (&f.target, f.address)).collect();
            let additionals = targets.into_iter().map(|(target, address)| record(target, RData::A(A(address))));
            Records::Present { additionals: additionals.collect(), records: pairs.into_iter().map(srv).collect() }
        }
        _ => Records::of(vec![]),
    }
}

/// Whether a port is the one that is asked for. An absent protocol is TCP.
fn port_matches(part: &Part, name: Option<&str>, protocol: Option<&str>) -> bool {
    match part {
        Part::Whole | Part::Endpoint(_) => true,
        Part::Port { port, protocol: wanted } => {
            name.unwrap_or_default().eq_ignore_ascii_case(port)
                && protocol.unwrap_or("TCP").eq_ignore_ascii_case(wanted)
        }
    }
}

fn name_of(service: &Service) -> (&str, &str) {
    let meta = &service.metadata;
    (meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref().unwrap_or_default())
}

/// `None`: the Service has no such port.
fn cluster_addresses(service: &Service, part: &Part, zone: &Zone) -> Option<Vec<Found>> {
    let ports: Vec<u16> = service
        .spec
        .iter()
        .flat_map(|s| s.ports.iter().flatten())
        .filter(|port| port_matches(part, port.name.as_deref(), port.protocol.as_deref()))
        .filter_map(|port| u16::try_from(port.port).ok())
        .collect();
    if ports.is_empty() && matches!(part, Part::Port { .. }) {
        return None;
    }
    let (namespace, name) = name_of(service);
    let target = zone.child(&[name, namespace, "svc"])?;
    let addresses = cluster_ips(service).into_iter().filter_map(|ip| ip.parse().ok());
    Some(addresses.map(|address| Found { address, target: target.clone(), ports: ports.clone() }).collect())
}

/// Whether an endpoint has names. Unknown readiness counts as ready.
fn has_names(endpoint: &Endpoint, service: &Service) -> bool {
    let ready = endpoint.conditions.as_ref().and_then(|c| c.ready).unwrap_or(true);
    ready || service.spec.as_ref().and_then(|s| s.publish_not_ready_addresses).unwrap_or(false)
}

/// An endpoint's own label: its hostname, else its address with dashes.
fn hostname(endpoint: &Endpoint, address: &str) -> String {
    endpoint.hostname.clone().filter(|h| !h.is_empty()).unwrap_or_else(|| address.replace(['.', ':'], "-"))
}

/// `None`: no endpoint matches, so there is no such name.
fn endpoints(service: &Service, part: &Part, zone: &Zone, view: &dyn ClusterView) -> Option<Vec<Found>> {
    let (namespace, name) = name_of(service);
    let mut found = Vec::new();
    let mut exists = false;
    for slice in view.endpoint_slices(namespace, name) {
        let ports: Vec<u16> = slice
            .ports
            .iter()
            .flatten()
            .filter(|port| port_matches(part, port.name.as_deref(), port.protocol.as_deref()))
            .filter_map(|port| u16::try_from(port.port?).ok())
            .collect();
        if ports.is_empty() && matches!(part, Part::Port { .. }) {
            continue;
        }
        for endpoint in slice.endpoints.iter().flatten().filter(|endpoint| has_names(endpoint, service)) {
            for text in &endpoint.addresses {
                let hostname = hostname(endpoint, text);
                if matches!(part, Part::Endpoint(wanted) if !hostname.eq_ignore_ascii_case(wanted)) {
                    continue;
                }
                exists = true;
                let Some(target) = zone.child(&[&hostname, name, namespace, "svc"]) else { continue };
                if let Ok(address) = text.parse() {
                    found.push(Found { address, target, ports: ports.clone() });
                }
            }
        }
    }
    exists.then_some(found)
}

/// The address that a name under `in-addr.arpa` is about.
fn reverse_address(name: &Name) -> Option<Ipv4Addr> {
    let labels = labels(name)?;
    let [d, c, b, a] = labels.strip_suffix(&["in-addr".to_owned(), "arpa".to_owned()][..])? else { return None };
    format!("{a}.{b}.{c}.{d}").parse().ok()
}

/// Names of an address. What is not ours goes on to others (`fallthrough in-addr.arpa` in kubeadm's configuration).
fn reverse(query: &Query, address: Ipv4Addr, zone: &Zone, serial: u32, view: &dyn ClusterView) -> Answer {
    let mut targets: BTreeSet<Name> = BTreeSet::new();
    for service in view.services_at(address) {
        let (namespace, name) = name_of(&service);
        targets.extend(zone.child(&[name, namespace, "svc"]));
    }
    if targets.is_empty() {
        for slice in view.endpoint_slices_at(address) {
            targets.extend(endpoint_names(&slice, address, zone, view));
        }
    }
    if targets.is_empty() {
        return Answer::Elsewhere;
    }
    if !matches!(query.query_type(), RecordType::PTR | RecordType::ANY) {
        return Answer::Here(empty(ResponseCode::NoError, vec![], zone, serial));
    }
    let record = |target| Record::from_rdata(query.name().clone(), TTL_SECONDS, RData::PTR(PTR(target)));
    let answers = targets.into_iter().map(record).collect();
    Answer::Here(Reply { code: ResponseCode::NoError, answers, authorities: vec![], additionals: vec![] })
}

fn endpoint_names(slice: &EndpointSlice, address: Ipv4Addr, zone: &Zone, view: &dyn ClusterView) -> Vec<Name> {
    let namespace = slice.metadata.namespace.as_deref().unwrap_or_default();
    let Some(service) = service_of(slice).and_then(|name| view.service(namespace, name)) else { return vec![] };
    let (namespace, name) = name_of(&service);
    let text = address.to_string();
    let ready = slice.endpoints.iter().flatten().filter(|endpoint| has_names(endpoint, &service));
    ready
        .filter(|endpoint| endpoint.addresses.contains(&text))
        .filter_map(|endpoint| zone.child(&[&hostname(endpoint, &text), name, namespace, "svc"]))
        .collect()
}

#[cfg(test)]
pub(crate) mod tests;
