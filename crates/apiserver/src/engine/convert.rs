//! Conversion between the two served versions of a kind that has two: Events (`v1`, `events.k8s.io/v1`) and
//! HorizontalPodAutoscalers (`autoscaling/v2`, `autoscaling/v1`). All other kinds have one.

use std::sync::Arc;

use apimachinery::{ApiError, Object, Resource};
use serde_json::{Map, Value, json};

/// The object in the version of `resource`.
pub(super) fn from_storage(resource: &'static Resource, object: Arc<Object>) -> Result<Arc<Object>, ApiError> {
    if api::storage_resource(resource).is(resource) {
        return Ok(object);
    }
    let mut value = object.value();
    match resource.plural {
        "events" => rename(&mut value, EVENT_FIELDS, |(core, new)| (core, new)),
        _ => autoscaler_to_v1(&mut value),
    }
    value["apiVersion"] = json!(resource.api_version());
    Object::from_value(&value).map(Arc::new).map_err(ApiError::internal)
}

/// The value in the storage version of `resource`.
pub(super) fn to_storage(resource: &'static Resource, value: &mut Value) {
    let storage = api::storage_resource(resource);
    if storage.is(resource) {
        return;
    }
    match resource.plural {
        "events" => rename(value, EVENT_FIELDS, |(core, new)| (new, core)),
        _ => autoscaler_to_v2(value),
    }
    value["apiVersion"] = json!(storage.api_version());
}

/// core/v1 name, events.k8s.io/v1 name.
const EVENT_FIELDS: &[(&str, &str)] = &[
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
    ("reportingComponent", "reportingController"),
];

/// The name in the storage version of a field that a selector names.
pub(super) fn stored_field(resource: &Resource, field: &str) -> String {
    let (first, rest) = field.split_once('.').map_or((field, None), |(first, rest)| (first, Some(rest)));
    let known = EVENT_FIELDS.iter().find(|(_, new)| resource.group == "events.k8s.io" && *new == first);
    match (known, rest) {
        (Some((core, _)), Some(rest)) => format!("{core}.{rest}"),
        (Some((core, _)), None) => (*core).to_owned(),
        (None, _) => field.to_owned(),
    }
}

fn rename(
    value: &mut Value,
    fields: &'static [(&str, &str)],
    order: fn((&'static str, &'static str)) -> (&'static str, &'static str),
) {
    let Some(object) = value.as_object_mut() else { return };
    for pair in fields {
        let (from, to) = order(*pair);
        if let Some(field) = object.remove(from) {
            object.insert(to.to_owned(), field);
        }
    }
}

/// Keeps what `autoscaling/v1` can't say in annotations, as upstream does (`pkg/apis/autoscaling/v1/conversion.go`).
fn autoscaler_to_v1(value: &mut Value) {
    let metrics = value["spec"]["metrics"].take();
    let behavior = value["spec"]["behavior"].take();
    let (mut target, mut others) = (None, Vec::new());
    for metric in metrics.as_array().cloned().unwrap_or_default() {
        let utilization = &metric["resource"]["target"]["averageUtilization"];
        if metric["type"] == "Resource" && metric["resource"]["name"] == "cpu" && utilization.is_number() {
            target = Some(utilization.clone());
        } else {
            others.push(metric);
        }
    }
    let conditions = value["status"]["conditions"].take();
    let current = value["status"]["currentMetrics"].take();
    if let Some(spec) = value["spec"].as_object_mut() {
        spec.retain(|_, field| !field.is_null());
        if let Some(target) = target {
            spec.insert("targetCPUUtilizationPercentage".to_owned(), target);
        }
    }
    if let Some(status) = value["status"].as_object_mut() {
        status.retain(|_, field| !field.is_null());
    }
    let notes = [
        ("autoscaling.alpha.kubernetes.io/metrics", Value::Array(others)),
        ("autoscaling.alpha.kubernetes.io/behavior", behavior),
        ("autoscaling.alpha.kubernetes.io/conditions", conditions),
        ("autoscaling.alpha.kubernetes.io/current-metrics", current),
    ];
    for (name, note) in notes {
        let empty = note.is_null() || note.as_array().is_some_and(Vec::is_empty);
        if !empty {
            value["metadata"]["annotations"][name] = json!(note.to_string());
        }
    }
}

fn autoscaler_to_v2(value: &mut Value) {
    let mut annotations: Map<String, Value> = value["metadata"]["annotations"].as_object().cloned().unwrap_or_default();
    let mut take = |name: &str| -> Option<Value> {
        let text = annotations.remove(&format!("autoscaling.alpha.kubernetes.io/{name}"))?;
        serde_json::from_str(text.as_str()?).ok()
    };
    let mut metrics = take("metrics").and_then(|m| m.as_array().cloned()).unwrap_or_default();
    let (behavior, conditions, current) = (take("behavior"), take("conditions"), take("current-metrics"));
    if let Some(percent) = value["spec"].as_object_mut().and_then(|s| s.remove("targetCPUUtilizationPercentage")) {
        let target = json!({"type": "Utilization", "averageUtilization": percent});
        metrics.insert(0, json!({"type": "Resource", "resource": {"name": "cpu", "target": target}}));
    }
    if !metrics.is_empty() {
        value["spec"]["metrics"] = Value::Array(metrics);
    }
    if let Some(behavior) = behavior {
        value["spec"]["behavior"] = behavior;
    }
    for (field, note) in [("conditions", conditions), ("currentMetrics", current)] {
        if let Some(note) = note {
            value["status"][field] = note;
        }
    }
    if annotations.is_empty() {
        if let Some(metadata) = value["metadata"].as_object_mut() {
            metadata.remove("annotations");
        }
    } else {
        value["metadata"]["annotations"] = Value::Object(annotations);
    }
}
