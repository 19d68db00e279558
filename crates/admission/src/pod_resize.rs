//! A Pod may not ask for more than its node has at all (upstream: `plugin/pkg/admission/podresize`).

use api::resources::{NODES, PODS};
use apimachinery::{Admission, AdmissionRequest, ApiError, Cause, Operation, Quantity, Reader};
use registry::resource_list::{self, Reckoning};
use serde_json::Value;

/// The plugin.
#[derive(Debug, Clone, Copy)]
pub struct PodResizeValidator;

impl Admission for PodResizeValidator {
    fn name(&self) -> &'static str {
        "PodResizeValidator"
    }

    fn validate(&self, request: &mut AdmissionRequest<'_>, reader: &dyn Reader) -> Result<(), ApiError> {
        let resizes = request.operation == Operation::Update && request.subresource == "resize";
        let node = request.object["spec"]["nodeName"].as_str().unwrap_or_default();
        let changed = request.old.is_none_or(|old| old["spec"] != request.object["spec"]);
        if !request.resource.is(PODS) || !resizes || node.is_empty() || !changed {
            return Ok(());
        }
        let refuse = |why: &str| ApiError::forbidden("", "pods", request.name, why);
        let node = reader.get(NODES, "", node).ok_or_else(|| refuse(&format!("node {node:?} not found")))?;
        match too_much(request.object, &node.value()["status"]["allocatable"]) {
            None => Ok(()),
            Some(why) => {
                let mut error = refuse(&why);
                let (message, field) = (String::new(), String::new());
                error.causes.push(Cause { reason: "NodeCapacity".to_owned(), message, field });
                Err(error)
            }
        }
    }
}

/// What of the Pod's requests the node does not have.
fn too_much(pod: &Value, allocatable: &Value) -> Option<String> {
    type Unit = fn(&Quantity) -> i64;
    let units: [(&str, Unit); 2] = [("cpu", Quantity::milli_value), ("memory", Quantity::value)];
    let requests = resource_list::pod_requests(pod, Reckoning::Spec);
    let has = resource_list::read(allocatable);
    let short = units.into_iter().filter_map(|(name, unit)| {
        let of = |list: &resource_list::ResourceList| list.get(name).map_or(0, unit);
        let (requested, allocatable) = (of(&requests), of(&has));
        (requested > allocatable).then(|| format!("{name}, requested: {requested}, allocatable: {allocatable}"))
    });
    let short: Vec<String> = short.collect();
    (!short.is_empty()).then(|| format!("node didn't have enough allocatable resources: {}", short.join("; ")))
}

#[cfg(test)]
mod tests;
