//! Which requests are approved without asking anybody, and which are signed. Pure.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use registry::pem;
use serde_json::Value;
use x509_parser::prelude::{FromDer as _, GeneralName, ParsedExtension, X509CertificationRequest};

const KUBELET_CLIENT: &str = "kubernetes.io/kube-apiserver-client-kubelet";
const KUBELET_SERVING: &str = "kubernetes.io/kubelet-serving";
const CLIENT: &str = "kubernetes.io/kube-apiserver-client";
const LEGACY: &str = "kubernetes.io/legacy-unknown";

/// What somebody asks to have certified.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Asked {
    /// The request, DER.
    pub(super) der: Vec<u8>,
    common_name: String,
    organizations: Vec<String>,
    dns: bool,
    ip: bool,
    email: bool,
    uri: bool,
}

/// Reads a request.
pub(super) fn read(request: &Value) -> Option<Asked> {
    let text = STANDARD.decode(request["spec"]["request"].as_str()?).ok()?;
    let block = pem::blocks(std::str::from_utf8(&text).ok()?).into_iter().next()?;
    let (_, parsed) = X509CertificationRequest::from_der(&block.bytes).ok()?;
    let subject = &parsed.certification_request_info.subject;
    let mut asked = Asked {
        common_name: subject
            .iter_common_name()
            .filter_map(|name| name.as_str().ok())
            .last()
            .unwrap_or_default()
            .to_owned(),
        organizations: subject.iter_organization().filter_map(|o| Some(o.as_str().ok()?.to_owned())).collect(),
        ..Asked::default()
    };
    for extension in parsed.requested_extensions().into_iter().flatten() {
        let ParsedExtension::SubjectAlternativeName(names) = extension else { continue };
        for name in &names.general_names {
            match name {
                GeneralName::DNSName(_) => asked.dns = true,
                GeneralName::IPAddress(_) => asked.ip = true,
                GeneralName::RFC822Name(_) => asked.email = true,
                GeneralName::URI(_) => asked.uri = true,
                _ => {}
            }
        }
    }
    Some(Asked { der: block.bytes, ..asked })
}

fn usages(request: &Value) -> BTreeSet<&str> {
    request["spec"]["usages"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

fn signer(request: &Value) -> &str {
    request["spec"]["signerName"].as_str().unwrap_or_default()
}

/// Whether a condition of the type is true.
fn holds(request: &Value, kind: &str) -> bool {
    let conditions = request["status"]["conditions"].as_array();
    conditions.into_iter().flatten().any(|c| c["type"] == kind && c["status"] == "True")
}

fn is_signed(request: &Value) -> bool {
    request["status"]["certificate"].as_str().is_some_and(|certificate| !certificate.is_empty())
}

/// A permission to ask that makes approval a matter of form, and what the approval then says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Permission {
    pub(super) subresource: &'static str,
    pub(super) message: &'static str,
}

/// Permissions of which one is enough to approve; none if somebody has to decide.
pub(super) fn approvable(request: &Value) -> Vec<Permission> {
    let open = !is_signed(request) && !holds(request, "Approved") && !holds(request, "Denied");
    let Some(asked) = read(request).filter(|_| open && signer(request) == KUBELET_CLIENT) else { return Vec::new() };
    if kubelet_client(&asked, &usages(request)).is_err() {
        return Vec::new();
    }
    let own = request["spec"]["username"] == asked.common_name.as_str();
    let self_client = Permission {
        subresource: "selfnodeclient",
        message: "Auto approving self kubelet client certificate after SubjectAccessReview.",
    };
    let client = Permission {
        subresource: "nodeclient",
        message: "Auto approving kubelet client certificate after SubjectAccessReview.",
    };
    own.then_some(self_client).into_iter().chain([client]).collect()
}

/// What a signer makes of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Signing {
    /// Nothing: it is not approved, signed already, or another's.
    None,
    Sign(Asked),
    /// It breaks the signer's rules.
    Fail(String),
}

/// Decides for all of Kubernetes' own signers.
pub(super) fn signing(request: &Value) -> Signing {
    let approved = holds(request, "Approved") && !holds(request, "Denied") && !holds(request, "Failed");
    if !approved || is_signed(request) {
        return Signing::None;
    }
    let Some(asked) = read(request) else { return Signing::None };
    let usages = usages(request);
    let verdict = match signer(request) {
        KUBELET_SERVING => kubelet_serving(&asked, &usages),
        KUBELET_CLIENT => kubelet_client(&asked, &usages),
        CLIENT => client(&usages),
        LEGACY => Ok(()),
        _ => return Signing::None,
    };
    match verdict {
        Ok(()) => Signing::Sign(asked),
        Err(why) => Signing::Fail(why),
    }
}

fn is_of_node(asked: &Asked) -> Result<(), String> {
    if asked.common_name.starts_with("system:node:") {
        return Ok(());
    }
    Err("subject common name does not begin with system:node:".to_owned())
}

/// The usages are these, with or without the one that only RSA needs.
fn exactly(usages: &BTreeSet<&str>, purpose: &str) -> Result<(), String> {
    let all = ["digital signature", "key encipherment", purpose];
    let rest: BTreeSet<&str> = usages.iter().copied().filter(|usage| *usage != "key encipherment").collect();
    if rest == BTreeSet::from(["digital signature", purpose]) {
        return Ok(());
    }
    let mut sorted = all;
    sorted.sort_unstable();
    Err(format!("usages did not match [{}]", sorted.join(" ")))
}

fn of_nodes(asked: &Asked) -> Result<(), String> {
    if asked.organizations == ["system:nodes"] {
        return Ok(());
    }
    Err("subject organization is not system:nodes".to_owned())
}

fn without(present: bool, what: &str) -> Result<(), String> {
    if present { Err(format!("{what} subjectAltNames are not allowed")) } else { Ok(()) }
}

fn kubelet_client(asked: &Asked, usages: &BTreeSet<&str>) -> Result<(), String> {
    of_nodes(asked)?;
    without(asked.dns, "DNS")?;
    without(asked.email, "Email")?;
    without(asked.ip, "IP")?;
    without(asked.uri, "URI")?;
    is_of_node(asked)?;
    exactly(usages, "client auth")
}

fn kubelet_serving(asked: &Asked, usages: &BTreeSet<&str>) -> Result<(), String> {
    of_nodes(asked)?;
    if !asked.dns && !asked.ip {
        return Err("DNS or IP subjectAltName is required".to_owned());
    }
    without(asked.email, "Email")?;
    without(asked.uri, "URI")?;
    exactly(usages, "server auth")?;
    is_of_node(asked)
}

fn client(usages: &BTreeSet<&str>) -> Result<(), String> {
    let allowed = ["client auth", "digital signature", "key encipherment"];
    if let Some(other) = usages.iter().find(|usage| !allowed.contains(usage)) {
        return Err(format!("invalid usage for client certificate: {other}"));
    }
    if usages.contains("client auth") {
        return Ok(());
    }
    Err("missing required usage for client certificate: client auth".to_owned())
}

#[cfg(test)]
mod tests;
