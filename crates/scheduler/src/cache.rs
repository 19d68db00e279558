//! The nodes with their Pods, kept up to date by what informers tell, so that a decision finds its snapshot ready
//! (upstream: `pkg/scheduler/backend/cache`, `pkg/scheduler/backend/queue/nominator.go`). Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::core::v1::Node;

use crate::plugins::reservable;
use crate::pod_info::PodInfo;
use crate::snapshot::{NodeInfo, Snapshot};
use crate::volumes::{Reservation, Volumes};

/// What the scheduler knows of nodes and of Pods that have one, or are to have one.
#[derive(Debug, Default)]
pub struct Cache {
    nodes: BTreeMap<String, Arc<NodeInfo>>,
    /// The node of each Pod that has one, by the Pod's uid.
    placed: BTreeMap<String, String>,
    /// By node, then uid: those of nodes that are not known yet, too.
    pods: BTreeMap<String, BTreeMap<String, Arc<PodInfo>>>,
    /// The uids of Pods that are being bound.
    assumed: BTreeSet<String>,
    /// By node.
    nominated: Arc<BTreeMap<String, Vec<Arc<PodInfo>>>>,
    /// The node of each nominated Pod, by the Pod's uid.
    nominations: BTreeMap<String, String>,
    volumes: Arc<Volumes>,
}

impl Cache {
    /// What a decision sees.
    pub fn snapshot(&self) -> Snapshot {
        let nodes = self.nodes.values().cloned().collect();
        Snapshot { nodes, nominated: self.nominated.clone(), volumes: self.volumes.clone() }
    }

    /// A node came or changed.
    pub fn set_node(&mut self, node: Arc<Node>) {
        let name = node.metadata.name.clone().unwrap_or_default();
        let allocatable = |node: &Node| node.status.as_ref().and_then(|status| status.allocatable.clone());
        if let Some(info) = self.nodes.get_mut(&name)
            && allocatable(&info.node) == allocatable(&node)
        {
            Arc::make_mut(info).node = node;
            return;
        }
        let mut info = NodeInfo::new(node);
        self.pods.get(&name).into_iter().flat_map(BTreeMap::values).for_each(|pod| info.add(pod.clone()));
        self.nodes.insert(name, Arc::new(info));
    }

    /// A node that is known.
    pub(crate) fn node(&self, name: &str) -> Option<&Arc<Node>> {
        self.nodes.get(name).map(|info| &info.node)
    }

    /// A node is gone.
    pub fn remove_node(&mut self, name: &str) {
        self.nodes.remove(name);
    }

    /// A Pod runs on a node, or has changed there. Gives what was known of it there.
    pub fn place(&mut self, node: &str, pod: Arc<PodInfo>) -> Option<Arc<PodInfo>> {
        let before = self.displace(pod.uid());
        self.nominate(&pod, None);
        self.placed.insert(pod.uid().to_owned(), node.to_owned());
        if let Some(info) = self.nodes.get_mut(node) {
            Arc::make_mut(info).add(pod.clone());
        }
        self.pods.entry(node.to_owned()).or_default().insert(pod.uid().to_owned(), pod);
        before
    }

    /// A Pod runs no longer. Gives what was known of it.
    pub fn displace(&mut self, uid: &str) -> Option<Arc<PodInfo>> {
        self.assumed.remove(uid);
        let node = self.placed.remove(uid)?;
        if let Some(info) = self.nodes.get_mut(&node) {
            Arc::make_mut(info).remove(uid);
        }
        let pods = self.pods.get_mut(&node)?;
        let pod = pods.remove(uid);
        if pods.is_empty() {
            self.pods.remove(&node);
        }
        pod
    }

    /// A Pod is being bound to a node and counts there at once.
    pub fn assume(&mut self, node: &str, pod: Arc<PodInfo>) {
        let uid = pod.uid().to_owned();
        self.place(node, pod);
        self.assumed.insert(uid);
    }

    /// Whether a Pod is being bound.
    pub fn is_assumed(&self, uid: &str) -> bool {
        self.assumed.contains(uid)
    }

    /// The binding failed. What informers have said of the Pod meanwhile stays.
    pub fn forget(&mut self, uid: &str) {
        if self.assumed.contains(uid) {
            self.displace(uid);
        }
    }

    /// Takes what the Pod's claims get on its node for done.
    pub(crate) fn reserve(&mut self, node: &str, pod: &PodInfo) -> Reservation {
        let info = self.nodes.get(node).filter(|_| !pod.claims.is_empty());
        match info.and_then(|info| reservable(pod, &self.volumes, &info.node)) {
            Some(found) => self.volumes_mut().reserve(found, node),
            None => Reservation::default(),
        }
    }

    /// Claims, volumes and classes.
    pub(crate) fn volumes(&self) -> &Volumes {
        &self.volumes
    }

    /// The same, to change them.
    pub fn volumes_mut(&mut self) -> &mut Volumes {
        Arc::make_mut(&mut self.volumes)
    }

    /// A Pod waits for room on this node, or on none.
    pub fn nominate(&mut self, pod: &Arc<PodInfo>, node: Option<&str>) {
        self.withdraw(pod.uid());
        if let Some(node) = node {
            self.nominations.insert(pod.uid().to_owned(), node.to_owned());
            Arc::make_mut(&mut self.nominated).entry(node.to_owned()).or_default().push(pod.clone());
        }
    }

    /// A Pod waits on no node any more. Says whether it did.
    pub fn withdraw(&mut self, uid: &str) -> bool {
        let Some(node) = self.nominations.remove(uid) else { return false };
        let nominated = Arc::make_mut(&mut self.nominated);
        if let Some(pods) = nominated.get_mut(&node) {
            pods.retain(|pod| pod.uid() != uid);
            if pods.is_empty() {
                nominated.remove(&node);
            }
        }
        true
    }

    /// The node on which a Pod waits for room.
    pub fn nomination(&self, uid: &str) -> Option<&str> {
        self.nominations.get(uid).map(String::as_str)
    }

    /// The Pods that wait for room on a node.
    pub fn nominated_on(&self, node: &str) -> Vec<Arc<PodInfo>> {
        self.nominated.get(node).cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
