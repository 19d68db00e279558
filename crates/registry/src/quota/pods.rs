//! What Pods use (upstream: `pkg/quota/v1/evaluator/core/pods.go`).

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::whole;
use crate::pods::resources::{is_extended, is_hugepages, is_native};
use crate::resource_list::{self, Reckoning, ResourceList, pod_limits, pod_requests};
use crate::value::{entries, int, list, text, time};

const COUNT: &str = "count/pods";
const COMPUTE: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];
/// A Pod must say how much of these it wants once a quota counts them. Upstream calls it a mistake that may not be
/// repeated for other resources.
const REQUIRED: [&str; 6] = ["cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"];
const REQUESTS: &str = "requests.";
const DEVICE_CLASS: &str = "deviceclass.resource.kubernetes.io/";

pub(super) fn counts(name: &str) -> bool {
    let bare = name.strip_prefix(REQUESTS).unwrap_or(name);
    let limited = name.strip_prefix("limits.").unwrap_or_default();
    [COUNT, "pods"].contains(&name)
        || COMPUTE.contains(&bare)
        || COMPUTE.contains(&limited)
        || is_hugepages(bare)
        || (name.starts_with(REQUESTS) && (!is_native(name) || bare.starts_with(DEVICE_CLASS)))
}

/// Whether a Pod's resources count: not if it has ended, nor if it should have by now, as on a lost node.
pub fn is_charged(pod: &Value, now: Timestamp) -> bool {
    if matches!(text(&pod["status"], "phase"), "Failed" | "Succeeded") {
        return false;
    }
    let metadata = &pod["metadata"];
    let (Some(deleted), Some(grace)) =
        (time(metadata, "deletionTimestamp"), int(metadata, "deletionGracePeriodSeconds"))
    else {
        return true;
    };
    deleted.checked_add(SignedDuration::from_secs(grace)).is_ok_and(|end| now <= end)
}

/// Whether a Pod ends by itself at some time.
pub fn is_terminating(pod: &Value) -> bool {
    int(&pod["spec"], "activeDeadlineSeconds").is_some_and(|seconds| seconds >= 0)
}

pub(super) fn usage(pod: &Value, now: Timestamp) -> ResourceList {
    let mut usage = ResourceList::from([(COUNT.to_owned(), whole(1))]);
    if is_charged(pod, now) {
        let (requests, limits) = (pod_requests(pod, Reckoning::Charged), pod_limits(pod, Reckoning::Charged));
        resource_list::add(&mut usage, &compute(&requests, &limits));
    }
    usage
}

/// Requests and limits under the names that quotas have for them.
fn compute(requests: &ResourceList, limits: &ResourceList) -> ResourceList {
    let mut usage = ResourceList::from([("pods".to_owned(), whole(1))]);
    for (name, request) in requests {
        let known = COMPUTE.contains(&name.as_str()) || is_hugepages(name);
        if known {
            usage.insert(name.clone(), request.clone());
        }
        if known || is_extended(name) || name.starts_with(DEVICE_CLASS) {
            usage.insert(format!("{REQUESTS}{name}"), request.clone());
        }
    }
    for (name, limit) in limits.iter().filter(|(name, _)| COMPUTE.contains(&name.as_str())) {
        usage.insert(format!("limits.{name}"), limit.clone());
    }
    usage
}

pub(super) fn missing(names: &BTreeSet<String>, pod: &Value) -> Option<String> {
    let whole = &pod["spec"]["resources"];
    let stated = ["requests", "limits"].into_iter().flat_map(|kind| entries(whole, kind));
    if stated.into_iter().any(|(name, _)| resource_list::is_pod_level(name)) {
        return None;
    }
    let required: Vec<&str> = REQUIRED.into_iter().filter(|name| names.contains(*name)).collect();
    let mut missing: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for container in ["containers", "initContainers"].into_iter().flat_map(|kind| list(&pod["spec"], kind)) {
        let read = |kind: &str| resource_list::read(&container["resources"][kind]);
        let said = compute(&read("requests"), &read("limits"));
        for name in required.iter().filter(|name| !said.contains_key(**name)) {
            missing.entry(name).or_default().insert(text(container, "name"));
        }
    }
    let of = |(name, containers): (&str, BTreeSet<&str>)| {
        format!("{name} for: {}", containers.into_iter().collect::<Vec<_>>().join(","))
    };
    let parts: Vec<String> = missing.into_iter().map(of).collect();
    (!parts.is_empty()).then(|| format!("must specify {}", parts.join("; ")))
}
