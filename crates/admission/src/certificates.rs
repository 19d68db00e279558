//! Who may speak for a signer: attest its trust anchors
//! (upstream: `plugin/pkg/admission/certificates`).

use api::resources::CLUSTERTRUSTBUNDLES;
use apimachinery::{Admission, AdmissionRequest, ApiError, Operation, Reader, UserInfo, Wish};
use serde_json::Value;

/// Whether `user` may do `verb` for a signer, by its name or by `DOMAIN/*`.
fn may(reader: &dyn Reader, user: &UserInfo, verb: &str, signer: &str) -> bool {
    let domain = signer.split('/').next().unwrap_or_default();
    let names = [signer.to_owned(), format!("{domain}/*")];
    let wish = |name| Wish { verb, group: CLUSTERTRUSTBUNDLES.group, resource: "signers", name };
    names.iter().any(|name| reader.allows(user, &wish(name.as_str())))
}

/// The plugin of trust bundles.
#[derive(Debug, Clone, Copy)]
pub struct ClusterTrustBundleAttest;

impl Admission for ClusterTrustBundleAttest {
    fn name(&self) -> &'static str {
        "ClusterTrustBundleAttest"
    }

    fn validate(&self, request: &mut AdmissionRequest<'_>, reader: &dyn Reader) -> Result<(), ApiError> {
        let writes = matches!(request.operation, Operation::Create | Operation::Update);
        let signer = request.object["spec"]["signerName"].as_str().unwrap_or_default();
        if !request.resource.is(CLUSTERTRUSTBUNDLES) || !writes || signer.is_empty() {
            return Ok(());
        }
        // The garbage collector is no signer.
        if request.old.is_some_and(|old| without_owners(old) == without_owners(request.object)) {
            return Ok(());
        }
        if may(reader, request.user, "attest", signer) {
            return Ok(());
        }
        let why = format!("user not permitted to attest for signerName {signer:?}");
        Err(ApiError::forbidden(request.resource.group, request.resource.plural, request.name, &why))
    }
}

/// An object without what the garbage collector changes.
fn without_owners(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(metadata) = object["metadata"].as_object_mut() {
        for key in ["ownerReferences", "finalizers", "managedFields"] {
            metadata.remove(key);
        }
    }
    object
}

#[cfg(test)]
mod tests;
