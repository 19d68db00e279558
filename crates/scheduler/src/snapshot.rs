//! The nodes and their Pods as one decision sees them.

use std::collections::BTreeMap;
use std::sync::Arc;

use apimachinery::Quantity;
use k8s_openapi::api::core::v1::{Container, Node, Pod, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as QuantityText;

/// CPU that a container without a request counts as for scoring (upstream's `DefaultMilliCPURequest`).
const DEFAULT_MILLI_CPU: i64 = 100;
/// Memory that it counts as.
const DEFAULT_MEMORY: i64 = 200 << 20;

/// Amounts of resources.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resources {
    /// CPU in thousandths of a core.
    pub milli_cpu: i64,
    /// Memory in bytes.
    pub memory: i64,
    /// Ephemeral storage in bytes.
    pub ephemeral_storage: i64,
    /// Everything else by name.
    pub other: BTreeMap<String, i64>,
}

impl Resources {
    fn from_list(list: Option<&BTreeMap<String, QuantityText>>) -> Self {
        let mut resources = Self::default();
        for (name, text) in list.into_iter().flatten() {
            let Ok(quantity) = text.0.parse::<Quantity>() else { continue };
            match name.as_str() {
                "cpu" => resources.milli_cpu = quantity.milli_value(),
                "memory" => resources.memory = quantity.value(),
                "ephemeral-storage" => resources.ephemeral_storage = quantity.value(),
                "pods" => {}
                other => {
                    resources.other.insert(other.to_owned(), quantity.value());
                }
            }
        }
        resources
    }

    /// Adds `other`.
    pub fn add(&mut self, other: &Self) {
        self.milli_cpu += other.milli_cpu;
        self.memory += other.memory;
        self.ephemeral_storage += other.ephemeral_storage;
        for (name, amount) in &other.other {
            *self.other.entry(name.clone()).or_default() += amount;
        }
    }

    fn max(&mut self, other: &Self) {
        self.milli_cpu = self.milli_cpu.max(other.milli_cpu);
        self.memory = self.memory.max(other.memory);
        self.ephemeral_storage = self.ephemeral_storage.max(other.ephemeral_storage);
        for (name, amount) in &other.other {
            let entry = self.other.entry(name.clone()).or_default();
            *entry = (*entry).max(*amount);
        }
    }
}

fn requests(resources: Option<&ResourceRequirements>, with_defaults: bool) -> Resources {
    let mut found = Resources::from_list(resources.and_then(|r| r.requests.as_ref()));
    if with_defaults {
        let asks = |name: &str| resources.and_then(|r| r.requests.as_ref()).is_some_and(|r| r.contains_key(name));
        if !asks("cpu") {
            found.milli_cpu = DEFAULT_MILLI_CPU;
        }
        if !asks("memory") {
            found.memory = DEFAULT_MEMORY;
        }
    }
    found
}

/// What a Pod needs at once: its containers and sidecars together, or its largest init container with the sidecars
/// before it, and its overhead (upstream: `component-helpers/resource.PodRequests`).
fn pod_requests(pod: &Pod, with_defaults: bool) -> Resources {
    let Some(spec) = &pod.spec else { return Resources::default() };
    let of = |c: &Container| requests(c.resources.as_ref(), with_defaults);
    let mut total = Resources::default();
    spec.containers.iter().for_each(|c| total.add(&of(c)));
    let (mut sidecars, mut init) = (Resources::default(), Resources::default());
    for container in spec.init_containers.iter().flatten() {
        let mut need = of(container);
        if container.restart_policy.as_deref() == Some("Always") {
            sidecars.add(&need);
            init.max(&sidecars);
        } else {
            need.add(&sidecars);
            init.max(&need);
        }
    }
    total.add(&sidecars);
    total.max(&init);
    total.add(&Resources::from_list(spec.overhead.as_ref()));
    total
}

/// A Pod with what plugins ask of it, worked out once.
#[derive(Debug, Clone)]
pub struct PodInfo {
    /// The Pod.
    pub pod: Arc<Pod>,
    /// What it needs.
    pub requests: Resources,
    /// The same, with something assumed for containers that say nothing.
    pub scoring_requests: Resources,
}

impl PodInfo {
    /// Works out what `pod` needs.
    pub fn new(pod: Arc<Pod>) -> Self {
        let (requests, scoring_requests) = (pod_requests(&pod, false), pod_requests(&pod, true));
        Self { pod, requests, scoring_requests }
    }

    /// The namespace.
    pub fn namespace(&self) -> &str {
        self.pod.metadata.namespace.as_deref().unwrap_or_default()
    }

    /// The name.
    pub fn name(&self) -> &str {
        self.pod.metadata.name.as_deref().unwrap_or_default()
    }

    /// The uid.
    pub fn uid(&self) -> &str {
        self.pod.metadata.uid.as_deref().unwrap_or_default()
    }

    /// The labels.
    pub fn labels(&self) -> BTreeMap<String, String> {
        self.pod.metadata.labels.clone().unwrap_or_default()
    }

    /// The host ports that it takes: protocol, address, port.
    pub fn host_ports(&self) -> Vec<(String, String, i32)> {
        let Some(spec) = &self.pod.spec else { return Vec::new() };
        let sidecars = spec.init_containers.iter().flatten().filter(|c| c.restart_policy.as_deref() == Some("Always"));
        let containers = spec.containers.iter().chain(sidecars);
        let ports = containers.flat_map(|c| c.ports.iter().flatten());
        ports
            .filter_map(|port| {
                let number = port.host_port.filter(|n| *n > 0)?;
                let protocol = port.protocol.clone().unwrap_or_else(|| "TCP".to_owned());
                let address = port.host_ip.clone().filter(|ip| !ip.is_empty()).unwrap_or_else(|| "0.0.0.0".to_owned());
                Some((protocol, address, number))
            })
            .collect()
    }
}

/// A node with its Pods.
#[derive(Debug, Clone)]
pub struct NodeInfo {
    /// The node.
    pub node: Arc<Node>,
    /// What it offers to Pods.
    pub allocatable: Resources,
    /// How many Pods it takes.
    pub allowed_pods: i64,
    /// Its Pods.
    pub pods: Vec<PodInfo>,
    /// What its Pods need.
    pub requested: Resources,
    /// The same, with something assumed for containers that say nothing.
    pub scoring_requested: Resources,
}

impl NodeInfo {
    /// A node without Pods.
    pub fn new(node: Arc<Node>) -> Self {
        let allocatable = node.status.as_ref().and_then(|s| s.allocatable.as_ref());
        let pods = allocatable.and_then(|a| a.get("pods")).and_then(|q| q.0.parse::<Quantity>().ok());
        Self {
            allocatable: Resources::from_list(allocatable),
            allowed_pods: pods.map_or(0, |q| q.value()),
            pods: Vec::new(),
            requested: Resources::default(),
            scoring_requested: Resources::default(),
            node,
        }
    }

    /// The name.
    pub fn name(&self) -> &str {
        self.node.metadata.name.as_deref().unwrap_or_default()
    }

    /// A label's value.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.node.metadata.labels.as_ref().and_then(|l| l.get(key)).map(String::as_str)
    }

    /// Adds a Pod.
    pub fn add(&mut self, pod: PodInfo) {
        self.requested.add(&pod.requests);
        self.scoring_requested.add(&pod.scoring_requests);
        self.pods.push(pod);
    }
}

/// All nodes, ordered by name.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// The nodes.
    pub nodes: Vec<NodeInfo>,
}

impl Snapshot {
    /// The snapshot of `nodes` with `pods`, each on the node that is given with it.
    pub fn new(nodes: Vec<Arc<Node>>, pods: impl IntoIterator<Item = (String, PodInfo)>) -> Self {
        let mut by_name: BTreeMap<String, NodeInfo> = nodes
            .into_iter()
            .map(|node| (node.metadata.name.clone().unwrap_or_default(), NodeInfo::new(node)))
            .collect();
        for (node, pod) in pods {
            if let Some(info) = by_name.get_mut(&node) {
                info.add(pod);
            }
        }
        Self { nodes: by_name.into_values().collect() }
    }
}
