//! Which slices to make, change and delete. Pure. An endpoint stays in the slice where it is, so that a change of one
//! Pod changes one slice.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{ObjectReference, Service};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

use crate::service_pods::{Backend, Port};

/// The most endpoints in a slice (upstream's `--max-endpoints-per-slice`).
pub(super) const ENDPOINTS_MAX: usize = 100;
pub(super) const SERVICE_NAME: &str = "kubernetes.io/service-name";
pub(super) const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
pub(super) const MANAGER: &str = "endpointslice-controller.k8s.io";
const HEADLESS: &str = "service.kubernetes.io/headless";

/// The writes.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Plan {
    pub(super) create: Vec<EndpointSlice>,
    pub(super) update: Vec<EndpointSlice>,
    pub(super) delete: Vec<String>,
}

/// Decides.
pub(super) fn plan(service: &Service, backends: &[Backend], existing: &[Arc<EndpointSlice>]) -> Plan {
    // Pods that offer other port numbers under the same names need slices of their own.
    let mut groups: BTreeMap<Vec<Port>, Vec<Endpoint>> = BTreeMap::new();
    for backend in backends {
        groups.entry(backend.ports.clone()).or_default().push(endpoint(backend));
    }
    if groups.is_empty() {
        // A Service without Pods keeps an empty slice, so that its consumers see that nothing is there.
        groups.insert(Vec::new(), Vec::new());
    }
    let mut plan = Plan::default();
    let mut unused: Vec<&Arc<EndpointSlice>> =
        existing.iter().filter(|s| s.metadata.deletion_timestamp.is_none()).collect();
    // Each group takes its own slices before any may take what is left.
    let mut shares = Vec::new();
    for (ports, wanted) in groups {
        let ports = slice_ports(&ports);
        let (mine, rest): (Vec<_>, Vec<_>) = unused.into_iter().partition(|slice| same_ports(slice, &ports));
        unused = rest;
        shares.push((ports, wanted, mine));
    }
    for (ports, wanted, mine) in shares {
        fill(service, ports, wanted, &mine, &mut unused, &mut plan);
    }
    plan.delete.extend(unused.iter().filter_map(|slice| slice.metadata.name.clone()));
    plan
}

fn same_ports(slice: &EndpointSlice, ports: &[EndpointPort]) -> bool {
    slice.ports.as_deref().unwrap_or_default() == ports
}

/// Shares the endpoints of one group among its slices.
fn fill(
    service: &Service,
    ports: Vec<EndpointPort>,
    wanted: Vec<Endpoint>,
    mine: &[&Arc<EndpointSlice>],
    spare: &mut Vec<&Arc<EndpointSlice>>,
    plan: &mut Plan,
) {
    let identity = |e: &Endpoint| e.target_ref.as_ref().and_then(|r| r.uid.clone());
    let mut left: BTreeMap<Option<String>, Endpoint> = wanted.into_iter().map(|e| (identity(&e), e)).collect();
    let mut filled: Vec<(&Arc<EndpointSlice>, Vec<Endpoint>)> = Vec::new();
    for slice in mine {
        let kept = slice.endpoints.iter().flatten().filter_map(|e| left.remove(&identity(e))).collect();
        filled.push((slice, kept));
    }
    let mut new: Vec<Endpoint> = left.into_values().collect();
    for (_, endpoints) in &mut filled {
        let room = ENDPOINTS_MAX.saturating_sub(endpoints.len()).min(new.len());
        endpoints.extend(new.drain(..room));
    }
    let mut kept_one = false;
    for (index, (slice, endpoints)) in filled.iter().enumerate() {
        let last = index + 1 == filled.len();
        let needed = !endpoints.is_empty() || (last && !kept_one && new.is_empty());
        if !needed {
            plan.delete.extend(slice.metadata.name.clone());
            continue;
        }
        kept_one = true;
        update((***slice).clone(), service, ports.clone(), endpoints.clone(), slice, plan);
    }
    while !new.is_empty() || !kept_one {
        let chunk: Vec<Endpoint> = new.drain(..new.len().min(ENDPOINTS_MAX)).collect();
        kept_one = true;
        // A slice whose ports nobody offers any more is used again rather than deleted.
        match spare.pop() {
            Some(slice) => update((**slice).clone(), service, ports.clone(), chunk, slice, plan),
            None => plan.create.push(slice(service, ports.clone(), chunk)),
        }
    }
}

fn update(
    base: EndpointSlice,
    service: &Service,
    ports: Vec<EndpointPort>,
    endpoints: Vec<Endpoint>,
    before: &EndpointSlice,
    plan: &mut Plan,
) {
    let template = slice(service, ports, endpoints);
    let mut after = base;
    after.endpoints = template.endpoints;
    after.ports = template.ports;
    after.metadata.labels = template.metadata.labels;
    if after != *before {
        plan.update.push(after);
    }
}

fn slice(service: &Service, ports: Vec<EndpointPort>, endpoints: Vec<Endpoint>) -> EndpointSlice {
    let name = service.metadata.name.clone().unwrap_or_default();
    let headless = service.spec.as_ref().and_then(|s| s.cluster_ip.as_deref()) == Some("None");
    let mut labels = service.metadata.labels.clone().unwrap_or_default();
    labels.remove(HEADLESS);
    labels.insert(SERVICE_NAME.to_owned(), name.clone());
    labels.insert(MANAGED_BY.to_owned(), MANAGER.to_owned());
    if headless {
        labels.insert(HEADLESS.to_owned(), String::new());
    }
    EndpointSlice {
        metadata: ObjectMeta {
            generate_name: Some(format!("{name}-")),
            namespace: service.metadata.namespace.clone(),
            labels: Some(labels),
            owner_references: Some(vec![OwnerReference {
                api_version: "v1".to_owned(),
                kind: "Service".to_owned(),
                name,
                uid: service.metadata.uid.clone().unwrap_or_default(),
                controller: Some(true),
                block_owner_deletion: Some(true),
            }]),
            ..ObjectMeta::default()
        },
        address_type: "IPv4".to_owned(),
        endpoints: Some(endpoints),
        ports: (!ports.is_empty()).then_some(ports),
    }
}

fn slice_ports(ports: &[Port]) -> Vec<EndpointPort> {
    let port = |p: &Port| EndpointPort {
        name: Some(p.name.clone()),
        protocol: Some(p.protocol.clone()),
        port: Some(p.number),
        app_protocol: p.app_protocol.clone(),
    };
    ports.iter().map(port).collect()
}

fn endpoint(backend: &Backend) -> Endpoint {
    Endpoint {
        addresses: vec![backend.address.clone()],
        conditions: Some(EndpointConditions {
            ready: Some(backend.ready),
            serving: Some(backend.serving),
            terminating: Some(backend.terminating),
        }),
        hostname: backend.hostname.clone(),
        node_name: backend.node.clone(),
        target_ref: Some(ObjectReference {
            kind: Some("Pod".to_owned()),
            namespace: Some(backend.pod_namespace.clone()),
            name: Some(backend.pod_name.clone()),
            uid: Some(backend.pod_uid.clone()),
            ..ObjectReference::default()
        }),
        ..Endpoint::default()
    }
}

#[cfg(test)]
mod tests;
