//! A cordoned node takes only Pods that tolerate that.

use k8s_openapi::api::core::v1::Taint;

use super::taint_toleration::tolerates;
use crate::framework::{Filter, FilterPlugin, Status};
use crate::pod_info::PodInfo;
use crate::snapshot::Snapshot;

#[derive(Debug)]
pub(super) struct NodeUnschedulable;

impl FilterPlugin for NodeUnschedulable {
    fn name(&self) -> &'static str {
        "NodeUnschedulable"
    }

    fn filter<'a>(&self, pod: &'a PodInfo, _: &'a Snapshot) -> Option<Filter<'a>> {
        let taint = Taint {
            key: "node.kubernetes.io/unschedulable".to_owned(),
            effect: "NoSchedule".to_owned(),
            ..Taint::default()
        };
        if tolerates(pod, &taint) {
            return None;
        }
        Some(Box::new(|node| match node.node.spec.as_ref().and_then(|spec| spec.unschedulable) {
            Some(true) => Err(Status::unresolvable("node(s) were unschedulable")),
            _ => Ok(()),
        }))
    }
}
