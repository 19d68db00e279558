//! The `scale` subresource: how many replicas a workload has and should have, whatever its kind.

use std::sync::Arc;

use apimachinery::labels::{Requirement, Selector};
use apimachinery::{ApiError, FieldError, FieldPath, Object, Resource};
use serde_json::{Value, json};

/// The Scale of an object.
pub(super) fn read(resource: &Resource, object: &Object) -> Result<Arc<Object>, ApiError> {
    let value = object.value();
    let metadata = &value["metadata"];
    let mut kept = serde_json::Map::new();
    for field in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        if !metadata[field].is_null() {
            kept.insert(field.to_owned(), metadata[field].clone());
        }
    }
    let mut status = json!({"replicas": value["status"]["replicas"].as_i64().unwrap_or(0)});
    let selector = selector_text(resource, &value["spec"]["selector"]);
    if !selector.is_empty() {
        status["selector"] = json!(selector);
    }
    let mut spec = json!({});
    if let Some(replicas) = value["spec"]["replicas"].as_i64().filter(|n| *n != 0) {
        spec["replicas"] = json!(replicas);
    }
    let scale = json!({
        "apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": kept, "spec": spec, "status": status,
    });
    Object::from_value(&scale).map(Arc::new).map_err(ApiError::internal)
}

/// The object with the replicas of `scale`.
pub(super) fn apply(resource: &Resource, current: &Value, scale: &Value) -> Result<Value, ApiError> {
    let name = current["metadata"]["name"].as_str().unwrap_or_default();
    let given = scale["metadata"]["name"].as_str().unwrap_or_default();
    if !given.is_empty() && given != name {
        return Err(ApiError::bad_request(format!(
            "the name of the object ({given}) does not match the name on the URL ({name})"
        )));
    }
    let replicas = match &scale["spec"]["replicas"] {
        Value::Null => 0,
        number => number.as_i64().ok_or_else(|| {
            ApiError::bad_request(format!(
                "Scale in version \"v1\" cannot be handled as a Scale: spec.replicas is {number}, not a number"
            ))
        })?,
    };
    if replicas < 0 {
        let path = FieldPath::new("spec.replicas");
        let fault = FieldError::invalid(&path, replicas, "must be greater than or equal to 0");
        return Err(ApiError::invalid("autoscaling", "Scale", name, &[fault]));
    }
    let mut new = current.clone();
    new["spec"]["replicas"] = json!(replicas);
    let version = scale["metadata"]["resourceVersion"].as_str().unwrap_or_default();
    if !version.is_empty() && version != current["metadata"]["resourceVersion"] {
        return Err(ApiError::modified(resource.group, resource.plural, name));
    }
    Ok(new)
}

/// A selector as text: `app=web,tier in (a,b)`.
fn selector_text(resource: &Resource, selector: &Value) -> String {
    let object =
        if resource.plural == "replicationcontrollers" { json!({"matchLabels": selector}) } else { selector.clone() };
    let Ok(selector) = Selector::from_label_selector(&object) else { return String::new() };
    let mut terms: Vec<String> = selector
        .requirements
        .iter()
        .map(|requirement| match requirement {
            Requirement::In(key, values) if values.len() == 1 => format!("{key}={}", values[0]),
            Requirement::In(key, values) => format!("{key} in ({})", values.join(",")),
            Requirement::NotIn(key, values) => format!("{key} notin ({})", values.join(",")),
            Requirement::Exists(key) => key.clone(),
            Requirement::DoesNotExist(key) => format!("!{key}"),
            Requirement::GreaterThan(key, bound) => format!("{key}>{bound}"),
            Requirement::LessThan(key, bound) => format!("{key}<{bound}"),
        })
        .collect();
    terms.sort();
    terms.join(",")
}
