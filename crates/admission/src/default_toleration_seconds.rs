//! A Pod stays five minutes on a node that is not ready or not reachable, unless it says otherwise
//! (upstream: `plugin/pkg/admission/defaulttolerationseconds`).

use api::resources::PODS;
use apimachinery::{Admission, AdmissionRequest, ApiError, Operation, Reader};
use serde_json::{Value, json};

const TAINTS: [&str; 2] = ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"];
const SECONDS: i64 = 300;

/// The plugin.
#[derive(Debug, Clone, Copy)]
pub struct DefaultTolerationSeconds;

impl Admission for DefaultTolerationSeconds {
    fn name(&self) -> &'static str {
        "DefaultTolerationSeconds"
    }

    fn admit(&self, request: &mut AdmissionRequest<'_>, _reader: &dyn Reader) -> Result<(), ApiError> {
        let write = matches!(request.operation, Operation::Create | Operation::Update);
        if !request.resource.is(PODS) || !request.subresource.is_empty() || !write {
            return Ok(());
        }
        let spec = &mut request.object["spec"];
        let mut tolerations = spec["tolerations"].as_array().cloned().unwrap_or_default();
        for taint in TAINTS {
            if !tolerations.iter().any(|toleration| tolerates(toleration, taint)) {
                tolerations.push(json!({
                    "key": taint, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": SECONDS,
                }));
            }
        }
        spec["tolerations"] = Value::Array(tolerations);
        Ok(())
    }
}

fn tolerates(toleration: &Value, taint: &str) -> bool {
    let text = |field: &str| toleration[field].as_str().unwrap_or_default();
    (text("key") == taint || text("key").is_empty()) && (text("effect") == "NoExecute" || text("effect").is_empty())
}
