//! The question that a webhook gets and what its answer means (`admission.k8s.io/v1 AdmissionReview`).

use apimachinery::{AdmissionRequest, ApiError, Reason};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::configuration::Webhook;
use crate::expression::described;
use crate::matching::Matched;

/// What a webhook says.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Verdict {
    pub(super) refusal: Option<Refusal>,
    /// A JSON patch.
    pub(super) patch: Option<Value>,
    pub(super) warnings: Vec<String>,
}

/// Why a webhook refuses.
#[derive(Debug, PartialEq)]
pub(super) struct Refusal {
    code: u16,
    reason: String,
    message: String,
}

impl Refusal {
    /// What the client is told.
    pub(super) fn into_error(self, webhook: &str) -> ApiError {
        let denied = format!("admission webhook {webhook:?} denied the request");
        let message = match (self.message.as_str(), self.reason.as_str()) {
            ("", "") => format!("{denied} without explanation"),
            ("", reason) => format!("{denied}: {reason}"),
            (message, _) => format!("{denied}: {message}"),
        };
        let reason = if self.reason.is_empty() { Reason::Forbidden } else { Reason::parse(&self.reason) };
        let reason = if self.code == 403 && reason == Reason::Unknown { Reason::Forbidden } else { reason };
        ApiError::new(reason, self.code, message)
    }
}

/// The question. Webhooks that only speak `v1beta1` get its name, for its form is the same.
pub(super) fn review(uid: &str, webhook: &Webhook, matched: &Matched, request: &AdmissionRequest<'_>) -> Vec<u8> {
    let mut asked = described(matched, request);
    asked["uid"] = json!(uid);
    asked["object"] = matched.converted(request.object).into_owned();
    asked["oldObject"] = request.old.map_or(Value::Null, |old| matched.converted(old).into_owned());
    let speaks_v1 = webhook.admission_review_versions.is_empty()
        || webhook.admission_review_versions.iter().any(|version| version == "v1");
    let version = if speaks_v1 { "v1" } else { "v1beta1" };
    let whole =
        json!({"kind": "AdmissionReview", "apiVersion": format!("admission.k8s.io/{version}"), "request": asked});
    whole.to_string().into_bytes()
}

/// What the answer to the question `uid` means; an error if it is none.
pub(super) fn verdict(answer: &[u8], uid: &str) -> Result<Verdict, String> {
    let answer: Value = serde_json::from_slice(answer)
        .map_err(|error| format!("webhook returned response that is no AdmissionReview: {error}"))?;
    let response = &answer["response"];
    if !response.is_object() {
        return Err("webhook response was absent".to_owned());
    }
    let text = |key: &str| response[key].as_str().unwrap_or_default();
    if text("uid") != uid {
        return Err(format!("expected response.uid={uid:?}, got {:?}", text("uid")));
    }
    let warnings = response["warnings"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let mut verdict = Verdict { warnings: warnings.map(str::to_owned).collect(), ..Verdict::default() };
    if response["allowed"] != true {
        let status = &response["status"];
        let word = |key: &str| status[key].as_str().unwrap_or_default().to_owned();
        let code = status["code"].as_u64().and_then(|code| u16::try_from(code).ok()).filter(|code| *code >= 400);
        verdict.refusal = Some(Refusal { code: code.unwrap_or(403), reason: word("reason"), message: word("message") });
        return Ok(verdict);
    }
    if text("patch").is_empty() {
        return Ok(verdict);
    }
    if text("patchType") != "JSONPatch" {
        return Err(format!("webhook returned response.patchType={:?}, which is not supported", text("patchType")));
    }
    let patch = BASE64_STANDARD.decode(text("patch")).map_err(|error| format!("response.patch: {error}"))?;
    verdict.patch = Some(serde_json::from_slice(&patch).map_err(|error| format!("response.patch: {error}"))?);
    Ok(verdict)
}
