//! Host ports of the node's own Pods.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Container, Pod};

use crate::ruleset::{Action, Chain, PortKey, Protocol, Ruleset, ServiceKey};

/// The containers that run as long as the Pod does.
fn lasting(pod: &Pod) -> impl Iterator<Item = &Container> {
    let spec = pod.spec.iter();
    spec.flat_map(|spec| {
        let sidecars = spec.init_containers.iter().flatten();
        let sidecars = sidecars.filter(|container| container.restart_policy.as_deref() == Some("Always"));
        spec.containers.iter().chain(sidecars)
    })
}

/// Whether a Pod concerns the plan.
#[must_use]
pub(crate) fn has_host_port(pod: &Pod) -> bool {
    let on_host_network = pod.spec.as_ref().is_some_and(|spec| spec.host_network == Some(true));
    // On the host's network the process itself listens there.
    !on_host_network && lasting(pod).any(|c| c.ports.iter().flatten().any(|port| port.host_port.unwrap_or(0) != 0))
}

pub(super) fn plan(pods: &[Arc<Pod>], ruleset: &mut Ruleset) {
    for pod in pods.iter().filter(|pod| has_host_port(pod)) {
        let Some(status) = &pod.status else { continue };
        if matches!(status.phase.as_deref(), Some("Succeeded" | "Failed")) {
            continue;
        }
        let Some(ip) = status.pod_ip.as_ref().and_then(|ip| ip.parse::<Ipv4Addr>().ok()) else { continue };
        for port in lasting(pod).flat_map(|container| container.ports.iter().flatten()) {
            let Some(protocol) = Protocol::from_api(port.protocol.as_deref()) else { continue };
            let number = |value: i32| u16::try_from(value).ok().filter(|number| *number != 0);
            let Some(host) = port.host_port.and_then(number) else { continue };
            let Some(inside) = number(port.container_port) else { continue };
            let Ok(bound) = port.host_ip.as_deref().filter(|ip| !ip.is_empty()).unwrap_or("0.0.0.0").parse() else {
                continue;
            };
            map(ruleset, bound, protocol, host, SocketAddrV4::new(ip, inside));
        }
    }
}

fn map(ruleset: &mut Ruleset, bound: Ipv4Addr, protocol: Protocol, port: u16, to: SocketAddrV4) {
    let everywhere = bound.is_unspecified();
    let (node, key) = (PortKey { protocol, port }, ServiceKey { ip: bound, protocol, port });
    let taken = if everywhere { ruleset.node_ports.contains_key(&node) } else { ruleset.services.contains_key(&key) };
    if taken {
        return;
    }
    if protocol == Protocol::Tcp && (everywhere || bound == Ipv4Addr::LOCALHOST) {
        ruleset.relays.entry(port).or_insert(to);
    }
    if bound.is_loopback() {
        return;
    }
    let name = format!("host/{}/{protocol}/{port}", if everywhere { "any".to_owned() } else { bound.to_string() });
    let chain = Chain::Endpoints { endpoints: [to].into(), affinity_seconds: None };
    ruleset.chains.insert(name.clone(), chain);
    ruleset.local_endpoints.insert(*to.ip());
    if everywhere {
        ruleset.node_ports.insert(node, Action::Goto(name));
    } else {
        ruleset.services.insert(key, Action::Goto(name));
    }
}
