//! What Services use (upstream: `pkg/quota/v1/evaluator/core/services.go`).

use serde_json::Value;

use super::whole;
use crate::resource_list::ResourceList;
use crate::value::{int, list, text};

pub(super) const NAMES: [&str; 4] = ["count/services", "services", "services.nodeports", "services.loadbalancers"];

pub(super) fn usage(service: &Value) -> ResourceList {
    let spec = &service["spec"];
    let ports = list(spec, "ports");
    let balanced = text(spec, "type") == "LoadBalancer";
    // Node ports may not be allocated yet, so it is the intent that counts.
    let node_ports = match text(spec, "type") {
        "LoadBalancer" if spec["allocateLoadBalancerNodePorts"] == false => {
            ports.iter().filter(|port| int(port, "nodePort").unwrap_or_default() != 0).count()
        }
        "NodePort" | "LoadBalancer" => ports.len(),
        _ => 0,
    };
    let node_ports = i64::try_from(node_ports).unwrap_or(i64::MAX);
    NAMES
        .into_iter()
        .zip([1, 1, node_ports, i64::from(balanced)])
        .map(|(n, used)| (n.to_owned(), whole(used)))
        .collect()
}
