//! Claims, volumes and classes as decisions see them: what the server has, and over it what was decided and is not written
//! yet (upstream: `pkg/scheduler/framework/plugins/volumebinding/{assume_cache,passive_assume_cache,binder}.go`). Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node, ObjectReference, PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use registry::volumes::{
    BOUND_BY_CONTROLLER, SELECTED_NODE, fits_labels, is_bound_to, is_fully_bound, selected_node, volume_of,
};

/// Objects of one kind, and what they are assumed to become. What the server says later counts more.
#[derive(Debug, Clone)]
struct Assumable<T> {
    known: BTreeMap<String, Arc<T>>,
    assumed: BTreeMap<String, Arc<T>>,
    meta: fn(&T) -> &ObjectMeta,
}

impl<T> Assumable<T> {
    fn new(meta: fn(&T) -> &ObjectMeta) -> Self {
        Self { known: BTreeMap::new(), assumed: BTreeMap::new(), meta }
    }

    fn version<'a>(&self, object: &'a T) -> Option<&'a str> {
        (self.meta)(object).resource_version.as_deref()
    }

    fn set(&mut self, key: String, object: Arc<T>) {
        if self.assumed.get(&key).is_some_and(|assumed| self.version(assumed) != self.version(&object)) {
            self.assumed.remove(&key);
        }
        self.known.insert(key, object);
    }

    fn remove(&mut self, key: &str) {
        self.known.remove(key);
        self.assumed.remove(key);
    }

    fn get(&self, key: &str) -> Option<&Arc<T>> {
        self.assumed.get(key).or_else(|| self.known.get(key))
    }

    /// Takes `object` for what is there, if it was made of what the server has now.
    fn assume(&mut self, key: &str, object: Arc<T>) {
        if self.known.get(key).is_some_and(|known| self.version(known) == self.version(&object)) {
            self.assumed.insert(key.to_owned(), object);
        }
    }

    fn restore(&mut self, key: &str, object: &T) {
        if self.assumed.get(key).is_some_and(|assumed| self.version(assumed) == self.version(object)) {
            self.assumed.remove(key);
        }
    }
}

/// What is known of claims, volumes and classes.
#[derive(Debug, Clone)]
pub struct Volumes {
    claims: Assumable<PersistentVolumeClaim>,
    volumes: Assumable<PersistentVolume>,
    classes: BTreeMap<String, Arc<StorageClass>>,
}

impl Default for Volumes {
    fn default() -> Self {
        Self {
            claims: Assumable::new(|claim| &claim.metadata),
            volumes: Assumable::new(|volume| &volume.metadata),
            classes: BTreeMap::new(),
        }
    }
}

/// `namespace/name`, or the name.
pub(crate) fn key(meta: &ObjectMeta) -> String {
    let name = meta.name.as_deref().unwrap_or_default();
    meta.namespace.as_ref().map_or_else(|| name.to_owned(), |namespace| format!("{namespace}/{name}"))
}

impl Volumes {
    /// A claim came or changed.
    pub fn set_claim(&mut self, claim: Arc<PersistentVolumeClaim>) {
        self.claims.set(key(&claim.metadata), claim);
    }

    /// A claim is gone.
    pub fn remove_claim(&mut self, key: &str) {
        self.claims.remove(key);
    }

    /// A volume came or changed.
    pub fn set_volume(&mut self, volume: Arc<PersistentVolume>) {
        self.volumes.set(key(&volume.metadata), volume);
    }

    /// A volume is gone.
    pub fn remove_volume(&mut self, name: &str) {
        self.volumes.remove(name);
    }

    /// A class came or changed.
    pub fn set_class(&mut self, class: Arc<StorageClass>) {
        self.classes.insert(key(&class.metadata), class);
    }

    /// A class is gone.
    pub fn remove_class(&mut self, name: &str) {
        self.classes.remove(name);
    }

    /// A claim as it is or is assumed to be.
    pub fn claim(&self, namespace: &str, name: &str) -> Option<&Arc<PersistentVolumeClaim>> {
        self.claims.get(&format!("{namespace}/{name}"))
    }

    /// A volume as it is or is assumed to be.
    pub fn volume(&self, name: &str) -> Option<&Arc<PersistentVolume>> {
        self.volumes.get(name)
    }

    /// All volumes as they are or are assumed to be.
    pub fn volumes(&self) -> impl Iterator<Item = &Arc<PersistentVolume>> {
        self.volumes.known.iter().map(|(name, known)| self.volumes.assumed.get(name).unwrap_or(known))
    }

    /// A class.
    pub fn class(&self, name: &str) -> Option<&Arc<StorageClass>> {
        self.classes.get(name)
    }

    /// Takes what was decided for done, until the server says what came of it.
    pub(crate) fn reserve(&mut self, found: Found, node: &str) -> Reservation {
        let mut reservation = Reservation::default();
        for (claim, volume) in found.bindings {
            let bound = bind(&volume, &claim);
            self.volumes.assume(&key(&volume.metadata), bound.clone());
            reservation.bindings.push(Binding { claim, written: *bound == *volume, volume: bound });
        }
        for claim in found.provisions {
            let mut sent = (*claim).clone();
            sent.metadata.annotations.get_or_insert_default().insert(SELECTED_NODE.to_owned(), node.to_owned());
            let sent = Arc::new(sent);
            self.claims.assume(&key(&claim.metadata), sent.clone());
            reservation.provisions.push(sent);
        }
        reservation
    }

    /// Nothing came of it.
    pub(crate) fn release(&mut self, reservation: &Reservation) {
        for binding in &reservation.bindings {
            self.volumes.restore(&key(&binding.volume.metadata), &binding.volume);
        }
        for claim in &reservation.provisions {
            self.claims.restore(&key(&claim.metadata), claim);
        }
    }

    /// Whether all that a Pod on `node` waits for is bound; `Err` if it can't become so and the Pod must be decided on again.
    pub(crate) fn is_bound(&self, reservation: &Reservation, node: &Node) -> Result<bool, String> {
        let name = node.metadata.name.as_deref().unwrap_or_default();
        let reached = |volume: &PersistentVolume| match fits_labels(volume, node.metadata.labels.as_ref()) {
            true => Ok(()),
            false => Err(format!(
                "pv {:?} node affinity doesn't match node {name:?}: no matching NodeSelectorTerms",
                volume.metadata.name.as_deref().unwrap_or_default()
            )),
        };
        let claim_of = |claim: &PersistentVolumeClaim| {
            let key = key(&claim.metadata);
            self.claims.known.get(&key).ok_or_else(|| format!("persistentvolumeclaims {key:?} not found"))
        };
        let failed = |error: String| format!("failed to check binding: {error}");
        for binding in &reservation.bindings {
            let name = binding.volume.metadata.name.as_deref().unwrap_or_default();
            let missing = || failed(format!("persistentvolumes {name:?} not found"));
            let volume = self.volumes.known.get(name).ok_or_else(missing)?;
            let claim = claim_of(&binding.claim).map_err(failed)?;
            reached(volume)?;
            let reference = volume.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref());
            if reference.and_then(|reference| reference.uid.as_deref()).unwrap_or_default().is_empty() {
                return Err(format!("ClaimRef got reset for pv {name:?}"));
            }
            if !is_fully_bound(claim) {
                return Ok(false);
            }
        }
        for wanted in &reservation.provisions {
            let claim = claim_of(wanted).map_err(|error| format!("failed to check provisioning pvc: {error}"))?;
            let called = claim.metadata.name.as_deref().unwrap_or_default();
            if claim.metadata.annotations.is_none() {
                return Err(format!("selectedNode annotation reset for PVC {called:?}"));
            }
            // A provisioner that can't make the volume there takes the node away, so that another is looked for.
            if selected_node(claim) != Some(name) {
                return Err(format!("provisioning failed for PVC {called:?}"));
            }
            if !volume_of(claim).is_empty() {
                let Some(volume) = self.volumes.known.get(volume_of(claim)) else { return Ok(false) };
                reached(volume)?;
            }
            if !is_fully_bound(claim) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// A volume that is given to a claim.
fn bind(volume: &Arc<PersistentVolume>, claim: &PersistentVolumeClaim) -> Arc<PersistentVolume> {
    let of = &claim.metadata;
    let mut bound = (**volume).clone();
    let spec = bound.spec.get_or_insert_default();
    let reference = spec.claim_ref.as_ref();
    if reference.is_none_or(|r| r.name != of.name || r.namespace != of.namespace || r.uid != of.uid) {
        spec.claim_ref = Some(ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("PersistentVolumeClaim".to_owned()),
            name: of.name.clone(),
            namespace: of.namespace.clone(),
            resource_version: of.resource_version.clone(),
            uid: of.uid.clone(),
            ..ObjectReference::default()
        });
    }
    if !is_bound_to(volume, claim) {
        let annotations = bound.metadata.annotations.get_or_insert_default();
        annotations.entry(BOUND_BY_CONTROLLER.to_owned()).or_insert_with(|| "yes".to_owned());
    }
    Arc::new(bound)
}

/// What a Pod's claims would get on a node.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Volumes that are there.
    pub(crate) bindings: Vec<(Arc<PersistentVolumeClaim>, Arc<PersistentVolume>)>,
    /// Claims whose volumes are to be made there.
    pub(crate) provisions: Vec<Arc<PersistentVolumeClaim>>,
}

/// What has to be written before a Pod can be bound to its node, and waited for.
#[derive(Debug, Default)]
pub(crate) struct Reservation {
    pub(crate) bindings: Vec<Binding>,
    /// With the node that is to be written.
    pub(crate) provisions: Vec<Arc<PersistentVolumeClaim>>,
}

/// A volume with the claim that is to be written into it.
#[derive(Debug)]
pub(crate) struct Binding {
    pub(crate) claim: Arc<PersistentVolumeClaim>,
    pub(crate) volume: Arc<PersistentVolume>,
    /// Whether the server has it so already.
    pub(crate) written: bool,
}

impl Reservation {
    /// Whether there is nothing to do.
    pub(crate) fn is_empty(&self) -> bool {
        self.bindings.is_empty() && self.provisions.is_empty()
    }
}

#[cfg(test)]
mod tests;
