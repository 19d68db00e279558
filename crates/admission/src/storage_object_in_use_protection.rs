//! Volumes and claims get the finalizer that keeps them while they are in use
//! (upstream: `plugin/pkg/admission/storage/storageobjectinuseprotection`). VolumeAttributesClasses, which nothing acts on
//! yet, get none: nobody would take it away.

use api::resources::{PERSISTENTVOLUMECLAIMS, PERSISTENTVOLUMES};
use apimachinery::{Admission, AdmissionRequest, ApiError, Operation, Reader, Resource};
use serde_json::json;

/// Who gets which.
const FINALIZERS: &[(&Resource, &str)] =
    &[(PERSISTENTVOLUMES, "kubernetes.io/pv-protection"), (PERSISTENTVOLUMECLAIMS, "kubernetes.io/pvc-protection")];

/// The plugin.
#[derive(Debug, Clone, Copy)]
pub struct StorageObjectInUseProtection;

impl Admission for StorageObjectInUseProtection {
    fn name(&self) -> &'static str {
        "StorageObjectInUseProtection"
    }

    fn admit(&self, request: &mut AdmissionRequest<'_>, _reader: &dyn Reader) -> Result<(), ApiError> {
        if request.operation != Operation::Create || !request.subresource.is_empty() {
            return Ok(());
        }
        let of_kind = FINALIZERS.iter().find(|(kind, _)| request.resource.is(kind));
        let Some((_, finalizer)) = of_kind else { return Ok(()) };
        let mut finalizers = request.object["metadata"]["finalizers"].as_array().cloned().unwrap_or_default();
        if !finalizers.contains(&json!(finalizer)) {
            finalizers.push(json!(finalizer));
            request.object["metadata"]["finalizers"] = json!(finalizers);
        }
        Ok(())
    }
}
