//! Built-in admission plugins, with upstream's names and in upstream's order
//! (`pkg/kubeapiserver/options/plugins.go`), one file each, listed in one table.
//!
//! Absent on purpose, until what they serve exists: LimitRanger, PodSecurity, ResourceQuota, RuntimeClass,
//! DefaultStorageClass, StorageObjectInUseProtection, webhooks and policies.

mod default_toleration_seconds;
mod namespace_lifecycle;
mod node_restriction;
mod priority;
mod service_account;
mod taint_nodes_by_condition;
mod unserved_kinds;

use std::sync::Arc;

use apimachinery::Admission;
use component_base::Random;

pub use default_toleration_seconds::DefaultTolerationSeconds;
pub use namespace_lifecycle::NamespaceLifecycle;
pub use node_restriction::NodeRestriction;
pub use priority::Priority;
pub use service_account::ServiceAccount;
pub use taint_nodes_by_condition::TaintNodesByCondition;
pub use unserved_kinds::UnservedKinds;

/// All plugins, in the order in which they run.
pub fn plugins(random: Arc<Random>) -> Vec<Box<dyn Admission>> {
    vec![
        Box::new(NamespaceLifecycle),
        Box::new(NodeRestriction),
        Box::new(ServiceAccount::new(random)),
        Box::new(TaintNodesByCondition),
        Box::new(Priority),
        Box::new(DefaultTolerationSeconds),
        Box::new(UnservedKinds),
    ]
}

#[cfg(test)]
mod tests;
