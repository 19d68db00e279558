//! A host port is taken once on a node.

use crate::framework::{FilterPlugin, Status};
use crate::snapshot::{NodeInfo, PodInfo, Snapshot};

#[derive(Debug)]
pub(super) struct NodePorts;

impl FilterPlugin for NodePorts {
    fn name(&self) -> &'static str {
        "NodePorts"
    }

    fn filter(&self, pod: &PodInfo, node: &NodeInfo, _: &Snapshot) -> Result<(), Status> {
        let wanted = pod.host_ports();
        if wanted.is_empty() {
            return Ok(());
        }
        let taken: Vec<_> = node.pods.iter().flat_map(PodInfo::host_ports).collect();
        let clash = wanted.iter().any(|(protocol, address, port)| {
            taken
                .iter()
                .any(|(p, a, n)| p == protocol && n == port && (a == address || a == "0.0.0.0" || address == "0.0.0.0"))
        });
        if clash {
            return Err(Status::unschedulable("node(s) didn't have free ports for the requested pod ports"));
        }
        Ok(())
    }
}
