//! How many Pods the owners of a budget's Pods want.

use std::collections::BTreeMap;
use std::sync::Arc;

use api::resources::{CUSTOMRESOURCEDEFINITIONS, DEPLOYMENTS, REPLICASETS, REPLICATIONCONTROLLERS, STATEFULSETS};
use apimachinery::{Object, OwnerReference, Reason, Resource};
use client::{Client, Informers, Target};

use super::plan::Scale;
use crate::custom_resources::served;

/// Where the owners' numbers come from.
pub(super) struct Owners {
    client: Client,
    informers: Informers,
}

impl Owners {
    /// Reads from informers what there are informers of.
    pub(super) fn new(client: Client, informers: &Informers) -> Self {
        for resource in [DEPLOYMENTS, REPLICASETS, REPLICATIONCONTROLLERS, STATEFULSETS, CUSTOMRESOURCEDEFINITIONS] {
            informers.of(resource);
        }
        Self { client, informers: informers.clone() }
    }

    /// The sum over all controllers of these Pods; why it can't be told.
    pub(super) async fn scale(&self, pods: &[Arc<Object>]) -> Result<Scale, String> {
        let mut scale = Scale::default();
        let mut seen: BTreeMap<String, i32> = BTreeMap::new();
        for pod in pods {
            let meta = pod.meta();
            let Some(owner) = meta.controller() else {
                scale.unmanaged = true;
                continue;
            };
            if seen.contains_key(&owner.uid) {
                continue;
            }
            let found = match self.known(owner, &meta.namespace) {
                None => self.scaled(owner, &meta.namespace).await?,
                found => found,
            };
            let (uid, replicas) = found.ok_or_else(|| format!("found no controllers for pod {:?}", meta.name))?;
            seen.insert(uid, replicas);
        }
        scale.replicas = seen.values().sum();
        Ok(scale)
    }

    fn object(&self, resource: &'static Resource, owner: &OwnerReference, namespace: &str) -> Option<Arc<Object>> {
        if owner.kind != resource.kind || owner.api_version != resource.api_version() {
            return None;
        }
        let object = self.informers.of(resource).store().get(&format!("{namespace}/{}", owner.name));
        object.filter(|object| object.meta().uid == owner.uid)
    }

    /// The uid and the replicas of an owner whose kind is known; of a ReplicaSet that a Deployment controls, the
    /// Deployment's.
    fn known(&self, owner: &OwnerReference, namespace: &str) -> Option<(String, i32)> {
        let direct = [REPLICATIONCONTROLLERS, STATEFULSETS, REPLICASETS];
        let object = direct.into_iter().find_map(|resource| self.object(resource, owner, namespace))?;
        let above = object.meta().controller().filter(|above| above.kind == DEPLOYMENTS.kind);
        let object = match above {
            Some(deployment) => self.object(DEPLOYMENTS, deployment, namespace)?,
            None => object,
        };
        Some((object.meta().uid.clone(), replicas(&object)))
    }

    /// The same of any other owner, if its kind can be scaled.
    async fn scaled(&self, owner: &OwnerReference, namespace: &str) -> Result<Option<(String, i32)>, String> {
        let (group, version) = owner.api_version.split_once('/').unwrap_or(("", &owner.api_version));
        let custom = served(&self.informers.of(CUSTOMRESOURCEDEFINITIONS));
        let resource = api::find_kind(group, version, &owner.kind)
            .or_else(|| custom.into_iter().find(|resource| resource.group == group && resource.kind == owner.kind))
            .ok_or_else(|| format!("no matches for kind {:?} in version {:?}", owner.kind, owner.api_version))?;
        if !resource.subresources.iter().any(|subresource| subresource.name == "scale") {
            let dot = if group.is_empty() { "" } else { "." };
            return Err(format!("{}{dot}{group} does not implement the scale subresource", resource.plural));
        }
        let target = Target::object(resource, namespace, &owner.name).subresource("scale");
        match self.client.transport().get(target).await {
            Ok(scale) if scale.meta().uid == owner.uid => Ok(Some((owner.uid.clone(), replicas(&scale)))),
            Ok(_) => Ok(None),
            Err(error) if error.reason == Reason::NotFound => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    }
}

fn replicas(object: &Object) -> i32 {
    object.value()["spec"]["replicas"].as_i64().and_then(|replicas| i32::try_from(replicas).ok()).unwrap_or(0)
}
