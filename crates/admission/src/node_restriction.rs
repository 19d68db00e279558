//! A node's agent writes its own Node, its own Lease and the Pods that are bound to it, and nothing else
//! (upstream: `plugin/pkg/admission/noderestriction`).

mod certificates;

use api::resources::{LEASES, NODES, PODCERTIFICATEREQUESTS, PODS};
use apimachinery::{Admission, AdmissionRequest, ApiError, Operation, Reader};
use serde_json::Value;

const PREFIX: &str = "system:node:";
/// The annotation of Pods that a kubelet mirrors from files.
const MIRROR: &str = "kubernetes.io/config.mirror";
/// Labels below this domain that an agent may set on its Node.
const ALLOWED_LABELS: [&str; 7] = [
    "kubernetes.io/hostname",
    "kubernetes.io/arch",
    "kubernetes.io/os",
    "beta.kubernetes.io/arch",
    "beta.kubernetes.io/os",
    "beta.kubernetes.io/instance-type",
    "node.kubernetes.io/instance-type",
];

/// The plugin.
#[derive(Debug, Clone, Copy)]
pub struct NodeRestriction;

impl Admission for NodeRestriction {
    fn name(&self) -> &'static str {
        "NodeRestriction"
    }

    fn admit(&self, request: &mut AdmissionRequest<'_>, reader: &dyn Reader) -> Result<(), ApiError> {
        let Some(node) = request.user.name.strip_prefix(PREFIX).filter(|_| request.user.in_group("system:nodes"))
        else {
            return Ok(());
        };
        let node = node.to_owned();
        let resource = request.resource;
        let refuse = |why: String| Err(ApiError::forbidden(resource.group, resource.plural, request.name, &why));
        if resource.is(PODS) {
            let pod = if request.operation == Operation::Create {
                &*request.object
            } else {
                request.old.unwrap_or(&Value::Null)
            };
            let on = pod["spec"]["nodeName"].as_str().unwrap_or_default();
            if on != node {
                return refuse(format!("node {node:?} can only write pods with spec.nodeName set to itself"));
            }
            if request.operation == Operation::Create
                && request.subresource.is_empty()
                && pod["metadata"]["annotations"][MIRROR].is_null()
            {
                return refuse(format!(
                    "pod does not have {MIRROR:?} annotation, node {node:?} can only create mirror pods"
                ));
            }
            if request.operation == Operation::Update && !matches!(request.subresource, "status") {
                return refuse(format!("node {node:?} can only update pod status"));
            }
        }
        if resource.is(NODES) {
            if request.name != node {
                return refuse(format!("node {node:?} is not allowed to modify node {:?}", request.name));
            }
            if request.operation == Operation::Delete {
                return refuse(format!("node {node:?} may not delete itself"));
            }
            if let Some(label) = forbidden_label(request.object, request.old) {
                return refuse(format!("is not allowed to modify labels: {label}"));
            }
            if let Some(old) = request.old
                && old["spec"]["taints"] != request.object["spec"]["taints"]
            {
                return refuse(format!("node {node:?} is not allowed to modify taints"));
            }
        }
        if resource.is(PODCERTIFICATEREQUESTS) {
            return certificates::check(request, reader, &node);
        }
        if resource.is(LEASES) && (request.namespace != "kube-node-lease" || request.name != node) {
            return refuse(format!("can only access node lease with the same name as the requesting node {node:?}"));
        }
        Ok(())
    }
}

/// A label of Kubernetes' own that changes and is not the agent's to set.
fn forbidden_label(new: &Value, old: Option<&Value>) -> Option<String> {
    let empty = serde_json::Map::new();
    let labels =
        |value: Option<&Value>| value.and_then(|v| v["metadata"]["labels"].as_object()).unwrap_or(&empty).clone();
    let (new, old) = (labels(Some(new)), labels(old));
    let changed = new.iter().filter(|(key, value)| old.get(*key) != Some(value)).map(|(key, _)| key);
    let removed = old.keys().filter(|key| !new.contains_key(*key));
    let mut all = changed.chain(removed);
    all.find(|key| {
        let domain = key.split_once('/').map_or("", |(domain, _)| domain);
        let restricted = domain == "kubernetes.io"
            || domain.ends_with(".kubernetes.io")
            || domain == "k8s.io"
            || domain.ends_with(".k8s.io");
        let free = domain == "kubelet.kubernetes.io"
            || domain.ends_with(".kubelet.kubernetes.io")
            || domain == "node.kubernetes.io"
            || domain.ends_with(".node.kubernetes.io");
        let topology = matches!(key.as_str(), "topology.kubernetes.io/zone" | "topology.kubernetes.io/region");
        restricted && !free && !topology && !ALLOWED_LABELS.contains(&key.as_str())
    })
    .cloned()
}
