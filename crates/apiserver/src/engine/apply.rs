//! Server-side apply, and who owns the fields of objects that somebody has applied
//! (upstream: `apimachinery/pkg/util/managedfields`, `apiserver/pkg/endpoints/handlers/patch.go`).
//!
//! `metadata.managedFields` is kept from the first apply on: an object that nobody applies costs nothing. What it held
//! before belongs to `before-first-apply`, as upstream has it for objects that were not tracked.

use std::sync::Arc;

use apimachinery::apply::{
    ApplyError, Conflict, FieldSet, Manager, Managers, Operation as Owning, PathElement, Place, apply, compare,
    fields_of,
};
use apimachinery::{ApiError, Cause, FieldError, FieldPath, Object, Reader, Reason, Resource};
use client::Target;
use serde_json::{Value, json};

use super::{Engine, RequestContext, convert, meta_text, metadata, scale};
use crate::catalog::KindRules;

/// The owner of what an object held before anybody applied.
const BEFORE: &str = "before-first-apply";

/// The manager that may have applied without the server before.
const KUBECTL: &str = "kubectl";
/// Where it kept what it had applied.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// What an apply asks for.
#[derive(Debug, Clone)]
pub struct Configuration {
    /// The fields that the manager wants, and no others.
    pub value: Value,
    /// Whether fields of others are taken.
    pub force: bool,
}

impl Engine {
    /// Applies a configuration; creates the object if it is not there. True if it was created.
    pub async fn apply(
        &self,
        context: &mut RequestContext,
        target: Target<'_>,
        configuration: Configuration,
    ) -> Result<(Arc<Object>, bool), ApiError> {
        let resource = target.resource;
        if context.field_manager.is_empty() {
            let fault = FieldError::required(&FieldPath::new("fieldManager"), "is required for apply patch");
            return Err(ApiError::invalid("meta.k8s.io", "PatchOptions", "", &[fault]));
        }
        let Configuration { mut value, force } = configuration;
        if target.subresource == "scale" {
            return self.apply_scale(context, target, &value).await.map(|object| (object, false));
        }
        metadata::check_kind(resource, &mut value)?;
        metadata::check_name(target, &mut value)?;
        if !value["metadata"]["managedFields"].is_null() {
            return Err(ApiError::bad_request("metadata.managedFields must be nil"));
        }
        context.applies = true;
        let exists = self.caches.get(resource, target.namespace, target.name).is_some();
        if !exists && target.subresource.is_empty() {
            let nothing = json!({"apiVersion": resource.api_version(), "kind": resource.kind, "metadata": {}});
            let new = self.applied(context, target, &nothing, &value, force)?;
            return Ok((self.create(context, target, new).await?, true));
        }
        let (user, field_manager) = (context.user.clone(), context.field_manager.clone());
        let make = |current: &Value| -> Result<Value, ApiError> {
            let mut own = RequestContext::of(user.clone());
            own.field_manager.clone_from(&field_manager);
            let storage = Object::from_value(current).map_err(ApiError::internal)?;
            let live = convert::from_storage(resource, Arc::new(storage))?.value();
            let mut new = self.applied(&own, target, &live, &value, force)?;
            self.decode(&mut own, resource, &mut new)?;
            convert::to_storage(resource, &mut new);
            self.rules(resource)?.default(&mut new);
            Ok(new)
        };
        let object = self.change(context, target, &make).await?;
        Ok((self.served(resource, object).await?, false))
    }

    /// The scale of an object has one field that can be wanted.
    async fn apply_scale(
        &self,
        context: &mut RequestContext,
        target: Target<'_>,
        value: &Value,
    ) -> Result<Arc<Object>, ApiError> {
        let rules = self.rules(target.resource)?;
        let door = Target { subresource: "", ..target };
        let make = |current: &Value| scale::apply(target.resource, &rules, current, value);
        let object = self.change(context, door, &make).await?;
        scale::read(target.resource, &rules, &*self.served(target.resource, object).await?)
    }

    /// The live object with what the configuration wants, and with who owns what then.
    fn applied(
        &self,
        context: &RequestContext,
        target: Target<'_>,
        live: &Value,
        config: &Value,
        force: bool,
    ) -> Result<Value, ApiError> {
        let resource = target.resource;
        let rules = self.rules(resource)?;
        let place = place(resource, &rules);
        let ignored = ignored(resource, target.subresource);
        let mut config = config.clone();
        let given = meta_text(&config, "resourceVersion").to_owned();
        let mut managers = Managers::from_json(&live["metadata"]["managedFields"]);
        if managers.is_empty() && live["metadata"]["uid"].is_string() {
            let mut fields = compare(&place, &json!({}), live).added;
            fields.subtract_whole(&self::ignored(resource, ""));
            let mut before = self.manager(context, target, Owning::Update);
            BEFORE.clone_into(&mut before.name);
            before.subresource.clear();
            let all = apimachinery::apply::Comparison { added: fields, ..Default::default() };
            managers.update(before, &all);
        }
        if let Some(fields) = config["metadata"].as_object_mut() {
            // They name the object, or are the server's.
            for field in ["resourceVersion", "uid", "creationTimestamp", "generation", "selfLink"] {
                fields.remove(field);
            }
        }
        drop_ignored(&mut config, &ignored);
        let writer = self.manager(context, target, Owning::Apply);
        let is_kubectl = writer.name == KUBECTL;
        let last = live["metadata"]["annotations"][LAST_APPLIED].as_str().filter(|_| is_kubectl);
        let made = match apply(&place, live, &managers, &config, writer.clone(), &ignored, force) {
            // What kubectl has applied by itself so far is its own.
            Err(ApplyError::Conflicts(conflicts)) if all_from(&place, last, &conflicts) => {
                apply(&place, live, &managers, &config, writer, &ignored, true)
            }
            other => other,
        };
        let made = made.map_err(|error| refusal(target, error))?;
        let mut object = made.object;
        if last.is_some() {
            // So that kubectl can go back to applying by itself.
            object["metadata"]["annotations"][LAST_APPLIED] = json!(format!("{config}\n"));
        }
        object["metadata"]["managedFields"] = made.managers.to_json();
        if !given.is_empty() {
            object["metadata"]["resourceVersion"] = json!(given);
        }
        Ok(object)
    }

    /// Whose the fields are that this write sets.
    fn manager(&self, context: &RequestContext, target: Target<'_>, operation: Owning) -> Manager {
        let name = if context.field_manager.is_empty() { "unknown" } else { &context.field_manager };
        Manager {
            name: name.to_owned(),
            operation,
            api_version: target.resource.api_version(),
            subresource: target.subresource.to_owned(),
            time: Some(self.clock.now()),
            fields: FieldSet::default(),
        }
    }

    /// Takes over into `metadata.managedFields` what a write that is no apply has changed.
    pub(super) fn track(
        &self,
        context: &RequestContext,
        target: Target<'_>,
        new: &mut Value,
        old: &Value,
    ) -> Result<(), ApiError> {
        let mut managers = Managers::from_json(&old["metadata"]["managedFields"]);
        if managers.is_empty() {
            return Ok(());
        }
        let rules = self.rules(target.resource)?;
        let comparison = compare(&place(target.resource, &rules), old, new);
        managers.update(self.manager(context, target, Owning::Update), &comparison);
        new["metadata"]["managedFields"] = managers.to_json();
        Ok(())
    }
}

/// Whether all that is in conflict is in the configuration that kubectl applied last.
fn all_from(place: &Place<'_>, last: Option<&str>, conflicts: &[Conflict]) -> bool {
    let last: Option<Value> = last.and_then(|text| serde_json::from_str(text).ok());
    let Some(known) = last.and_then(|last| fields_of(place, &last).ok()) else { return false };
    conflicts.iter().all(|conflict| {
        let mut others = conflict.fields.clone();
        others.subtract(&known);
        others.is_empty()
    })
}

/// The schema of a kind.
fn place<'a>(resource: &Resource, rules: &'a KindRules) -> Place<'a> {
    let schemas = api::schemas();
    match rules {
        KindRules::Custom(served) => Place::Custom(schemas, served.ty.schema()),
        KindRules::BuiltIn(_) => schemas.find(resource.schema).map_or(Place::Unknown, |ty| Place::Type(schemas, ty)),
    }
}

/// The fields that a door does not write (upstream's `GetResetFields`).
fn ignored(resource: &Resource, subresource: &str) -> FieldSet {
    let mut set = FieldSet::default();
    if subresource.is_empty() {
        if resource.subresource("status").is_some() {
            set.insert(PathElement::Field("status".to_owned()));
        }
    } else if subresource == "status" {
        set.insert(PathElement::Field("spec".to_owned()));
    }
    set
}

/// A configuration without what its door does not write.
fn drop_ignored(config: &mut Value, ignored: &FieldSet) {
    if let Some(fields) = config.as_object_mut() {
        fields.retain(|name, _| !ignored.has(&PathElement::Field(name.clone())));
    }
}

fn refusal(target: Target<'_>, error: ApplyError) -> ApiError {
    let resource = target.resource;
    match error {
        ApplyError::Mistyped(errors) => {
            let group_version = resource.api_version();
            let listed = match errors.as_slice() {
                [one] => one.clone(),
                many => format!("errors:\n  {}", many.join("\n  ")),
            };
            let text = format!(
                "failed to create typed patch object ({}/{}; {group_version}, Kind={}): {listed}",
                target.namespace, target.name, resource.kind
            );
            ApiError::new(Reason::Unknown, 500, text)
        }
        ApplyError::Conflicts(conflicts) => conflict(&conflicts),
    }
}

/// `Apply failed with 1 conflict: conflict with "x" using apps/v1: .spec.replicas`.
fn conflict(conflicts: &[Conflict]) -> ApiError {
    let fields = |conflict: &Conflict| conflict.fields.paths();
    let causes: Vec<Cause> = conflicts
        .iter()
        .flat_map(|conflict| {
            let message = format!("conflict with {}", printed(&conflict.manager));
            let cause =
                move |field| Cause { reason: "FieldManagerConflict".to_owned(), message: message.clone(), field };
            fields(conflict).into_iter().map(cause)
        })
        .collect();
    let text = match causes.as_slice() {
        [one] => format!("Apply failed with 1 conflict: {}: {}", one.message, one.field),
        _ => {
            let listed = conflicts.iter().map(|conflict| {
                let fields: String = fields(conflict).iter().map(|path| format!("\n- {path}")).collect();
                format!("conflicts with {}:{fields}", printed(&conflict.manager))
            });
            let listed: Vec<String> = listed.collect();
            format!("Apply failed with {} conflicts: {}", causes.len(), listed.join("\n"))
        }
    };
    let mut error = ApiError::new(Reason::Conflict, 409, text);
    error.causes = causes;
    error
}

fn printed(manager: &Manager) -> String {
    let below = match manager.subresource.as_str() {
        "" => String::new(),
        subresource => format!(" with subresource {subresource:?}"),
    };
    let when = manager.time.map(|time| format!(" at {}", apimachinery::metav1_time(time))).unwrap_or_default();
    match manager.operation {
        Owning::Apply => format!("{:?}{below}", manager.name),
        Owning::Update => format!("{:?}{below} using {}{when}", manager.name, manager.api_version),
    }
}
