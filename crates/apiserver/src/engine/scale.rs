//! The `scale` subresource: how many replicas a workload has and should have, whatever its kind.

use std::borrow::Cow;
use std::sync::Arc;

use apimachinery::labels::{Requirement, Selector};
use apimachinery::{ApiError, FieldError, FieldPath, Object, Resource};
use registry::custom::ScalePaths;
use serde_json::{Value, json};

use crate::catalog::KindRules;

/// Where an object keeps its numbers.
fn paths(rules: &KindRules) -> Cow<'_, ScalePaths> {
    match rules {
        KindRules::Custom(served) => match &served.ty.scale {
            Some(paths) => Cow::Borrowed(paths),
            None => Cow::Owned(usual()),
        },
        KindRules::BuiltIn(_) => Cow::Owned(usual()),
    }
}

/// Where the built-in workloads keep them; their selector is an object.
fn usual() -> ScalePaths {
    let path = |root: &str| vec![root.to_owned(), "replicas".to_owned()];
    ScalePaths { spec_replicas: path("spec"), status_replicas: path("status"), label_selector: Vec::new() }
}

fn at<'a>(value: &'a Value, path: &[String]) -> &'a Value {
    path.iter().fold(value, |value, step| &value[step.as_str()])
}

/// The Scale of an object.
pub(super) fn read(resource: &Resource, rules: &KindRules, object: &Object) -> Result<Arc<Object>, ApiError> {
    let paths = paths(rules);
    let value = object.value();
    let metadata = &value["metadata"];
    let mut kept = serde_json::Map::new();
    for field in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        if !metadata[field].is_null() {
            kept.insert(field.to_owned(), metadata[field].clone());
        }
    }
    let mut status = json!({"replicas": at(&value, &paths.status_replicas).as_i64().unwrap_or(0)});
    let selector = match resource.is_custom() {
        true if paths.label_selector.is_empty() => String::new(),
        true => at(&value, &paths.label_selector).as_str().unwrap_or_default().to_owned(),
        false => selector_text(resource, &value["spec"]["selector"]),
    };
    if !selector.is_empty() {
        status["selector"] = json!(selector);
    }
    let mut spec = json!({});
    match at(&value, &paths.spec_replicas).as_i64() {
        Some(replicas) if replicas != 0 => spec["replicas"] = json!(replicas),
        None if resource.is_custom() => {
            let path = paths.spec_replicas.join(".");
            return Err(ApiError::internal(format!("the spec replicas field \".{path}\" does not exist")));
        }
        _ => {}
    }
    let scale = json!({
        "apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": kept, "spec": spec, "status": status,
    });
    Object::from_value(&scale).map(Arc::new).map_err(ApiError::internal)
}

/// The object with the replicas of `scale`.
pub(super) fn apply(resource: &Resource, rules: &KindRules, current: &Value, scale: &Value) -> Result<Value, ApiError> {
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
    let slot = paths(rules).spec_replicas.iter().fold(&mut new, |value, step| {
        if !value.is_object() {
            *value = json!({});
        }
        &mut value[step.as_str()]
    });
    *slot = json!(replicas);
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
