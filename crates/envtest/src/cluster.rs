//! A simulated cluster, as a scenario holds it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use api::resources::{DEPLOYMENTS, PODS, REPLICASETS, SERVICEACCOUNTS};
use apimachinery::{Object, Reader, Reason, Resource, UserInfo};
use apiserver::TokenAuthority;
use client::{Client, DeleteOptions, PatchKind};
use cri::fake::FakeImage;
use cri::{NamespaceMode, PodSandboxFilter, PodSandboxState, RuntimeService};
use datastore::{Datastore, SimulatedDisk};
use jiff::Timestamp;
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::control_plane::ControlPlane;
use crate::directory::RunDirectory;
use crate::event_log::EventLog;
use crate::failure::Failure;
use crate::fixtures::{self, NAMESPACE};
use crate::network::Network;
use crate::node::SimulatedNode;
use crate::options::Options;
use crate::transport::{Door, honest_client};
use crate::volumes::Cleaner;
use crate::world::World;

/// A condition is looked at after each commit, and at least this often in virtual time.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long to wait before a request is repeated that met no server.
const RETRY_EVERY: Duration = Duration::from_millis(100);
/// How long a control plane whose power failed is away, at most.
const DOWN_MAX: Duration = Duration::from_secs(3);

/// A running cluster: control plane, nodes, and what can be done to them.
#[derive(Debug)]
pub struct Cluster {
    options: Options,
    world: World,
    door: Arc<Door>,
    plane: Mutex<Arc<ControlPlane>>,
    nodes: Vec<SimulatedNode>,
    network: Arc<Network>,
    client: Client,
    token_key: Vec<u8>,
    _directory: RunDirectory,
    _volumes: Cleaner,
}

impl Cluster {
    /// Starts the control plane and all nodes; returns when every node is Ready and Pods can be made.
    pub(crate) async fn start(options: &Options, world: World) -> Result<Self, Failure> {
        let directory = RunDirectory::new().map_err(|error| Failure::Start(error.to_string()))?;
        let token_key = TokenAuthority::generate_key().map_err(|error| Failure::Start(error.to_string()))?;
        let disk = SimulatedDisk::new(options.seed);
        let door = Arc::new(Door::default());
        let plane = ControlPlane::start(&world, &token_key, disk).await?;
        door.open(plane.life.clone());
        let network = Arc::new(Network::default());
        let mut nodes = Vec::with_capacity(options.nodes);
        for index in 0..options.nodes {
            let index = u8::try_from(index).map_err(|_| Failure::Start("more than 256 nodes".to_owned()))?;
            let node = SimulatedNode::new(&world, index, directory.path(), network.clone(), door.clone()).await?;
            node.start_kubelet();
            nodes.push(node);
        }
        let cluster = Self {
            client: honest_client(&door, UserInfo::new("kubernetes-admin", &["system:masters"])),
            options: options.clone(),
            _volumes: Cleaner(world.volumes.clone()),
            world,
            door,
            plane: Mutex::new(Arc::new(plane)),
            nodes,
            network,
            token_key,
            _directory: directory,
        };
        cluster.eventually("all nodes are Ready", || cluster.nodes_ready()).await?;
        // Before that no Pod can be made.
        let account = || cluster.get(SERVICEACCOUNTS, NAMESPACE, "default").map(|_| ()).ok_or_else(String::new);
        cluster.eventually("the namespace has its service account", account).await?;
        Ok(cluster)
    }

    fn nodes_ready(&self) -> Result<(), String> {
        let nodes = self.list(api::resources::NODES, "");
        let ready = nodes.iter().filter(|node| is_true(&node.value(), "Ready")).count();
        if ready == self.nodes.len() { Ok(()) } else { Err(format!("{ready} of {} are", self.nodes.len())) }
    }

    // === what there is ===

    /// The API as `system:masters` sees it, without faults. While the control plane is down, requests fail.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The nodes.
    pub fn nodes(&self) -> &[SimulatedNode] {
        &self.nodes
    }

    /// The node called `name`.
    pub fn node(&self, name: &str) -> Result<&SimulatedNode, Failure> {
        let found = self.nodes.iter().find(|node| node.name == name);
        found.ok_or_else(|| Failure::Wrong(format!("there is no node {name:?}")))
    }

    /// The names of the directories of a node's volumes.
    pub fn volume_directories(&self, node: &str) -> Vec<String> {
        self.world.volumes.of(node)
    }

    /// The Pods' network.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The seed that all of it comes from.
    pub fn seed(&self) -> u64 {
        self.options.seed
    }

    /// Virtual time of day.
    pub fn now(&self) -> Timestamp {
        self.world.clock.now()
    }

    /// An object as it is now, also while the control plane is down.
    pub fn get(&self, resource: &'static Resource, namespace: &str, name: &str) -> Option<Arc<Object>> {
        let plane = self.plane.lock().clone();
        plane.life.server.caches().get(resource, namespace, name)
    }

    /// The objects of a namespace (or of the cluster, if `namespace` is empty) as they are now.
    pub fn list(&self, resource: &'static Resource, namespace: &str) -> Vec<Arc<Object>> {
        let plane = self.plane.lock().clone();
        plane.life.server.caches().list(resource, namespace)
    }

    /// The Pods of namespace `default` that are not being deleted.
    pub fn pods(&self) -> Vec<Value> {
        let pods = self.list(PODS, NAMESPACE).into_iter().filter(|pod| pod.meta().deletion_timestamp.is_none());
        pods.map(|pod| pod.value()).collect()
    }

    /// What `kubectl get deployment` shows of one in `default`: `READY UP-TO-DATE AVAILABLE`, as `2/2 2 2`.
    pub fn deployment_row(&self, name: &str) -> String {
        let object = self.get(DEPLOYMENTS, NAMESPACE, name);
        object.map_or_else(|| "(none)".to_owned(), |object| deployment_row(&object.value()))
    }

    /// The log so far.
    pub fn log(&self) -> &EventLog {
        &self.world.log
    }

    // === what users do ===

    /// Does a request again and again while the control plane is down. `request` has to bear being done twice.
    async fn insist<T>(&self, request: impl AsyncFn() -> Result<T, Failure>) -> Result<T, Failure> {
        let deadline = tokio::time::Instant::now() + self.options.patience;
        loop {
            match request().await {
                Err(Failure::Request(error))
                    if error.reason == Reason::ServiceUnavailable && tokio::time::Instant::now() < deadline =>
                {
                    tokio::time::sleep(RETRY_EVERY).await;
                }
                answer => return answer,
            }
        }
    }

    /// Creates each object of the YAML `text`, or merges it into the one that is there.
    pub async fn apply(&self, text: &str) -> Result<(), Failure> {
        self.insist(async || fixtures::apply(&self.client, text).await).await
    }

    /// Deletes an object, with the kind's own grace and propagation. Done if it is gone.
    pub async fn delete(&self, resource: &'static Resource, namespace: &str, name: &str) -> Result<(), Failure> {
        self.insist(async || match self.client.delete(resource, namespace, name, &DeleteOptions::default()).await {
            Err(error) if error.reason != Reason::NotFound => Err(error.into()),
            _ => Ok(()),
        })
        .await
    }

    /// Merges `patch` into a Deployment of `default`.
    pub async fn patch_deployment(&self, name: &str, patch: Value) -> Result<(), Failure> {
        self.change(name, PatchKind::Strategic, patch).await
    }

    async fn change(&self, name: &str, kind: PatchKind, patch: Value) -> Result<(), Failure> {
        self.insist(async || {
            self.client.patch(DEPLOYMENTS, NAMESPACE, name, kind, patch.clone()).await?;
            Ok(())
        })
        .await
    }

    /// `kubectl scale deployment`.
    pub async fn scale(&self, name: &str, replicas: u32) -> Result<(), Failure> {
        self.patch_deployment(name, json!({"spec": {"replicas": replicas}})).await
    }

    /// `kubectl set image deployment`, of the container that has the Deployment's name.
    pub async fn set_image(&self, name: &str, image: &str) -> Result<(), Failure> {
        let containers = json!([{"name": name, "image": image}]);
        self.patch_deployment(name, json!({"spec": {"template": {"spec": {"containers": containers}}}})).await
    }

    /// `kubectl rollout undo deployment`: the template of the revision before the newest one.
    pub async fn rollout_undo(&self, name: &str) -> Result<(), Failure> {
        let revision = |set: &Object| {
            let text = set.meta().annotations.get("deployment.kubernetes.io/revision");
            text.and_then(|text| text.parse::<u64>().ok()).unwrap_or(0)
        };
        let mut sets = self.list(REPLICASETS, NAMESPACE);
        sets.retain(|set| set.meta().controller().is_some_and(|owner| owner.name == name));
        sets.sort_by_key(|set| std::cmp::Reverse(revision(set)));
        let before =
            sets.get(1).ok_or_else(|| Failure::Wrong(format!("deployment {name:?} has no earlier revision")))?;
        let mut template = before.value()["spec"]["template"].take();
        if let Some(labels) = template["metadata"]["labels"].as_object_mut() {
            labels.remove("pod-template-hash");
        }
        let patch = json!([{"op": "replace", "path": "/spec/template", "value": template}]);
        self.change(name, PatchKind::Json, patch).await
    }

    /// Sets what the registry has under `image`, for all nodes.
    pub fn publish_image(&self, image: &str, what: &FakeImage) {
        for node in &self.nodes {
            node.images.publish(image, what.clone());
        }
    }

    /// Answers HTTP probes of the Pod with this address with `status` from now on.
    pub fn answer_probes(&self, pod: &Value, status: u16) -> Result<(), Failure> {
        let address: Option<IpAddr> = pod["status"]["podIP"].as_str().and_then(|ip| ip.parse().ok());
        let address = address.ok_or_else(|| Failure::Wrong("the pod has no address yet".to_owned()))?;
        self.network.answer(address, status);
        Ok(())
    }

    /// Lets a function answer the questions to a webhook's URL.
    pub fn answer_webhook(&self, url: &str, answer: impl Fn(&Value) -> Value + Send + Sync + 'static) {
        self.world.webhooks.listen(url, answer);
    }

    /// Lets a function answer requests to the API server behind a Service, `NAME.NAMESPACE.svc`: with a status, by path.
    pub fn answer_api_server(&self, name: &str, answer: impl Fn(&str) -> u16 + Send + Sync + 'static) {
        self.world.api_servers.listen(name, answer);
    }

    // === waiting ===

    /// Waits until `look` gives something, and gives that. `Err` says why not yet. `what` is for the failure.
    pub async fn eventually<T>(&self, what: &str, mut look: impl FnMut() -> Result<T, String>) -> Result<T, Failure> {
        let deadline = tokio::time::Instant::now() + self.options.patience;
        loop {
            let seen = self.world.log.len();
            self.invariants()?;
            match look() {
                Ok(value) => return Ok(value),
                Err(why) if tokio::time::Instant::now() >= deadline => {
                    return Err(Failure::Impatient { what: what.to_owned(), patience: self.options.patience, why });
                }
                Err(_) => self.next_commit(seen).await,
            }
        }
    }

    /// Returns after the next commit, or after some time.
    async fn next_commit(&self, seen: usize) {
        let plane = self.plane.lock().clone();
        let mut progress = plane.life.server.caches().progress();
        if self.world.log.len() == seen {
            // What a crashed server's cache says does not matter: then time passes.
            let _ = tokio::time::timeout(LOOK_EVERY, progress.changed()).await;
        }
    }

    /// Waits until a Deployment of `default` shows this row.
    pub async fn row_becomes(&self, name: &str, row: &str) -> Result<(), Failure> {
        let what = format!("deployment {name} shows {row:?}");
        let look = || {
            let shown = self.deployment_row(name);
            if shown == row { Ok(()) } else { Err(format!("it shows {shown:?}")) }
        };
        self.eventually(&what, look).await
    }

    /// Waits until a Deployment of `default` is rolled out, as `kubectl rollout status` does.
    pub async fn rolled_out(&self, name: &str) -> Result<(), Failure> {
        self.eventually(&format!("deployment {name} is rolled out"), || {
            let object = self.get(DEPLOYMENTS, NAMESPACE, name).ok_or("it does not exist")?;
            let value = object.value();
            let status = |field: &str| value["status"][field].as_i64().unwrap_or(0);
            let wanted = value["spec"]["replicas"].as_i64().unwrap_or(1);
            let seen = status("observedGeneration") >= object.meta().generation;
            let numbers = [status("replicas"), status("updatedReplicas"), status("availableReplicas")];
            if seen && numbers == [wanted; 3] { Ok(()) } else { Err(self.deployment_row(name)) }
        })
        .await
    }

    /// Lets virtual time pass.
    pub async fn pass(&self, time: Duration) -> Result<(), Failure> {
        tokio::time::sleep(time).await;
        self.invariants()
    }

    /// Writes a line into the log, for readers.
    pub fn note(&self, text: &str) {
        self.world.note(text);
    }

    // === what goes wrong ===

    /// The power of the control plane fails, and comes back after a while. What was acknowledged is there again.
    pub async fn crash(&self) -> Result<(), Failure> {
        self.door.close();
        let disk = self.plane.lock().crash();
        self.world.note("the control plane's power fails");
        let down = self.world.dice.up_to(DOWN_MAX);
        tokio::time::sleep(down).await;
        let plane = ControlPlane::start(&self.world, &self.token_key, disk).await?;
        self.world.note("the control plane is back");
        self.door.open(plane.life.clone());
        *self.plane.lock() = Arc::new(plane);
        self.nothing_lost()
    }

    /// Lets the faults of the options happen that come at a time. Ends only with a failure.
    pub(crate) async fn play_faults(&self) -> Failure {
        tokio::select! {
            biased;
            failure = self.play_crashes() => failure,
            failure = self.play_kubelet_restarts() => failure,
        }
    }

    async fn play_crashes(&self) -> Failure {
        let dice = &self.world.dice;
        let Some(mean) = dice.faults.crashes else { return std::future::pending().await };
        loop {
            tokio::time::sleep(dice.about(mean)).await;
            if let Err(failure) = self.crash().await {
                return failure;
            }
        }
    }

    async fn play_kubelet_restarts(&self) -> Failure {
        let dice = &self.world.dice;
        let Some(mean) = dice.faults.kubelet_restarts else { return std::future::pending().await };
        loop {
            tokio::time::sleep(dice.about(mean)).await;
            let node = &self.nodes[dice.below(self.nodes.len())];
            node.kill_kubelet();
            tokio::time::sleep(dice.up_to(DOWN_MAX)).await;
            node.start_kubelet();
        }
    }

    /// Whether all invariants hold: those of each commit so far, and those between API, datastore and runtimes.
    pub(crate) fn invariants(&self) -> Result<(), Failure> {
        self.world.invariants.lock().verdict()
    }

    /// Whether the datastore has all that was acknowledged, and nothing else.
    fn nothing_lost(&self) -> Result<(), Failure> {
        let store = self.plane.lock().store.clone();
        let stored = store.range("/registry/", None, 0, None).map_err(|error| Failure::Wrong(error.to_string()))?;
        self.world.invariants.lock().same_as(&stored)?;
        self.invariants()
    }

    /// Whether the nodes' runtimes agree: a Pod has a sandbox on one node at most, and an address to itself.
    pub(crate) async fn runtimes_agree(&self) -> Result<(), Failure> {
        let (mut nodes, mut addresses) = (BTreeMap::new(), BTreeMap::new());
        for node in &self.nodes {
            let sandboxes = node.runtime.list_pod_sandboxes(&PodSandboxFilter::default()).await.unwrap_or_default();
            for sandbox in sandboxes.into_iter().filter(|sandbox| sandbox.state == PodSandboxState::Ready) {
                let pod = &sandbox.metadata;
                if let Some(other) = nodes.insert(pod.uid.clone(), &node.name).filter(|other| **other != node.name) {
                    return Err(Failure::Wrong(format!("Pod {} runs on {other} and {}", pod.name, node.name)));
                }
                if sandbox.namespace_options.network == NamespaceMode::Node {
                    continue;
                }
                for ip in sandbox.ips {
                    if let Some(other) = addresses.insert(ip, pod.name.clone()) {
                        return Err(Failure::Wrong(format!("Pods {other} and {} both run with {ip}", pod.name)));
                    }
                }
            }
        }
        Ok(())
    }

    /// What has to be true at the end.
    pub(crate) async fn final_check(&self) -> Result<(), Failure> {
        self.runtimes_agree().await?;
        self.nothing_lost()
    }
}

/// `READY UP-TO-DATE AVAILABLE` of a Deployment.
pub(crate) fn deployment_row(deployment: &Value) -> String {
    let number = |field: &str| deployment["status"][field].as_i64().unwrap_or(0);
    let (ready, updated, available) = (number("readyReplicas"), number("updatedReplicas"), number("availableReplicas"));
    format!("{ready}/{} {updated} {available}", deployment["spec"]["replicas"].as_i64().unwrap_or(0))
}

/// Whether an object's condition of this type is `True`.
pub(crate) fn is_true(object: &Value, condition: &str) -> bool {
    let conditions = object["status"]["conditions"].as_array();
    conditions.into_iter().flatten().any(|c| c["type"] == condition && c["status"] == "True")
}
