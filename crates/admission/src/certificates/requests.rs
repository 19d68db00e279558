//! CertificateSigningRequests: who asks, who approves, who signs.

use api::resources::CERTIFICATESIGNINGREQUESTS;
use apimachinery::{Admission, AdmissionRequest, ApiError, Operation, Reader};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use registry::pem;
use serde_json::{Value, json};
use x509_parser::prelude::{FromDer as _, X509CertificationRequest};

use super::may;

/// The signer of clients of the API server.
const CLIENT_SIGNER: &str = "kubernetes.io/kube-apiserver-client";

/// Whether it is a write of a request through this door.
fn is(request: &AdmissionRequest<'_>, operation: Operation, subresource: &str) -> bool {
    request.resource.is(CERTIFICATESIGNINGREQUESTS)
        && request.operation == operation
        && request.subresource == subresource
}

fn refuse(request: &AdmissionRequest<'_>, why: &str) -> Result<(), ApiError> {
    Err(ApiError::forbidden(request.resource.group, request.resource.plural, request.name, why))
}

fn signer(object: &Value) -> &str {
    object["spec"]["signerName"].as_str().unwrap_or_default()
}

/// Writes down who asks, whatever they say. Upstream's strategy does this; here strategies know a user's name only.
#[derive(Debug, Clone, Copy)]
pub struct CertificateRequester;

impl Admission for CertificateRequester {
    fn name(&self) -> &'static str {
        "CertificateRequester"
    }

    fn admit(&self, request: &mut AdmissionRequest<'_>, _reader: &dyn Reader) -> Result<(), ApiError> {
        if !is(request, Operation::Create, "") {
            return Ok(());
        }
        let user = request.user;
        let Some(spec) = request.object["spec"].as_object_mut() else { return Ok(()) };
        for key in ["username", "uid", "groups", "extra"] {
            spec.remove(key);
        }
        spec.insert("username".to_owned(), json!(user.name));
        for (key, value, empty) in [
            ("uid", json!(user.uid), user.uid.is_empty()),
            ("groups", json!(user.groups), user.groups.is_empty()),
            ("extra", json!(user.extra), user.extra.is_empty()),
        ] {
            if !empty {
                spec.insert(key.to_owned(), value);
            }
        }
        Ok(())
    }

    fn validate(&self, request: &mut AdmissionRequest<'_>, _reader: &dyn Reader) -> Result<(), ApiError> {
        // A webhook may have come after it.
        if is(request, Operation::Create, "") && request.object["spec"]["username"] != request.user.name.as_str() {
            return refuse(request, "spec.username is not who asks");
        }
        Ok(())
    }
}

/// Who approves or denies needs the signer's permission.
#[derive(Debug, Clone, Copy)]
pub struct CertificateApproval;

impl Admission for CertificateApproval {
    fn name(&self) -> &'static str {
        "CertificateApproval"
    }

    fn validate(&self, request: &mut AdmissionRequest<'_>, reader: &dyn Reader) -> Result<(), ApiError> {
        let Some(old) = request.old.filter(|_| is(request, Operation::Update, "approval")) else { return Ok(()) };
        if may(reader, request.user, "approve", signer(old)) {
            return Ok(());
        }
        refuse(request, &format!("user not permitted to approve requests with signerName {:?}", signer(old)))
    }
}

/// Who signs, too.
#[derive(Debug, Clone, Copy)]
pub struct CertificateSigning;

impl Admission for CertificateSigning {
    fn name(&self) -> &'static str {
        "CertificateSigning"
    }

    fn validate(&self, request: &mut AdmissionRequest<'_>, reader: &dyn Reader) -> Result<(), ApiError> {
        let Some(old) = request.old.filter(|_| is(request, Operation::Update, "status")) else { return Ok(()) };
        let same = |key: &str| old["status"][key] == request.object["status"][key];
        if (same("certificate") && same("conditions")) || may(reader, request.user, "sign", signer(old)) {
            return Ok(());
        }
        refuse(request, &format!("user not permitted to sign requests with signerName {:?}", signer(old)))
    }
}

/// Nobody becomes all-powerful by a certificate.
#[derive(Debug, Clone, Copy)]
pub struct CertificateSubjectRestriction;

impl Admission for CertificateSubjectRestriction {
    fn name(&self) -> &'static str {
        "CertificateSubjectRestriction"
    }

    fn validate(&self, request: &mut AdmissionRequest<'_>, _reader: &dyn Reader) -> Result<(), ApiError> {
        if !is(request, Operation::Create, "") || signer(request.object) != CLIENT_SIGNER {
            return Ok(());
        }
        let text = request.object["spec"]["request"].as_str().unwrap_or_default();
        let text = STANDARD.decode(text).unwrap_or_default();
        let block = pem::blocks(&String::from_utf8_lossy(&text)).into_iter().next();
        let Some(block) = block else {
            return refuse(request, "failed to parse CSR: PEM block type must be CERTIFICATE REQUEST");
        };
        let Ok((_, asked)) = X509CertificationRequest::from_der(&block.bytes) else {
            return refuse(request, "failed to parse CSR: malformed certificate request");
        };
        let mut groups = asked.certification_request_info.subject.iter_organization();
        if groups.any(|group| group.as_str() == Ok("system:masters")) {
            let why = format!("use of {CLIENT_SIGNER} signer with system:masters group is not allowed");
            return refuse(request, &why);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
