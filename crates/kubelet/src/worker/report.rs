//! The worker's part that tells of its Pod: writes the status when it differs from what the server has.

use std::sync::Arc;
use std::time::Duration;

use apimachinery::{ApiError, Object, Reason};
use cri::ContainerId;
use k8s_openapi::api::core::v1::{Container, Pod};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Done, Told, WRITE_RETRY, Worker};
use crate::actions::Doing;
use crate::names;
use crate::status::{PodView, build, runtime_id};

/// How long a container that reads its input runs before anybody is told.
const FIRST_WORDS: Duration = Duration::from_millis(100);
/// After how long a failure of the set-up that is still the same is told again, at first and at most (upstream:
/// `pkg/util/goroutinemap/exponentialbackoff`).
const TOLD_AGAIN: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(122)];

/// Which failure of the set-up was told last.
#[derive(Debug, Default)]
pub(super) struct SetupFailures {
    last: Option<(String, Instant)>,
    wait: Duration,
}

impl SetupFailures {
    /// Whether to tell of this failure, which may be the same for the hundredth time.
    pub(super) fn is_worth_telling(&mut self, message: &str, now: Instant) -> bool {
        let [first, most] = TOLD_AGAIN;
        match &self.last {
            Some((known, until)) if known == message && now < *until => return false,
            Some((known, _)) if known == message => self.wait = (self.wait * 2).min(most),
            _ => self.wait = first,
        }
        self.last = Some((message.to_owned(), now + self.wait));
        true
    }
}

impl Worker {
    /// `kubectl run -i` reads the log when it learns that the container runs, and then attaches; what is said in between it
    /// shows twice or never. Upstream's kubelet learns of containers by looking every second, so that a program which ends
    /// at once has ended by then. Here it gets a moment for its first words.
    pub(super) fn let_first_words_pass(&mut self, container: &Container) {
        if container.stdin == Some(true) {
            self.quiet_until = Some(Instant::now() + FIRST_WORDS);
        }
    }

    /// Whether there is nothing to tell yet: the moment is not over, and whoever has it still runs.
    fn is_quiet(&mut self, now: Instant) -> bool {
        let running = self.views.values().any(|view| matches!(view.doing, Doing::Running { .. }));
        self.quiet_until = self.quiet_until.filter(|at| *at > now && running);
        self.quiet_until.is_some()
    }

    /// Sends the status beside the other work, if it differs from what was written last.
    pub(super) fn send_status(&mut self) {
        let now = Instant::now();
        self.write_retry = self.write_retry.filter(|at| *at > now);
        if !self.writing && self.reconcile_at.is_some_and(|at| at <= now) {
            self.reconcile_at = None;
            if contradicts(self.pod(), &self.written["conditions"]) {
                self.written["conditions"] = self.object.value()["status"]["conditions"].take();
            }
        }
        if self.gone || self.writing || self.write_retry.is_some() || self.is_quiet(now) {
            return;
        }
        let Some((status, patch)) = self.status_patch() else { return };
        self.writing = true;
        let hands = self.hands.clone();
        self.work.push(Box::pin(async move {
            let result = hands.patch_status(patch).await;
            Done::Written(status, Box::new(result))
        }));
    }

    /// The status as it is now and the patch that makes the server's one the same; `None` if it is the same already.
    pub(super) fn status_patch(&self) -> Option<(Value, Value)> {
        if self.settled {
            return None;
        }
        let shown = self.object.value();
        let view = PodView { resize: self.resize.conditions(), ..self.view.clone() };
        let mut status = build(self.pod(), &self.views, &view, &shown["status"], self.now());
        keep_times(&mut status, &self.written);
        if status == self.written {
            return None;
        }
        // Lists are replaced whole; what the kubelet no longer says is taken out.
        let mut whole = status.clone();
        for key in ["reason", "message", "podIP", "podIPs"] {
            if whole.get(key).is_none() && !shown["status"][key].is_null() {
                whole[key] = Value::Null;
            }
        }
        let patch = json!({"metadata": {"uid": names::uid(self.pod())}, "status": whole});
        Some((status, patch))
    }

    pub(super) fn take_written(&mut self, status: Value, result: Result<Arc<Object>, ApiError>) {
        match result {
            Ok(object) => {
                self.written = status;
                self.write_retry = None;
                // The watch may have told of a newer one meanwhile.
                if object.meta().resource_version > self.object.meta().resource_version {
                    self.take_desired(Told::Desired(object));
                }
            }
            Err(error) if error.reason == Reason::NotFound || error.reason == Reason::Conflict => self.gone = true,
            Err(error) => {
                self.write_retry = Some(Instant::now() + WRITE_RETRY);
                tracing::warn!(pod = %names::name(self.pod()), error = %error, "failed to write a Pod's status");
            }
        }
    }
}

/// What the probes of a container have said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Health {
    pub(super) started: bool,
    pub(super) ready: bool,
}

/// What the Pod's status says of this very run of a container.
pub(super) fn known_health(status: &Value, name: &str, id: &ContainerId) -> Option<Health> {
    let lists = ["containerStatuses", "initContainerStatuses"].into_iter().filter_map(|list| status[list].as_array());
    let own = lists.flatten().find(|c| c["name"] == name && c["containerID"] == runtime_id(id))?;
    Some(Health { started: own["started"] == true, ready: own["ready"] == true })
}

/// Whether a condition that was written has another status in the Pod as it is shown.
pub(super) fn contradicts(shown: &Pod, written: &Value) -> bool {
    let shown = shown.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let own = |kind: &str| written.as_array()?.iter().find(|condition| condition["type"] == kind);
    shown.into_iter().any(|condition| own(&condition.type_).is_some_and(|own| own["status"] != condition.status))
}

/// Conditions that say the same keep the time that was written.
fn keep_times(status: &mut Value, written: &Value) {
    for condition in status["conditions"].as_array_mut().into_iter().flatten() {
        let before = written["conditions"].as_array().into_iter().flatten().find(|c| c["type"] == condition["type"]);
        if let Some(before) = before
            && before["status"] == condition["status"]
        {
            condition["lastTransitionTime"] = before["lastTransitionTime"].clone();
        }
    }
}

#[cfg(test)]
mod tests;
