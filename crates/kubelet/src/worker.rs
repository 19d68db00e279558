//! A Pod's worker: one task that owns the Pod's state, takes events (the desired Pod, the runtime's events, verdicts of
//! probes, work that is done), decides with [`crate::actions`], and runs the work beside itself. A Pod moves through
//! running, terminating and terminated, and never back.

mod report;
mod resize;
mod runs;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use api::resources::PODS;
use apimachinery::{ApiError, Object, Reason};
use client::{DeleteOptions, EventType, ObjectReference, Preconditions};
use component_base::{Supervisor, watch as watch_values};
use cri::{
    ContainerFilter, ContainerId, ContainerState, EventKind, PodSandboxFilter, PodSandboxState, PodSandboxStatus,
};
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Container, Pod};
use registry::volumes::claim_names;
use serde_json::Value;
use tokio::sync::{mpsc, watch};

use crate::actions::{Action, ContainerView, Doing, Ended, Views, actions, is_sidecar};
use crate::admission::Refusal;
use crate::containers::{PodHands, SetUpFailure, StartFailure, Started, projects};
use crate::ephemeral;
use crate::kubelet::Shared;
use crate::names;
use crate::news;
use crate::probe::ProbeEvent;
use crate::status::PodView;
use report::{SetupFailures, contradicts, known_health};
use resize::Resize;

/// Runtime events that wait for a worker. A Pod has a handful of containers with four events each.
pub(crate) const EVENTS_MAX: usize = 256;
/// Probe events that wait for a worker.
const PROBE_EVENTS_MAX: usize = 64;
/// How long a failed pull shows its own reason before the status says that the kubelet waits.
const PULL_ERROR_SHOWN: SignedDuration = SignedDuration::from_secs(3);
/// How long to wait after a failed write to the API before the next try.
const WRITE_RETRY: Duration = Duration::from_secs(1);
/// How long a condition that somebody else has changed stays so: the node's lifecycle controller calls Pods of a lost node
/// not ready, and the kubelet must say when they are again (upstream's status manager looks as often).
const RECONCILE_AFTER: Duration = Duration::from_secs(10);
/// Volumes that show API objects are looked at again this often (upstream: up to a minute and a half).
const REFRESH: Duration = Duration::from_secs(60);

/// What a worker is told.
#[derive(Debug, Clone)]
pub(crate) enum Told {
    /// The Pod as it is desired.
    Desired(Arc<Object>),
    /// The Pod is gone from the API: end it at once.
    Gone,
}

/// The way to a worker.
#[derive(Debug)]
pub(crate) struct WorkerHandle {
    pub(crate) told: watch::Sender<Told>,
    pub(crate) runtime_events: mpsc::Sender<EventKind>,
}

/// Work that has ended.
enum Done {
    Sandbox(Result<PodSandboxStatus, SetUpFailure>),
    Started(String, Box<Result<Started, StartFailure>>),
    Stopped,
    LastWords(String, ContainerId, String),
    Refreshed,
    /// The limits of a run of a container were changed to these resources, or why not.
    Resized(String, ContainerId, Value, Result<(), String>),
    /// The status that was sent, and the object that the server made of it.
    Written(Value, Box<Result<Arc<Object>, ApiError>>),
}

/// Where the Pod is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    Running,
    /// Containers are told to stop; `gone`: nobody waits for the status any more.
    Terminating,
    Terminated,
}

struct Worker {
    hands: PodHands,
    object: Arc<Object>,
    life: Life,
    views: Views,
    view: PodView,
    sandbox: Option<PodSandboxStatus>,
    sandbox_attempt: u32,
    setting_up: bool,
    setup_retry: Option<tokio::time::Instant>,
    setup_failures: SetupFailures,
    work: FuturesUnordered<BoxFuture<'static, Done>>,
    probes: BTreeMap<String, Supervisor>,
    probe_sender: mpsc::Sender<ProbeEvent>,
    /// Why the node does not take the Pod.
    refusal: Option<Refusal>,
    /// The status that the server is known to have.
    written: Value,
    /// Whether that says all that there is to say of a Pod which ended before this kubelet.
    settled: bool,
    /// Whether a write of the status is under way. The next one waits for it, and then says all that has happened since.
    writing: bool,
    /// When a write that failed may be tried again.
    write_retry: Option<tokio::time::Instant>,
    /// Until when nobody is told of a container that has just started.
    quiet_until: Option<tokio::time::Instant>,
    /// When to say again what somebody else has contradicted.
    reconcile_at: Option<tokio::time::Instant>,
    stop_requested: BTreeMap<String, bool>,
    gone: bool,
    refresh_at: tokio::time::Instant,
    resize: Resize,
    /// Tells of what its volumes wait for.
    news: Option<watch_values::Receiver<u64>>,
}

/// Starts the worker of `object`. A Pod that is refused never runs.
pub(crate) fn start(
    shared: &Arc<Shared>,
    object: Arc<Object>,
    refusal: Option<Refusal>,
    finished: mpsc::Sender<String>,
) -> Option<WorkerHandle> {
    let pod = object.typed::<Pod>().ok()?;
    let (told, told_receiver) = watch::channel(Told::Desired(object.clone()));
    let (runtime_events, events_receiver) = mpsc::channel(EVENTS_MAX);
    let (probe_sender, probe_receiver) = mpsc::channel(PROBE_EVENTS_MAX);
    let about = ObjectReference::to(PODS, &object);
    let uid = object.meta().uid.clone();
    let waits = projects(&pod, |source| source.pod_certificate.is_some()) || claim_names(&pod).next().is_some();
    let news = waits.then(|| shared.news.follow(&uid));
    let hands = PodHands { shared: shared.clone(), pod, about, tokens: Arc::default(), credentials: Arc::default() };
    let worker = Worker {
        hands,
        refusal,
        written: object.value()["status"].clone(),
        settled: false,
        writing: false,
        write_retry: None,
        quiet_until: None,
        reconcile_at: None,
        object,
        life: Life::Running,
        views: Views::new(),
        view: PodView { host_ip: shared.config.node_ip.clone(), ..PodView::default() },
        sandbox: None,
        sandbox_attempt: 0,
        setting_up: false,
        setup_retry: None,
        setup_failures: SetupFailures::default(),
        work: FuturesUnordered::new(),
        probes: BTreeMap::new(),
        probe_sender,
        stop_requested: BTreeMap::new(),
        gone: false,
        refresh_at: tokio::time::Instant::now() + REFRESH,
        resize: Resize::new(shared.allocations.freed()),
        news,
    };
    shared.supervisor.spawn_until_shutdown(format!("pod-{uid}"), async move {
        worker.run(told_receiver, events_receiver, probe_receiver).await;
        let _ = finished.send(uid).await;
    });
    Some(WorkerHandle { told, runtime_events })
}

fn far_future() -> tokio::time::Instant {
    tokio::time::Instant::now() + Duration::from_secs(86_400 * 365)
}

impl Worker {
    fn now(&self) -> Timestamp {
        self.hands.shared.clock.now()
    }

    fn pod(&self) -> &Pod {
        &self.hands.pod
    }

    fn container(&self, name: &str) -> Option<Container> {
        let spec = self.pod().spec.as_ref()?;
        let found = spec.containers.iter().chain(spec.init_containers.iter().flatten()).find(|c| c.name == name);
        found.cloned().or_else(|| ephemeral::containers(spec).into_iter().find(|c| c.name == name))
    }

    async fn run(
        mut self,
        mut told: watch::Receiver<Told>,
        mut runtime_events: mpsc::Receiver<EventKind>,
        mut probe_events: mpsc::Receiver<ProbeEvent>,
    ) {
        match self.refusal.take() {
            Some(refusal) => self.refuse(refusal),
            None => {
                self.adopt().await;
                self.recall_allocations();
            }
        }
        loop {
            self.decide();
            if self.life == Life::Terminated && self.work.is_empty() {
                return self.finish().await;
            }
            self.send_status();
            let wake = self.wake_at();
            tokio::select! {
                biased;
                changed = told.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let news = told.borrow_and_update().clone();
                    self.take_desired(news);
                }
                Some(event) = runtime_events.recv() => self.take_runtime(event).await,
                Some(event) = probe_events.recv() => self.take_probe(event),
                Some(done) = self.work.next(), if !self.work.is_empty() => self.take_done(done),
                () = self.resize.worth_asking() => {}
                () = news::next(&mut self.news) => {
                    self.setup_retry = None;
                    self.refresh_at = tokio::time::Instant::now();
                }
                () = tokio::time::sleep_until(wake) => {}
            }
        }
    }

    /// Takes over what an earlier kubelet has left running.
    async fn adopt(&mut self) {
        let runtime = self.hands.shared.runtime.clone();
        let uid = names::uid(self.pod()).to_owned();
        let labels = BTreeMap::from([(names::POD_UID.to_owned(), uid)]);
        let filter = PodSandboxFilter { labels: labels.clone(), ..PodSandboxFilter::default() };
        let sandboxes = runtime.list_pod_sandboxes(&filter).await.unwrap_or_default();
        let newest = sandboxes.into_iter().max_by_key(|s| s.metadata.attempt);
        self.view.start_time = self.written["startTime"].as_str().and_then(|t| t.parse().ok()).or(Some(self.now()));
        let spec = self.pod().spec.clone().unwrap_or_default();
        for container in spec.containers.iter().chain(spec.init_containers.iter().flatten()) {
            self.views.insert(container.name.clone(), ContainerView::default());
        }
        self.take_ephemeral();
        self.recall_ended(newest.is_some());
        let Some(sandbox) = newest else { return self.recall_restarts() };
        self.sandbox_attempt = sandbox.metadata.attempt;
        self.take_sandbox(sandbox);
        let filter = ContainerFilter { labels, ..ContainerFilter::default() };
        let mut all = runtime.list_containers(&filter).await.unwrap_or_default();
        all.sort_by_key(|status| status.metadata.attempt);
        for status in all {
            let name = status.metadata.name.clone();
            let Some(container) = self.container(&name) else { continue };
            let Some(view) = self.views.get_mut(&name) else { continue };
            if let Doing::Ended(end) = &view.doing {
                view.last = Some(end.clone());
            }
            view.restarts = status.metadata.attempt;
            view.image = Some((status.image_id.clone(), status.image_ref.clone()));
            match &status.state {
                ContainerState::Running { started_at } => {
                    view.doing = Doing::Running { id: status.id.clone(), since: *started_at };
                    let known = known_health(&self.written, &name, &status.id);
                    self.watch_container(&container, status.id.clone(), known);
                }
                ContainerState::Exited { started_at, finished_at, exit_code, reason, message } => {
                    view.doing = Doing::Ended(Ended {
                        id: status.id.clone(),
                        code: *exit_code,
                        reason: reason.to_string(),
                        message: message.clone(),
                        started_at: *started_at,
                        finished_at: *finished_at,
                    });
                    view.crashes = view.crashes.saturating_add(1);
                }
                ContainerState::Created => {}
            }
        }
        self.recall_restarts();
    }

    /// A Pod that has ended stays ended, even if its containers are gone from the node.
    fn recall_ended(&mut self, remains: bool) {
        let text = |key: &str| self.written[key].as_str().unwrap_or_default().to_owned();
        let phase = text("phase");
        if !matches!(phase.as_str(), "Succeeded" | "Failed") {
            return;
        }
        if phase == "Failed" && !text("reason").is_empty() {
            self.view.failed = Some((text("reason"), text("message")));
        }
        self.view.finished = true;
        self.settled = !remains;
        self.life = Life::Terminating;
    }

    /// The Pod ends before anything of it was made.
    fn refuse(&mut self, refusal: Refusal) {
        let Refusal { reason, message } = refusal;
        self.hands.recorder().event(self.hands.about.clone(), EventType::Warning, &reason, message.clone());
        self.view.start_time = Some(self.now());
        self.view.failed = Some((reason, format!("Pod was rejected: {message}")));
        self.view.refused = true;
        self.life = Life::Terminating;
    }

    fn take_sandbox(&mut self, sandbox: PodSandboxStatus) {
        self.view.sandbox_ready = sandbox.state == PodSandboxState::Ready;
        let host_network = self.pod().spec.as_ref().and_then(|s| s.host_network) == Some(true);
        self.view.pod_ip = match sandbox.ips.first() {
            Some(ip) => ip.to_string(),
            None if host_network => self.view.host_ip.clone(),
            None => String::new(),
        };
        self.sandbox = Some(sandbox);
    }

    fn take_desired(&mut self, news: Told) {
        match news {
            // What the server answered to a write may be ahead of the watch.
            Told::Desired(object) if object.meta().resource_version < self.object.meta().resource_version => {}
            Told::Desired(object) => {
                if let Ok(pod) = object.typed::<Pod>() {
                    self.hands.pod = pod;
                    self.hands.about = ObjectReference::to(PODS, &object);
                    self.object = object;
                    self.take_ephemeral();
                    if contradicts(self.pod(), &self.written["conditions"]) {
                        self.reconcile_at.get_or_insert(tokio::time::Instant::now() + RECONCILE_AFTER);
                    }
                }
            }
            Told::Gone => self.gone = true,
        }
    }

    /// Ephemeral containers may come while the Pod runs.
    fn take_ephemeral(&mut self) {
        for container in self.hands.pod.spec.iter().flat_map(|spec| spec.ephemeral_containers.iter().flatten()) {
            self.views.entry(container.name.clone()).or_default();
        }
    }

    /// The verdict of this round: starts work as far as nothing of the kind is under way.
    fn decide(&mut self) {
        let deleted = self.pod().metadata.deletion_timestamp.is_some() || self.gone;
        if deleted && self.life == Life::Running {
            self.life = Life::Terminating;
            self.leave();
        }
        match self.life {
            Life::Running => self.advance(),
            Life::Terminating => self.wind_down(),
            Life::Terminated => {}
        }
        if self.life == Life::Running && tokio::time::Instant::now() >= self.refresh_at {
            self.refresh_at = tokio::time::Instant::now() + REFRESH;
            // Who sets the Pod up writes them all.
            if self.setting_up {
                return;
            }
            let (hands, pod_ip) = (self.hands.clone(), self.view.pod_ip.clone());
            self.work.push(Box::pin(async move {
                let referred = hands.referred().await;
                if let Err(error) = hands.write_volumes(&referred, &pod_ip).await {
                    tracing::debug!(error, "failed to refresh volumes");
                }
                Done::Refreshed
            }));
        }
    }

    /// Tells the rest of the node that the Pod goes: nobody should be sent to it any more.
    fn leave(&mut self) {
        for probes in std::mem::take(&mut self.probes).into_values() {
            probes.begin_shutdown();
        }
    }

    fn advance(&mut self) {
        let deadline = self.pod().spec.as_ref().and_then(|s| s.active_deadline_seconds);
        if let (Some(seconds), Some(start)) = (deadline, self.view.start_time)
            && self.now().duration_since(start).as_secs() >= seconds
        {
            let text = "Pod was active on the node longer than the specified deadline".to_owned();
            self.hands.recorder().event(self.hands.about.clone(), EventType::Normal, "DeadlineExceeded", text.clone());
            self.view.failed = Some(("DeadlineExceeded".to_owned(), text));
            self.life = Life::Terminating;
            return self.wind_down();
        }
        let ready = self.sandbox.as_ref().is_some_and(|s| s.state == PodSandboxState::Ready);
        if !ready {
            let may = self.setup_retry.is_none_or(|at| at <= tokio::time::Instant::now());
            if !self.setting_up && may {
                self.setting_up = true;
                let (hands, attempt, old) = (self.hands.clone(), self.sandbox_attempt, self.sandbox.take());
                self.work.push(Box::pin(async move {
                    if let Some(old) = old {
                        let _ = hands.shared.runtime.stop_pod_sandbox(&old.id).await;
                        let _ = hands.shared.runtime.remove_pod_sandbox(&old.id).await;
                    }
                    Done::Sandbox(hands.set_up(attempt).await)
                }));
            }
            return;
        }
        self.turn_pull_errors();
        self.resize();
        let Some(spec) = self.pod().spec.clone() else { return };
        let plan = actions(&spec, &self.views, self.now());
        for step in plan.steps {
            match step {
                Action::Start { name, again } => self.start_container(&name, again),
                Action::BackOff { name, seconds, until } => self.back_off(&name, seconds, until),
                Action::Stop { name } => self.stop_container(&name, None, format!("Stopping container {name}")),
            }
        }
        if plan.finished {
            self.view.finished = true;
            self.life = Life::Terminating;
        }
    }

    /// Stops what runs: ordinary containers at once, sidecars after them, in the reverse of their order.
    fn wind_down(&mut self) {
        let Some(spec) = self.pod().spec.clone() else { return };
        let running =
            |views: &Views, name: &str| matches!(views.get(name).map(|v| &v.doing), Some(Doing::Running { .. }));
        let busy = |views: &Views, name: &str| {
            matches!(
                views.get(name).map(|v| &v.doing),
                Some(Doing::Running { .. } | Doing::Stopping { .. } | Doing::Starting)
            )
        };
        let sidecars: Vec<&Container> = spec.init_containers.iter().flatten().filter(|c| is_sidecar(c)).collect();
        let init = spec.init_containers.iter().flatten().filter(|c| !is_sidecar(c));
        let ephemeral = ephemeral::containers(&spec);
        let ordinary: Vec<&Container> = spec.containers.iter().chain(init).chain(&ephemeral).collect();
        for container in &ordinary {
            if running(&self.views, &container.name) {
                self.stop_container(&container.name, None, format!("Stopping container {}", container.name));
            }
        }
        let mut order = ordinary.iter().map(|c| c.name.clone()).collect::<Vec<_>>();
        for sidecar in sidecars.iter().rev() {
            if order.iter().any(|name| busy(&self.views, name)) {
                break;
            }
            if running(&self.views, &sidecar.name) {
                self.stop_container(&sidecar.name, None, format!("Stopping container {}", sidecar.name));
            }
            order.push(sidecar.name.clone());
        }
        let anything = self
            .views
            .values()
            .any(|v| matches!(v.doing, Doing::Running { .. } | Doing::Stopping { .. } | Doing::Starting));
        if anything || self.setting_up {
            // A shorter grace that comes later overtakes the one under way.
            self.hurry();
            return;
        }
        let deleted = self.pod().metadata.deletion_timestamp.is_some() || self.gone;
        if deleted {
            self.life = Life::Terminated;
        }
        self.hands.shared.give_back(names::uid(self.pod()));
        // A Pod that ended by itself stays to be read, until it is deleted.
        self.view.finished = true;
    }

    fn hurry(&mut self) {
        let grace = if self.gone { 0 } else { self.hands.grace() };
        if grace != 0 || self.stop_requested.contains_key("now") {
            return;
        }
        self.stop_requested.insert("now".to_owned(), true);
        for view in self.views.values() {
            if let Doing::Stopping { id, .. } = &view.doing {
                let (hands, id) = (self.hands.clone(), id.clone());
                self.work.push(Box::pin(async move {
                    let _ = hands.shared.runtime.stop_container(&id, Duration::ZERO).await;
                    Done::Refreshed
                }));
            }
        }
    }

    async fn take_runtime(&mut self, event: EventKind) {
        match event {
            EventKind::Stopped(id, exit) => {
                let name = self.views.iter().find_map(|(name, view)| match &view.doing {
                    Doing::Running { id: own, .. } | Doing::Stopping { id: own, .. } if *own == id => {
                        Some(name.clone())
                    }
                    _ => None,
                });
                if let Some(name) = name {
                    self.container_ended(&name, &id, exit.code, exit.reason.to_string()).await;
                }
            }
            EventKind::SandboxStopped => {
                if let Some(sandbox) = &mut self.sandbox
                    && self.life == Life::Running
                    && !self.setting_up
                {
                    sandbox.state = PodSandboxState::NotReady;
                    self.view.sandbox_ready = false;
                    self.sandbox_attempt += 1;
                    let text = "Pod sandbox changed, it will be killed and re-created.";
                    self.hands.recorder().event(self.hands.about.clone(), EventType::Normal, "SandboxChanged", text);
                }
            }
            _ => {}
        }
    }

    fn take_done(&mut self, done: Done) {
        match done {
            Done::Sandbox(result) => {
                self.setting_up = false;
                match result {
                    Ok(sandbox) => {
                        self.setup_retry = None;
                        self.setup_failures = SetupFailures::default();
                        self.take_sandbox(sandbox);
                        // What ran in the old sandbox has to be started again in the new one.
                        let pod = self.hands.pod.clone();
                        let once = |name: &str| pod.spec.as_ref().is_some_and(|s| ephemeral::is_ephemeral(s, name));
                        for (_, view) in self.views.iter_mut().filter(|(name, _)| !once(name)) {
                            if let Doing::Running { .. } | Doing::Stopping { .. } = view.doing {
                                view.doing = ContainerView::default().doing;
                                view.restarts += 1;
                            }
                        }
                    }
                    Err(SetUpFailure { reason, message, retry }) => {
                        let now = tokio::time::Instant::now();
                        self.setup_retry = Some(now + retry);
                        if self.setup_failures.is_worth_telling(&message, now) {
                            self.hands.recorder().event(self.hands.about.clone(), EventType::Warning, reason, message);
                        }
                    }
                }
            }
            Done::Started(name, result) => match *result {
                Ok(started) => self.container_started(&name, started),
                Err(failure) => self.container_failed(&name, failure),
            },
            Done::Stopped | Done::Refreshed => {}
            Done::Resized(name, id, allocated, result) => self.take_resized(&name, &id, allocated, result),
            Done::Written(status, result) => {
                self.writing = false;
                self.take_written(status, *result);
            }
            Done::LastWords(name, id, said) => {
                if let Some(view) = self.views.get_mut(&name) {
                    let ends = [Some(&mut view.doing), None];
                    for doing in ends.into_iter().flatten() {
                        if let Doing::Ended(end) = doing
                            && end.id == id
                            && !said.is_empty()
                        {
                            end.message.clone_from(&said);
                        }
                    }
                    if let Some(last) = &mut view.last
                        && last.id == id
                        && !said.is_empty()
                    {
                        last.message = said;
                    }
                }
            }
        }
    }

    /// When to look again although nothing happens.
    fn wake_at(&mut self) -> tokio::time::Instant {
        let now = self.now();
        let setup = self.setup_retry.filter(|_| self.life == Life::Running && !self.setting_up);
        let reconcile = self.reconcile_at.filter(|_| !self.writing);
        let resize = self.resize.retry_at.filter(|_| self.life == Life::Running);
        let mut wake = [setup, self.write_retry, self.quiet_until, reconcile, resize].into_iter().flatten().min();
        let mut consider = |at: Timestamp| {
            let left = Duration::try_from(at.duration_since(now)).unwrap_or_default();
            let at = tokio::time::Instant::now() + left + Duration::from_millis(1);
            wake = Some(wake.map_or(at, |w| w.min(at)));
        };
        if self.life == Life::Running {
            for view in self.views.values() {
                if let Some((_, at)) = &view.pull_error {
                    consider(*at);
                }
                if let Doing::Waiting { retry_at: Some(at), .. } = &view.doing {
                    consider(*at);
                }
            }
            let deadline = self.pod().spec.as_ref().and_then(|s| s.active_deadline_seconds);
            if let (Some(seconds), Some(start)) = (deadline, self.view.start_time)
                && let Ok(at) = start.checked_add(SignedDuration::from_secs(seconds))
            {
                consider(at);
            }
            wake = Some(wake.map_or(self.refresh_at, |w| w.min(self.refresh_at)));
        }
        wake.unwrap_or_else(far_future)
    }

    /// Cleans up and lets the Pod go from the API.
    async fn finish(&mut self) {
        self.view.finished = true;
        if let Some((status, patch)) = self.status_patch().filter(|_| !self.gone) {
            let result = self.hands.patch_status(patch).await;
            self.take_written(status, result);
        }
        let sandbox = self.sandbox.as_ref().map(|s| s.id.clone());
        self.hands.tear_down(sandbox.as_ref()).await;
        if self.gone {
            return;
        }
        let options = DeleteOptions {
            grace_period_seconds: Some(0),
            preconditions: Preconditions { uid: Some(names::uid(self.pod()).to_owned()), resource_version: None },
            ..DeleteOptions::default()
        };
        let (namespace, name) = (names::namespace(self.pod()), names::name(self.pod()));
        // Nothing else will happen to this Pod that could be the occasion for another try.
        while let Err(error) = self.hands.shared.client.delete(PODS, namespace, name, &options).await {
            if matches!(error.reason, Reason::NotFound | Reason::Conflict) {
                return;
            }
            tracing::warn!(pod = name, error = %error, "failed to delete a Pod that has ended, will retry");
            tokio::time::sleep(WRITE_RETRY).await;
        }
    }
}
