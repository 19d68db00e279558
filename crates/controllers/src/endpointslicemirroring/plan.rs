//! Which slices to make, change and delete. Pure. Each set of ports has one slice for each family of addresses.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{EndpointAddress, EndpointPort as SubsetPort, EndpointSubset, Endpoints};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

/// The most addresses that are mirrored of one subset (upstream's `--mirroring-max-endpoints-per-subset`).
pub(super) const ADDRESSES_MAX: usize = 1000;
pub(super) const SERVICE_NAME: &str = "kubernetes.io/service-name";
pub(super) const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
pub(super) const MANAGER: &str = "endpointslicemirroring-controller.k8s.io";
const SKIP_MIRROR: &str = "endpointslice.kubernetes.io/skip-mirror";
const LEADER: &str = "control-plane.alpha.kubernetes.io/leader";
/// Annotations that say something of the Endpoints and nothing of what they hold.
const OWN_ANNOTATIONS: [&str; 2] =
    ["endpoints.kubernetes.io/last-change-trigger-time", "kubectl.kubernetes.io/last-applied-configuration"];

/// The writes.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Plan {
    pub(super) create: Vec<EndpointSlice>,
    pub(super) update: Vec<EndpointSlice>,
    pub(super) delete: Vec<String>,
    /// Addresses that are none.
    pub(super) invalid: usize,
    /// Addresses beyond [`ADDRESSES_MAX`].
    pub(super) too_many: usize,
}

impl Plan {
    /// Nothing is to be mirrored.
    pub(super) fn delete_all(existing: &[Arc<EndpointSlice>]) -> Self {
        Self { delete: existing.iter().filter_map(|slice| slice.metadata.name.clone()).collect(), ..Self::default() }
    }
}

/// Whether Endpoints want to be mirrored.
pub(super) fn is_mirrored(endpoints: &Endpoints) -> bool {
    let metadata = &endpoints.metadata;
    let skips = metadata.labels.as_ref().and_then(|labels| labels.get(SKIP_MIRROR)).is_some_and(|skip| skip == "true");
    let elects = metadata.annotations.as_ref().is_some_and(|annotations| annotations.contains_key(LEADER));
    !skips && !elects
}

/// A port: its name, protocol, number, application protocol.
type Port = (String, String, i32, Option<String>);
/// What slices are made for: the family of addresses, and the ports in order.
type Key = (&'static str, Vec<Port>);
/// Addresses, and whether they are ready.
type Addresses<'a> = Vec<(&'a EndpointAddress, bool)>;
/// What makes an address that one: itself and the uid of what it leads to.
type Identity<'a> = (&'a str, Option<&'a str>);
/// Which addresses a port has, to find ports that have the same.
type AddressSet<'a> = Vec<(Identity<'a>, bool)>;

/// Decides.
pub(super) fn plan(endpoints: &Endpoints, existing: &[Arc<EndpointSlice>]) -> Plan {
    let mut plan = Plan::default();
    let wanted = wanted(endpoints.subsets.as_deref().unwrap_or_default(), &mut plan);
    let mut by_key: BTreeMap<Key, Vec<&Arc<EndpointSlice>>> = BTreeMap::new();
    let mut unused = Vec::new();
    for slice in existing {
        let key = key(slice);
        if wanted.contains_key(&key) { by_key.entry(key).or_default().push(slice) } else { unused.push(slice) }
    }
    let mut new = Vec::new();
    for (key, found) in wanted {
        let mut mine = by_key.remove(&key).unwrap_or_default().into_iter();
        let slice = slice(endpoints, &key, found);
        match mine.next() {
            Some(current) if is(current, &slice) => {}
            Some(current) => plan.update.push(named(slice, current)),
            None => new.push(slice),
        }
        unused.extend(mine);
    }
    // A slice that is of no use is used again rather than deleted.
    for slice in new {
        match unused.iter().position(|other| other.address_type == slice.address_type) {
            Some(at) => plan.update.push(named(slice, unused.remove(at))),
            None if endpoints.metadata.deletion_timestamp.is_none() => plan.create.push(slice),
            None => {}
        }
    }
    plan.delete.extend(unused.iter().filter_map(|slice| slice.metadata.name.clone()));
    plan
}

/// The endpoints of each slice.
fn wanted(subsets: &[EndpointSubset], plan: &mut Plan) -> BTreeMap<Key, Vec<Endpoint>> {
    let mut wanted: BTreeMap<Key, Vec<Endpoint>> = BTreeMap::new();
    for (ports, addresses) in repack(subsets) {
        let mut taken = 0;
        for (address, ready) in addresses {
            let Ok(ip) = address.ip.parse::<IpAddr>() else {
                plan.invalid += 1;
                continue;
            };
            if taken == ADDRESSES_MAX {
                plan.too_many += 1;
                continue;
            }
            taken += 1;
            let family = if ip.to_canonical().is_ipv4() { "IPv4" } else { "IPv6" };
            let key = (family, ports.clone());
            wanted.entry(key).or_default().push(endpoint(address, ip.to_canonical(), ready));
        }
    }
    wanted
}

/// Addresses with the same ports together, ready ones first; an address that is ready somewhere is ready
/// (upstream: `pkg/api/v1/endpoints.RepackSubsets`).
fn repack(subsets: &[EndpointSubset]) -> BTreeMap<Vec<Port>, Addresses<'_>> {
    // `None` stands for having no ports.
    let mut by_port: BTreeMap<Option<Port>, BTreeMap<Identity<'_>, (&EndpointAddress, bool)>> = BTreeMap::new();
    for subset in subsets {
        let mut ports: Vec<Option<Port>> = subset.ports.iter().flatten().map(|port| Some(subset_port(port))).collect();
        if ports.is_empty() {
            ports.push(None);
        }
        let ready = subset.addresses.iter().flatten().map(|address| (address, true));
        let all = ready.chain(subset.not_ready_addresses.iter().flatten().map(|address| (address, false)));
        for (address, ready) in all {
            let identity = (address.ip.as_str(), address.target_ref.as_ref().and_then(|target| target.uid.as_deref()));
            for port in &ports {
                let found = by_port.entry(port.clone()).or_default().entry(identity).or_insert((address, ready));
                found.1 |= ready;
            }
        }
    }
    let mut by_addresses: BTreeMap<AddressSet<'_>, (Vec<Port>, Addresses<'_>)> = BTreeMap::new();
    let mut packed = BTreeMap::new();
    for (port, addresses) in by_port {
        let set = addresses.iter().map(|(identity, (_, ready))| (*identity, *ready)).collect();
        let mut addresses: Addresses<'_> = addresses.into_values().collect();
        addresses.sort_by_key(|(_, ready)| !ready);
        match port {
            Some(port) => by_addresses.entry(set).or_insert((Vec::new(), addresses)).0.push(port),
            None => {
                packed.insert(Vec::new(), addresses);
            }
        }
    }
    packed.extend(by_addresses.into_values());
    packed
}

fn subset_port(port: &SubsetPort) -> Port {
    let protocol = port.protocol.clone().unwrap_or_else(|| "TCP".to_owned());
    (port.name.clone().unwrap_or_default(), protocol, port.port, port.app_protocol.clone())
}

fn endpoint(address: &EndpointAddress, ip: IpAddr, ready: bool) -> Endpoint {
    Endpoint {
        addresses: vec![ip.to_string()],
        conditions: Some(EndpointConditions { ready: Some(ready), ..EndpointConditions::default() }),
        hostname: address.hostname.clone().filter(|name| !name.is_empty()),
        node_name: address.node_name.clone(),
        target_ref: address.target_ref.clone(),
        ..Endpoint::default()
    }
}

fn key(slice: &EndpointSlice) -> Key {
    let port = |p: &EndpointPort| {
        let protocol = p.protocol.clone().unwrap_or_else(|| "TCP".to_owned());
        (p.name.clone().unwrap_or_default(), protocol, p.port.unwrap_or_default(), p.app_protocol.clone())
    };
    let mut ports: Vec<_> = slice.ports.iter().flatten().map(port).collect();
    ports.sort();
    (if slice.address_type == "IPv6" { "IPv6" } else { "IPv4" }, ports)
}

/// A new slice that mirrors `found`.
fn slice(endpoints: &Endpoints, key: &Key, found: Vec<Endpoint>) -> EndpointSlice {
    let metadata = &endpoints.metadata;
    let name = metadata.name.clone().unwrap_or_default();
    let mut labels = metadata.labels.clone().unwrap_or_default();
    labels.insert(SERVICE_NAME.to_owned(), name.clone());
    labels.insert(MANAGED_BY.to_owned(), MANAGER.to_owned());
    let mut annotations = metadata.annotations.clone().unwrap_or_default();
    annotations.retain(|name, _| !OWN_ANNOTATIONS.contains(&name.as_str()));
    let port = |(name, protocol, number, app_protocol): &Port| EndpointPort {
        name: Some(name.clone()),
        protocol: Some(protocol.clone()),
        port: Some(*number),
        app_protocol: app_protocol.clone(),
    };
    EndpointSlice {
        metadata: ObjectMeta {
            generate_name: Some(format!("{name}-")),
            namespace: metadata.namespace.clone(),
            labels: Some(labels),
            annotations: (!annotations.is_empty()).then_some(annotations),
            owner_references: Some(vec![OwnerReference {
                api_version: "v1".to_owned(),
                kind: "Endpoints".to_owned(),
                name,
                uid: metadata.uid.clone().unwrap_or_default(),
                controller: Some(true),
                block_owner_deletion: Some(true),
            }]),
            ..ObjectMeta::default()
        },
        address_type: key.0.to_owned(),
        endpoints: Some(found),
        ports: Some(key.1.iter().map(port).collect()),
    }
}

/// Whether a slice mirrors as `wanted` does.
fn is(current: &EndpointSlice, wanted: &EndpointSlice) -> bool {
    let sorted = |slice: &EndpointSlice| {
        let mut endpoints = slice.endpoints.clone().unwrap_or_default();
        endpoints.sort_by(|a, b| a.addresses.cmp(&b.addresses));
        endpoints
    };
    let owners = |slice: &EndpointSlice| slice.metadata.owner_references.clone().unwrap_or_default();
    current.metadata.labels == wanted.metadata.labels
        && current.metadata.annotations.clone().unwrap_or_default()
            == wanted.metadata.annotations.clone().unwrap_or_default()
        && owners(current).iter().any(|owner| owners(wanted).contains(owner))
        && sorted(current) == sorted(wanted)
}

/// `slice` in the place of `current`.
fn named(mut slice: EndpointSlice, current: &EndpointSlice) -> EndpointSlice {
    slice.metadata.name = current.metadata.name.clone();
    slice.metadata.generate_name = current.metadata.generate_name.clone();
    slice.metadata.resource_version = current.metadata.resource_version.clone();
    slice
}

#[cfg(test)]
mod tests;
