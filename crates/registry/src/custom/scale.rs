//! Where a custom resource keeps what `scale` reads and writes.

use serde_json::Value;

use crate::value::text;

/// The paths of the subresource `scale`, as steps below the object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScalePaths {
    /// Of the number of replicas that are wanted.
    pub spec_replicas: Vec<String>,
    /// Of the number of replicas that are there.
    pub status_replicas: Vec<String>,
    /// Of the selector, as text; empty if there is none.
    pub label_selector: Vec<String>,
}

impl ScalePaths {
    /// Reads `subresources.scale` of a version.
    pub(super) fn of(scale: &Value) -> Option<Self> {
        let steps = |key: &str| -> Vec<String> {
            text(scale, key).split('.').filter(|step| !step.is_empty()).map(str::to_owned).collect()
        };
        scale.is_object().then(|| Self {
            spec_replicas: steps("specReplicasPath"),
            status_replicas: steps("statusReplicasPath"),
            label_selector: steps("labelSelectorPath"),
        })
    }
}
