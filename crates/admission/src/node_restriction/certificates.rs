//! A node asks for certificates of Pods that run on it and want them, and of nobody else.

use api::resources::{NODES, PODCERTIFICATEREQUESTS, PODS, SERVICEACCOUNTS};
use apimachinery::{AdmissionRequest, ApiError, Operation, Reader, Resource, Wish};
use serde_json::Value;

use super::MIRROR;

pub(super) fn check(request: &AdmissionRequest<'_>, reader: &dyn Reader, node: &str) -> Result<(), ApiError> {
    let resource = request.resource;
    let refuse = |why: String| Err(ApiError::forbidden(resource.group, resource.plural, request.name, &why));
    if request.operation != Operation::Create {
        return refuse(format!("unexpected operation {}", format!("{:?}", request.operation).to_uppercase()));
    }
    if !request.subresource.is_empty() {
        return refuse(format!("unexpected subresource {}", request.subresource));
    }
    let spec = &request.object["spec"];
    let text = |key: &str| spec[key].as_str().unwrap_or_default();
    let namespace = request.namespace;
    let named = format!("{namespace}/{}", text("podName"));
    if text("nodeName") != node {
        let why = "which is not the requesting node";
        return refuse(format!("PodCertificateRequest.Spec.NodeName={:?}, {why} {node:?}", text("nodeName")));
    }
    let find = |resource: &'static Resource, namespace: &str, name: &str, what: &str| {
        let found = reader.get(resource, namespace, name);
        let shown = if namespace.is_empty() { name.to_owned() } else { format!("{namespace}/{name}") };
        let missing = || format!("while retrieving {what} {shown:?} named in the PodCertificateRequest: not found");
        found.ok_or_else(|| ApiError::internal(missing()))
    };
    let of_node = find(NODES, "", node, "node")?;
    if of_node.meta().uid != text("nodeUID") {
        return Err(ApiError::internal(format!(
            "PodCertificateRequest for pod {named:?} names node UID {:?}, inconsistent with the running node ({:?})",
            text("nodeUID"),
            of_node.meta().uid
        )));
    }
    let pod = find(PODS, namespace, text("podName"), "pod")?;
    if pod.meta().uid != text("podUID") {
        return Err(ApiError::internal(format!(
            "PodCertificateRequest for pod {named:?} contains pod UID ({:?}) which differs from running pod {:?}",
            text("podUID"),
            pod.meta().uid
        )));
    }
    let pod = pod.value();
    if pod["spec"]["nodeName"] != node {
        return refuse(format!("pod {named:?} is not running on node {node:?} named in the PodCertificateRequest"));
    }
    if !pod["metadata"]["annotations"][MIRROR].is_null() {
        return refuse(format!("pod {named:?} is a mirror pod"));
    }
    let account = pod["spec"]["serviceAccountName"].as_str().unwrap_or_default();
    if account != text("serviceAccountName") {
        return refuse(format!(
            "PodCertificateRequest for pod {named:?} contains serviceAccountName ({:?}) that differs from running pod \
             ({account:?})",
            text("serviceAccountName")
        ));
    }
    let of_account = find(SERVICEACCOUNTS, namespace, account, "service account")?;
    if of_account.meta().uid != text("serviceAccountUID") {
        return Err(ApiError::internal(format!(
            "PodCertificateRequest for pod {named:?} names service account UID {:?}, which differs from the running service \
             account ({:?})",
            text("serviceAccountUID"),
            of_account.meta().uid
        )));
    }
    let signer = text("signerName");
    if wants(&pod, signer) || may_ask(request, reader, signer, account) {
        return Ok(());
    }
    refuse(format!("pod {named:?} does not mount a podCertificate projected volume for signer {signer:?}"))
}

/// Whether a volume of the Pod shows a certificate of the signer.
fn wants(pod: &Value, signer: &str) -> bool {
    let volumes = pod["spec"]["volumes"].as_array().into_iter().flatten();
    let mut sources = volumes.flat_map(|volume| volume["projected"]["sources"].as_array().into_iter().flatten());
    sources.any(|source| source["podCertificate"]["signerName"] == signer)
}

/// A driver of volumes on the node may need certificates that no Pod names. Names of resources have no slashes.
fn may_ask(request: &AdmissionRequest<'_>, reader: &dyn Reader, signer: &str, account: &str) -> bool {
    let resource = signer.replace('/', ":");
    let verb = "request-serviceaccounts-podcertificate-signer";
    let (group, namespace) = (PODCERTIFICATEREQUESTS.group, request.namespace);
    reader.allows(request.user, &Wish { verb, group, resource: &resource, namespace, name: account })
}

#[cfg(test)]
mod tests;
