//! The write path, one for all kinds: decode, default, mutating admission, prepare, validate, validating admission,
//! commit by compare-and-swap.

use std::sync::Arc;

use apimachinery::{
    AdmissionRequest, ApiError, FieldError, FieldPath, Object, Operation, Reader, Reason, Resource, Subresource,
    WriteContext,
};
use bytes::Bytes;
use client::Target;
use datastore::{CommitError, Expect, Op, Revision};
use serde_json::Value;

use super::{Engine, FieldValidation, RequestContext, convert, key, meta_text, metadata, scale};
use crate::catalog::KindRules;

/// Tries of a write that does not insist on a resource version, before the client is told of the conflict.
const RETRY_MAX: usize = 16;

/// What an update makes of the object as it is.
pub(crate) type Change<'a> = &'a (dyn Fn(&Value) -> Result<Value, ApiError> + Send + Sync);

/// The resource version on which a write insists. `0` insists on none.
fn insisted(value: &Value) -> &str {
    Some(meta_text(value, "resourceVersion")).filter(|version| *version != "0").unwrap_or_default()
}

impl Engine {
    /// Creates an object.
    pub async fn create(
        &self,
        context: &mut RequestContext,
        target: Target<'_>,
        mut value: Value,
    ) -> Result<Arc<Object>, ApiError> {
        let resource = target.resource;
        metadata::check_kind(resource, &mut value)?;
        self.decode(context, resource, &mut value)?;
        metadata::check_namespace(target, &mut value)?;
        if !meta_text(&value, "resourceVersion").is_empty() {
            return Err(ApiError::bad_request("resourceVersion should not be set on objects to be created"));
        }
        let strategy = self.rules(resource)?;
        if let KindRules::Custom(served) = &strategy
            && served.ty.terminating
        {
            let text = "create not allowed while custom resource definition is terminating";
            return Err(ApiError::new(Reason::MethodNotAllowed, 405, text.to_owned()));
        }
        convert::to_storage(resource, &mut value);
        let now = self.clock.now();
        metadata::begin(&mut value, now, &self.random, context.applies);
        strategy.default(&mut value);
        self.admit(context, Operation::Create, target, &mut value, None).await?;
        strategy.default(&mut value);
        strategy.prepare_for_create(&mut value, &self.write_context(context, target, now));
        metadata::tidy(&mut value);
        if resource.is(api::resources::SERVICES) {
            registry::services::default_ip_families(&mut value, &["IPv4"]);
        }
        let mut faults = registry::metadata::validate(&value["metadata"], resource.namespaced(), &|name, prefix| {
            strategy.validate_name(name, prefix)
        });
        faults.extend(strategy.validate(&value));
        let name = meta_text(&value, "name").to_owned();
        check(resource, &name, &faults)?;
        context.warnings.extend(strategy.warnings(&value, None));
        let reserved = self.service_network.reserve(&*self.caches, &self.random, resource, &mut value, None)?;
        self.validate(context, Operation::Create, target, &mut value, None).await?;
        let generated = !meta_text(&value, "generateName").is_empty();
        let stored = self.to_stored(resource, &value).await?;
        let charged = self.charge(context, Operation::Create, target, &mut value, None).await?;
        if context.dry_run {
            // What is not written has no revision.
            let object = Object::from_json(stored).map_err(ApiError::internal)?;
            return self.served(resource, Arc::new(object)).await;
        }
        let op = Op::Put { key: key(resource, target.namespace, &name), value: stored.clone(), expect: Expect::Absent };
        let committed = match self.datastore.commit(op).await {
            Ok(committed) => committed,
            Err(error) => {
                self.give_back(charged).await;
                return Err(create_error(error, resource, &name, generated));
            }
        };
        let object = self.published(resource, &stored, committed.revision).await?;
        drop(reserved);
        self.served(resource, object).await
    }

    /// Replaces an object, or creates it where the kind allows that. True if it was created.
    pub async fn update(
        &self,
        context: &mut RequestContext,
        target: Target<'_>,
        mut value: Value,
    ) -> Result<(Arc<Object>, bool), ApiError> {
        if target.subresource == "scale" {
            return Ok((self.update_scale(context, target, value).await?, false));
        }
        let resource = target.resource;
        metadata::check_kind(resource, &mut value)?;
        self.decode(context, resource, &mut value)?;
        let exists = self.caches.get(resource, target.namespace, target.name).is_some();
        let strategy = self.rules(resource)?;
        if !exists && target.subresource.is_empty() && strategy.allow_create_on_update() {
            return Ok((self.create(context, target, value).await?, true));
        }
        if !strategy.allow_unconditional_update() && insisted(&value).is_empty() {
            let fault =
                FieldError::invalid(&FieldPath::new("metadata.resourceVersion"), 0, "must be specified for an update");
            return Err(ApiError::invalid(resource.group, resource.kind, target.name, &[fault]));
        }
        convert::to_storage(resource, &mut value);
        let object = self.change(context, target, &|_| Ok(value.clone())).await?;
        Ok((self.served(resource, object).await?, false))
    }

    async fn update_scale(
        &self,
        context: &mut RequestContext,
        target: Target<'_>,
        scale: Value,
    ) -> Result<Arc<Object>, ApiError> {
        let parent = Target { subresource: "", ..target };
        let rules = self.rules(target.resource)?;
        let change = |current: &Value| scale::apply(target.resource, &rules, current, &scale);
        let object = self.change(context, parent, &change).await?;
        scale::read(target.resource, &rules, &*self.served(target.resource, object).await?)
    }

    /// Changes an object as `change` says. If somebody else writes in between and the new object does not insist on a
    /// resource version, `change` is asked again with the newer object. Gives the object as it is stored.
    pub(super) async fn change(
        &self,
        context: &mut RequestContext,
        target: Target<'_>,
        change: Change<'_>,
    ) -> Result<Arc<Object>, ApiError> {
        let resource = target.resource;
        for _ in 0..RETRY_MAX {
            let current = self.stored(target)?;
            let old = self.live(resource, &current).await?;
            let mut new = change(&old)?;
            let given = insisted(&new);
            if !given.is_empty() && given != meta_text(&old, "resourceVersion") {
                let given: u64 = given.parse().map_err(|_| {
                    ApiError::bad_request(format!(
                        "metadata.resourceVersion {given:?} is not one that this server gave"
                    ))
                })?;
                // The client may have seen a write that the cache has yet to take over.
                if given > current.meta().resource_version && given <= self.datastore.revision().0 {
                    self.caches.wait_for(given).await?;
                    continue;
                }
                return Err(ApiError::modified(resource.group, resource.plural, target.name));
            }
            let warned = context.warnings.len();
            let reserved = self.prepare_update(context, target, &mut new, &old).await?;
            if gone(&new) && !self.rules(resource)?.keeps_deleted(&new) {
                return self.remove(context, target, &current, &new).await;
            }
            let stored = self.to_stored(resource, &new).await?;
            // What was stored in another version than now is written anew, even if it says the same.
            let before = if resource.is_custom() { &current.value() } else { &old };
            if Object::to_stored(before).map_err(ApiError::internal)? == stored {
                return Ok(current);
            }
            let charged = self.charge(context, Operation::Update, target, &mut new, Some(&old)).await?;
            if context.dry_run {
                return super::written(&stored, current.meta().resource_version);
            }
            let replaced = self.replace(target, &current, &stored).await;
            drop(reserved);
            if !matches!(replaced, Ok(Some(_))) {
                self.give_back(charged).await;
            }
            match replaced? {
                Some(object) => return Ok(object),
                None => context.warnings.truncate(warned),
            }
        }
        Err(ApiError::modified(resource.group, resource.plural, target.name))
    }

    /// Everything between the change and the commit.
    async fn prepare_update<'a>(
        &'a self,
        context: &mut RequestContext,
        target: Target<'_>,
        new: &mut Value,
        old: &Value,
    ) -> Result<crate::service_network::Reserved<'a>, ApiError> {
        let resource = target.resource;
        let strategy = self.rules(resource)?;
        let resets_owners = metadata::carry_over(target, new, old, context.applies)?;
        strategy.default(new);
        let now = self.clock.now();
        let mut admitted = std::mem::take(new);
        let write_context = self.write_context(context, target, now);
        strategy.prepare_for_update(&mut admitted, old, &write_context);
        self.admit(context, Operation::Update, target, &mut admitted, Some(old)).await?;
        *new = admitted;
        metadata::tidy(new);
        let subresource = subresource(target.subresource);
        let mut faults = registry::metadata::validate_update(&new["metadata"], &old["metadata"]);
        faults.extend(strategy.validate_update(new, old, subresource));
        check(resource, target.name, &faults)?;
        if subresource == Subresource::None {
            context.warnings.extend(strategy.warnings(new, Some(old)));
        }
        if !context.applies && !resets_owners {
            self.track(context, target, new, old)?;
        }
        let reserved = self.service_network.reserve(&*self.caches, &self.random, resource, new, Some(old))?;
        self.validate(context, Operation::Update, target, new, Some(old)).await?;
        Ok(reserved)
    }

    /// Makes the body what a Go server would have decoded, and deals with unknown fields as the client wishes.
    pub(crate) fn decode(
        &self,
        context: &mut RequestContext,
        resource: &'static Resource,
        value: &mut Value,
    ) -> Result<(), ApiError> {
        let decoded = if resource.is_custom() {
            self.caches.catalog().custom_type(resource)?.ty.decode(value)
        } else {
            let schemas = api::schemas();
            let Some(ty) = schemas.find(resource.schema) else { return Ok(()) };
            schemas.decode_fix(value, ty)
        };
        let unknown = decoded.map_err(|error| {
            ApiError::bad_request(format!(
                "{} in version {:?} cannot be handled as a {}: {error}",
                resource.kind, resource.version, resource.kind
            ))
        })?;
        let mut texts: Vec<String> = unknown.iter().map(ToString::to_string).collect();
        texts.append(&mut context.duplicates);
        match context.field_validation {
            _ if texts.is_empty() => {}
            FieldValidation::Ignore => {}
            FieldValidation::Warn => context.warnings.extend(texts),
            FieldValidation::Strict => return Err(strict_error(resource, &texts)),
        }
        Ok(())
    }

    fn write_context<'a>(
        &'a self,
        context: &'a RequestContext,
        target: Target<'a>,
        now: jiff::Timestamp,
    ) -> WriteContext<'a> {
        WriteContext {
            now,
            random: &self.random,
            subresource: subresource(target.subresource),
            user: &context.user.name,
        }
    }

    /// Runs the mutating half of all admission plugins, and then of those that are asked over the network.
    pub(crate) async fn admit(
        &self,
        context: &mut RequestContext,
        operation: Operation,
        target: Target<'_>,
        object: &mut Value,
        old: Option<&Value>,
    ) -> Result<(), ApiError> {
        let name = admitted_name(target, object);
        let mut request = self.admission_request(context, operation, Target { name: &name, ..target }, object, old);
        self.admission.iter().try_for_each(|plugin| plugin.admit(&mut request, &self.authorizer))?;
        let changed = self.remote_admission.admit(&mut request, &*self.caches).await?;
        if changed && matches!(operation, Operation::Create | Operation::Update) {
            // Whoever changed it knows neither the schema nor its defaults.
            let mut quiet = RequestContext::of(context.user.clone());
            self.decode(&mut quiet, target.resource, object)?;
            self.rules(target.resource)?.default(object);
        }
        Ok(())
    }

    /// Runs the validating half.
    pub(crate) async fn validate(
        &self,
        context: &mut RequestContext,
        operation: Operation,
        target: Target<'_>,
        object: &mut Value,
        old: Option<&Value>,
    ) -> Result<(), ApiError> {
        let name = admitted_name(target, object);
        let mut request = self.admission_request(context, operation, Target { name: &name, ..target }, object, old);
        self.admission.iter().try_for_each(|plugin| plugin.validate(&mut request, &self.authorizer))?;
        self.remote_admission.validate(&mut request, &*self.caches).await
    }

    pub(super) fn admission_request<'a>(
        &self,
        context: &'a mut RequestContext,
        operation: Operation,
        target: Target<'a>,
        object: &'a mut Value,
        old: Option<&'a Value>,
    ) -> AdmissionRequest<'a> {
        AdmissionRequest {
            operation,
            resource: target.resource,
            subresource: target.subresource,
            namespace: target.namespace,
            name: target.name,
            object,
            old,
            user: &context.user,
            now: self.clock.now(),
            dry_run: context.dry_run,
            warnings: &mut context.warnings,
        }
    }

    /// Commits the new state of an object if nobody has written since `current`. `None` if somebody has; the cache knows
    /// that write by then.
    pub(super) async fn replace(
        &self,
        target: Target<'_>,
        current: &Object,
        stored: &Bytes,
    ) -> Result<Option<Arc<Object>>, ApiError> {
        let op = Op::Put {
            key: key(target.resource, target.namespace, target.name),
            value: stored.clone(),
            expect: Expect::ModRevision(Revision(current.meta().resource_version)),
        };
        match self.datastore.commit(op).await {
            Ok(committed) => self.published(target.resource, stored, committed.revision).await.map(Some),
            Err(CommitError::Conflict { found, .. }) => {
                self.after_conflict(found.map(|kv| kv.mod_revision)).await?;
                Ok(None)
            }
            Err(other) => Err(commit_error(other)),
        }
    }

    /// The object of a committed write: the very one that the cache holds.
    pub(super) async fn published(
        &self,
        resource: &'static Resource,
        stored: &[u8],
        revision: Revision,
    ) -> Result<Arc<Object>, ApiError> {
        // It is committed, whoever learns of it.
        let _ = self.caches.wait_for(revision.0).await;
        match self.caches.of(resource).and_then(|cache| cache.event_at(revision.0)) {
            Some(event) => Ok(event.object),
            None => super::written(stored, revision.0),
        }
    }

    /// Lets the cache catch up with the write that won.
    pub(super) async fn after_conflict(&self, found: Option<Revision>) -> Result<(), ApiError> {
        let at = found.unwrap_or_else(|| self.datastore.revision());
        self.caches.wait_for(at.0).await
    }
}

/// What a client sees of a creation that could not be committed.
fn create_error(error: CommitError, resource: &Resource, name: &str, generated: bool) -> ApiError {
    let CommitError::Conflict { .. } = error else { return commit_error(error) };
    let mut exists = ApiError::already_exists(resource.group, resource.plural, name);
    if generated {
        exists.retry_after_seconds = 1;
    }
    exists
}

/// The name of the object that is asked for; the body's where the request has none, as in a creation.
pub(super) fn admitted_name(target: Target<'_>, object: &Value) -> String {
    if target.name.is_empty() { meta_text(object, "name").to_owned() } else { target.name.to_owned() }
}

/// Whether nothing holds a deleted object any more.
pub(super) fn gone(value: &Value) -> bool {
    let metadata = &value["metadata"];
    metadata["deletionTimestamp"].is_string()
        && metadata["deletionGracePeriodSeconds"].as_i64().unwrap_or(0) == 0
        && metadata["finalizers"].as_array().is_none_or(Vec::is_empty)
}

/// The answer to strict validation's findings.
fn strict_error(resource: &Resource, texts: &[String]) -> ApiError {
    ApiError::bad_request(format!(
        "{} in version {:?} cannot be handled as a {}: strict decoding error: {}",
        resource.kind,
        resource.version,
        resource.kind,
        texts.join(", ")
    ))
}

fn subresource(name: &str) -> Subresource<'_> {
    match name {
        "" => Subresource::None,
        "status" => Subresource::Status,
        other => Subresource::Other(other),
    }
}

fn check(resource: &Resource, name: &str, faults: &[FieldError]) -> Result<(), ApiError> {
    if faults.is_empty() { Ok(()) } else { Err(ApiError::invalid(resource.group, resource.kind, name, faults)) }
}

/// What a client sees of a datastore that can't write.
pub(super) fn commit_error(error: CommitError) -> ApiError {
    match error {
        CommitError::TooLarge { .. } => {
            ApiError::new(apimachinery::Reason::RequestEntityTooLarge, 413, error.to_string())
        }
        CommitError::StoreFull { .. } => ApiError::internal(error),
        other => ApiError::unavailable(other.to_string()),
    }
}
