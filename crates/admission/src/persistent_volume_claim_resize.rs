//! Only claims whose class allows it may grow
//! (upstream: `plugin/pkg/admission/storage/persistentvolume/resize`).

use api::resources::{PERSISTENTVOLUMECLAIMS, STORAGECLASSES};
use apimachinery::{Admission, AdmissionRequest, ApiError, Operation, Quantity, Reader};
use registry::storage_classes::BETA_CLASS;
use serde_json::Value;

/// The plugin.
#[derive(Debug, Clone, Copy)]
pub struct PersistentVolumeClaimResize;

impl Admission for PersistentVolumeClaimResize {
    fn name(&self) -> &'static str {
        "PersistentVolumeClaimResize"
    }

    fn validate(&self, request: &mut AdmissionRequest<'_>, reader: &dyn Reader) -> Result<(), ApiError> {
        let updates = request.operation == Operation::Update && request.subresource.is_empty();
        let Some(old) = request.old.filter(|_| updates && request.resource.is(PERSISTENTVOLUMECLAIMS)) else {
            return Ok(());
        };
        let new = &*request.object;
        if size(new) <= size(old) {
            return Ok(());
        }
        let refuse = |why: &str| Err(ApiError::forbidden("", "persistentvolumeclaims", request.name, why));
        if old["status"]["phase"] != "Bound" {
            return refuse("Only bound persistent volume claims can be expanded");
        }
        let class = class_of(new);
        let same = !class.is_empty() && class == class_of(old);
        let grows = |name: &str| {
            let class = reader.get(STORAGECLASSES, "", name);
            class.is_some_and(|class| class.value()["allowVolumeExpansion"] == true)
        };
        if same && grows(class) {
            return Ok(());
        }
        refuse(
            "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support \
             resize",
        )
    }
}

fn size(claim: &Value) -> Quantity {
    let text = claim["spec"]["resources"]["requests"]["storage"].as_str();
    text.and_then(|text| text.parse().ok()).unwrap_or_default()
}

fn class_of(claim: &Value) -> &str {
    let annotated = claim["metadata"]["annotations"][BETA_CLASS].as_str();
    annotated.or_else(|| claim["spec"]["storageClassName"].as_str()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
