//! A new Node takes no Pods until its agent says that it is ready
//! (upstream: `plugin/pkg/admission/nodetaint`).

use api::resources::NODES;
use apimachinery::{Admission, AdmissionRequest, ApiError, Operation, Reader};
use serde_json::{Value, json};

const NOT_READY: &str = "node.kubernetes.io/not-ready";

/// The plugin.
#[derive(Debug, Clone, Copy)]
pub struct TaintNodesByCondition;

impl Admission for TaintNodesByCondition {
    fn name(&self) -> &'static str {
        "TaintNodesByCondition"
    }

    fn admit(&self, request: &mut AdmissionRequest<'_>, _reader: &dyn Reader) -> Result<(), ApiError> {
        if !request.resource.is(NODES) || request.operation != Operation::Create || !request.subresource.is_empty() {
            return Ok(());
        }
        let spec = &mut request.object["spec"];
        let mut taints = spec["taints"].as_array().cloned().unwrap_or_default();
        if !taints.iter().any(|t| t["key"] == NOT_READY && t["effect"] == "NoSchedule") {
            taints.push(json!({"key": NOT_READY, "effect": "NoSchedule"}));
        }
        spec["taints"] = Value::Array(taints);
        Ok(())
    }
}
