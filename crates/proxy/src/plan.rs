//! What a node shall do for the cluster's Services and its own host ports. Pure.

mod endpoints;
mod host_ports;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;

use cni::Cidr;
use k8s_openapi::api::core::v1::{Pod, Service, ServicePort, ServiceSpec};
use k8s_openapi::api::discovery::v1::EndpointSlice;

use crate::ruleset::{Action, Chain, PortKey, Protocol, Ruleset, ServiceKey};
use endpoints::{Candidate, Usable};

pub(crate) use host_ports::has_host_port;

/// Seconds after which a client is forgotten, where a Service does not say (upstream's `DefaultClientIPServiceAffinitySeconds`).
const AFFINITY_SECONDS_DEFAULT: u32 = 10_800;
/// Services with this label are served by another proxy (upstream's `LabelServiceProxyName`).
const OTHER_PROXY: &str = "service.kubernetes.io/service-proxy-name";
/// Names the Service of an EndpointSlice.
const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// What the plan has to know of the node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeFacts {
    /// Its name.
    pub node_name: String,
    /// Its address.
    pub node_ip: Ipv4Addr,
    /// Where its Pods get their addresses.
    pub pod_cidr: Cidr,
    /// Where Services get their addresses.
    pub service_cidr: Cidr,
    /// Its zone (`topology.kubernetes.io/zone`); empty if it has none.
    pub zone: String,
}

/// What the plan is made from.
#[derive(Debug, Clone, Default)]
pub struct Objects {
    /// All Services.
    pub services: Vec<Arc<Service>>,
    /// All EndpointSlices.
    pub slices: Vec<Arc<EndpointSlice>>,
    /// The Pods of this node.
    pub pods: Vec<Arc<Pod>>,
}

/// What the kernel and the relays of a node shall do.
///
/// Follows upstream's `pkg/proxy` (`servicechangetracker.go`, `topology.go`, `nftables/proxier.go`), but for two things: where
/// an endpoint is a Pod of this node, its answer passes through here anyway, so the client's address is kept; and a Pod's own
/// address is kept on its way to a node port.
#[must_use]
pub fn plan(objects: &Objects, node: &NodeFacts) -> Ruleset {
    let mut slices: BTreeMap<(&str, &str), Vec<&EndpointSlice>> = BTreeMap::new();
    for slice in objects.slices.iter().filter(|slice| slice.address_type == "IPv4") {
        let meta = &slice.metadata;
        if let Some(service) = meta.labels.as_ref().and_then(|labels| labels.get(SERVICE_NAME)) {
            slices.entry((meta.namespace.as_deref().unwrap_or_default(), service)).or_default().push(slice);
        }
    }
    let mut planner = Planner { node, ruleset: Ruleset::default() };
    for service in &objects.services {
        let meta = &service.metadata;
        let key = (meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref().unwrap_or_default());
        planner.service(service, slices.get(&key).map_or(&[], Vec::as_slice));
    }
    // Afterwards, so that a Service's node port wins over a Pod's host port.
    host_ports::plan(&objects.pods, &mut planner.ruleset);
    planner.ruleset
}

/// Addresses of one Service, by where traffic for them comes from.
struct Frontends {
    cluster: Ipv4Addr,
    external: Vec<Ipv4Addr>,
    load_balancer: Vec<Ipv4Addr>,
    source_ranges: Option<Vec<Cidr>>,
    affinity_seconds: Option<u32>,
    internal_local: bool,
    external_local: bool,
}

fn addresses(texts: impl IntoIterator<Item = impl AsRef<str>>) -> Vec<Ipv4Addr> {
    texts.into_iter().filter_map(|text| text.as_ref().parse().ok()).collect()
}

impl Frontends {
    /// None if the Service is not for proxies: headless, an alias, of the other family, or another proxy's.
    fn of(service: &Service, spec: &ServiceSpec) -> Option<Self> {
        let labels = service.metadata.labels.as_ref();
        let kind = spec.type_.as_deref().unwrap_or("ClusterIP");
        if kind == "ExternalName" || labels.is_some_and(|labels| labels.contains_key(OTHER_PROXY)) {
            return None;
        }
        let first = addresses(spec.cluster_ip.iter()).into_iter().next();
        let cluster = first.or_else(|| addresses(spec.cluster_ips.iter().flatten()).into_iter().next())?;
        let status = service.status.as_ref().and_then(|status| status.load_balancer.as_ref());
        let ingress = status.and_then(|balancer| balancer.ingress.as_deref()).unwrap_or_default();
        // With `ipMode: Proxy` the balancer wants to see all traffic itself.
        let direct = ingress.iter().filter(|entry| entry.ip_mode.as_deref() != Some("Proxy"));
        let balanced = kind == "LoadBalancer";
        let ranges = spec.load_balancer_source_ranges.as_deref().unwrap_or_default();
        let config = spec.session_affinity_config.as_ref().and_then(|config| config.client_ip.as_ref());
        let timeout = config.and_then(|client_ip| client_ip.timeout_seconds).and_then(|s| u32::try_from(s).ok());
        let local = |policy: &Option<String>| policy.as_deref() == Some("Local");
        Some(Self {
            cluster,
            external: addresses(spec.external_ips.iter().flatten()),
            load_balancer: if balanced { addresses(direct.filter_map(|entry| entry.ip.as_ref())) } else { vec![] },
            source_ranges: (!ranges.is_empty()).then(|| {
                let parsed = ranges.iter().filter_map(|range| range.trim().parse::<Cidr>().ok());
                parsed.filter(|range| range.network().is_ipv4()).collect()
            }),
            affinity_seconds: (spec.session_affinity.as_deref() == Some("ClientIP"))
                .then(|| timeout.unwrap_or(AFFINITY_SECONDS_DEFAULT)),
            internal_local: local(&spec.internal_traffic_policy),
            external_local: local(&spec.external_traffic_policy),
        })
    }
}

struct Planner<'a> {
    node: &'a NodeFacts,
    ruleset: Ruleset,
}

impl Planner<'_> {
    fn service(&mut self, service: &Service, slices: &[&EndpointSlice]) {
        let Some(spec) = &service.spec else { return };
        let Some(frontends) = Frontends::of(service, spec) else { return };
        self.ruleset.cluster_ips.insert(frontends.cluster);
        // The node's own address needs no help to be reached.
        let announced = frontends.load_balancer.iter().copied().filter(|ip| *ip != self.node.node_ip);
        self.ruleset.addresses.extend(announced);
        let meta = &service.metadata;
        let (namespace, name) = (meta.namespace.as_deref(), meta.name.as_deref());
        let name = format!("{}/{}", namespace.unwrap_or_default(), name.unwrap_or_default());
        for port in spec.ports.iter().flatten() {
            self.port(&name, &frontends, port, slices);
        }
    }

    fn port(&mut self, service: &str, frontends: &Frontends, port: &ServicePort, slices: &[&EndpointSlice]) {
        let Some(protocol) = Protocol::from_api(port.protocol.as_deref()) else { return };
        let Ok(number) = u16::try_from(port.port) else { return };
        let candidates = endpoints::candidates(slices, port.name.as_deref().unwrap_or_default(), protocol, self.node);
        self.ruleset.local_endpoints.extend(candidates.iter().filter(|c| c.is_local).map(|c| *c.address.ip()));
        let usable = Usable::of(&candidates, self.node);
        let name = format!("{service}/{protocol}/{number}");

        let nobody = if usable.anywhere { Action::Drop } else { Action::Reject };
        let needs_local = frontends.internal_local || frontends.external_local;
        let cluster = self.endpoints(format!("cluster/{name}"), &usable.cluster, frontends, Action::Reject);
        let local = if needs_local {
            self.endpoints(format!("local/{name}"), &usable.local, frontends, nobody)
        } else {
            cluster.clone()
        };

        let internal = if frontends.internal_local { local.clone() } else { cluster.clone() };
        self.serve(&[frontends.cluster], protocol, number, &internal);

        let node_port = port.node_port.and_then(|p| u16::try_from(p).ok()).filter(|p| *p != 0);
        if node_port.is_none() && frontends.external.is_empty() && frontends.load_balancer.is_empty() {
            return;
        }
        // Without an endpoint for the policy Cluster there is none anywhere.
        let external = if cluster == Action::Reject {
            Action::Reject
        } else {
            let local = frontends.external_local.then_some(local);
            let chain = Chain::External { cluster: cluster.clone(), local };
            self.chain(format!("external/{name}"), chain)
        };
        self.serve(&frontends.external, protocol, number, &external);
        let balanced = match &frontends.source_ranges {
            Some(ranges) if !frontends.load_balancer.is_empty() && external != Action::Reject => {
                let ranges = ranges.iter().copied().collect();
                self.chain(format!("firewall/{name}"), Chain::SourceRanges { ranges, then: external.clone() })
            }
            _ => external.clone(),
        };
        self.serve(&frontends.load_balancer, protocol, number, &balanced);
        if let Some(node_port) = node_port {
            if protocol == Protocol::Tcp && matches!(cluster, Action::Goto(_)) {
                // Through the node's own port, so that affinity is one and the same.
                self.ruleset.relays.insert(node_port, SocketAddrV4::new(self.node.node_ip, node_port));
            }
            self.ruleset.node_ports.insert(PortKey { protocol, port: node_port }, external);
        }
    }

    fn serve(&mut self, ips: &[Ipv4Addr], protocol: Protocol, port: u16, action: &Action) {
        for ip in ips {
            // Where two Services claim an external IP the first one has it.
            self.ruleset.services.entry(ServiceKey { ip: *ip, protocol, port }).or_insert_with(|| action.clone());
        }
    }

    fn endpoints(&mut self, name: String, usable: &[Candidate], of: &Frontends, nobody: Action) -> Action {
        if usable.is_empty() {
            return nobody;
        }
        let endpoints = usable.iter().map(|candidate| candidate.address).collect();
        self.chain(name, Chain::Endpoints { endpoints, affinity_seconds: of.affinity_seconds })
    }

    fn chain(&mut self, name: String, chain: Chain) -> Action {
        self.ruleset.chains.insert(name.clone(), chain);
        Action::Goto(name)
    }
}

#[cfg(test)]
mod tests;
