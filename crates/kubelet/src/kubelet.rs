//! The kubelet as a whole: it dispatches Pods and runtime events to workers, and does nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use api::resources::{NODES, PODS, SERVICES};
use apimachinery::Object;
use client::{Change, Client, EventRecorder, Informer, Informers};
use component_base::{Clock, Random, Supervisor};
use cri::{
    AttachOptions, ContainerFilter, ContainerStatus, DnsConfig, DuplexStream, ExecOptions, ExecSession, ImageService,
    PodSandboxFilter, RuntimeError, RuntimeService,
};
use k8s_openapi::api::core::v1::{Node, Pod};
use parking_lot::Mutex;
use tokio::sync::{broadcast, mpsc};

use crate::admission::{self, Refusal, Share};
use crate::certificates::PodCertificates;
use crate::config::ClusterDns;
use crate::logs::{LogError, LogQuery, LogSource};
use crate::names;
use crate::news::PodNews;
use crate::probe::ProbeDialer;
use crate::resize::Allocations;
use crate::traffic::TrafficBarrier;
use crate::volumes::VolumesInUse;
use crate::worker::{self, Told, WorkerHandle};

/// Workers that have ended and wait to be forgotten.
const FINISHED_MAX: usize = 256;

/// What the node is and has.
#[derive(Debug, Clone, Default)]
pub struct NodeFacts {
    /// All resources by name.
    pub capacity: BTreeMap<String, String>,
    /// What Pods may use.
    pub allocatable: BTreeMap<String, String>,
    /// Memory in bytes.
    pub memory_bytes: i64,
    /// `amd64`, `arm64`.
    pub architecture: String,
    /// The kernel's release.
    pub kernel_version: String,
    /// The system's name, as `/etc/os-release` has it.
    pub os_image: String,
    /// Identifies the machine (or the node of a local cluster).
    pub machine_id: String,
    /// Identifies this run of the kernel.
    pub boot_id: String,
}

/// What a kubelet is told.
#[derive(Debug, Clone)]
pub struct KubeletConfig {
    /// The node's name.
    pub node_name: String,
    /// The node's address.
    pub node_ip: String,
    /// Where the node's Pods get their addresses.
    pub pod_cidr: String,
    /// The node's resources and identity.
    pub facts: NodeFacts,
    /// Where volumes are kept (`/var/lib/kubelet`).
    pub root_directory: PathBuf,
    /// Where logs are kept (`/var/log/pods`).
    pub log_directory: PathBuf,
    /// The cluster DNS' address; empty if there is none.
    pub cluster_dns: String,
    /// `cluster.local`.
    pub cluster_domain: String,
    /// How the node itself resolves names.
    pub node_dns: DnsConfig,
}

impl KubeletConfig {
    pub(crate) fn cluster_dns(&self) -> ClusterDns {
        ClusterDns {
            server: self.cluster_dns.clone(),
            domain: self.cluster_domain.clone(),
            node: self.node_dns.clone(),
        }
    }
}

/// What a kubelet works with; each is one thing of the world that tests replace.
#[derive(Debug)]
pub struct KubeletWorld {
    /// Speaks as the node.
    pub client: Client,
    /// The local copies that the parts of a process share.
    pub informers: Informers,
    /// Runs containers.
    pub runtime: Arc<dyn RuntimeService>,
    /// Has images, or gets them.
    pub images: Arc<dyn ImageService>,
    /// Reaches Pods for probes.
    pub dialer: Arc<dyn ProbeDialer>,
    /// Knows when Services have stopped to send requests to a Pod.
    pub traffic: Arc<dyn TrafficBarrier>,
    /// Wall time.
    pub clock: Arc<dyn Clock>,
    /// Jitter.
    pub random: Arc<Random>,
    /// Runs the tasks.
    pub supervisor: Supervisor,
}

/// What all workers share.
pub(crate) struct Shared {
    pub(crate) config: KubeletConfig,
    pub(crate) client: Client,
    pub(crate) runtime: Arc<dyn RuntimeService>,
    pub(crate) images: Arc<dyn ImageService>,
    pub(crate) recorder: EventRecorder,
    pub(crate) services: Informer,
    /// Its own node.
    pub(crate) node: Informer,
    pub(crate) allocations: Allocations,
    pub(crate) volumes_in_use: VolumesInUse,
    pub(crate) certificates: PodCertificates,
    pub(crate) news: PodNews,
    /// Decides the order of trust anchors.
    pub(crate) trust_salt: u64,
    pub(crate) dialer: Arc<dyn ProbeDialer>,
    pub(crate) traffic: Arc<dyn TrafficBarrier>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<Random>,
    pub(crate) supervisor: Supervisor,
}

impl Shared {
    /// A Pod needs nothing of the node any more.
    pub(crate) fn give_back(&self, uid: &str) {
        self.allocations.release(uid);
        self.volumes_in_use.release(uid);
    }
}

/// A running kubelet.
#[derive(Clone)]
pub struct Kubelet {
    shared: Arc<Shared>,
    pods: Informer,
}

impl std::fmt::Debug for Kubelet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kubelet").field("node", &self.shared.config.node_name).finish_non_exhaustive()
    }
}

impl Kubelet {
    /// Starts a kubelet: registers its node, takes over what runs there, and follows the Pods that are bound to it.
    pub fn start(config: KubeletConfig, world: KubeletWorld) -> Self {
        let KubeletWorld { client, informers, runtime, images, dialer, traffic, clock, random, supervisor } = world;
        let recorder = EventRecorder::start(client.clone(), &supervisor, clock.clone(), "kubelet", &config.node_name);
        let pods = informers.selected(PODS, &format!("spec.nodeName={}", config.node_name));
        let node = informers.selected(NODES, &format!("metadata.name={}", config.node_name));
        let services = informers.of(SERVICES);
        let news = PodNews::default();
        let certificates = PodCertificates::new(informers.clone(), &config.node_name, news.clone());
        let shared = Arc::new(Shared {
            config,
            client,
            runtime,
            images,
            recorder,
            services,
            node: node.clone(),
            allocations: Allocations::new(),
            volumes_in_use: VolumesInUse::default(),
            certificates,
            news,
            trust_salt: random.next_u64(),
            dialer,
            traffic,
            clock,
            random,
            supervisor: supervisor.clone(),
        });
        supervisor.spawn_until_shutdown("node-status", crate::node::run(shared.clone(), node.clone()));
        let dispatcher = Dispatcher {
            shared: shared.clone(),
            pods: pods.clone(),
            node,
            workers: Arc::default(),
            adopted: BTreeSet::new(),
            _informers: informers,
        };
        supervisor.spawn_until_shutdown("kubelet", dispatcher.run());
        Self { shared, pods }
    }

    fn pod(&self, namespace: &str, name: &str) -> Option<Arc<Pod>> {
        self.pods.store().get(&format!("{namespace}/{name}"))?.typed().ok()
    }

    /// The newest run of a container, or the one before it.
    async fn run_of(
        &self,
        namespace: &str,
        pod: &str,
        container: &str,
        previous: bool,
    ) -> Result<ContainerStatus, LogError> {
        let missing = |what: &str| LogError::NotThere(what.to_owned());
        let found = self.pod(namespace, pod).ok_or_else(|| missing(&format!("pod {pod:?} is not on this node")))?;
        let labels = BTreeMap::from([
            (names::POD_UID.to_owned(), names::uid(&found).to_owned()),
            (names::CONTAINER_NAME.to_owned(), container.to_owned()),
        ]);
        let filter = ContainerFilter { labels, ..ContainerFilter::default() };
        let mut runs = self.shared.runtime.list_containers(&filter).await.unwrap_or_default();
        runs.sort_by_key(|status| std::cmp::Reverse(status.metadata.attempt));
        let wanted = if previous { runs.into_iter().nth(1) } else { runs.into_iter().next() };
        wanted.ok_or_else(|| {
            if previous {
                missing(&format!("previous terminated container {container:?} in pod {pod:?} not found"))
            } else {
                missing(&format!("container {container:?} in pod {pod:?} is waiting to start: ContainerCreating"))
            }
        })
    }

    /// Opens the log of a container; with it comes whether the container still runs.
    pub async fn open_log(
        &self,
        namespace: &str,
        pod: &str,
        container: &str,
        previous: bool,
        query: LogQuery,
    ) -> Result<(LogSource, ContainerStatus), LogError> {
        let status = self.run_of(namespace, pod, container, previous).await?;
        let path =
            status.log_path.clone().ok_or_else(|| LogError::NotThere("the container keeps no log".to_owned()))?;
        let opened = self.shared.supervisor.blocking(move || LogSource::open(&path, query)).await;
        let source = opened.unwrap_or_else(|| Err(LogError::NotThere("reading the log panicked".to_owned())))?;
        Ok((source, status))
    }

    /// A container that runs. `missing` is what a user is told of any other.
    async fn running(
        &self,
        namespace: &str,
        pod: &str,
        container: &str,
        missing: String,
    ) -> Result<ContainerStatus, RuntimeError> {
        match self.run_of(namespace, pod, container, false).await {
            Ok(status) if !status.state.is_exited() => Ok(status),
            _ => Err(RuntimeError::ContainerNotFound(missing)),
        }
    }

    /// Runs a program in a container.
    pub async fn exec(
        &self,
        namespace: &str,
        pod: &str,
        container: &str,
        options: ExecOptions,
    ) -> Result<ExecSession, RuntimeError> {
        let missing = format!("container not found ({container:?})");
        let status = self.running(namespace, pod, container, missing).await?;
        self.shared.runtime.exec(&status.id, options).await
    }

    /// Joins a container's own streams.
    pub async fn attach(
        &self,
        namespace: &str,
        pod: &str,
        container: &str,
        options: AttachOptions,
    ) -> Result<ExecSession, RuntimeError> {
        let missing = format!("container {container} not found in pod {pod}_{namespace}");
        let status = self.running(namespace, pod, container, missing).await?;
        self.shared.runtime.attach(&status.id, options).await
    }

    /// Connects to a port in a Pod's network.
    pub async fn port_forward(
        &self,
        namespace: &str,
        pod: &str,
        port: u16,
    ) -> Result<Box<dyn DuplexStream>, RuntimeError> {
        let found = self.pod(namespace, pod).ok_or_else(|| RuntimeError::SandboxNotFound(pod.to_owned()))?;
        let labels = BTreeMap::from([(names::POD_UID.to_owned(), names::uid(&found).to_owned())]);
        let filter = PodSandboxFilter { labels, ..PodSandboxFilter::default() };
        let sandboxes = self.shared.runtime.list_pod_sandboxes(&filter).await?;
        let newest = sandboxes.into_iter().max_by_key(|s| s.metadata.attempt);
        let sandbox = newest.ok_or_else(|| RuntimeError::SandboxNotFound(pod.to_owned()))?;
        self.shared.runtime.port_forward(&sandbox.id, port).await
    }

    /// What tells of the runtime's events, for those who follow a log.
    pub fn subscribe(&self) -> broadcast::Receiver<cri::ContainerEvent> {
        self.shared.runtime.subscribe()
    }
}

type Workers = Arc<Mutex<BTreeMap<String, WorkerHandle>>>;

struct Dispatcher {
    shared: Arc<Shared>,
    pods: Informer,
    /// Its own node.
    node: Informer,
    workers: Workers,
    /// The Pods that an earlier kubelet has left running.
    adopted: BTreeSet<String>,
    /// The local copies are kept up to date for as long as these are held.
    _informers: Informers,
}

impl Dispatcher {
    async fn run(mut self) {
        let (finished, mut ended) = mpsc::channel::<String>(FINISHED_MAX);
        // Each change wakes the loop once; what matters is read from the store.
        let (changed, mut changes) = mpsc::channel::<()>(1);
        let mut events = self.shared.runtime.subscribe();
        self.shared.services.synced().await;
        self.node.synced().await;
        self.pods.synced().await;
        self.sweep().await;
        let gone: Arc<Mutex<Vec<Arc<Object>>>> = Arc::default();
        let noted = gone.clone();
        self.pods.on_change(move |change| {
            if let Change::Deleted(object) = change {
                noted.lock().push(object.clone());
            }
            if let Change::Updated(before, after) = change
                && before.meta().uid != after.meta().uid
            {
                noted.lock().push(before.clone());
            }
            let _ = changed.try_send(());
        });
        loop {
            tokio::select! {
                biased;
                Some(()) = changes.recv() => {
                    for object in std::mem::take(&mut *gone.lock()) {
                        if let Some(worker) = self.workers.lock().get(&object.meta().uid) {
                            worker.told.send_replace(Told::Gone);
                        }
                        // Who deletes by force gives away what the Pod had, although it may run on for a moment.
                        self.shared.give_back(&object.meta().uid);
                    }
                    self.dispatch(&finished).await;
                }
                Some(uid) = ended.recv() => {
                    self.workers.lock().remove(&uid);
                }
                event = events.recv() => match event {
                    Ok(event) => self.route(event),
                    Err(broadcast::error::RecvError::Lagged(missed)) => {
                        tracing::warn!(missed, "runtime events were missed");
                    }
                    Err(broadcast::error::RecvError::Closed) => return,
                },
            }
        }
    }

    async fn dispatch(&self, finished: &mpsc::Sender<String>) {
        let mut new = Vec::new();
        for object in self.pods.store().list() {
            let workers = self.workers.lock();
            let Some(worker) = workers.get(&object.meta().uid) else {
                new.push(object);
                continue;
            };
            worker.told.send_if_modified(|told| match told {
                Told::Desired(known) if known.meta().resource_version == object.meta().resource_version => false,
                Told::Gone => false,
                Told::Desired(_) => {
                    *told = Told::Desired(object.clone());
                    true
                }
            });
        }
        // Those that were admitted before have their place; the others come in the order in which they were made.
        new.sort_by_key(|object| (!self.was_admitted(object), object.meta().creation_timestamp));
        for object in new {
            let Ok(pod) = object.typed::<Pod>() else { continue };
            let refusal = self.admit(&object, &pod).await.err();
            let uid = object.meta().uid.clone();
            if let Some(worker) = worker::start(&self.shared, object, refusal, finished.clone()) {
                self.workers.lock().insert(uid, worker);
            }
        }
    }

    /// Whether an earlier kubelet took the Pod: then it is never refused.
    fn was_admitted(&self, object: &Object) -> bool {
        self.adopted.contains(&object.meta().uid) || !object.value()["status"]["startTime"].is_null()
    }

    /// Takes a Pod that is new, unless there is something against it.
    async fn admit(&self, object: &Object, pod: &Pod) -> Result<(), Refusal> {
        let (value, uid) = (object.value(), object.meta().uid.as_str());
        let over = matches!(value["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
        let allocations = &self.shared.allocations;
        if over {
            return Ok(());
        }
        if self.was_admitted(object) {
            allocations.keep(uid, Share::granted(pod, value));
            return Ok(());
        }
        if object.meta().deletion_timestamp.is_some() {
            return Ok(());
        }
        let asked = Share::asked(pod, &value);
        let admit = |node: &Node| {
            allocations.admit(uid, asked.clone(), |asked, taken| admission::check(pod, asked, node, taken))
        };
        let known = self.node.store().get(&self.shared.config.node_name).and_then(|node| node.typed::<Node>().ok());
        let unregistered = || crate::node::unregistered(&self.shared.config, self.shared.clock.now());
        match admit(&known.unwrap_or_else(|| Arc::new(unregistered()))) {
            // Whoever has bound the Pod may have seen labels that are not known here yet.
            Err(refusal) if refusal.is_of_labels() => {
                let fresh = self.shared.client.get(NODES, "", &self.shared.config.node_name).await;
                fresh.ok().and_then(|node| node.typed::<Node>().ok()).map_or(Err(refusal), |node| admit(&node))
            }
            verdict => verdict,
        }
    }

    fn route(&self, event: cri::ContainerEvent) {
        if let Some(worker) = self.workers.lock().get(&event.pod_uid)
            && worker.runtime_events.try_send(event.kind).is_err()
        {
            tracing::warn!(pod = %event.pod_uid, "a Pod's worker is behind and misses a runtime event");
        }
    }

    /// Notes which Pods run on the node, and removes what runs for those that no longer exist.
    async fn sweep(&mut self) {
        let known: Vec<String> = self.pods.store().list().iter().map(|pod| pod.meta().uid.clone()).collect();
        let sandboxes = self.shared.runtime.list_pod_sandboxes(&PodSandboxFilter::default()).await.unwrap_or_default();
        self.adopted = sandboxes.iter().map(|sandbox| sandbox.metadata.uid.clone()).collect();
        for sandbox in sandboxes.into_iter().filter(|s| !known.contains(&s.metadata.uid)) {
            tracing::info!(pod = %sandbox.metadata.name, "removing what is left of a Pod that is gone");
            let filter = ContainerFilter { sandbox_id: Some(sandbox.id.clone()), ..ContainerFilter::default() };
            for container in self.shared.runtime.list_containers(&filter).await.unwrap_or_default() {
                let _ = self.shared.runtime.stop_container(&container.id, Duration::ZERO).await;
            }
            let _ = self.shared.runtime.stop_pod_sandbox(&sandbox.id).await;
            let _ = self.shared.runtime.remove_pod_sandbox(&sandbox.id).await;
        }
    }
}
