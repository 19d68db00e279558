//! Owner references: who controls an object, taking matching orphans, letting go of what no longer matches
//! (upstream: `pkg/controller/controller_ref_manager.go`).

use std::sync::Arc;

use api::resources::JOBS;
use apimachinery::labels::Selector;
use apimachinery::{ApiError, Object, Reason, Resource};
use client::{Change, Client, Informer, PatchKind, Store, WorkQueue};
use serde_json::{Value, json};

/// The index of objects by their controller's uid; orphans are under their namespace.
pub(crate) const BY_CONTROLLER: &str = "controller-uid";

/// The values of [`BY_CONTROLLER`].
pub(crate) fn controller_uids(object: &Object) -> Vec<String> {
    match object.meta().controller() {
        Some(owner) => vec![owner.uid.clone()],
        None => vec![orphans_of(&object.meta().namespace)],
    }
}

/// The index value of a namespace's orphans.
fn orphans_of(namespace: &str) -> String {
    format!("orphan:{namespace}")
}

/// A handler that adds the changed object itself.
pub(crate) fn enqueue(queue: &WorkQueue) -> impl Fn(&Change) + Send + Sync + 'static {
    let queue = queue.clone();
    move |change| queue.add(change.object().meta().key())
}

/// A handler that adds the controller of the changed object, if it is of `kind`; before and after the change.
pub(crate) fn enqueue_controller(queue: &WorkQueue, kind: &'static str) -> impl Fn(&Change) + Send + Sync + 'static {
    let queue = queue.clone();
    move |change| {
        let add = |object: &Object| {
            if let Some(owner) = object.meta().controller().filter(|owner| owner.kind == kind) {
                queue.add(format!("{}/{}", object.meta().namespace, owner.name));
            }
        };
        if let Change::Updated(before, _) = change {
            add(before);
        }
        add(change.object());
    }
}

/// A handler that adds those of `owners` whose selector matches the changed object, if nobody controls it: one of them
/// takes it then.
pub(crate) fn enqueue_adopters(
    queue: &WorkQueue,
    owners: &Informer,
    selector: fn(&Object) -> Option<Selector>,
) -> impl Fn(&Change) + Send + Sync + 'static {
    let (queue, owners) = (queue.clone(), owners.clone());
    move |change| {
        let meta = change.object().meta();
        if meta.controller().is_none() && !meta.labels.is_empty() {
            for owner in owners.store().in_namespace(&meta.namespace) {
                if selector(&owner).is_some_and(|selector| selector.matches(&meta.labels)) {
                    queue.add(owner.meta().key());
                }
            }
        }
    }
}

/// The selector of a kind whose `spec.selector` is a `LabelSelector`.
pub(crate) fn label_selector(object: &Object) -> Option<Selector> {
    Selector::from_label_selector(&object.value()["spec"]["selector"]).ok()
}

/// What `owner` may own: the objects that it controls, and the orphans of its namespace. Needs [`BY_CONTROLLER`].
pub(crate) fn candidates(store: &Store, owner: &Object) -> Vec<Arc<Object>> {
    let mut found = store.by_index(BY_CONTROLLER, &owner.meta().uid);
    found.extend(store.by_index(BY_CONTROLLER, &orphans_of(&owner.meta().namespace)));
    found
}

/// The reference to `object`, which is of `resource`, that its dependents carry.
pub(crate) fn reference(resource: &Resource, object: &Object) -> Value {
    let meta = object.meta();
    json!({
        "apiVersion": resource.api_version(), "kind": resource.kind, "name": meta.name, "uid": meta.uid,
        "controller": true, "blockOwnerDeletion": true,
    })
}

/// Takes and releases objects of `resource` for `object`, which is of `owner`.
pub(crate) struct Claim<'a> {
    pub(crate) client: &'a Client,
    pub(crate) resource: &'static Resource,
    pub(crate) owner: &'static Resource,
    pub(crate) object: &'a Object,
}

impl Claim<'_> {
    /// The candidates that belong to the owner, and the revision of the last write that this took.
    pub(crate) async fn run(
        &self,
        selector: &Value,
        candidates: Vec<Arc<Object>>,
    ) -> Result<(Vec<Arc<Object>>, u64), ApiError> {
        let selector =
            Selector::from_label_selector(selector).map_err(|error| ApiError::bad_request(error.to_string()))?;
        self.run_where(|candidate| selector.matches(&candidate.meta().labels), candidates).await
    }

    /// As [`Claim::run`], of the candidates for which `fits` holds.
    pub(crate) async fn run_where(
        &self,
        fits: impl Fn(&Object) -> bool,
        candidates: Vec<Arc<Object>>,
    ) -> Result<(Vec<Arc<Object>>, u64), ApiError> {
        let owner = self.object.meta();
        let mut claimed = Vec::new();
        let mut revision = 0;
        for candidate in candidates {
            let meta = candidate.meta();
            let matches = fits(&candidate);
            match meta.controller() {
                Some(controller) if controller.uid != owner.uid => {}
                Some(_) if matches => claimed.push(candidate),
                Some(_) if owner.deletion_timestamp.is_some() => {}
                Some(_) => revision = revision.max(self.release(&candidate).await?),
                None if !matches || owner.deletion_timestamp.is_some() || meta.deletion_timestamp.is_some() => {}
                None => {
                    if let Some(adopted) = self.adopt(&candidate).await? {
                        revision = revision.max(adopted.meta().resource_version);
                        claimed.push(adopted);
                    }
                }
            }
        }
        Ok((claimed, revision))
    }

    async fn adopt(&self, candidate: &Object) -> Result<Option<Arc<Object>>, ApiError> {
        // The copy may be behind: an owner that was deleted and made again must not adopt for the old one.
        let owner = self.object.meta();
        let fresh = self.client.get(self.owner, &owner.namespace, &owner.name).await?;
        if fresh.meta().uid != owner.uid || fresh.meta().deletion_timestamp.is_some() {
            return Ok(None);
        }
        let reference = reference(self.owner, self.object);
        let mut patch = json!({"metadata": {"uid": candidate.meta().uid, "ownerReferences": [reference]}});
        if self.owner.is(JOBS) {
            // A Job keeps its Pods until it has counted them.
            patch["metadata"]["finalizers"] = json!([crate::job::FINALIZER]);
        }
        self.patch(candidate, patch).await
    }

    async fn release(&self, candidate: &Object) -> Result<u64, ApiError> {
        let patch = json!({"metadata": {"uid": candidate.meta().uid, "ownerReferences": [
            {"$patch": "delete", "uid": self.object.meta().uid},
        ]}});
        Ok(self.patch(candidate, patch).await?.map_or(0, |object| object.meta().resource_version))
    }

    async fn patch(&self, candidate: &Object, patch: Value) -> Result<Option<Arc<Object>>, ApiError> {
        let meta = candidate.meta();
        match self.client.patch(self.resource, &meta.namespace, &meta.name, PatchKind::Strategic, patch).await {
            Ok(object) => Ok(Some(object)),
            Err(error) if matches!(error.reason, Reason::NotFound | Reason::Invalid | Reason::Conflict) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
