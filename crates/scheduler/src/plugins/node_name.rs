//! A Pod that names its node runs there or nowhere.

use crate::framework::{FilterPlugin, Status};
use crate::snapshot::{NodeInfo, PodInfo, Snapshot};

#[derive(Debug)]
pub(super) struct NodeName;

impl FilterPlugin for NodeName {
    fn name(&self) -> &'static str {
        "NodeName"
    }

    fn filter(&self, pod: &PodInfo, node: &NodeInfo, _: &Snapshot) -> Result<(), Status> {
        match pod.pod.spec.as_ref().and_then(|s| s.node_name.as_deref()) {
            None | Some("") => Ok(()),
            Some(name) if name == node.name() => Ok(()),
            Some(_) => Err(Status::unresolvable("node(s) didn't match the requested node name")),
        }
    }
}
