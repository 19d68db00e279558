//! A Deployment's status and conditions (upstream: `pkg/controller/deployment/{sync,progress}.go`).

use std::time::Duration;

use k8s_openapi::api::apps::v1::{Deployment, DeploymentCondition, DeploymentStatus, ReplicaSet};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

use super::plan::Planner;
use super::replica_sets::{actual, available, name, ready, replicas};

pub(super) const PROGRESSING: &str = "Progressing";
const AVAILABLE: &str = "Available";
const REPLICA_FAILURE: &str = "ReplicaFailure";
const NEW_SET_AVAILABLE: &str = "NewReplicaSetAvailable";
const TIMED_OUT: &str = "ProgressDeadlineExceeded";
const PAUSED: &str = "DeploymentPaused";

/// The condition of a type.
pub(super) fn condition<'a>(status: &'a DeploymentStatus, kind: &str) -> Option<&'a DeploymentCondition> {
    status.conditions.iter().flatten().find(|c| c.type_.as_deref() == Some(kind))
}

/// Sets a condition. The transition time moves only if the status does; the same status and reason change nothing.
pub(super) fn set(
    status: &mut DeploymentStatus,
    kind: &str,
    value: &str,
    reason: &str,
    message: impl Into<String>,
    now: Timestamp,
) {
    let mut new = DeploymentCondition {
        type_: Some(kind.to_owned()),
        status: Some(value.to_owned()),
        reason: Some(reason.to_owned()),
        message: Some(message.into()),
        last_transition_time: Some(Time(now)),
        last_update_time: Some(Time(now)),
    };
    if let Some(current) = condition(status, kind) {
        if current.status.as_deref() == Some(value) && current.reason.as_deref() == Some(reason) {
            return;
        }
        if current.status.as_deref() == Some(value) {
            new.last_transition_time = current.last_transition_time.clone();
        }
    }
    replace(status, new);
}

fn replace(status: &mut DeploymentStatus, new: DeploymentCondition) {
    remove(status, new.type_.as_deref().unwrap_or_default());
    status.conditions.get_or_insert_default().push(new);
}

fn remove(status: &mut DeploymentStatus, kind: &str) {
    if let Some(conditions) = &mut status.conditions {
        conditions.retain(|c| c.type_.as_deref() != Some(kind));
    }
}

/// Notes that a rollout is paused or goes on, so that the time in between does not count against the deadline.
pub(super) fn check_paused(planner: &mut Planner<'_>) {
    if !planner.has_deadline() {
        return;
    }
    let reason = condition(&planner.status, PROGRESSING).and_then(|c| c.reason.clone());
    if reason.as_deref() == Some(TIMED_OUT) {
        return;
    }
    let (paused, noted) = (planner.spec.paused == Some(true), reason.as_deref() == Some(PAUSED));
    let now = planner.observed.now;
    if paused && !noted {
        set(&mut planner.status, PROGRESSING, "Unknown", PAUSED, "Deployment is paused", now);
    } else if !paused && noted {
        set(&mut planner.status, PROGRESSING, "Unknown", "DeploymentResumed", "Deployment is resumed", now);
    }
}

/// The numbers, and whether the Deployment is available.
pub(super) fn calculate(planner: &Planner<'_>) -> DeploymentStatus {
    let sum = |count: fn(&ReplicaSet) -> i32| planner.sets.iter().map(count).sum::<i32>();
    let nonzero = |n: i32| (n != 0).then_some(n);
    let (total, available_count) = (sum(replicas), sum(available));
    let terminating: Option<i32> = planner
        .sets
        .iter()
        .filter_map(|set| set.status.as_ref().and_then(|s| s.terminating_replicas))
        .reduce(|a, b| a + b);
    let mut status = DeploymentStatus {
        observed_generation: planner.observed.deployment.metadata.generation,
        replicas: nonzero(sum(actual)),
        updated_replicas: nonzero(planner.new.map_or(0, |new| actual(&planner.sets[new]))),
        ready_replicas: nonzero(sum(ready)),
        available_replicas: nonzero(available_count),
        unavailable_replicas: nonzero((total - available_count).max(0)),
        terminating_replicas: terminating,
        collision_count: planner.status.collision_count,
        conditions: planner.status.conditions.clone(),
    };
    let now = planner.observed.now;
    if available_count >= planner.numbers.desired - planner.numbers.unavailable {
        let text = "Deployment has minimum availability.";
        set(&mut status, AVAILABLE, "True", "MinimumReplicasAvailable", text, now);
    } else {
        let text = "Deployment does not have minimum availability.";
        set(&mut status, AVAILABLE, "False", "MinimumReplicasUnavailable", text, now);
    }
    status
}

/// Whether every Pod is new and available.
pub(super) fn is_complete(planner: &Planner<'_>, status: &DeploymentStatus) -> bool {
    let desired = planner.numbers.desired;
    status.updated_replicas.unwrap_or(0) == desired
        && status.replicas.unwrap_or(0) == desired
        && status.available_replicas.unwrap_or(0) == desired
        && status.observed_generation.unwrap_or(0) >= planner.observed.deployment.metadata.generation.unwrap_or(0)
}

/// The status of a rollout: progress, completion, or the deadline missed.
pub(super) fn rollout(planner: &Planner<'_>) -> DeploymentStatus {
    let before = &planner.status;
    let now = planner.observed.now;
    let mut status = calculate(planner);
    if !planner.has_deadline() {
        remove(&mut status, PROGRESSING);
    }
    let current = condition(before, PROGRESSING).cloned();
    let was_complete = status.replicas == status.updated_replicas
        && current.as_ref().is_some_and(|c| c.reason.as_deref() == Some(NEW_SET_AVAILABLE));
    let whose = match planner.new {
        Some(new) => format!("ReplicaSet {:?}", name(&planner.sets[new])),
        None => format!("Deployment {:?}", planner.observed.deployment.metadata.name.clone().unwrap_or_default()),
    };
    if planner.has_deadline() && !was_complete {
        if is_complete(planner, &status) {
            let text = format!("{whose} has successfully progressed.");
            set(&mut status, PROGRESSING, "True", NEW_SET_AVAILABLE, text, now);
        } else if has_progressed(before, &status) {
            // Progress renews the update time even if nothing else of the condition changes.
            let transition =
                current.filter(|c| c.status.as_deref() == Some("True")).and_then(|c| c.last_transition_time);
            replace(
                &mut status,
                DeploymentCondition {
                    type_: Some(PROGRESSING.to_owned()),
                    status: Some("True".to_owned()),
                    reason: Some("ReplicaSetUpdated".to_owned()),
                    message: Some(format!("{whose} is progressing.")),
                    last_transition_time: transition.or(Some(Time(now))),
                    last_update_time: Some(Time(now)),
                },
            );
        } else if has_timed_out(planner, &status) {
            let text = format!("{whose} has timed out progressing.");
            set(&mut status, PROGRESSING, "False", TIMED_OUT, text, now);
        }
    }
    match replica_failure(planner) {
        Some(failure) => {
            let same = condition(&status, REPLICA_FAILURE)
                .is_some_and(|c| c.status == failure.status && c.reason == failure.reason);
            if !same {
                replace(&mut status, failure);
            }
        }
        None => remove(&mut status, REPLICA_FAILURE),
    }
    status
}

fn has_progressed(before: &DeploymentStatus, after: &DeploymentStatus) -> bool {
    let n = |value: Option<i32>| value.unwrap_or(0);
    let old = |s: &DeploymentStatus| n(s.replicas) - n(s.updated_replicas);
    n(after.updated_replicas) > n(before.updated_replicas)
        || old(after) < old(before)
        || n(after.ready_replicas) > n(before.ready_replicas)
        || n(after.available_replicas) > n(before.available_replicas)
}

fn deadline(planner: &Planner<'_>, status: &DeploymentStatus) -> Option<Timestamp> {
    let from = condition(status, PROGRESSING)?.last_update_time.as_ref()?.0;
    let seconds = i64::from(planner.spec.progress_deadline_seconds?);
    from.checked_add(k8s_openapi::jiff::SignedDuration::from_secs(seconds)).ok()
}

fn has_timed_out(planner: &Planner<'_>, status: &DeploymentStatus) -> bool {
    match condition(status, PROGRESSING).and_then(|c| c.reason.as_deref()) {
        None | Some(NEW_SET_AVAILABLE) => false,
        Some(TIMED_OUT) => true,
        Some(_) => deadline(planner, status).is_some_and(|at| at < planner.observed.now),
    }
}

/// How long until the deadline, if it is still to come and matters.
pub(super) fn deadline_left(planner: &Planner<'_>) -> Option<Duration> {
    let status = &planner.status;
    let reason = condition(status, PROGRESSING)?.reason.as_deref()?;
    if !planner.has_deadline() || is_complete(planner, status) || reason == TIMED_OUT {
        return None;
    }
    let left = deadline(planner, status)?.duration_since(planner.observed.now);
    Some(Duration::try_from(left).unwrap_or_default() + Duration::from_secs(1))
}

fn replica_failure(planner: &Planner<'_>) -> Option<DeploymentCondition> {
    let of = |set: &ReplicaSet| {
        let conditions = set.status.as_ref().and_then(|s| s.conditions.as_ref());
        conditions.into_iter().flatten().find(|c| c.type_.as_deref() == Some(REPLICA_FAILURE)).map(|c| {
            DeploymentCondition {
                type_: Some(REPLICA_FAILURE.to_owned()),
                status: c.status.clone(),
                reason: c.reason.clone(),
                message: c.message.clone(),
                last_transition_time: c.last_transition_time.clone(),
                last_update_time: c.last_transition_time.clone(),
            }
        })
    };
    planner.new.and_then(|new| of(&planner.sets[new])).or_else(|| planner.sets.iter().find_map(of))
}

/// The status after a failure to create the new set; `None` without a deadline, for then nothing is noted.
pub(super) fn creation_failed(deployment: &Deployment, text: &str, now: Timestamp) -> Option<DeploymentStatus> {
    deployment.spec.progress_deadline_seconds?;
    let mut status = deployment.status.clone().unwrap_or_default();
    set(&mut status, PROGRESSING, "False", "ReplicaSetCreateError", text, now);
    Some(status)
}
