//! Ephemeral containers: added to a Pod while it runs, started once and never again.

use k8s_openapi::api::core::v1::{Container, PodSpec};
use serde_json::Value;

/// The Pod's ephemeral containers, as ordinary ones: their fields are the same but for the target.
pub(crate) fn containers(spec: &PodSpec) -> Vec<Container> {
    let ordinary = |container| -> Option<Container> {
        let mut value = serde_json::to_value(container).ok()?;
        value["targetContainerName"] = Value::Null;
        serde_json::from_value(value).ok()
    };
    spec.ephemeral_containers.iter().flatten().filter_map(ordinary).collect()
}

/// Whether `name` is one.
pub(crate) fn is_ephemeral(spec: &PodSpec, name: &str) -> bool {
    spec.ephemeral_containers.iter().flatten().any(|container| container.name == name)
}

/// The container whose processes the ephemeral container `name` is to see.
pub(crate) fn target<'a>(spec: &'a PodSpec, name: &str) -> Option<&'a str> {
    let own = spec.ephemeral_containers.iter().flatten().find(|container| container.name == name)?;
    own.target_container_name.as_deref().filter(|target| !target.is_empty())
}
