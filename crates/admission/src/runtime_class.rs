//! A Pod of a RuntimeClass gets the class' overhead and where its Pods may run
//! (upstream: `plugin/pkg/admission/runtimeclass`).

use api::resources::{PODS, RUNTIMECLASSES};
use apimachinery::{Admission, AdmissionRequest, ApiError, Operation, Reader};
use registry::resource_list;
use serde_json::{Value, json};

/// The plugin.
#[derive(Debug, Clone, Copy)]
pub struct RuntimeClass;

impl Admission for RuntimeClass {
    fn name(&self) -> &'static str {
        "RuntimeClass"
    }

    fn admit(&self, request: &mut AdmissionRequest<'_>, reader: &dyn Reader) -> Result<(), ApiError> {
        let Some(class) = class_of(request, reader)? else { return Ok(()) };
        let name = request.name;
        let spec = &mut request.object["spec"];
        set_overhead(spec, &class).and_then(|()| set_scheduling(spec, &class)).map_err(|why| refuse(name, &why))
    }

    fn validate(&self, request: &mut AdmissionRequest<'_>, reader: &dyn Reader) -> Result<(), ApiError> {
        if !creates_pod(request) {
            return Ok(());
        }
        let class = class_of(request, reader)?.unwrap_or_default();
        let (fixed, overhead) = (&class["overhead"], &request.object["spec"]["overhead"]);
        if fixed.is_null() && !overhead.is_null() {
            let why = "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead";
            return Err(refuse(request.name, why));
        }
        if !fixed.is_null() && !same(&fixed["podFixed"], overhead) {
            return Err(refuse(request.name, MISMATCH));
        }
        Ok(())
    }
}

const MISMATCH: &str = "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead";

fn refuse(name: &str, why: &str) -> ApiError {
    ApiError::forbidden("", "pods", name, why)
}

fn creates_pod(request: &AdmissionRequest<'_>) -> bool {
    request.resource.is(PODS) && request.operation == Operation::Create && request.subresource.is_empty()
}

/// The class that a new Pod names.
fn class_of(request: &AdmissionRequest<'_>, reader: &dyn Reader) -> Result<Option<Value>, ApiError> {
    let Some(name) = request.object["spec"]["runtimeClassName"].as_str().filter(|_| creates_pod(request)) else {
        return Ok(None);
    };
    let class = reader.get(RUNTIMECLASSES, "", name);
    let missing = || refuse(request.name, &format!("pod rejected: RuntimeClass {name:?} not found"));
    class.map(|class| Some(class.value())).ok_or_else(missing)
}

fn same(one: &Value, other: &Value) -> bool {
    resource_list::read(one) == resource_list::read(other)
}

fn set_overhead(spec: &mut Value, class: &Value) -> Result<(), String> {
    if class["overhead"].is_null() {
        return Ok(());
    }
    let (fixed, given) = (&class["overhead"]["podFixed"], &spec["overhead"]);
    let stated = given.as_object().is_some_and(|given| !given.is_empty());
    if stated && !same(fixed, given) {
        return Err(MISMATCH.to_owned());
    }
    spec["overhead"] = fixed.clone();
    Ok(())
}

fn set_scheduling(spec: &mut Value, class: &Value) -> Result<(), String> {
    let scheduling = &class["scheduling"];
    for (key, wanted) in scheduling["nodeSelector"].as_object().into_iter().flatten() {
        let given = &spec["nodeSelector"][key];
        if !given.is_null() && given != wanted {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            return Err(format!(
                "conflict: runtimeClass.scheduling.nodeSelector[{key}] = {}; pod.spec.nodeSelector[{key}] = {}",
                text(wanted),
                text(given)
            ));
        }
        spec["nodeSelector"][key] = wanted.clone();
    }
    let added = scheduling["tolerations"].as_array().cloned().unwrap_or_default();
    if !added.is_empty() {
        let given = spec["tolerations"].as_array().cloned().unwrap_or_default();
        spec["tolerations"] = json!(merge_tolerations(given.into_iter().chain(added)));
    }
    Ok(())
}

/// Tolerations without those that another one covers (upstream: `pkg/util/tolerations`).
fn merge_tolerations(all: impl Iterator<Item = Value>) -> Vec<Value> {
    let all: Vec<Value> = all.collect();
    let mut merged: Vec<Value> = Vec::new();
    for (at, toleration) in all.iter().enumerate() {
        let later = &all[at + 1..];
        if !merged.iter().any(|other| covers(other, toleration))
            && !later.iter().any(|other| other != toleration && covers(other, toleration))
        {
            merged.push(toleration.clone());
        }
    }
    merged
}

/// Whether all taints that `narrow` tolerates are tolerated by `wide`, for as long.
fn covers(wide: &Value, narrow: &Value) -> bool {
    if wide == narrow {
        return true;
    }
    let text = |value: &Value, field: &str| value[field].as_str().unwrap_or_default().to_owned();
    let operator = |value: &Value| match text(value, "operator").as_str() {
        "" => "Equal".to_owned(),
        given => given.to_owned(),
    };
    let (key, effect) = (text(wide, "key"), text(wide, "effect"));
    let every_key = key.is_empty() && operator(wide) == "Exists";
    let every_effect = effect.is_empty();
    if (key != text(narrow, "key") && !every_key) || (effect != text(narrow, "effect") && !every_effect) {
        return false;
    }
    let seconds = |value: &Value| value["tolerationSeconds"].as_i64();
    if let ("NoExecute", Some(most)) = (effect.as_str(), seconds(wide))
        && seconds(narrow).is_none_or(|needed| needed > most)
    {
        return false;
    }
    match operator(wide).as_str() {
        "Exists" => true,
        "Equal" => operator(narrow) == "Equal" && text(wide, "value") == text(narrow, "value"),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
