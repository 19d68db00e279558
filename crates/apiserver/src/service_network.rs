//! Cluster addresses and node ports of Services: which are taken is read from the Services themselves, so there is no
//! second record that could disagree (upstream keeps bitmaps and IPAddress objects and repairs them in loops).
//!
//! Who writes: the write path, through [`ServiceNetwork::reserve`]; a reservation covers the time until the cache shows
//! the Service.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::ops::RangeInclusive;

use api::resources::SERVICES;
use apimachinery::{ApiError, FieldError, FieldPath, Reader, Resource};
use component_base::Random;
use parking_lot::Mutex;
use serde_json::{Value, json};

/// Ports for NodePort Services, as upstream's default.
pub const NODE_PORTS: RangeInclusive<u16> = 30000..=32767;

/// An IPv4 network for Services.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServiceCidr {
    /// The network's address.
    pub base: Ipv4Addr,
    /// The prefix length, 8 to 30.
    pub prefix: u8,
}

impl ServiceCidr {
    /// The address at `offset` from the base.
    pub fn address(self, offset: u32) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.base).wrapping_add(offset))
    }

    /// How many addresses there are.
    pub fn size(self) -> u32 {
        1 << (32 - u32::from(self.prefix))
    }

    /// Whether `address` is in the network.
    pub fn contains(self, address: Ipv4Addr) -> bool {
        u32::from(address).wrapping_sub(u32::from(self.base)) < self.size()
    }
}

impl std::fmt::Display for ServiceCidr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.base, self.prefix)
    }
}

/// What is taken: addresses, and (protocol, port) pairs.
#[derive(Debug, Default, Clone)]
struct Taken {
    addresses: BTreeSet<Ipv4Addr>,
    ports: BTreeSet<(String, u16)>,
}

/// The allocator.
#[derive(Debug)]
pub struct ServiceNetwork {
    cidr: ServiceCidr,
    node_ports: RangeInclusive<u16>,
    in_flight: Mutex<Taken>,
}

/// Holds what a write has allocated until the cache shows it.
#[derive(Debug)]
pub(crate) struct Reserved<'a> {
    network: &'a ServiceNetwork,
    taken: Taken,
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        let mut in_flight = self.network.in_flight.lock();
        self.taken.addresses.iter().for_each(|address| {
            in_flight.addresses.remove(address);
        });
        self.taken.ports.iter().for_each(|port| {
            in_flight.ports.remove(port);
        });
    }
}

impl ServiceNetwork {
    /// An allocator for `cidr` and `node_ports`.
    pub fn new(cidr: ServiceCidr, node_ports: RangeInclusive<u16>) -> Self {
        Self { cidr, node_ports, in_flight: Mutex::default() }
    }

    /// The Services' network.
    pub fn cidr(&self) -> ServiceCidr {
        self.cidr
    }

    /// Gives a Service the addresses and ports that it needs, or checks the ones it asks for. Other kinds pass through.
    pub(crate) fn reserve(
        &self,
        reader: &dyn Reader,
        random: &Random,
        resource: &'static Resource,
        new: &mut Value,
        old: Option<&Value>,
    ) -> Result<Reserved<'_>, ApiError> {
        let mut reserved = Reserved { network: self, taken: Taken::default() };
        if !resource.is(SERVICES) {
            return Ok(reserved);
        }
        if let Some(old) = old {
            keep_allocated(new, old);
        }
        let mut in_flight = self.in_flight.lock();
        let mut taken = self.taken_by_others(reader, new);
        taken.addresses.extend(&in_flight.addresses);
        taken.ports.extend(in_flight.ports.iter().cloned());
        let mut faults = Vec::new();
        let before = old.map(own).unwrap_or_default();
        match plan_address(self.cidr, new, &taken, &before, random) {
            Ok(Some(address)) => {
                reserved.taken.addresses.insert(address);
            }
            Ok(None) => {}
            Err(fault) => faults.push(fault),
        }
        plan_ports(&self.node_ports, new, &taken, &before, random, &mut reserved.taken, &mut faults);
        if !faults.is_empty() {
            let name = super::engine::meta_text(new, "name");
            // Nothing of it is in flight yet.
            reserved.taken = Taken::default();
            return Err(ApiError::invalid("", "Service", name, &faults));
        }
        in_flight.addresses.extend(&reserved.taken.addresses);
        in_flight.ports.extend(reserved.taken.ports.iter().cloned());
        Ok(reserved)
    }

    fn taken_by_others(&self, reader: &dyn Reader, new: &Value) -> Taken {
        let uid = super::engine::meta_text(new, "uid").to_owned();
        let mut taken = Taken::default();
        for service in reader.list(SERVICES, "").into_iter().filter(|s| s.meta().uid != uid) {
            let mine = own(&service.value());
            taken.addresses.extend(mine.addresses);
            taken.ports.extend(mine.ports);
        }
        taken
    }
}

/// What a Service holds.
fn own(service: &Value) -> Taken {
    let spec = &service["spec"];
    let mut taken = Taken::default();
    let addresses = spec["clusterIPs"].as_array().into_iter().flatten().chain([&spec["clusterIP"]]);
    taken.addresses.extend(addresses.filter_map(|a| a.as_str()?.parse::<Ipv4Addr>().ok()));
    for port in spec["ports"].as_array().into_iter().flatten() {
        if let Some(number) = port_number(&port["nodePort"]) {
            taken.ports.insert((protocol(port), number));
        }
    }
    if let Some(number) = port_number(&spec["healthCheckNodePort"]) {
        taken.ports.insert(("TCP".to_owned(), number));
    }
    taken
}

fn port_number(value: &Value) -> Option<u16> {
    value.as_u64().and_then(|n| u16::try_from(n).ok()).filter(|n| *n != 0)
}

fn protocol(port: &Value) -> String {
    port["protocol"].as_str().unwrap_or("TCP").to_owned()
}

/// Whether a Service of this shape has a cluster address.
fn wants_address(spec: &Value) -> bool {
    spec["type"] != "ExternalName" && spec["clusterIP"] != "None"
}

/// Whether its ports have node ports.
fn wants_node_ports(spec: &Value) -> bool {
    match spec["type"].as_str() {
        Some("NodePort") => true,
        Some("LoadBalancer") => spec["allocateLoadBalancerNodePorts"] != false,
        _ => false,
    }
}

/// An update that leaves an allocated value out keeps it, if its type still has one
/// (upstream: `patchAllocatedValues`); a type that has none loses it.
fn keep_allocated(new: &mut Value, old: &Value) {
    let old_spec = &old["spec"];
    if new["spec"]["type"] == "ExternalName" {
        if let Some(spec) = new["spec"].as_object_mut()
            && old_spec["clusterIP"] == spec.get("clusterIP").cloned().unwrap_or_default()
        {
            spec.remove("clusterIP");
            spec.remove("clusterIPs");
        }
    } else if wants_address(old_spec) && new["spec"]["clusterIP"].as_str().is_none_or(str::is_empty) {
        for field in ["clusterIP", "clusterIPs"] {
            if !old_spec[field].is_null() {
                new["spec"][field] = old_spec[field].clone();
            }
        }
    }
    let wants = wants_node_ports(&new["spec"]);
    let had = wants_node_ports(old_spec);
    let old_ports = old_spec["ports"].as_array().cloned().unwrap_or_default();
    for port in new["spec"]["ports"].as_array_mut().into_iter().flatten() {
        let same = old_ports.iter().find(|o| protocol(o) == protocol(port) && o["port"] == port["port"]);
        let Some(allocated) = same.and_then(|o| port_number(&o["nodePort"])) else { continue };
        if wants && had && port_number(&port["nodePort"]).is_none() {
            port["nodePort"] = json!(allocated);
        } else if had
            && !wants
            && port_number(&port["nodePort"]) == Some(allocated)
            && let Some(port) = port.as_object_mut()
        {
            port.remove("nodePort");
        }
    }
}

/// The address that `service` gets anew; `None` if it needs none or keeps its own.
fn plan_address(
    cidr: ServiceCidr,
    service: &mut Value,
    taken: &Taken,
    before: &Taken,
    random: &Random,
) -> Result<Option<Ipv4Addr>, FieldError> {
    if !wants_address(&service["spec"]) {
        if service["spec"]["clusterIP"] == "None" {
            service["spec"]["clusterIPs"] = json!(["None"]);
        }
        return Ok(None);
    }
    let asked = service["spec"]["clusterIP"].as_str().unwrap_or_default().to_owned();
    let address = if asked.is_empty() {
        let found = pick(cidr.size() - 2, random, |n| !taken.addresses.contains(&cidr.address(n + 1)));
        match found {
            Some(n) => cidr.address(n + 1),
            None => {
                let path = FieldPath::new("spec.clusterIPs");
                return Err(FieldError::invalid(&path, &json!([]), "failed to allocate a serviceIP: range is full"));
            }
        }
    } else {
        let refuse = |why: String| {
            let path = FieldPath::new("spec.clusterIPs");
            Err(FieldError::invalid(&path, &json!([asked]), format!("failed to allocate IP {asked}: {why}")))
        };
        match asked.parse::<Ipv4Addr>() {
            // An IPv6 address or nonsense was refused by validation.
            Err(_) => return Ok(None),
            Ok(address) if before.addresses.contains(&address) => address,
            Ok(address) if !cidr.contains(address) => {
                return refuse(format!("the provided IP is not in the valid range. The range of valid IPs is {cidr}"));
            }
            Ok(address) if taken.addresses.contains(&address) => {
                return refuse("provided IP is already allocated".to_owned());
            }
            Ok(address) => address,
        }
    };
    service["spec"]["clusterIP"] = json!(address.to_string());
    service["spec"]["clusterIPs"] = json!([address.to_string()]);
    Ok((!before.addresses.contains(&address)).then_some(address))
}

fn plan_ports(
    range: &RangeInclusive<u16>,
    service: &mut Value,
    taken: &Taken,
    before: &Taken,
    random: &Random,
    made: &mut Taken,
    faults: &mut Vec<FieldError>,
) {
    if !wants_node_ports(&service["spec"]) {
        return;
    }
    let mut mine: BTreeSet<(String, u16)> = BTreeSet::new();
    let mut by_port: BTreeMap<u64, u16> = BTreeMap::new();
    let ports = service["spec"]["ports"].as_array_mut().into_iter().flatten();
    for (index, port) in ports.enumerate() {
        let protocol = protocol(port);
        let path = FieldPath::new("spec.ports").index(index).child("nodePort");
        let given = port["nodePort"].as_i64().unwrap_or(0);
        let Ok(asked) = u16::try_from(given) else {
            faults.push(out_of_range(&path, range, given));
            continue;
        };
        if asked == 0 {
            // The same Service port under another protocol (DNS) shares its node port, as upstream does.
            let shared = port["port"].as_u64().and_then(|p| by_port.get(&p)).copied().filter(|n| {
                let pair = (protocol.clone(), *n);
                !taken.ports.contains(&pair) && !mine.contains(&pair)
            });
            let size = u32::from(range.end() - range.start()) + 1;
            let free = |n: u32| {
                let number = range.start() + u16::try_from(n).unwrap_or(0);
                let any =
                    |p: &str| taken.ports.contains(&(p.to_owned(), number)) || mine.contains(&(p.to_owned(), number));
                !any("TCP") && !any("UDP") && !any("SCTP")
            };
            let chosen =
                shared.or_else(|| pick(size, random, free).map(|n| range.start() + u16::try_from(n).unwrap_or(0)));
            match chosen {
                Some(number) => {
                    port["nodePort"] = json!(number);
                    by_port.insert(port["port"].as_u64().unwrap_or(0), number);
                    mine.insert((protocol.clone(), number));
                    made.ports.insert((protocol, number));
                }
                None => faults.push(FieldError::invalid(&path, 0, "failed to allocate a nodePort: range is full")),
            }
            continue;
        }
        let pair = (protocol, asked);
        if !before.ports.contains(&pair) {
            if !range.contains(&asked) {
                faults.push(out_of_range(&path, range, given));
            } else if taken.ports.contains(&pair) {
                faults.push(FieldError::invalid(&path, u32::from(asked), "provided port is already allocated"));
            } else {
                made.ports.insert(pair.clone());
            }
        }
        by_port.insert(port["port"].as_u64().unwrap_or(0), asked);
        mine.insert(pair);
    }
}

fn out_of_range(path: &FieldPath, range: &RangeInclusive<u16>, given: i64) -> FieldError {
    let (start, end) = (range.start(), range.end());
    let why = format!("provided port is not in the valid range. The range of valid ports is {start}-{end}");
    FieldError::invalid(path, given, why)
}

/// A free number below `size`, beginning at a random one.
fn pick(size: u32, random: &Random, free: impl Fn(u32) -> bool) -> Option<u32> {
    let start = u32::try_from(random.below(u64::from(size))).unwrap_or(0);
    (0..size).map(|n| (start + n) % size).find(|n| free(*n))
}

#[cfg(test)]
mod tests;
