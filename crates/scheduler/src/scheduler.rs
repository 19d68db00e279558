//! The loop: takes Pods from the queue one after the other, decides, and binds in the background. A Pod that is being
//! bound counts as on its node at once ("assumed"), so that the next decision sees it.

use std::sync::Arc;

use api::resources::{NODES, PODDISRUPTIONBUDGETS, PODS};
use apimachinery::Object;
use client::{Client, EventRecorder, EventType, Informer, Informers, ObjectReference};
use component_base::{Clock, Random, Supervisor, watch};
use k8s_openapi::api::core::v1::Pod;
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::binding::{Binder, Decided, write_status};
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
    binder: Binder,
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
    let recorder = EventRecorder::start(client.clone(), &config.supervisor, config.clock.clone(), NAME, "");
    let binder = Binder {
        client: client.clone(),
        recorder: recorder.clone(),
        clock: config.clock.clone(),
        queue: queue.clone(),
        cache: cache.clone(),
        volumes: VolumeBinder { client, claims, volumes, pods: pods.clone(), cache: cache.clone(), news },
    };
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
        binder,
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
                let decided = Decided { object, info, node: decision.node, reservation };
                self.supervisor.spawn_until_shutdown("bind", self.binder.clone().bind(decided));
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
        self.supervisor.spawn_until_shutdown("preempt", async move {
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
        write_status(&self.client, object, status).await;
    }
}
