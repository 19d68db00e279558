//! Names that the kubelet gives.

use k8s_openapi::api::core::v1::Pod;

/// Labels on sandboxes and containers, as upstream's kubelet sets them (`pkg/kubelet/types/labels.go`).
pub(crate) const POD_NAME: &str = "io.kubernetes.pod.name";
pub(crate) const POD_NAMESPACE: &str = "io.kubernetes.pod.namespace";
pub(crate) const POD_UID: &str = "io.kubernetes.pod.uid";
pub(crate) const CONTAINER_NAME: &str = "io.kubernetes.container.name";

pub(crate) fn name(pod: &Pod) -> &str {
    pod.metadata.name.as_deref().unwrap_or_default()
}

pub(crate) fn namespace(pod: &Pod) -> &str {
    pod.metadata.namespace.as_deref().unwrap_or_default()
}

pub(crate) fn uid(pod: &Pod) -> &str {
    pod.metadata.uid.as_deref().unwrap_or_default()
}

/// `name_namespace(uid)`, as messages name Pods.
pub(crate) fn full_name(pod: &Pod) -> String {
    format!("{}_{}({})", name(pod), namespace(pod), uid(pod))
}

/// The host name inside the Pod: its own word, or its name, at most 63 characters.
pub(crate) fn hostname(pod: &Pod) -> String {
    let spec = pod.spec.as_ref();
    let own = spec.and_then(|s| s.hostname_override.clone().or_else(|| s.hostname.clone())).filter(|h| !h.is_empty());
    let mut hostname = own.unwrap_or_else(|| name(pod).to_owned());
    hostname.truncate(63);
    hostname.trim_end_matches(['-', '.']).to_owned()
}
