//! Built-in admission plugins, with upstream's names and in upstream's order
//! (`pkg/kubeapiserver/options/plugins.go`), one file each, listed in one table.
//!
//! Absent until what it serves exists: PodSecurity.
//! Webhooks are asked after the plugins ([`Webhooks`]).

mod certificates;
mod default_storage_class;
mod default_toleration_seconds;
mod expression;
mod limit_ranger;
mod matching;
mod namespace_lifecycle;
mod node_restriction;
mod persistent_volume_claim_resize;
mod pod_resize;
mod policies;
mod priority;
mod resource_quota;
mod runtime_class;
mod service_account;
mod storage_object_in_use_protection;
mod taint_nodes_by_condition;
mod unserved_kinds;
mod webhooks;

use std::sync::Arc;

use apimachinery::Admission;
use component_base::Random;

pub use certificates::{
    CertificateApproval, CertificateRequester, CertificateSigning, CertificateSubjectRestriction,
    ClusterTrustBundleAttest, PodCertificateSigning,
};
pub use default_storage_class::DefaultStorageClass;
pub use default_toleration_seconds::DefaultTolerationSeconds;
pub use limit_ranger::LimitRanger;
pub use namespace_lifecycle::NamespaceLifecycle;
pub use node_restriction::NodeRestriction;
pub use persistent_volume_claim_resize::PersistentVolumeClaimResize;
pub use pod_resize::PodResizeValidator;
pub use policies::{MutatingAdmissionPolicy, ValidatingAdmissionPolicy};
pub use priority::Priority;
pub use resource_quota::ResourceQuota;
pub use runtime_class::RuntimeClass;
pub use service_account::ServiceAccount;
pub use storage_object_in_use_protection::StorageObjectInUseProtection;
pub use taint_nodes_by_condition::TaintNodesByCondition;
pub use unserved_kinds::UnservedKinds;
pub use webhooks::{Endpoint, WebhookTransport, Webhooks};

/// All plugins, in the order in which they run.
pub fn plugins(random: Arc<Random>) -> Vec<Box<dyn Admission>> {
    vec![
        Box::new(NamespaceLifecycle),
        Box::new(LimitRanger),
        Box::new(NodeRestriction),
        Box::new(ServiceAccount::new(random)),
        Box::new(TaintNodesByCondition),
        Box::new(Priority),
        Box::new(DefaultTolerationSeconds),
        Box::new(DefaultStorageClass),
        Box::new(StorageObjectInUseProtection),
        Box::new(PersistentVolumeClaimResize),
        Box::new(RuntimeClass),
        Box::new(CertificateRequester),
        Box::new(CertificateApproval),
        Box::new(CertificateSigning),
        Box::new(ClusterTrustBundleAttest),
        Box::new(PodCertificateSigning),
        Box::new(CertificateSubjectRestriction),
        Box::new(PodResizeValidator),
        Box::new(MutatingAdmissionPolicy),
        Box::new(ValidatingAdmissionPolicy),
        Box::new(ResourceQuota),
        Box::new(UnservedKinds),
    ]
}

#[cfg(test)]
mod tests;
