//! Deletion: preconditions, grace, finalizers, what happens to dependants, and then the removal
//! (upstream: `registry/rest/delete.go` and `registry/generic/registry/store.go`).

use std::sync::Arc;

use apimachinery::{ApiError, Object, Operation, Reader};
use client::{DeleteOptions, ListOptions, Preconditions, Propagation, Target};
use datastore::{CommitError, Expect, Op, Revision};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::write::{commit_error, gone};
use super::{Engine, RequestContext, key, metadata};
use crate::catalog::KindRules;

/// Tries against other writers of the same object.
const RETRY_MAX: usize = 16;
const ORPHAN: &str = "orphan";
const FOREGROUND: &str = "foregroundDeletion";

/// What became of a deletion.
#[derive(Debug, Clone)]
pub struct Deleted {
    /// The object: its last state, or as it lives on.
    pub object: Arc<Object>,
    /// Whether it is gone already.
    pub removed: bool,
}

impl Engine {
    /// Deletes an object, or begins to.
    pub async fn delete(
        &self,
        context: &mut RequestContext,
        target: Target<'_>,
        options: &DeleteOptions,
    ) -> Result<Deleted, ApiError> {
        let resource = target.resource;
        let rules = self.rules(resource)?;
        for _ in 0..RETRY_MAX {
            let current = self.stored(target)?;
            check_preconditions(target, &current, &options.preconditions)?;
            let mut nothing = Value::Null;
            let live = self.live(resource, &current).await?;
            self.admit(context, Operation::Delete, target, &mut nothing, Some(&live)).await?;
            self.validate(context, Operation::Delete, target, &mut nothing, Some(&live)).await?;
            // Its marks are metadata, which is the same in all versions.
            let old = if resource.is_custom() { current.value() } else { live };
            let new = self.begin_deletion(&rules, &old, options);
            if gone(&new) && !rules.keeps_deleted(&new) {
                match self.remove_once(context, target, &current, &new).await? {
                    Some(object) => {
                        return Ok(Deleted { object: self.served(resource, object).await?, removed: true });
                    }
                    None => continue,
                }
            }
            if new == old {
                return Ok(Deleted { object: self.served(resource, current).await?, removed: false });
            }
            let stored = Object::to_stored(&new).map_err(ApiError::internal)?;
            if context.dry_run {
                let object = super::written(&stored, current.meta().resource_version)?;
                return Ok(Deleted { object: self.served(resource, object).await?, removed: false });
            }
            if let Some(object) = self.replace(target, &current, &stored).await? {
                return Ok(Deleted { object: self.served(resource, object).await?, removed: false });
            }
        }
        Err(ApiError::modified(resource.group, resource.plural, target.name))
    }

    /// Deletes every selected object of a collection; gives them as they were.
    pub async fn delete_collection(
        &self,
        context: &mut RequestContext,
        target: Target<'_>,
        options: &DeleteOptions,
        selection: &ListOptions,
    ) -> Result<Vec<Arc<Object>>, ApiError> {
        let list = self.list(target, selection).await?;
        for object in &list.items {
            let one = Target { namespace: &object.meta().namespace, name: &object.meta().name, ..target };
            match self.delete(context, one, options).await {
                Err(error) if error.code != 404 => return Err(error),
                _ => {}
            }
        }
        Ok(list.items)
    }

    /// The object as its deletion leaves it: unchanged but for the deletion marks and finalizers.
    fn begin_deletion(&self, strategy: &KindRules, old: &Value, options: &DeleteOptions) -> Value {
        let now = self.clock.now();
        let mut new = old.clone();
        let grace = strategy.grace_period_seconds(old, options.grace_period_seconds).unwrap_or(0).max(0);
        // As upstream, a kind that is older than the garbage collector leaves its dependants if nobody says otherwise.
        let held = old["metadata"]["finalizers"].as_array().into_iter().flatten();
        let decided = held.into_iter().any(|finalizer| finalizer == ORPHAN || finalizer == FOREGROUND);
        let by_default = (strategy.orphans_dependants() && !decided).then_some(Propagation::Orphan);
        set_propagation(&mut new, options.propagation.or(by_default));
        let metadata = &old["metadata"];
        match metadata["deletionGracePeriodSeconds"].as_i64() {
            Some(_) if metadata["deletionTimestamp"].is_string() => {
                let earlier = metadata["deletionGracePeriodSeconds"].as_i64().unwrap_or(0);
                let begun = metadata["deletionTimestamp"].as_str().and_then(|t| t.parse::<Timestamp>().ok());
                // A later request can only shorten what is left.
                if grace < earlier
                    && let Some(end) = begun
                {
                    let start = end.checked_sub(SignedDuration::from_secs(earlier)).unwrap_or(now);
                    let ends = start.checked_add(SignedDuration::from_secs(grace)).unwrap_or(now);
                    new["metadata"]["deletionTimestamp"] = metadata::time(ends.max(now.min(end)));
                    new["metadata"]["deletionGracePeriodSeconds"] = json!(grace);
                }
            }
            _ => {
                let ends = now.checked_add(SignedDuration::from_secs(grace)).unwrap_or(now);
                new["metadata"]["deletionTimestamp"] = metadata::time(ends);
                new["metadata"]["deletionGracePeriodSeconds"] = json!(grace);
                if let Some(generation) = metadata["generation"].as_i64() {
                    new["metadata"]["generation"] = json!(generation + 1);
                }
                strategy.begin_deletion(&mut new);
            }
        }
        new
    }

    /// Removes an object whose last hold went away by an update.
    pub(super) async fn remove(
        &self,
        context: &mut RequestContext,
        target: Target<'_>,
        current: &Arc<Object>,
        last: &Value,
    ) -> Result<Arc<Object>, ApiError> {
        let resource = target.resource;
        match self.remove_once(context, target, current, last).await? {
            Some(object) => Ok(object),
            None => Err(ApiError::modified(resource.group, resource.plural, target.name)),
        }
    }

    /// Removes the object if it is still `current`; `None` if somebody else wrote in between.
    async fn remove_once(
        &self,
        context: &RequestContext,
        target: Target<'_>,
        current: &Arc<Object>,
        last: &Value,
    ) -> Result<Option<Arc<Object>>, ApiError> {
        let stored = Object::to_stored(last).map_err(ApiError::internal)?;
        if context.dry_run {
            return super::written(&stored, current.meta().resource_version).map(Some);
        }
        let op = Op::Delete {
            key: key(target.resource, target.namespace, target.name),
            expect: Expect::ModRevision(Revision(current.meta().resource_version)),
        };
        match self.datastore.commit(op).await {
            Ok(committed) => {
                let _ = self.caches.wait_for(committed.revision.0).await;
                super::written(&stored, committed.revision.0).map(Some)
            }
            Err(CommitError::Conflict { found, .. }) => {
                self.after_conflict(found.map(|kv| kv.mod_revision)).await?;
                Ok(None)
            }
            Err(CommitError::NotFound { .. }) => {
                self.after_conflict(None).await?;
                Ok(None)
            }
            Err(other) => Err(commit_error(other)),
        }
    }

    /// Deletes objects of `resource` that `expired` chooses: the server's own housekeeping, such as of old Events.
    pub async fn expire(&self, resource: &'static apimachinery::Resource, expired: impl Fn(&Object) -> bool) {
        for object in self.caches.list(resource, "").into_iter().filter(|object| expired(object)) {
            let meta = object.meta();
            let op = Op::Delete {
                key: key(resource, &meta.namespace, &meta.name),
                expect: Expect::ModRevision(Revision(meta.resource_version)),
            };
            // Somebody else may have written or deleted it: then it is not ours to expire.
            let _ = self.datastore.commit(op).await;
        }
    }
}

fn set_propagation(value: &mut Value, propagation: Option<Propagation>) {
    let Some(propagation) = propagation else { return };
    let mut finalizers: Vec<Value> = value["metadata"]["finalizers"].as_array().cloned().unwrap_or_default();
    finalizers.retain(|f| f != ORPHAN && f != FOREGROUND);
    match propagation {
        Propagation::Orphan => finalizers.push(json!(ORPHAN)),
        Propagation::Foreground => finalizers.push(json!(FOREGROUND)),
        Propagation::Background => {}
    }
    if finalizers.is_empty() {
        if let Some(metadata) = value["metadata"].as_object_mut() {
            metadata.remove("finalizers");
        }
    } else {
        value["metadata"]["finalizers"] = Value::Array(finalizers);
    }
}

fn check_preconditions(target: Target<'_>, object: &Object, wanted: &Preconditions) -> Result<(), ApiError> {
    let (resource, meta) = (target.resource, object.meta());
    let refuse = |what: &str, wanted: &str, actual: &str| {
        let why = format!("Precondition failed: {what} in precondition: {wanted}, {what} in object meta: {actual}");
        Err(ApiError::conflict(resource.group, resource.plural, target.name, &why))
    };
    match (&wanted.uid, wanted.resource_version) {
        (Some(uid), _) if *uid != meta.uid => refuse("UID", uid, &meta.uid),
        (_, Some(version)) if version != meta.resource_version => {
            refuse("ResourceVersion", &version.to_string(), &meta.resource_version.to_string())
        }
        _ => Ok(()),
    }
}
