//! The loop: takes Pods from the queue one after the other, decides, and binds in the background. A Pod that is being
//! bound counts as on its node at once ("assumed"), so that the next decision sees it.

use std::sync::Arc;

use api::resources::{NODES, PODDISRUPTIONBUDGETS, PODS};
use apimachinery::{Object, Reason};
use client::{Client, EventRecorder, EventType, Informer, Informers, ObjectReference, PatchKind, Target};
use component_base::{Clock, Random, Supervisor, watch};
use k8s_openapi::api::core::v1::Pod;
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::cache::Cache;
use crate::changes::{self, NAME, node_of, wants_node};
use crate::pod_info::PodInfo;
use crate::preemption::plan::{self, Nomination};
use crate::preemption::{Executor, Said};
use crate::queue::SchedulingQueue;
use crate::schedule::{FitError, Framework};
use crate::snapshot::Snapshot;
use crate::volume_binder::VolumeBinder;
use crate::volume_changes::Follower;
use crate::volumes::Reservation;

/// What the scheduler is given.
#[derive(Debug)]
pub struct SchedulerConfig {
    /// Speaks as `system:kube-scheduler`.
    pub client: Client,
    /// The shared local copies.
    pub informers: Informers,
    /// Runs the loop.
    pub supervisor: Supervisor,
    /// Wall time.
    pub clock: Arc<dyn Clock>,
    /// Tie-breaks.
    pub random: Arc<Random>,
}

struct Scheduler {
    client: Client,
    informers: Informers,
    supervisor: Supervisor,
    clock: Arc<dyn Clock>,
    random: Arc<Random>,
    recorder: EventRecorder,
    framework: Framework,
    queue: SchedulingQueue,
    pods: Informer,
    budgets: Informer,
    cache: Arc<Mutex<Cache>>,
    volume_binder: VolumeBinder,
}

/// Starts the scheduler.
pub fn start(config: SchedulerConfig) {
    let queue = SchedulingQueue::default();
    let [pods, nodes, budgets] = [PODS, NODES, PODDISRUPTIONBUDGETS].map(|resource| config.informers.of(resource));
    let cache: Arc<Mutex<Cache>> = Arc::default();
    changes::follow(&pods, &nodes, &queue, &cache);
    let news = Arc::new(watch::Sender::new(0));
    let follower =
        Follower { pods: pods.clone(), nodes, queue: queue.clone(), cache: cache.clone(), news: news.clone() };
    let (claims, volumes) = follower.follow(&config.informers);
    let client = config.client.clone();
    let volume_binder = VolumeBinder { client, claims, volumes, pods: pods.clone(), cache: cache.clone(), news };
    let recorder = EventRecorder::start(config.client.clone(), &config.supervisor, config.clock.clone(), NAME, "");
    let scheduler = Arc::new(Scheduler {
        client: config.client,
        informers: config.informers,
        supervisor: config.supervisor.clone(),
        clock: config.clock,
        random: config.random,
        recorder,
        framework: Framework::default(),
        queue,
        pods,
        budgets,
        cache,
        volume_binder,
    });
    config.supervisor.spawn_until_shutdown("scheduler", async move {
        scheduler.informers.synced().await;
        let mut start = 0;
        loop {
            let key = scheduler.queue.next().await;
            scheduler.step(&key, &mut start).await;
        }
    });
}

impl Scheduler {
    /// Decides on one Pod, looking from the node at `start` on.
    async fn step(&self, key: &str, start: &mut usize) {
        let Some(object) = self.pods.store().get(key) else { return self.queue.remove(key) };
        let Ok(pod) = object.typed::<Pod>() else { return self.queue.remove(key) };
        let uid = &object.meta().uid;
        if node_of(&pod).is_some() || !wants_node(&pod) || self.cache.lock().is_assumed(uid) {
            return self.queue.remove(key);
        }
        let info = Arc::new(PodInfo::new(pod));
        let snapshot = self.cache.lock().snapshot();
        match self.framework.schedule(&info, &snapshot, *start, &self.random) {
            Ok(decision) => {
                *start = (*start + decision.looked_at) % snapshot.nodes.len().max(1);
                // The cache changes its nodes in place once nobody looks at them.
                drop(snapshot);
                let reservation = {
                    let mut cache = self.cache.lock();
                    cache.assume(&decision.node, info.clone());
                    cache.reserve(&decision.node, &info)
                };
                self.bind(object, decision.node, reservation);
            }
            Err(error) => self.refuse(object, info, snapshot, error).await,
        }
    }

    /// Makes room if less important Pods can go, and says why the Pod has no node.
    async fn refuse(&self, object: Arc<Object>, info: Arc<PodInfo>, snapshot: Snapshot, mut error: FitError) {
        let nomination = if error.nodes == 0 { Nomination::Clear } else { self.preempt(&info, &snapshot, &mut error) };
        drop(snapshot);
        let nominated = match &nomination {
            Nomination::Keep => None,
            Nomination::Clear => {
                self.cache.lock().withdraw(info.uid());
                info.nominated_node().map(|_| Value::Null)
            }
            Nomination::Node(candidate) => {
                // Decisions that come before the write is seen count it already.
                self.cache.lock().nominate(&info, Some(&candidate.node));
                // One that is deleted from here on is withdrawn by that change; one that was before, here.
                if self.pods.store().get(&object.meta().key()).is_none_or(|now| now.meta().uid != info.uid()) {
                    self.cache.lock().withdraw(info.uid());
                }
                Some(json!(candidate.node)).filter(|_| info.nominated_node() != Some(&candidate.node))
            }
        };
        self.tell(&object, &info, &error, nominated).await;
        let key = object.meta().key();
        let Nomination::Node(candidate) = nomination else { return self.queue.refused(&key) };
        let executor =
            Executor { client: self.client.clone(), recorder: self.recorder.clone(), clock: self.clock.clone() };
        let (queue, waiting) = (self.queue.clone(), self.cache.lock().nominated_on(&candidate.node));
        // The Pod is tried again once its victims are told to go; what happens until then is not lost.
        self.supervisor.spawn("preempt", async move {
            let done = executor.carry_out(&info, &candidate, &waiting).await;
            match done {
                Ok(()) => queue.refused(&key),
                Err(error) => {
                    tracing::warn!(pod = %key, node = %candidate.node, error = %error, "failed to make room");
                    queue.failed(&key);
                }
            }
        });
    }

    fn preempt(&self, info: &PodInfo, snapshot: &Snapshot, error: &mut FitError) -> Nomination {
        let budgets: Vec<_> = self.budgets.store().list().iter().filter_map(|budget| budget.typed().ok()).collect();
        let decided = plan::plan(&plan::Observed {
            framework: &self.framework,
            pod: info,
            snapshot,
            statuses: &error.statuses,
            budgets: &budgets,
            now: self.clock.now(),
            offset: self.random.next_u64(),
        });
        error.preemption = Some(decided.message);
        decided.nomination
    }

    /// Carries out the decision; the Pod goes back to the queue if that fails.
    fn bind(&self, object: Arc<Object>, node: String, reservation: Reservation) {
        let (client, recorder, queue, cache) =
            (self.client.clone(), self.recorder.clone(), self.queue.clone(), self.cache.clone());
        let volume_binder = self.volume_binder.clone();
        self.supervisor.spawn("bind", async move {
            let meta = object.meta();
            let failed = |text: String| {
                {
                    let mut cache = cache.lock();
                    cache.forget(&meta.uid);
                    if !reservation.is_empty() {
                        cache.volumes_mut().release(&reservation);
                    }
                }
                let about = ObjectReference::to(PODS, &object);
                recorder.event(about, EventType::Warning, "FailedScheduling", text);
                queue.failed(&meta.key());
                queue.move_all();
            };
            if !reservation.is_empty()
                && let Err(why) = volume_binder.bind(&object, &node, &reservation).await
            {
                return failed(format!("running PreBind plugin \"VolumeBinding\": {why}"));
            }
            let target = Target::object(PODS, &meta.namespace, &meta.name).subresource("binding");
            let body = json!({
                "apiVersion": "v1", "kind": "Binding",
                "metadata": {"name": meta.name, "namespace": meta.namespace, "uid": meta.uid},
                "target": {"kind": "Node", "name": node},
            });
            match client.create_subresource(target, body).await {
                Ok(_) => {
                    let about = ObjectReference::to(PODS, &object);
                    let text = format!("Successfully assigned {} to {node}", meta.key());
                    recorder.event(about, EventType::Normal, "Scheduled", text);
                }
                Err(error) if error.reason == Reason::NotFound => {
                    cache.lock().forget(&meta.uid);
                    queue.remove(&meta.key());
                }
                Err(error) => failed(format!("binding rejected: {error}")),
            }
        });
    }

    /// Says in an Event and in the Pod's status why it has no node, and on which it waits for room, if that changed.
    async fn tell(&self, object: &Object, info: &PodInfo, error: &FitError, nominated: Option<Value>) {
        let text = error.to_string();
        let about = ObjectReference::to(PODS, object);
        let said = Said { of: "PodScheduled", status: "False", reason: "Unschedulable", message: &text };
        let mut status = json!({});
        let news = said.unless_known(&info.pod, &*self.clock);
        // Others come and go, and it may be tried many times a second for that.
        if self.queue.is_worth_telling(&object.meta().key(), news.is_some()) {
            self.recorder.event(about, EventType::Warning, "FailedScheduling", text.clone());
        }
        if let Some(condition) = news {
            status["conditions"] = json!([condition]);
        }
        if let Some(nominated) = nominated {
            status["nominatedNodeName"] = nominated;
        }
        if status.as_object().is_some_and(serde_json::Map::is_empty) {
            return;
        }
        let (meta, patch) = (object.meta(), json!({"status": status}));
        if let Err(error) =
            self.client.patch_status(PODS, &meta.namespace, &meta.name, PatchKind::Strategic, patch).await
        {
            tracing::debug!(pod = %meta.key(), error = %error, "failed to write the scheduling condition");
        }
    }
}
