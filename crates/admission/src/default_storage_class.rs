//! A claim that names no StorageClass gets the default one
//! (upstream: `plugin/pkg/admission/storage/storageclass/setdefault`).

use api::resources::{PERSISTENTVOLUMECLAIMS, STORAGECLASSES};
use apimachinery::{Admission, AdmissionRequest, ApiError, Operation, Reader};
use registry::storage_classes::{self, BETA_CLASS};
use serde_json::json;

/// The plugin.
#[derive(Debug, Clone, Copy)]
pub struct DefaultStorageClass;

impl Admission for DefaultStorageClass {
    fn name(&self) -> &'static str {
        "DefaultStorageClass"
    }

    fn admit(&self, request: &mut AdmissionRequest<'_>, reader: &dyn Reader) -> Result<(), ApiError> {
        let creates = request.operation == Operation::Create && request.subresource.is_empty();
        if !creates || !request.resource.is(PERSISTENTVOLUMECLAIMS) {
            return Ok(());
        }
        let claim = &mut *request.object;
        let names_one =
            !claim["spec"]["storageClassName"].is_null() || !claim["metadata"]["annotations"][BETA_CLASS].is_null();
        if let Some(class) = storage_classes::default(&reader.list(STORAGECLASSES, "")).filter(|_| !names_one) {
            claim["spec"]["storageClassName"] = json!(class.meta().name);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
