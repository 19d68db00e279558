//! A Pod that names its node runs there or nowhere.

use crate::framework::{Filter, FilterPlugin, Status};
use crate::pod_info::PodInfo;
use crate::snapshot::Snapshot;

#[derive(Debug)]
pub(super) struct NodeName;

impl FilterPlugin for NodeName {
    fn name(&self) -> &'static str {
        "NodeName"
    }

    fn filter<'a>(&self, pod: &'a PodInfo, _: &'a Snapshot) -> Option<Filter<'a>> {
        let wanted = pod.pod.spec.as_ref()?.node_name.as_deref().filter(|name| !name.is_empty())?;
        Some(Box::new(move |node| match node.name() == wanted {
            true => Ok(()),
            false => Err(Status::unresolvable("node(s) didn't match the requested node name")),
        }))
    }
}
