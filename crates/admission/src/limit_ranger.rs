//! Defaults and bounds of what Pods, their containers and PersistentVolumeClaims ask for, from the namespace's
//! LimitRanges (upstream: `plugin/pkg/admission/limitranger`).

mod bounds;

use std::collections::BTreeSet;

use api::resources::{LIMITRANGES, PERSISTENTVOLUMECLAIMS, PODS};
use apimachinery::{Admission, AdmissionRequest, ApiError, Operation, Reader};
use registry::resource_list::{self, Reckoning, ResourceList, pod_limits, pod_requests};
use serde_json::{Value, json};

use bounds::Asked;

/// Where the plugin says what it has set.
const ANNOTATION: &str = "kubernetes.io/limit-ranger";

/// The plugin.
#[derive(Debug, Clone, Copy)]
pub struct LimitRanger;

impl Admission for LimitRanger {
    fn name(&self) -> &'static str {
        "LimitRanger"
    }

    fn admit(&self, request: &mut AdmissionRequest<'_>, reader: &dyn Reader) -> Result<(), ApiError> {
        if request.resource.is(PODS) {
            for range in ranges(request, reader) {
                set_defaults(request.object, &range);
            }
        }
        Ok(())
    }

    fn validate(&self, request: &mut AdmissionRequest<'_>, reader: &dyn Reader) -> Result<(), ApiError> {
        for range in ranges(request, reader) {
            let of = if request.resource.is(PODS) { pod_faults } else { claim_faults };
            let mut faults = of(request.object, &range);
            // Containers that are wrong in the same way are told once.
            let mut told = BTreeSet::new();
            faults.retain(|fault| told.insert(fault.clone()));
            let why = match faults.as_slice() {
                [] => continue,
                [one] => one.clone(),
                many => format!("[{}]", many.join(", ")),
            };
            return Err(ApiError::forbidden("", request.resource.plural, request.name, &why));
        }
        Ok(())
    }
}

/// The LimitRanges that a write must heed.
fn ranges(request: &AdmissionRequest<'_>, reader: &dyn Reader) -> Vec<Value> {
    let pod = request.resource.is(PODS);
    let heeds = match (request.operation, request.subresource) {
        (Operation::Create, "") => pod || request.resource.is(PERSISTENTVOLUMECLAIMS),
        (Operation::Update, "") => request.resource.is(PERSISTENTVOLUMECLAIMS),
        (Operation::Update, "resize") => pod,
        _ => false,
    };
    let ending = request.old.is_some_and(|old| !old["metadata"]["deletionTimestamp"].is_null());
    if !heeds || ending {
        return Vec::new();
    }
    reader.list(LIMITRANGES, request.namespace).iter().map(|range| range.value()).collect()
}

/// The limits of one type in a LimitRange.
fn limits<'a>(range: &'a Value, kind: &'static str) -> impl Iterator<Item = &'a Value> {
    range["spec"]["limits"].as_array().into_iter().flatten().filter(move |limit| limit["type"] == kind)
}

fn set_defaults(pod: &mut Value, range: &Value) {
    let mut defaults = [ResourceList::new(), ResourceList::new()];
    for limit in limits(range, "Container") {
        defaults[0].extend(resource_list::read(&limit["defaultRequest"]));
        defaults[1].extend(resource_list::read(&limit["default"]));
    }
    let mut set = Vec::new();
    for (kind, words) in [("containers", "container"), ("initContainers", "init container")] {
        for container in pod["spec"].get_mut(kind).and_then(Value::as_array_mut).into_iter().flatten() {
            for (at, (field, singular)) in [("requests", "request"), ("limits", "limit")].into_iter().enumerate() {
                let names = merge(container, field, &defaults[at]);
                if !names.is_empty() {
                    let name = container["name"].as_str().unwrap_or_default();
                    set.push(format!("{} {singular} for {words} {name}", names.join(", ")));
                }
            }
        }
    }
    if !set.is_empty() {
        let said = format!("LimitRanger plugin set: {}", set.join("; "));
        pod["metadata"]["annotations"][ANNOTATION] = json!(said);
    }
}

/// Sets what the container does not say; gives the names.
fn merge(container: &mut Value, field: &str, defaults: &ResourceList) -> Vec<String> {
    let has = |name: &String| !container["resources"][field][name].is_null();
    let absent: Vec<String> = defaults.keys().filter(|name| !has(name)).cloned().collect();
    for name in &absent {
        container["resources"][field][name] = json!(defaults[name].to_string());
    }
    absent
}

fn pod_faults(pod: &Value, range: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    for limit in range["spec"]["limits"].as_array().into_iter().flatten() {
        match limit["type"].as_str() {
            Some("Container") => {
                for kind in ["containers", "initContainers"] {
                    for container in pod["spec"][kind].as_array().into_iter().flatten() {
                        let read = |field: &str| resource_list::read(&container["resources"][field]);
                        let asked = Asked { of: "Container", requests: read("requests"), limits: read("limits") };
                        faults.extend(asked.faults(limit));
                    }
                }
            }
            Some("Pod") => {
                let requests = pod_requests(pod, Reckoning::Containers);
                let asked = Asked { of: "Pod", requests, limits: pod_limits(pod, Reckoning::Containers) };
                faults.extend(asked.faults(limit));
            }
            _ => {}
        }
    }
    faults
}

fn claim_faults(claim: &Value, range: &Value) -> Vec<String> {
    let requests = resource_list::read(&claim["spec"]["resources"]["requests"]);
    let asked = Asked { of: "PersistentVolumeClaim", requests, limits: ResourceList::new() };
    limits(range, "PersistentVolumeClaim").flat_map(|limit| asked.claim_faults(limit)).collect()
}

#[cfg(test)]
mod tests;
