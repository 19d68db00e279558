//! A host port is taken once on a node.

use registry::scheduling::ports_clash;

use crate::framework::{Filter, FilterPlugin, Status};
use crate::pod_info::PodInfo;
use crate::snapshot::Snapshot;

#[derive(Debug)]
pub(super) struct NodePorts;

impl FilterPlugin for NodePorts {
    fn name(&self) -> &'static str {
        "NodePorts"
    }

    fn filter<'a>(&self, pod: &'a PodInfo, _: &'a Snapshot) -> Option<Filter<'a>> {
        if pod.host_ports.is_empty() {
            return None;
        }
        Some(Box::new(|node| match node.pods.iter().any(|other| ports_clash(&pod.host_ports, &other.host_ports)) {
            true => Err(Status::unschedulable("node(s) didn't have free ports for the requested pod ports")),
            false => Ok(()),
        }))
    }
}
