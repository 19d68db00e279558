//! A node's taints keep off Pods that do not tolerate them.

use k8s_openapi::api::core::v1::{Taint, Toleration};
use registry::scheduling;

use crate::framework::{Filter, FilterPlugin, NodeScore, Score, ScorePlugin, Status, default_normalize};
use crate::pod_info::PodInfo;
use crate::snapshot::{NodeInfo, Snapshot};

#[derive(Debug)]
pub(super) struct TaintToleration;

fn tolerations(pod: &PodInfo) -> &[Toleration] {
    pod.pod.spec.as_ref().and_then(|s| s.tolerations.as_deref()).unwrap_or_default()
}

/// Whether a Pod tolerates a taint.
pub(super) fn tolerates(pod: &PodInfo, taint: &Taint) -> bool {
    tolerations(pod).iter().any(|toleration| scheduling::tolerates(toleration, taint))
}

fn taints(node: &NodeInfo) -> &[Taint] {
    node.node.spec.as_ref().and_then(|s| s.taints.as_deref()).unwrap_or_default()
}

impl FilterPlugin for TaintToleration {
    fn name(&self) -> &'static str {
        "TaintToleration"
    }

    fn filter<'a>(&self, pod: &'a PodInfo, _: &'a Snapshot) -> Option<Filter<'a>> {
        Some(Box::new(|node| {
            match scheduling::tolerates_all(tolerations(pod), &node.node, &["NoSchedule", "NoExecute"]) {
                true => Ok(()),
                false => Err(Status::unresolvable("node(s) had untolerated taint(s)")),
            }
        }))
    }
}

impl ScorePlugin for TaintToleration {
    fn name(&self) -> &'static str {
        "TaintToleration"
    }

    fn weight(&self) -> i64 {
        3
    }

    fn score<'a>(&self, pod: &'a PodInfo, _: &'a Snapshot) -> Option<Score<'a>> {
        Some(Box::new(|node| {
            let soft = taints(node).iter().filter(|taint| taint.effect == "PreferNoSchedule");
            i64::try_from(soft.filter(|taint| !tolerates(pod, taint)).count()).unwrap_or(i64::MAX)
        }))
    }

    fn normalize(&self, scores: &mut [NodeScore]) {
        default_normalize(scores, true);
    }
}
