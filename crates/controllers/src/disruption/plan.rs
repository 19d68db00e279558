//! How many of a budget's Pods there should be, are healthy, and may be disrupted. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use apimachinery::IntOrString;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec, PodDisruptionBudgetStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector, Time};
use k8s_openapi::apimachinery::pkg::util::intstr;
use k8s_openapi::jiff::{SignedDuration, Timestamp};

use crate::pods;
use crate::said::Said;
use crate::time::whole_seconds;

/// How long an evicted Pod is expected to be deleted; then it counts again.
const DELETION_TIMEOUT: SignedDuration = SignedDuration::from_mins(2);
const CONDITION: &str = "DisruptionAllowed";

/// What the controller sees.
#[derive(Debug)]
pub(super) struct Observed<'a> {
    pub(super) budget: &'a PodDisruptionBudget,
    /// The Pods that the budget selects.
    pub(super) pods: &'a [Arc<Pod>],
    /// How many Pods their owners want, if [`needs_scale`]; or why that can't be told.
    pub(super) scale: Result<Scale, String>,
    pub(super) now: Timestamp,
}

/// How many Pods are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Scale {
    pub(super) replicas: i32,
    /// Whether there are Pods that nobody controls.
    pub(super) unmanaged: bool,
}

/// What to do.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) status: PodDisruptionBudgetStatus,
    pub(super) said: Vec<Said>,
    /// Pods that were evicted and not deleted.
    pub(super) not_deleted: Vec<Arc<Pod>>,
    /// When the next evicted Pod should be gone.
    pub(super) requeue_after: Option<Duration>,
}

/// Whether the budget is a share of what the Pods' owners want.
pub(super) fn needs_scale(budget: &PodDisruptionBudget) -> bool {
    budget.spec.as_ref().is_some_and(|spec| {
        spec.max_unavailable.is_some() || matches!(spec.min_available, Some(intstr::IntOrString::String(_)))
    })
}

/// Decides.
pub(super) fn plan(observed: &Observed<'_>) -> Plan {
    let Observed { budget, pods, now, .. } = *observed;
    let default = PodDisruptionBudgetSpec::default();
    let spec = budget.spec.as_ref().unwrap_or(&default);
    let mut said = Vec::new();
    if pods.is_empty() {
        said.push(Said::normal("NoPods", "No matching pods found"));
    }
    let wanted = match wanted(observed, spec) {
        Ok(wanted) => wanted,
        Err(error) => {
            let message = format!("Failed to calculate the number of expected pods: {error}");
            said.push(Said::warning("CalculateExpectedPodCountFailed", message));
            return Plan { status: failed(budget, &error, now), said, not_deleted: Vec::new(), requeue_after: None };
        }
    };
    if observed.scale.as_ref().is_ok_and(|scale| scale.unmanaged) {
        let message = format!(
            "Pods selected by this PodDisruptionBudget (selector: {}) were found to be unmanaged. As a result, the \
             status of the PDB cannot be calculated correctly, which may result in undefined behavior. To account for \
             these pods please set \".spec.minAvailable\" field of the PDB to an integer value.",
            spec.selector.as_ref().map_or_else(|| "nil".to_owned(), shown)
        );
        said.push(Said::warning("UnmanagedPods", message));
    }
    let Disrupted { expected, not_deleted, next } = disrupted(budget, pods, now);
    let healthy = pods.iter().filter(|pod| {
        let leaves = pod.metadata.name.as_ref().is_some_and(|name| expected.contains_key(name));
        pod.metadata.deletion_timestamp.is_none() && !leaves && pods::is_ready(pod)
    });
    let healthy = number(healthy.count());
    let allowed = if wanted.expected > 0 { (healthy - wanted.healthy).max(0) } else { 0 };
    let mut status = PodDisruptionBudgetStatus {
        current_healthy: Some(healthy),
        desired_healthy: Some(wanted.healthy),
        expected_pods: Some(wanted.expected),
        disruptions_allowed: Some(allowed),
        disrupted_pods: Some(expected).filter(|expected| !expected.is_empty()),
        observed_generation: budget.metadata.generation,
        conditions: budget.status.as_ref().and_then(|status| status.conditions.clone()),
    };
    let (state, reason) = if allowed > 0 { ("True", "SufficientPods") } else { ("False", "InsufficientPods") };
    set_condition(&mut status, state, reason, "", now);
    let requeue_after = next.map(|at| Duration::try_from(at.duration_since(now)).unwrap_or_default());
    Plan { status, said, not_deleted, requeue_after }
}

struct Wanted {
    expected: i32,
    healthy: i32,
}

fn wanted(observed: &Observed<'_>, spec: &PodDisruptionBudgetSpec) -> Result<Wanted, String> {
    let scaled = |value: &intstr::IntOrString, total: i32| -> Result<i32, String> {
        let value = match value {
            intstr::IntOrString::Int(number) => IntOrString::Int(*number),
            intstr::IntOrString::String(text) => IntOrString::String(text.clone()),
        };
        let scaled = value.scaled(total.into(), true).map_err(|error| error.to_string())?;
        Ok(i32::try_from(scaled).unwrap_or(i32::MAX))
    };
    match (&spec.max_unavailable, &spec.min_available) {
        (Some(unavailable), _) => {
            let expected = observed.scale.clone()?.replicas;
            Ok(Wanted { expected, healthy: (expected - scaled(unavailable, expected)?).max(0) })
        }
        (None, Some(intstr::IntOrString::Int(healthy))) => {
            Ok(Wanted { expected: number(observed.pods.len()), healthy: *healthy })
        }
        (None, Some(available)) => {
            let expected = observed.scale.clone()?.replicas;
            Ok(Wanted { expected, healthy: scaled(available, expected)? })
        }
        (None, None) => Ok(Wanted { expected: 0, healthy: 0 }),
    }
}

struct Disrupted {
    /// Evicted Pods that are still to be deleted, with the time of their eviction.
    expected: BTreeMap<String, Time>,
    not_deleted: Vec<Arc<Pod>>,
    /// When the first of them should be gone.
    next: Option<Timestamp>,
}

fn disrupted(budget: &PodDisruptionBudget, pods: &[Arc<Pod>], now: Timestamp) -> Disrupted {
    let listed = budget.status.as_ref().and_then(|status| status.disrupted_pods.as_ref());
    let mut disrupted = Disrupted { expected: BTreeMap::new(), not_deleted: Vec::new(), next: None };
    for pod in pods.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()) {
        let Some(name) = &pod.metadata.name else { continue };
        let Some(since) = listed.and_then(|listed| listed.get(name)) else { continue };
        let until = since.0.saturating_add(DELETION_TIMEOUT).unwrap_or(Timestamp::MAX);
        // At the very moment its time is up a Pod counts again.
        if until <= now {
            disrupted.not_deleted.push(pod.clone());
        } else {
            disrupted.next = [disrupted.next, Some(until)].into_iter().flatten().min();
            disrupted.expected.insert(name.clone(), since.clone());
        }
    }
    disrupted
}

/// Nothing may be disrupted while it is not known what there should be.
fn failed(budget: &PodDisruptionBudget, error: &str, now: Timestamp) -> PodDisruptionBudgetStatus {
    let mut status = budget.status.clone().unwrap_or_default();
    for field in [&mut status.current_healthy, &mut status.desired_healthy, &mut status.expected_pods] {
        field.get_or_insert(0);
    }
    status.disruptions_allowed = Some(0);
    set_condition(&mut status, "False", "SyncFailed", error, now);
    status
}

fn set_condition(status: &mut PodDisruptionBudgetStatus, state: &str, reason: &str, message: &str, now: Timestamp) {
    let observed_generation = status.observed_generation.filter(|generation| *generation != 0);
    let conditions = status.conditions.get_or_insert_default();
    let before = conditions.iter().find(|c| c.type_ == CONDITION && c.status == state);
    let new = Condition {
        type_: CONDITION.to_owned(),
        status: state.to_owned(),
        reason: reason.to_owned(),
        message: message.to_owned(),
        last_transition_time: before.map_or(Time(whole_seconds(now)), |c| c.last_transition_time.clone()),
        observed_generation,
    };
    match conditions.iter_mut().find(|c| c.type_ == CONDITION) {
        Some(condition) => *condition = new,
        None => conditions.push(new),
    }
}

/// A selector as Go prints it.
fn shown(selector: &LabelSelector) -> String {
    let labels = selector.match_labels.iter().flatten().map(|(key, value)| format!("{key}: {value},"));
    let expressions = selector.match_expressions.iter().flatten().map(|e| {
        let values = e.values.iter().flatten().cloned().collect::<Vec<_>>().join(" ");
        format!("LabelSelectorRequirement{{Key:{},Operator:{},Values:[{values}],}},", e.key, e.operator)
    });
    format!(
        "&LabelSelector{{MatchLabels:map[string]string{{{}}},MatchExpressions:[]LabelSelectorRequirement{{{}}},}}",
        labels.collect::<String>(),
        expressions.collect::<String>(),
    )
}

fn number(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests;
