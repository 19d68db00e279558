//! The kinds: tables of all built-in resources and their schemas, generated from what upstream publishes. The typed
//! structs are `k8s_openapi`'s.

pub mod openapi;
pub mod protobuf;
pub mod resources;
mod schemas;

pub use resources::{GROUP_VERSIONS, RESOURCES};
pub use schemas::schemas;

use apimachinery::Resource;

/// The resource that a path such as `/apis/apps/v1/deployments` names.
pub fn find(group: &str, version: &str, plural: &str) -> Option<&'static Resource> {
    RESOURCES.iter().find(|r| r.plural == plural && r.group == group && r.version == version)
}

/// The resource of a kind.
pub fn find_kind(group: &str, version: &str, kind: &str) -> Option<&'static Resource> {
    RESOURCES.iter().find(|r| r.kind == kind && r.group == group && r.version == version && r.stored())
}

/// Where the objects of a resource lie in the datastore, below `/registry/`: upstream's layout, so that an etcd that
/// upstream has filled can be read.
pub fn storage_prefix(resource: &Resource) -> String {
    match (resource.group, resource.plural) {
        ("", "nodes") => "minions".to_owned(),
        ("", "services") => "services/specs".to_owned(),
        ("", "endpoints") => "services/endpoints".to_owned(),
        ("", "replicationcontrollers") => "controllers".to_owned(),
        ("networking.k8s.io", "ingresses") => "ingress".to_owned(),
        ("apiextensions.k8s.io" | "apiregistration.k8s.io", plural) => format!("{}/{plural}", resource.group),
        (group, plural) if resource.is_custom() => format!("{group}/{plural}"),
        (_, plural) => plural.to_owned(),
    }
}

/// The version in which objects of a resource are stored, where one kind is served in two: the storage version.
pub fn storage_resource(resource: &'static Resource) -> &'static Resource {
    match (resource.group, resource.version, resource.plural) {
        ("events.k8s.io", _, "events") => resources::EVENTS,
        ("autoscaling", "v1", _) => resources::HORIZONTALPODAUTOSCALERS,
        _ => resource,
    }
}
