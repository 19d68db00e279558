//! The nodes and their Pods as one decision sees them.

use std::collections::BTreeMap;
use std::sync::Arc;

use apimachinery::Quantity;
use k8s_openapi::api::core::v1::Node;

use crate::pod_info::PodInfo;
use crate::resources::Resources;
use crate::volumes::Volumes;

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
    pub pods: Vec<Arc<PodInfo>>,
    /// What its Pods need.
    pub requested: Resources,
    /// The same, with something assumed for containers that say nothing.
    pub scoring_requested: Resources,
    /// How many of its Pods say anything of other Pods.
    pub minding: usize,
}

impl NodeInfo {
    /// A node without Pods.
    pub fn new(node: Arc<Node>) -> Self {
        let listed = node.status.as_ref().and_then(|status| status.allocatable.as_ref()).into_iter().flatten();
        let allocatable: BTreeMap<String, Quantity> =
            listed.filter_map(|(name, text)| Some((name.clone(), text.0.parse().ok()?))).collect();
        Self {
            allocatable: Resources::of(&allocatable),
            allowed_pods: allocatable.get("pods").map_or(0, Quantity::value),
            pods: Vec::new(),
            requested: Resources::default(),
            scoring_requested: Resources::default(),
            minding: 0,
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
    pub fn add(&mut self, pod: Arc<PodInfo>) {
        self.requested.add(&pod.requests);
        self.scoring_requested.add(&pod.scoring_requests);
        self.minding += usize::from(pod.minds_others());
        self.pods.push(pod);
    }

    /// Takes a Pod away.
    pub fn remove(&mut self, uid: &str) {
        let Some(at) = self.pods.iter().position(|pod| pod.uid() == uid) else { return };
        let pod = self.pods.remove(at);
        self.requested.sub(&pod.requests);
        self.scoring_requested.sub(&pod.scoring_requests);
        self.minding -= usize::from(pod.minds_others());
    }
}

/// All nodes, ordered by name. Cheap to clone: what is changed in a clone is copied then.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// The nodes.
    pub nodes: Vec<Arc<NodeInfo>>,
    /// By node: Pods that are to run there as soon as there is room.
    pub nominated: Arc<BTreeMap<String, Vec<Arc<PodInfo>>>>,
    /// Claims, volumes and classes.
    pub volumes: Arc<Volumes>,
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
                info.add(Arc::new(pod));
            }
        }
        Self { nodes: by_name.into_values().map(Arc::new).collect(), ..Self::default() }
    }

    /// Where a node is in [`Self::nodes`].
    pub fn find(&self, name: &str) -> Option<usize> {
        self.nodes.binary_search_by(|node| node.name().cmp(name)).ok()
    }

    /// The node at `index`, to change it in this snapshot alone.
    pub(crate) fn change(&mut self, index: usize) -> &mut NodeInfo {
        Arc::make_mut(&mut self.nodes[index])
    }
}
