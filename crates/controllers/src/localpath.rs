//! The provisioner of `skiff/local-path`: a volume is a directory of the node on which the claim's first Pod runs
//! (upstream has it as `sig-storage-lib-external-provisioner`, of one node each).

mod install;
mod plan;

use std::sync::Arc;

use api::resources::{NODES, PERSISTENTVOLUMECLAIMS, PERSISTENTVOLUMES, STORAGECLASSES};
use apimachinery::{ApiError, Object, Reason};
use async_trait::async_trait;
use client::{
    Client, DeleteOptions, EventRecorder, Informer, ObjectReference, Outcome, ReconcileError, Reconciler, WorkQueue,
    run_controller,
};
use k8s_openapi::api::core::v1::{Node, PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::StorageClass;
use registry::volumes::class_of_claim;

use crate::context::ControllerContext;
use crate::owner;
use crate::said::{self, Said};
use crate::settled::settled;
pub use install::install;
use plan::{ClaimStep, FINALIZER, Observed, PROVISIONER, Place, VolumeStep};

const NAME: &str = "local-path-provisioner";

/// Directories of nodes, for volumes.
#[async_trait]
pub trait VolumeDirectories: Send + Sync + std::fmt::Debug {
    /// Whether directories can be made on this node.
    fn has(&self, node: &str) -> bool;

    /// Makes the directory `name` on `node`, or finds it; gives its path there. Anybody may write into it.
    async fn create(&self, node: &str, name: &str) -> Result<String, String>;

    /// Removes that directory with all that is in it. Done if it is not there.
    async fn remove(&self, node: &str, name: &str) -> Result<(), String>;
}

struct Provisioner {
    client: Client,
    recorder: EventRecorder,
    context: ControllerContext,
    claims: Informer,
    volumes: Informer,
    classes: Informer,
    nodes: Informer,
}

/// Starts the provisioner. Keys are those of claims (`namespace/name`) and of volumes (`name`).
pub(crate) fn start(context: &ControllerContext) {
    let client = context.client(NAME);
    let queue = WorkQueue::new();
    let [claims, volumes, classes, nodes] = [PERSISTENTVOLUMECLAIMS, PERSISTENTVOLUMES, STORAGECLASSES, NODES]
        .map(|resource| context.informers.of(resource));
    claims.on_change(owner::enqueue(&queue));
    volumes.on_change(owner::enqueue(&queue));
    let recorder = context.recorder(client.clone(), PROVISIONER);
    let provisioner = Provisioner { client, recorder, context: context.clone(), claims, volumes, classes, nodes };
    run_controller(&context.supervisor, &queue, 1, Arc::new(provisioner));
}

#[async_trait]
impl Reconciler for Provisioner {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn reconcile(&self, key: &str) -> Result<Outcome, ReconcileError> {
        self.context.informers.synced().await;
        let done = if key.contains('/') { self.sync_claim(key).await } else { self.sync_volume(key).await };
        match done {
            Ok(()) => Ok(Outcome::Done),
            Err(error) => settled(error),
        }
    }
}

impl Provisioner {
    // === claims ===

    async fn sync_claim(&self, key: &str) -> Result<(), ApiError> {
        let Some(object) = self.claims.store().get(key) else { return Ok(()) };
        let claim = object.typed::<PersistentVolumeClaim>().map_err(ApiError::internal)?;
        let class =
            self.classes.store().get(class_of_claim(&claim)).and_then(|class| class.typed::<StorageClass>().ok());
        let node = registry::volumes::selected_node(&claim).and_then(|name| self.nodes.store().get(name));
        let node = node.and_then(|node| node.typed::<Node>().ok());
        let step = plan::claim(&Observed {
            claim: &claim,
            class: class.as_deref(),
            node: node.as_deref(),
            exists: self.volumes.store().get(&plan::volume_name(&object.meta().uid)).is_some(),
        });
        match step {
            ClaimStep::None => Ok(()),
            ClaimStep::Refuse(why) => {
                self.tell(&object, Said::warning("ProvisioningFailed", why));
                Ok(())
            }
            ClaimStep::Reschedule(why) => {
                self.tell(&object, Said::warning("ProvisioningFailed", why));
                let mut body = object.value();
                if let Some(annotations) = body["metadata"]["annotations"].as_object_mut() {
                    annotations.remove(registry::volumes::SELECTED_NODE);
                }
                let meta = object.meta();
                let updated = self.client.update(PERSISTENTVOLUMECLAIMS, &meta.namespace, &meta.name, body).await?;
                self.claims.caught_up(updated.meta().resource_version).await;
                Ok(())
            }
            ClaimStep::Provision(place) => self.provision(&object, &claim, class.as_deref(), &place).await,
        }
    }

    async fn provision(
        &self,
        object: &Object,
        claim: &PersistentVolumeClaim,
        class: Option<&StorageClass>,
        place: &Place,
    ) -> Result<(), ApiError> {
        let directories = &self.context.volume_directories;
        if !directories.has(&place.node) {
            return Ok(());
        }
        let key = object.meta().key();
        self.tell(
            object,
            Said::normal("Provisioning", format!("External provisioner is provisioning volume for claim {key:?}")),
        );
        let path = match directories.create(&place.node, &place.directory).await {
            Ok(path) => path,
            Err(why) => {
                self.tell(object, Said::warning("ProvisioningFailed", why.clone()));
                return Err(ApiError::internal(why));
            }
        };
        let body = plan::persistent_volume(claim, class, place, &path);
        match self.client.create(PERSISTENTVOLUMES, "", body).await {
            Ok(made) => self.volumes.caught_up(made.meta().resource_version).await,
            Err(error) if error.reason == Reason::AlreadyExists => {}
            Err(error) => {
                let why = format!("failed to save volume {}: {error}", place.directory);
                self.tell(object, Said::warning("ProvisioningFailed", why));
                return Err(error);
            }
        }
        let text = format!("Successfully provisioned volume {}", place.directory);
        self.tell(object, Said::normal("ProvisioningSucceeded", text));
        Ok(())
    }

    fn tell(&self, claim: &Object, said: Said) {
        said::record(&self.recorder, &ObjectReference::to(PERSISTENTVOLUMECLAIMS, claim), [said]);
    }

    // === volumes ===

    async fn sync_volume(&self, name: &str) -> Result<(), ApiError> {
        let Some(object) = self.volumes.store().get(name) else { return Ok(()) };
        let volume = object.typed::<PersistentVolume>().map_err(ApiError::internal)?;
        match plan::volume(&volume) {
            VolumeStep::None => Ok(()),
            VolumeStep::Finalizers(finalizers) => self.set_finalizers(&object, finalizers).await,
            VolumeStep::Delete(place) => self.delete(&object, &place).await,
        }
    }

    async fn delete(&self, object: &Object, place: &Place) -> Result<(), ApiError> {
        let directories = &self.context.volume_directories;
        let node = self.node_called(&place.node);
        if !directories.has(&node) {
            return Ok(());
        }
        if let Err(why) = directories.remove(&node, &place.directory).await {
            let about = ObjectReference::to(PERSISTENTVOLUMES, object);
            said::record(&self.recorder, &about, [Said::warning("VolumeFailedDelete", why.clone())]);
            return Err(ApiError::internal(why));
        }
        let meta = object.meta();
        if meta.deletion_timestamp.is_none() {
            let revision = self.client.delete(PERSISTENTVOLUMES, "", &meta.name, &DeleteOptions::default()).await?;
            self.volumes.caught_up(revision).await;
        }
        let Some(left) = self.volumes.store().get(&meta.name) else { return Ok(()) };
        let finalizers = left.meta().finalizers.iter().filter(|finalizer| *finalizer != FINALIZER);
        self.set_finalizers(&left, finalizers.cloned().collect()).await
    }

    /// The node whose host name a volume wants.
    fn node_called(&self, hostname: &str) -> String {
        let nodes = self.nodes.store().list();
        let node =
            nodes.iter().find(|node| node.meta().labels.get(plan::HOSTNAME).is_some_and(|name| name == hostname));
        node.map_or_else(|| hostname.to_owned(), |node| node.meta().name.clone())
    }

    async fn set_finalizers(&self, object: &Object, finalizers: Vec<String>) -> Result<(), ApiError> {
        let mut body = object.value();
        body["metadata"]["finalizers"] = finalizers.into();
        let updated = self.client.update(PERSISTENTVOLUMES, "", &object.meta().name, body).await?;
        self.volumes.caught_up(updated.meta().resource_version).await;
        Ok(())
    }
}
