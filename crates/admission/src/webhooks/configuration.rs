//! The webhook configurations, as far as they are read here.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;

use crate::expression::Condition;
use crate::matching::Constraints;

/// A `MutatingWebhookConfiguration` or `ValidatingWebhookConfiguration`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Configuration {
    pub(super) webhooks: Vec<Webhook>,
}

/// One webhook.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Webhook {
    pub(super) name: String,
    pub(super) client_config: ClientConfig,
    #[serde(flatten)]
    pub(super) constraints: Constraints,
    pub(super) match_conditions: Vec<Condition>,
    pub(super) failure_policy: Option<String>,
    pub(super) side_effects: String,
    pub(super) timeout_seconds: Option<u32>,
    pub(super) admission_review_versions: Vec<String>,
    pub(super) reinvocation_policy: Option<String>,
}

/// How a webhook is reached.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ClientConfig {
    pub(super) url: Option<String>,
    pub(super) service: Option<ServiceReference>,
    ca_bundle: Option<String>,
}

/// The Service before a webhook.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ServiceReference {
    pub(super) name: String,
    pub(super) namespace: String,
    pub(super) path: Option<String>,
    pub(super) port: Option<u16>,
}

impl Webhook {
    /// Whether the webhook is gone without if it can't be asked.
    pub(super) fn may_fail(&self) -> bool {
        self.failure_policy.as_deref() == Some("Ignore")
    }
}

impl ClientConfig {
    /// The authorities, decoded.
    pub(super) fn ca_bundle(&self) -> Result<Option<Vec<u8>>, String> {
        let Some(text) = self.ca_bundle.as_deref().filter(|text| !text.is_empty()) else { return Ok(None) };
        BASE64_STANDARD.decode(text).map(Some).map_err(|error| format!("caBundle is not base64: {error}"))
    }
}
