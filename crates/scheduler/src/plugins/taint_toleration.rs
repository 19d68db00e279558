//! A node's taints keep off Pods that do not tolerate them.

use k8s_openapi::api::core::v1::{Taint, Toleration};

use crate::framework::{FilterPlugin, NodeScore, ScorePlugin, Status, default_normalize};
use crate::snapshot::{NodeInfo, PodInfo, Snapshot};

#[derive(Debug)]
pub(super) struct TaintToleration;

fn tolerations(pod: &PodInfo) -> &[Toleration] {
    pod.pod.spec.as_ref().and_then(|s| s.tolerations.as_deref()).unwrap_or_default()
}

/// Whether a Pod tolerates a taint.
pub(super) fn tolerates(pod: &PodInfo, taint: &Taint) -> bool {
    tolerations(pod).iter().any(|toleration| tolerates_one(toleration, taint))
}

fn tolerates_one(toleration: &Toleration, taint: &Taint) -> bool {
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    let (effect, key) = (text(&toleration.effect), text(&toleration.key));
    (effect.is_empty() || effect == taint.effect)
        && (key.is_empty() || key == taint.key)
        && match toleration.operator.as_deref() {
            Some("Exists") => true,
            _ => text(&toleration.value) == text(&taint.value),
        }
}

fn taints(node: &NodeInfo) -> &[Taint] {
    node.node.spec.as_ref().and_then(|s| s.taints.as_deref()).unwrap_or_default()
}

impl FilterPlugin for TaintToleration {
    fn name(&self) -> &'static str {
        "TaintToleration"
    }

    fn filter(&self, pod: &PodInfo, node: &NodeInfo, _: &Snapshot) -> Result<(), Status> {
        let hard = taints(node).iter().filter(|t| matches!(t.effect.as_str(), "NoSchedule" | "NoExecute"));
        match hard.into_iter().find(|taint| !tolerates(pod, taint)) {
            None => Ok(()),
            Some(taint) => {
                let value = taint.value.clone().unwrap_or_default();
                Err(Status::unresolvable(format!("node(s) had untolerated taint {{{}: {value}}}", taint.key)))
            }
        }
    }
}

impl ScorePlugin for TaintToleration {
    fn name(&self) -> &'static str {
        "TaintToleration"
    }

    fn weight(&self) -> i64 {
        3
    }

    fn score(&self, pod: &PodInfo, node: &NodeInfo, _: &Snapshot) -> i64 {
        let soft = taints(node).iter().filter(|t| t.effect == "PreferNoSchedule");
        i64::try_from(soft.filter(|taint| !tolerates(pod, taint)).count()).unwrap_or(i64::MAX)
    }

    fn normalize(&self, scores: &mut [NodeScore]) {
        default_normalize(scores, true);
    }
}
