//! The kinds: tables of all built-in resources and their schemas, generated from what upstream publishes. The typed
//! structs are `k8s_openapi`'s.

pub mod resources;

pub use resources::{GROUP_VERSIONS, RESOURCES};

use apimachinery::Resource;

/// The resource that a path such as `/apis/apps/v1/deployments` names.
pub fn find(group: &str, version: &str, plural: &str) -> Option<&'static Resource> {
    RESOURCES.iter().find(|r| r.plural == plural && r.group == group && r.version == version)
}

/// The resource of a kind.
pub fn find_kind(group: &str, version: &str, kind: &str) -> Option<&'static Resource> {
    RESOURCES.iter().find(|r| r.kind == kind && r.group == group && r.version == version && r.stored())
}
