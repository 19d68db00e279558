//! Who may speak for a signer: attest its trust anchors, sign certificates of Pods
//! (upstream: `plugin/pkg/admission/certificates`, `pkg/registry/certificates/podcertificaterequest/strategy.go`).

mod requests;

use api::resources::{CLUSTERTRUSTBUNDLES, PODCERTIFICATEREQUESTS};
use apimachinery::{Admission, AdmissionRequest, ApiError, FieldError, FieldPath, Operation, Reader, UserInfo, Wish};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

pub use requests::{CertificateApproval, CertificateRequester, CertificateSigning, CertificateSubjectRestriction};

/// Whether `user` may do `verb` for a signer, by its name or by `DOMAIN/*`.
fn may(reader: &dyn Reader, user: &UserInfo, verb: &str, signer: &str) -> bool {
    let domain = signer.split('/').next().unwrap_or_default();
    let names = [signer.to_owned(), format!("{domain}/*")];
    let wish = |name| Wish { verb, group: CLUSTERTRUSTBUNDLES.group, resource: "signers", namespace: "", name };
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

/// Who decides on a Pod's certificate request, and when. Upstream's strategy does this; here strategies are pure and know no
/// time.
#[derive(Debug, Clone, Copy)]
pub struct PodCertificateSigning;

/// How far the beginning of a new certificate's life may be from now.
const SKEW_MAX: SignedDuration = SignedDuration::from_mins(5);

impl Admission for PodCertificateSigning {
    fn name(&self) -> &'static str {
        "PodCertificateSigning"
    }

    fn validate(&self, request: &mut AdmissionRequest<'_>, reader: &dyn Reader) -> Result<(), ApiError> {
        let (resource, status) = (request.resource, &request.object["status"]);
        let of_status = resource.is(PODCERTIFICATEREQUESTS) && request.subresource == "status";
        let Some(old) = request.old.filter(|old| of_status && old["status"] != *status) else { return Ok(()) };
        let not_before = status["notBefore"].as_str().and_then(|at| at.parse::<Timestamp>().ok());
        let fault = if not_before.is_some_and(|at| at.duration_since(request.now).abs() >= SKEW_MAX) {
            let detail = "must be set to within 5 minutes of kube-apiserver's current time";
            FieldError::invalid(&FieldPath::new("status").child("notBefore"), &status["notBefore"], detail)
        } else {
            let signer = old["spec"]["signerName"].as_str().unwrap_or_default();
            if may(reader, request.user, "sign", signer) {
                return Ok(());
            }
            let detail = format!("User {:?} is not permitted to \"sign\" for signer {signer:?}", request.user.name);
            FieldError::forbidden(&FieldPath::new("spec").child("signerName"), detail)
        };
        Err(ApiError::invalid(resource.group, resource.kind, request.name, &[fault]))
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
