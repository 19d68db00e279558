//! The objects that a binding hands to its policy as `params`.

use api::resources::CUSTOMRESOURCEDEFINITIONS;
use apimachinery::labels::Selector;
use apimachinery::{AdmissionRequest, Object, Reader, Resource};
use registry::CustomType;
use registry::custom::types_of;
use serde_json::{Value, json};

use super::definition::{ParamKind, ParamRef};

/// The resource of a kind of parameters.
pub(super) fn resource_of(kind: &ParamKind, reader: &dyn Reader) -> Result<&'static Resource, String> {
    let (group, version) = kind.api_version.split_once('/').unwrap_or(("", &kind.api_version));
    if let Some(resource) = api::find_kind(group, version, &kind.kind) {
        return Ok(resource);
    }
    let is = |resource: &Resource| (resource.group, resource.version, resource.kind) == (group, version, &kind.kind);
    let all = reader.list(CUSTOMRESOURCEDEFINITIONS, "");
    let mut of_group = all.iter().filter(|definition| definition.meta().name.ends_with(group));
    let found = of_group.find_map(|definition| {
        types_of(&definition.value()).into_iter().map(|ty| ty.resource).find(|resource| is(resource))
    });
    found.ok_or_else(|| {
        format!("failed to find resource referenced by paramKind: '{group}/{version}, Kind={}'", kind.kind)
    })
}

/// The served version of a custom resource.
pub(super) fn custom_type(resource: &Resource, reader: &dyn Reader) -> Option<CustomType> {
    let definition = reader.get(CUSTOMRESOURCEDEFINITIONS, "", &format!("{}.{}", resource.plural, resource.group))?;
    types_of(&definition.value()).into_iter().find(|ty| ty.resource.is(resource))
}

/// The parameters that `wanted` means; none is an error if the binding says so.
pub(super) fn find(
    resource: &'static Resource,
    wanted: &ParamRef,
    request: &AdmissionRequest<'_>,
    reader: &dyn Reader,
) -> Result<Vec<Value>, String> {
    let namespace = match (resource.namespaced(), wanted.namespace.is_empty()) {
        (false, true) => "",
        (false, false) => {
            return Err("paramRef.namespace must not be provided for a cluster-scoped `paramKind`".to_owned());
        }
        (true, false) => &wanted.namespace,
        (true, true) if request.namespace.is_empty() => {
            return Err(
                "cannot use namespaced paramRef in policy binding that matches cluster-scoped resources".to_owned()
            );
        }
        (true, true) => request.namespace,
    };
    let value = |object: &Object| {
        let mut value = object.value();
        value["apiVersion"] = json!(resource.api_version());
        value["kind"] = json!(resource.kind);
        value
    };
    let found: Vec<Value> = match &wanted.selector {
        Some(selector) if wanted.name.is_empty() => {
            let selector = Selector::from_label_selector(selector).map_err(|error| error.to_string())?;
            let all = reader.list(resource, namespace);
            all.iter().filter(|object| selector.matches(&object.meta().labels)).map(|object| value(object)).collect()
        }
        _ => reader.get(resource, namespace, &wanted.name).map(|object| value(&object)).into_iter().collect(),
    };
    if found.is_empty() && wanted.parameter_not_found_action == "Deny" {
        return Err("no params found for policy binding with `Deny` parameterNotFoundAction".to_owned());
    }
    Ok(found)
}
