//! When to count and what to write. Pure.

use client::Change;
use jiff::Timestamp;
use registry::quota::{Evaluator, is_charged, is_terminating};
use registry::resource_list::{self, ResourceList};
use serde_json::{Value, json};

/// The quota's new status from what was counted; `None` if it is so already.
pub(super) fn status(quota: &Value, counted: ResourceList) -> Option<Value> {
    let hard = resource_list::read(&quota["spec"]["hard"]);
    let before = &quota["status"];
    let said = resource_list::read(&before["used"]);
    // What nobody here can count keeps what somebody else has said of it.
    let mut used = said.clone();
    used.extend(counted);
    used.retain(|name, _| hard.contains_key(name));
    let new = before["hard"].is_null() || before["used"].is_null();
    if !new && resource_list::read(&before["hard"]) == hard && said == used {
        return None;
    }
    Some(json!({"hard": resource_list::write(&hard), "used": resource_list::write(&used)}))
}

/// Whether a quota's spec or status counts something of the kind.
pub(super) fn tracks(evaluator: &Evaluator, of: &Value) -> bool {
    of["hard"].as_object().into_iter().flatten().any(|(name, _)| evaluator.counts(name))
}

/// Whether a change of an object may leave more of the quota than its status says.
pub(super) fn frees(evaluator: &Evaluator, quota: &Value, change: &Change, now: Timestamp) -> bool {
    if !tracks(evaluator, &quota["status"]) {
        return false;
    }
    match change {
        Change::Added(_) => false,
        Change::Deleted(_) => true,
        Change::Updated(before, after) => {
            !matches!(evaluator, Evaluator::Count(_)) && less(evaluator, &before.value(), &after.value(), now)
        }
    }
}

fn less(evaluator: &Evaluator, before: &Value, after: &Value, now: Timestamp) -> bool {
    match evaluator {
        Evaluator::Pods => {
            resources(before) != resources(after)
                || is_terminating(before) != is_terminating(after)
                || (is_charged(before, now) && !is_charged(after, now))
        }
        Evaluator::Services | Evaluator::Claims => evaluator.usage(before, now) != evaluator.usage(after, now),
        Evaluator::Count(_) => false,
    }
}

/// What the containers of a Pod run with, and what they want: a resize changes both.
fn resources(pod: &Value) -> Vec<[&Value; 2]> {
    let all =
        ["containerStatuses", "initContainerStatuses"].into_iter().filter_map(|key| pod["status"][key].as_array());
    all.flatten()
        .filter(|status| !status["resources"].is_null())
        .map(|status| [&status["name"], &status["resources"]])
        .collect()
}

#[cfg(test)]
mod tests;
