//! What to do next for a Pod, from its spec and what its containers are doing. Pure
//! (upstream: `computePodActions` in `pkg/kubelet/kuberuntime`).

use std::collections::BTreeMap;

use cri::ContainerId;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Container, PodSpec};
use serde_json::Value;

/// First back-off of a container that keeps ending, and of an image that can't be pulled.
pub(crate) const BACKOFF_INITIAL_SECONDS: i64 = 10;
/// Longest back-off.
pub(crate) const BACKOFF_MAX_SECONDS: i64 = 300;
/// A container that ran this long starts its back-off anew.
const BACKOFF_RESET: SignedDuration = SignedDuration::from_secs(600);

/// How a container ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) id: ContainerId,
    pub(crate) code: i32,
    pub(crate) reason: String,
    pub(crate) message: String,
    pub(crate) started_at: Option<Timestamp>,
    pub(crate) finished_at: Timestamp,
}

/// What a container is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Doing {
    /// Not started (again), and why; tried again at a time, or as soon as it is its turn.
    Waiting { reason: String, message: String, retry_at: Option<Timestamp> },
    /// Its image is pulled, or it is made.
    Starting,
    /// It runs.
    Running { id: ContainerId, since: Timestamp },
    /// It was told to stop.
    Stopping { id: ContainerId, since: Timestamp },
    /// It ended, and nothing has been decided since.
    Ended(Ended),
}

/// What the worker knows of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ContainerView {
    pub(crate) doing: Doing,
    /// How often it was started again.
    pub(crate) restarts: u32,
    /// Its last end but the current one.
    pub(crate) last: Option<Ended>,
    /// Ends in a row that count for the back-off.
    pub(crate) crashes: u32,
    /// Failed pulls in a row.
    pub(crate) pull_failures: u32,
    /// The image whose pull failed last, and until when that is shown as such, before the status says that the kubelet waits.
    pub(crate) pull_error: Option<(String, Timestamp)>,
    /// Image id, and the reference with its digest.
    pub(crate) image: Option<(String, String)>,
    /// Whether its startup probe (if any) has succeeded.
    pub(crate) started: bool,
    /// Whether its readiness probe (if any) succeeds.
    pub(crate) ready: bool,
    /// The resources that it was granted. None: it can't be resized.
    pub(crate) allocated: Option<Value>,
    /// The resources that it runs with.
    pub(crate) actuated: Option<Value>,
}

impl Default for ContainerView {
    fn default() -> Self {
        Self {
            doing: Doing::Waiting { reason: "ContainerCreating".into(), message: String::new(), retry_at: None },
            restarts: 0,
            last: None,
            crashes: 0,
            pull_failures: 0,
            pull_error: None,
            image: None,
            started: false,
            ready: false,
            allocated: None,
            actuated: None,
        }
    }
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    /// Start a container; `again` if it has run before.
    Start { name: String, again: bool },
    /// A container that ended waits before it is started again.
    BackOff { name: String, seconds: i64, until: Timestamp },
    /// Stop a container that is no longer needed.
    Stop { name: String },
}

/// The steps, and when to look again although nothing happens.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Actions {
    pub(crate) steps: Vec<Action>,
    pub(crate) wake_at: Option<Timestamp>,
    /// The Pod has ended: nothing runs and nothing will.
    pub(crate) finished: bool,
}

/// What is known of all containers, by name.
pub(crate) type Views = BTreeMap<String, ContainerView>;

/// Whether an init container goes on beside the others.
pub(crate) fn is_sidecar(container: &Container) -> bool {
    container.restart_policy.as_deref() == Some("Always")
}

/// The back-off after the `n`th failure in a row.
pub(crate) fn backoff_seconds(failures: u32) -> i64 {
    let doublings = failures.saturating_sub(1).min(10);
    (BACKOFF_INITIAL_SECONDS << doublings).min(BACKOFF_MAX_SECONDS)
}

/// Decides.
pub(crate) fn actions(spec: &PodSpec, views: &Views, now: Timestamp) -> Actions {
    let mut out = Actions::default();
    let policy = spec.restart_policy.as_deref().unwrap_or("Always");
    let init = spec.init_containers.as_deref().unwrap_or_default();
    if has_finished(spec, views) {
        // Sidecars and ephemeral containers are the last to go.
        let ephemeral = spec.ephemeral_containers.iter().flatten().map(|c| &c.name);
        for name in init.iter().filter(|c| is_sidecar(c)).map(|c| &c.name).chain(ephemeral) {
            if let Some(Doing::Running { .. }) = views.get(name).map(|v| &v.doing) {
                out.steps.push(Action::Stop { name: name.clone() });
            }
        }
        out.finished = !views
            .values()
            .any(|v| matches!(v.doing, Doing::Running { .. } | Doing::Stopping { .. } | Doing::Starting));
        return out;
    }
    // They do not wait for init containers, which may be what is to be debugged.
    for container in spec.ephemeral_containers.iter().flatten() {
        if let Some(view) = views.get(&container.name) {
            out.consider(&container.name, view, "Never", now);
        }
    }
    let mut initialized = true;
    for container in init {
        let Some(view) = views.get(&container.name) else { continue };
        if is_sidecar(container) {
            out.consider(&container.name, view, "Always", now);
            if !(matches!(view.doing, Doing::Running { .. }) && view.started) {
                initialized = false;
                break;
            }
        } else if !matches!(&view.doing, Doing::Ended(end) if end.code == 0) {
            let policy = if policy == "Never" { "Never" } else { "OnFailure" };
            out.consider(&container.name, view, policy, now);
            initialized = false;
            break;
        }
    }
    if initialized {
        for container in &spec.containers {
            if let Some(view) = views.get(&container.name) {
                out.consider(&container.name, view, container.restart_policy.as_deref().unwrap_or(policy), now);
            }
        }
    }
    out
}

/// Whether all containers have been initialized.
pub(crate) fn is_initialized(spec: &PodSpec, views: &Views) -> bool {
    spec.init_containers.iter().flatten().all(|container| match views.get(&container.name) {
        Some(view) if is_sidecar(container) => view.started || view.restarts > 0,
        Some(view) => matches!(&view.doing, Doing::Ended(end) if end.code == 0),
        None => false,
    })
}

/// Whether an init container failed for good, or all containers ended and none is started again.
fn has_finished(spec: &PodSpec, views: &Views) -> bool {
    let policy = spec.restart_policy.as_deref().unwrap_or("Always");
    let ended_for_good = |container: &Container, policy: &str| match views.get(&container.name).map(|v| &v.doing) {
        Some(Doing::Ended(end)) => !restarts(policy, end.code),
        _ => false,
    };
    let init_failed = spec.init_containers.iter().flatten().filter(|c| !is_sidecar(c)).any(|c| {
        policy == "Never" && matches!(views.get(&c.name).map(|v| &v.doing), Some(Doing::Ended(end)) if end.code != 0)
    });
    init_failed || spec.containers.iter().all(|c| ended_for_good(c, c.restart_policy.as_deref().unwrap_or(policy)))
}

fn restarts(policy: &str, code: i32) -> bool {
    match policy {
        "Always" => true,
        "OnFailure" => code != 0,
        _ => false,
    }
}

impl Actions {
    fn wake(&mut self, at: Timestamp) {
        self.wake_at = Some(self.wake_at.map_or(at, |earlier| earlier.min(at)));
    }

    /// What one container needs.
    fn consider(&mut self, name: &str, view: &ContainerView, policy: &str, now: Timestamp) {
        let name = name.to_owned();
        match &view.doing {
            Doing::Waiting { retry_at: Some(at), .. } if *at > now => self.wake(*at),
            Doing::Waiting { .. } => {
                let again = view.last.is_some();
                self.steps.push(Action::Start { name, again });
            }
            Doing::Ended(end) if restarts(policy, end.code) => match restart_at(view, end) {
                Some((seconds, until)) if until > now => {
                    self.steps.push(Action::BackOff { name, seconds, until });
                    self.wake(until);
                }
                _ => self.steps.push(Action::Start { name, again: true }),
            },
            _ => {}
        }
    }
}

/// When a container that ended may start again; `None`: at once, which is so for the first time.
fn restart_at(view: &ContainerView, end: &Ended) -> Option<(i64, Timestamp)> {
    if view.crashes < 2 {
        return None;
    }
    let seconds = backoff_seconds(view.crashes - 1);
    let until = end.finished_at.checked_add(SignedDuration::from_secs(seconds)).ok()?;
    Some((seconds, until))
}

/// The ends in a row that count, after one more.
pub(crate) fn crashes_after(before: u32, end: &Ended) -> u32 {
    let ran = end.started_at.map_or(SignedDuration::ZERO, |at| end.finished_at.duration_since(at));
    if ran >= BACKOFF_RESET { 1 } else { before.saturating_add(1) }
}

#[cfg(test)]
mod tests;
