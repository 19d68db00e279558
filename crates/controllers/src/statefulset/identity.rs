//! Who a Pod of a StatefulSet is: its ordinal, name, labels, and the claims that it mounts.

use apimachinery::Object;
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use super::claims::Claims;
use crate::history::HASH_LABEL;

const NAME_LABEL: &str = "statefulset.kubernetes.io/pod-name";
const INDEX_LABEL: &str = "apps.kubernetes.io/pod-index";

/// The set's name and the ordinal that a Pod's name is made of.
pub(super) fn parse(name: &str) -> Option<(&str, i32)> {
    let (set, ordinal) = name.rsplit_once('-')?;
    let digits = !ordinal.is_empty() && ordinal.bytes().all(|b| b.is_ascii_digit());
    ordinal.parse().ok().filter(|_| digits).map(|ordinal| (set, ordinal))
}

/// Whether a Pod's name is one of the set's.
pub(super) fn is_member(set: &str, pod: &Object) -> bool {
    parse(&pod.meta().name).is_some_and(|(parent, _)| parent == set)
}

pub(super) fn name(pod: &Pod) -> &str {
    pod.metadata.name.as_deref().unwrap_or_default()
}

pub(super) fn ordinal(pod: &Pod) -> Option<i32> {
    parse(name(pod)).map(|(_, ordinal)| ordinal)
}

fn label<'a>(pod: &'a Pod, key: &str) -> Option<&'a str> {
    pod.metadata.labels.as_ref().and_then(|labels| labels.get(key)).map(String::as_str)
}

/// The name of the revision that a Pod is of.
pub(super) fn revision(pod: &Pod) -> &str {
    label(pod, HASH_LABEL).unwrap_or_default()
}

/// The Pod with this ordinal, from the Pod of the set's template.
pub(super) fn new_pod(
    mut pod: Value,
    claims: &Claims<'_>,
    ordinal: i32,
    service: Option<&str>,
    revision: &str,
) -> Value {
    let name = format!("{}-{ordinal}", claims.set.name);
    let labels = &mut pod["metadata"]["labels"];
    labels[NAME_LABEL] = json!(name);
    labels[INDEX_LABEL] = json!(ordinal.to_string());
    labels[HASH_LABEL] = json!(revision);
    pod["metadata"]["name"] = json!(name);
    pod["spec"]["hostname"] = json!(name);
    if let Some(service) = service.filter(|service| !service.is_empty()) {
        pod["spec"]["subdomain"] = json!(service);
    }
    let volumes = pod["spec"]["volumes"].take();
    let volumes = claims.volumes(ordinal, volumes.as_array().map(Vec::as_slice).unwrap_or_default());
    if !volumes.is_empty() {
        pod["spec"]["volumes"] = json!(volumes);
    } else if let Some(spec) = pod["spec"].as_object_mut() {
        spec.remove("volumes");
    }
    pod
}

/// The merge patch that makes a Pod who it should be; `None` if it is.
pub(super) fn correction(pod: &Pod, claims: &Claims<'_>, ordinal: i32) -> Option<Value> {
    let mut patch = json!({});
    if label(pod, NAME_LABEL) != Some(name(pod)) {
        patch["metadata"]["labels"] = json!({NAME_LABEL: name(pod), INDEX_LABEL: ordinal.to_string()});
    }
    let volumes = json!(pod.spec.as_ref().and_then(|spec| spec.volumes.as_ref()));
    let volumes = volumes.as_array().map(Vec::as_slice).unwrap_or_default();
    if !claims.mounted_by(ordinal, volumes) {
        patch["spec"]["volumes"] = json!(claims.volumes(ordinal, volumes));
    }
    if patch == json!({}) {
        return None;
    }
    patch["metadata"]["uid"] = json!(pod.metadata.uid);
    Some(patch)
}
