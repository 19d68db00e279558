//! Whether a node has room, and how evenly it would be filled.

use std::collections::BTreeMap;

use crate::framework::{Filter, FilterPlugin, MAX_NODE_SCORE, Score, ScorePlugin, Status};
use crate::pod_info::PodInfo;
use crate::snapshot::{NodeInfo, Snapshot};

/// Room for the Pod's requests; prefers the emptier node (`LeastAllocated`).
#[derive(Debug)]
pub(super) struct Fit;

/// Prefers nodes whose CPU and memory are used to about the same degree.
#[derive(Debug)]
pub(super) struct BalancedAllocation;

fn fit(pod: &PodInfo, node: &NodeInfo) -> Result<(), Status> {
    let mut reasons = Vec::new();
    if i64::try_from(node.pods.len()).unwrap_or(i64::MAX) + 1 > node.allowed_pods {
        reasons.push("Too many pods".to_owned());
    }
    let (wants, has, used) = (&pod.requests, &node.allocatable, &node.requested);
    let mut unresolvable = false;
    let mut check = |name: &str, wants: i64, has: i64, used: i64| {
        if wants > 0 && wants > has - used {
            reasons.push(format!("Insufficient {name}"));
            unresolvable |= wants > has;
        }
    };
    check("cpu", wants.milli_cpu, has.milli_cpu, used.milli_cpu);
    check("memory", wants.memory, has.memory, used.memory);
    check("ephemeral-storage", wants.ephemeral_storage, has.ephemeral_storage, used.ephemeral_storage);
    for (name, amount) in &wants.other {
        let of = |list: &BTreeMap<String, i64>| list.get(name).copied().unwrap_or(0);
        check(name, *amount, of(&has.other), of(&used.other));
    }
    if reasons.is_empty() { Ok(()) } else { Err(Status { reasons, unresolvable }) }
}

impl FilterPlugin for Fit {
    fn name(&self) -> &'static str {
        "NodeResourcesFit"
    }

    fn filter<'a>(&self, pod: &'a PodInfo, _: &'a Snapshot) -> Option<Filter<'a>> {
        Some(Box::new(|node| fit(pod, node)))
    }
}

impl ScorePlugin for Fit {
    fn name(&self) -> &'static str {
        "NodeResourcesFit"
    }

    fn weight(&self) -> i64 {
        1
    }

    fn score<'a>(&self, pod: &'a PodInfo, _: &'a Snapshot) -> Option<Score<'a>> {
        let free = |has: i64, used: i64| if has == 0 || used > has { 0 } else { (has - used) * MAX_NODE_SCORE / has };
        Some(Box::new(move |node| {
            let (wants, has, used) = (&pod.scoring_requests, &node.allocatable, &node.scoring_requested);
            let cpu = free(has.milli_cpu, used.milli_cpu + wants.milli_cpu);
            let memory = free(has.memory, used.memory + wants.memory);
            (cpu + memory) / 2
        }))
    }
}

impl ScorePlugin for BalancedAllocation {
    fn name(&self) -> &'static str {
        "NodeResourcesBalancedAllocation"
    }

    fn weight(&self) -> i64 {
        1
    }

    fn score<'a>(&self, pod: &'a PodInfo, _: &'a Snapshot) -> Option<Score<'a>> {
        let share = |has: i64, used: i64| if has == 0 { 1.0 } else { (used as f64 / has as f64).min(1.0) };
        Some(Box::new(move |node| {
            let (wants, has, used) = (&pod.requests, &node.allocatable, &node.requested);
            let cpu = share(has.milli_cpu, used.milli_cpu + wants.milli_cpu);
            let memory = share(has.memory, used.memory + wants.memory);
            // With two resources the standard deviation is half their distance.
            ((1.0 - (cpu - memory).abs() / 2.0) * MAX_NODE_SCORE as f64) as i64
        }))
    }
}
