//! The worker's part that owns the runs of containers: starts and stops them, takes their ends and the verdicts of their
//! probes.

use std::time::Duration;

use client::EventType;
use cri::{ContainerId, ContainerState};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Container;

use super::report::Health;
use super::{Done, PULL_ERROR_SHOWN, Worker};
use crate::actions::{ContainerView, Doing, Ended, backoff_seconds, crashes_after};
use crate::containers::{Run, StartFailure, Started};
use crate::ephemeral;
use crate::names;
use crate::probe::{ProbeEvent, ProbeKind, ProbeTask};

impl Worker {
    /// Counts runs of which the node knows nothing any more, since their sandbox went while no kubelet looked: the status
    /// still names them.
    pub(super) fn recall_restarts(&mut self) {
        let lists = ["containerStatuses", "initContainerStatuses"].map(|list| self.written[list].as_array());
        for known in lists.into_iter().flatten().flatten() {
            let Some(view) = known["name"].as_str().and_then(|name| self.views.get_mut(name)) else { continue };
            let has_run = known["containerID"].as_str().is_some_and(|id| !id.is_empty());
            if has_run && matches!(view.doing, Doing::Waiting { .. }) {
                let count = known["restartCount"].as_u64().and_then(|count| u32::try_from(count).ok()).unwrap_or(0);
                view.restarts = view.restarts.max(count.saturating_add(1));
            }
        }
    }

    pub(super) fn start_container(&mut self, name: &str, again: bool) {
        let Some(container) = self.container(name) else { return };
        let Some(sandbox) = self.sandbox.as_ref().map(|s| s.id.clone()) else { return };
        let Some(view) = self.views.get_mut(name) else { return };
        // The end before this start becomes the last state.
        if let Doing::Ended(end) = &view.doing {
            view.last = Some(end.clone());
        }
        // Waiting for a pull or a configuration is not a start; only an end makes a restart.
        let ended = match &view.doing {
            Doing::Ended(_) => true,
            Doing::Waiting { reason, .. } => reason == "CrashLoopBackOff",
            _ => false,
        };
        if again && ended {
            view.restarts += 1;
        }
        view.doing = Doing::Starting;
        view.started = false;
        view.ready = false;
        let attempt = view.restarts;
        let target = match self.target_of(name) {
            Ok(target) => target,
            Err(message) => {
                let about = self.hands.about_container(name);
                self.hands.recorder().event(about, EventType::Warning, "Failed", format!("Error: {message}"));
                return self.container_failed(name, StartFailure::new("CreateContainerConfigError", message));
            }
        };
        let container = self.with_granted(container);
        let run = Run { sandbox, pod_ip: self.view.pod_ip.clone(), attempt, target };
        let (hands, name) = (self.hands.clone(), name.to_owned());
        self.work.push(Box::pin(async move {
            let started = hands.start(&container, &run).await;
            Done::Started(name, Box::new(started))
        }));
    }

    /// The container whose processes an ephemeral one is to see.
    pub(super) fn target_of(&self, name: &str) -> Result<Option<ContainerId>, String> {
        let target = self.pod().spec.as_ref().and_then(|spec| ephemeral::target(spec, name));
        let Some(target) = target else { return Ok(None) };
        match self.views.get(target).map(|view| &view.doing) {
            Some(Doing::Running { id, .. } | Doing::Stopping { id, .. }) => Ok(Some(id.clone())),
            Some(Doing::Ended(end)) => Ok(Some(end.id.clone())),
            _ => Err(format!("unable to find target container {target}")),
        }
    }

    pub(super) fn back_off(&mut self, name: &str, seconds: i64, until: Timestamp) {
        let full_name = names::full_name(self.pod());
        let about = self.hands.about_container(name);
        let Some(view) = self.views.get_mut(name) else { return };
        let Doing::Ended(end) = &view.doing else { return };
        view.last = Some(end.clone());
        let wait = crate::images::go_duration(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)));
        let message = format!("back-off {wait} restarting failed container={name} pod={full_name}");
        view.doing = Doing::Waiting { reason: "CrashLoopBackOff".to_owned(), message, retry_at: Some(until) };
        let text = format!("Back-off restarting failed container {name} in pod {full_name}");
        self.hands.recorder().event(about, EventType::Warning, "BackOff", text);
    }

    pub(super) fn stop_container(&mut self, name: &str, grace: Option<u64>, text: String) {
        let Some(container) = self.container(name) else { return };
        let Some(view) = self.views.get_mut(name) else { return };
        let Doing::Running { id, since } = view.doing.clone() else { return };
        view.doing = Doing::Stopping { id: id.clone(), since };
        if let Some(probes) = self.probes.remove(name) {
            probes.begin_shutdown();
        }
        let grace = grace.unwrap_or_else(|| self.hands.grace());
        let (hands, pod_ip) = (self.hands.clone(), self.view.pod_ip.clone());
        self.work.push(Box::pin(async move {
            hands.stop(&container, &id, grace, &pod_ip, &text).await;
            Done::Stopped
        }));
    }

    pub(super) async fn container_ended(&mut self, name: &str, id: &ContainerId, code: i32, reason: String) {
        let status = self.hands.shared.runtime.container_status(id).await.ok();
        let (started_at, finished_at) = status.as_ref().map_or((None, None), crate::containers::times);
        let message = match status.map(|s| s.state) {
            Some(ContainerState::Exited { message, .. }) => message,
            _ => String::new(),
        };
        if let Some(probes) = self.probes.remove(name) {
            probes.begin_shutdown();
        }
        let now = self.now();
        let Some(container) = self.container(name) else { return };
        let Some(view) = self.views.get_mut(name) else { return };
        let end = Ended { id: id.clone(), code, reason, message, started_at, finished_at: finished_at.unwrap_or(now) };
        view.ready = false;
        let attempt = view.restarts;
        if !self.ended_for_resize(name, &end)
            && let Some(view) = self.views.get_mut(name)
        {
            view.crashes = crashes_after(view.crashes, &end);
            view.doing = Doing::Ended(end);
        }
        let (hands, name, id) = (self.hands.clone(), name.to_owned(), id.clone());
        self.work.push(Box::pin(async move {
            let said = hands.last_words(&container, attempt, code != 0).await;
            Done::LastWords(name, id, said)
        }));
    }

    pub(super) fn take_probe(&mut self, event: ProbeEvent) {
        match event {
            ProbeEvent::Unhealthy(unhealthy) => {
                let about = self.hands.about_container(&unhealthy.container);
                self.hands.recorder().event(about, EventType::Warning, "Unhealthy", unhealthy.text);
            }
            ProbeEvent::Verdict(verdict) => {
                let Some(container) = self.container(&verdict.container) else { return };
                let Some(view) = self.views.get_mut(&verdict.container) else { return };
                let Doing::Running { id, .. } = view.doing.clone() else { return };
                if id != verdict.id {
                    return;
                }
                let name = verdict.container.clone();
                match (verdict.kind, verdict.passed) {
                    (ProbeKind::Readiness, passed) => view.ready = passed,
                    (ProbeKind::Startup, true) => {
                        view.started = true;
                        view.ready = container.readiness_probe.is_none();
                        self.start_probes(&container, id, false);
                    }
                    (ProbeKind::Liveness, true) => {}
                    (kind, false) => {
                        let probe = if kind == ProbeKind::Startup {
                            &container.startup_probe
                        } else {
                            &container.liveness_probe
                        };
                        let grace = probe.as_ref().and_then(|p| p.termination_grace_period_seconds);
                        let grace = grace.and_then(|g| u64::try_from(g).ok());
                        let word = kind.word().to_lowercase();
                        let text = format!("Container {name} failed {word} probe, will be restarted");
                        self.stop_container(&name, grace, text);
                    }
                }
            }
        }
    }

    pub(super) fn container_started(&mut self, name: &str, started: Started) {
        self.restarted_for_resize(name);
        let Some(container) = self.container(name) else { return };
        let Some(view) = self.views.get_mut(name) else { return };
        let status = started.status;
        view.pull_failures = 0;
        let reference = started.image.repo_digests.first().cloned().unwrap_or_else(|| started.image.id.clone());
        view.image = Some((started.image.id.clone(), reference));
        match status.state {
            ContainerState::Running { started_at } => {
                view.doing = Doing::Running { id: status.id.clone(), since: started_at };
                self.let_first_words_pass(&container);
                self.watch_container(&container, status.id, None);
            }
            // It was quicker than we.
            ContainerState::Exited { started_at, finished_at, exit_code, reason, message } => {
                let end = Ended {
                    id: status.id.clone(),
                    code: exit_code,
                    reason: reason.to_string(),
                    message,
                    started_at,
                    finished_at,
                };
                view.crashes = crashes_after(view.crashes, &end);
                view.doing = Doing::Ended(end);
                let (hands, name, attempt) = (self.hands.clone(), name.to_owned(), view.restarts);
                self.work.push(Box::pin(async move {
                    let said = hands.last_words(&container, attempt, exit_code != 0).await;
                    Done::LastWords(name, status.id, said)
                }));
            }
            ContainerState::Created => view.doing = ContainerView::default().doing,
        }
    }

    pub(super) fn container_failed(&mut self, name: &str, failure: StartFailure) {
        self.restarted_for_resize(name);
        let now = self.now();
        let about = self.hands.about_container(name);
        let Some(view) = self.views.get_mut(name) else { return };
        if let Some(image) = failure.pull {
            view.pull_failures += 1;
            view.pull_error = now.checked_add(PULL_ERROR_SHOWN).ok().map(|until| (image, until));
            let seconds = SignedDuration::from_secs(backoff_seconds(view.pull_failures));
            let retry_at = now.checked_add(seconds).ok();
            view.doing = Doing::Waiting { reason: failure.reason, message: failure.message, retry_at };
            return;
        }
        if let Some(id) = failure.id {
            // The container was made and did not run: that is an end, and backs off as one.
            let end = Ended {
                id,
                code: 128,
                reason: "StartError".to_owned(),
                message: failure.message,
                started_at: None,
                finished_at: now,
            };
            view.crashes = crashes_after(view.crashes, &end).max(2);
            view.doing = Doing::Ended(end);
            return;
        }
        let seconds = backoff_seconds(1);
        let retry_at = now.checked_add(SignedDuration::from_secs(seconds)).ok();
        view.doing = Doing::Waiting { reason: failure.reason, message: failure.message, retry_at };
        tracing::debug!(container = %about.field_path, "a container did not start");
    }

    /// Begins to probe a container that runs. What its probes had said to an earlier kubelet holds until they say otherwise: a
    /// Pod must not lose its requests because the kubelet was started again.
    pub(super) fn watch_container(&mut self, container: &Container, id: ContainerId, known: Option<Health>) {
        let Some(view) = self.views.get_mut(&container.name) else { return };
        let known = known.unwrap_or(Health { started: false, ready: false });
        view.started = known.started || container.startup_probe.is_none();
        view.ready = known.ready || (view.started && container.readiness_probe.is_none());
        let startup = !view.started;
        self.start_probes(container, id, startup);
    }

    pub(super) fn start_probes(&mut self, container: &Container, id: ContainerId, startup: bool) {
        let kinds = if startup {
            vec![(ProbeKind::Startup, container.startup_probe.clone())]
        } else {
            vec![
                (ProbeKind::Liveness, container.liveness_probe.clone()),
                (ProbeKind::Readiness, container.readiness_probe.clone()),
            ]
        };
        let shared = &self.hands.shared;
        let scope = self.probes.entry(container.name.clone()).or_insert_with(|| shared.supervisor.child());
        for (kind, probe) in kinds {
            let Some(probe) = probe else { continue };
            let task = ProbeTask {
                runtime: shared.runtime.clone(),
                dialer: shared.dialer.clone(),
                random: shared.random.clone(),
                container: container.clone(),
                id: id.clone(),
                pod_ip: self.view.pod_ip.clone(),
                kind,
                probe,
                events: self.probe_sender.clone(),
            };
            scope.spawn_until_shutdown(format!("probe-{}", container.name), task.run());
        }
    }

    /// A failed pull is shown as such for a moment; then the status says that the kubelet waits for the next try.
    pub(super) fn turn_pull_errors(&mut self) {
        let now = self.now();
        let due: Vec<String> = self
            .views
            .iter()
            .filter(|(_, view)| view.pull_error.as_ref().is_some_and(|(_, at)| *at <= now))
            .map(|(name, _)| name.clone())
            .collect();
        for name in due {
            let about = self.hands.about_container(&name);
            let own = self.container(&name).and_then(|c| c.image);
            let Some(view) = self.views.get_mut(&name) else { continue };
            let Some((image, _)) = view.pull_error.take() else { continue };
            // What is said of a volume's image is said of the Pod.
            let of_image = if own.as_ref() == Some(&image) { about.clone() } else { self.hands.about.clone() };
            let Doing::Waiting { reason, message, .. } = &mut view.doing else { continue };
            let text = format!("Back-off pulling image {image:?}");
            *message = format!("{text}: {reason}: {message}");
            "ImagePullBackOff".clone_into(reason);
            self.hands.recorder().event(of_image, EventType::Normal, "BackOff", text);
            self.hands.recorder().event(about, EventType::Warning, "Failed", "Error: ImagePullBackOff");
        }
    }
}
