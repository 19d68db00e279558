//! Conversion of custom resources between their versions by a program that their definition names.

use async_trait::async_trait;
use serde_json::Value;

use crate::{ApiError, Reader};

/// The webhook of a CustomResourceDefinition that converts its objects (`spec.conversion.webhook`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConversionWebhook {
    /// How it is reached: a `url`, or a `service`; and its `caBundle`.
    pub client_config: Value,
    /// The first version of `ConversionReview` that both it and this server speak: `v1` or `v1beta1`.
    pub review_version: &'static str,
}

/// Whoever carries objects to such webhooks.
#[async_trait]
pub trait Converter: Send + Sync + std::fmt::Debug {
    /// Brings objects of one kind, none of which is in `version` (`example.com/v1`), into it, in their order. What comes
    /// back differs in no metadata but labels and annotations.
    async fn convert(
        &self,
        webhook: &ConversionWebhook,
        version: &str,
        objects: Vec<Value>,
        reader: &dyn Reader,
    ) -> Result<Vec<Value>, ApiError>;
}
