//! The worker's part in in-place resize: asks for what the Pod wants, carries out what was granted, says how far it is.

use std::collections::BTreeSet;
use std::time::Duration;

use client::EventType;
use component_base::watch;
use cri::ContainerId;
use k8s_openapi::api::core::v1::Container;
use serde_json::Value;

use super::{Done, Worker};
use crate::actions::{ContainerView, Doing, Ended};
use crate::names;
use crate::resize::{self, Step, event_text};
use crate::status::ResizeCondition;

/// How long to wait after a change of limits that failed before the next try.
const RETRY: Duration = Duration::from_secs(10);

/// Where a resize is.
pub(super) struct Resize {
    /// What the node can't give now, and why.
    pending: Option<ResizeCondition>,
    /// What was granted and is not there yet.
    in_progress: Option<ResizeCondition>,
    /// Containers whose limits are being changed.
    updating: BTreeSet<String>,
    /// Containers that are started anew for it.
    restarting: BTreeSet<String>,
    /// When to try again what failed.
    pub(super) retry_at: Option<tokio::time::Instant>,
    /// Tells when another Pod gives something back.
    freed: watch::Receiver<u64>,
}

impl Resize {
    pub(super) fn new(freed: watch::Receiver<u64>) -> Self {
        Self {
            pending: None,
            in_progress: None,
            updating: BTreeSet::new(),
            restarting: BTreeSet::new(),
            retry_at: None,
            freed,
        }
    }

    /// Returns when it is worth to ask again; never if nothing is asked for.
    pub(super) async fn worth_asking(&mut self) {
        if self.pending.is_none() || self.freed.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// The Pod's conditions.
    pub(super) fn conditions(&self) -> Vec<ResizeCondition> {
        self.pending.iter().chain(&self.in_progress).cloned().collect()
    }
}

impl Worker {
    /// What containers had been granted before this kubelet; what they ask for, if they are new.
    pub(super) fn recall_allocations(&mut self) {
        let Some(spec) = self.pod().spec.clone() else { return };
        for container in resize::resizable(&spec) {
            let wanted = resize::resources(container);
            let known = self.known_resources(&container.name);
            let Some(view) = self.views.get_mut(&container.name) else { continue };
            // The status tells of requests that were granted, and of all that the container runs with.
            let (allocated, actuated) = match known {
                Some((requests, actuated)) if same_requests(&requests, &wanted) => (wanted, Some(actuated)),
                Some((_, actuated)) => (actuated.clone(), Some(actuated)),
                None => (wanted, None),
            };
            view.allocated = Some(allocated);
            view.actuated = actuated.filter(|_| matches!(view.doing, Doing::Running { .. }));
        }
        let granted = resize::pod_requests(&resize::with_allocated(self.object.value(), &self.views));
        self.hands.shared.allocations.note(names::uid(self.pod()), granted);
    }

    /// Requests granted and resources in force, by the status that the server has.
    fn known_resources(&self, name: &str) -> Option<(Value, Value)> {
        let lists = ["containerStatuses", "initContainerStatuses"];
        let mut all = lists.into_iter().filter_map(|list| self.written[list].as_array()).flatten();
        let own = all.find(|status| status["name"] == name && !status["resources"].is_null())?;
        Some((own["allocatedResources"].clone(), own["resources"].clone()))
    }

    /// Asks for what the Pod wants and brings its containers to what it was granted.
    pub(super) fn resize(&mut self) {
        let Some(spec) = self.pod().spec.clone() else { return };
        let generation = self.pod().metadata.generation.unwrap_or(0);
        let differs = |view: &ContainerView, container: &Container| {
            view.allocated.as_ref().is_some_and(|own| !resize::same(own, &resize::resources(container)))
        };
        let wants = resize::resizable(&spec).any(|c| self.views.get(&c.name).is_some_and(|view| differs(view, c)));
        if wants {
            self.ask(generation);
        } else {
            self.resize.pending = None;
        }
        if self.resize.retry_at.is_some_and(|at| at > tokio::time::Instant::now()) {
            return;
        }
        self.resize.retry_at = None;
        for container in resize::resizable(&spec) {
            self.actuate(container);
        }
        self.complete();
    }

    fn ask(&mut self, generation: i64) {
        let Some(spec) = self.pod().spec.clone() else { return };
        let shared = self.hands.shared.clone();
        let requests = resize::pod_requests(&self.object.value());
        match shared.allocations.grant(names::uid(self.pod()), requests, &shared.config.facts.allocatable) {
            Ok(()) => {
                for container in resize::resizable(&spec) {
                    if let Some(view) = self.views.get_mut(&container.name) {
                        view.allocated = Some(resize::resources(container));
                    }
                }
                self.resize.pending = None;
                self.resize.retry_at = None;
                self.resize.in_progress = Some(ResizeCondition::in_progress(generation));
                let text = event_text("Pod resize started", &spec, generation, "");
                self.tell_of_resize(EventType::Normal, "ResizeStarted", text);
            }
            Err(message) => {
                let news = self.resize.pending.as_ref().is_none_or(|pending| pending.generation != generation);
                if news {
                    let text = event_text("Pod resize Deferred", &spec, generation, &message);
                    self.tell_of_resize(EventType::Warning, "ResizeDeferred", text);
                }
                self.resize.pending = Some(ResizeCondition::deferred(message, generation));
            }
        }
    }

    fn tell_of_resize(&self, kind: EventType, reason: &'static str, text: String) {
        self.hands.recorder().event(self.hands.about.clone(), kind, reason, text);
    }

    /// Brings one container to what it was granted.
    fn actuate(&mut self, container: &Container) {
        let name = container.name.as_str();
        let Some(view) = self.views.get_mut(name) else { return };
        let (Doing::Running { id, .. }, Some(allocated)) = (view.doing.clone(), view.allocated.clone()) else { return };
        let actuated = view.actuated.clone().unwrap_or_default();
        if self.resize.updating.contains(name) || view.actuated.as_ref() == Some(&allocated) {
            return;
        }
        match resize::step(container.resize_policy.as_ref(), &allocated, &actuated) {
            Step::Keep => view.actuated = Some(allocated),
            Step::Restart => {
                self.resize.restarting.insert(name.to_owned());
                self.stop_container(name, None, format!("Container {name} resize requires restart"));
            }
            Step::Update => {
                self.resize.updating.insert(name.to_owned());
                let (hands, container) = (self.hands.clone(), with_resources(container, &allocated));
                let least = resize::lower_memory_limit(&allocated, &actuated);
                self.work.push(Box::pin(async move {
                    let result = hands.update_resources(&container, &id, least).await;
                    Done::Resized(container.name, id, allocated, result)
                }));
            }
        }
    }

    /// Takes over what became of a change of limits.
    pub(super) fn take_resized(&mut self, name: &str, id: &ContainerId, allocated: Value, result: Result<(), String>) {
        self.resize.updating.remove(name);
        match result {
            Ok(()) => {
                if let Some(view) = self.views.get_mut(name)
                    && matches!(&view.doing, Doing::Running { id: own, .. } if own == id)
                {
                    view.actuated = Some(allocated);
                }
            }
            Err(error) => {
                self.resize.retry_at = Some(tokio::time::Instant::now() + RETRY);
                let generation = self.pod().metadata.generation.unwrap_or(0);
                let progress = self.resize.in_progress.get_or_insert_with(|| ResizeCondition::in_progress(generation));
                if progress.fail(error.clone()) {
                    let generation = progress.generation;
                    let spec = self.pod().spec.clone().unwrap_or_default();
                    let text = event_text("Pod resize error", &spec, generation, &error);
                    self.tell_of_resize(EventType::Warning, "ResizeError", text);
                }
            }
        }
    }

    /// Ends a resize whose containers all have what was granted.
    fn complete(&mut self) {
        let Some(progress) = &self.resize.in_progress else { return };
        let busy = !self.resize.updating.is_empty() || !self.resize.restarting.is_empty();
        let short = |view: &ContainerView| {
            matches!(view.doing, Doing::Running { .. }) && view.allocated.is_some() && view.actuated != view.allocated
        };
        if busy || self.views.values().any(short) {
            return;
        }
        let generation = progress.generation;
        let spec = self.pod().spec.clone().unwrap_or_default();
        let text = event_text("Pod resize completed", &spec, generation, "");
        self.tell_of_resize(EventType::Normal, "ResizeCompleted", text);
        self.resize.in_progress = None;
    }

    /// The container with what it was granted, which it has from now on.
    pub(super) fn with_granted(&mut self, container: Container) -> Container {
        let Some(view) = self.views.get_mut(&container.name) else { return container };
        view.actuated.clone_from(&view.allocated);
        match &view.allocated {
            Some(allocated) => with_resources(&container, allocated),
            None => container,
        }
    }

    /// Whether a container that ended was stopped to be started with other resources. Then its end is no failure.
    pub(super) fn ended_for_resize(&mut self, name: &str, end: &Ended) -> bool {
        if !self.resize.restarting.contains(name) {
            return false;
        }
        if let Some(view) = self.views.get_mut(name) {
            view.last = Some(end.clone());
            view.restarts += 1;
            view.doing = ContainerView::default().doing;
        }
        true
    }

    /// A container runs, or can't: either way it is not stopped for a resize any more.
    pub(super) fn restarted_for_resize(&mut self, name: &str) {
        self.resize.restarting.remove(name);
    }
}

fn same_requests(requests: &Value, wanted: &Value) -> bool {
    registry::resource_list::read(requests) == registry::resource_list::read(&wanted["requests"])
}

fn with_resources(container: &Container, resources: &Value) -> Container {
    Container { resources: serde_json::from_value(resources.clone()).ok(), ..container.clone() }
}
