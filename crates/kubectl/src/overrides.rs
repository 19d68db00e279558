//! `--overrides`: a patch for the object that a command generates (upstream: `cmdutil.OverrideOptions`).

use clap::Args;
use serde_json::Value;

use crate::commands::shaped;
use crate::discovery::ResourceType;
use crate::error::KubectlError;
use crate::merge;

/// The flags.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct OverrideFlags {
    /// JSON that is laid over the generated object
    #[arg(long)]
    overrides: Option<String>,
    /// What kind of patch it is: json, merge or strategic
    #[arg(long, default_value = "merge")]
    override_type: String,
}

impl OverrideFlags {
    /// Lays the patch over the object.
    pub(crate) fn apply(&self, resource: &ResourceType, object: &mut Value) -> Result<(), KubectlError> {
        let Some(text) = self.overrides.as_deref().filter(|text| !text.is_empty()) else { return Ok(()) };
        let patch: Value = serde_json::from_str(text).map_err(|_| KubectlError::new("Invalid JSON Patch"))?;
        let outcome = match self.override_type.as_str() {
            "json" => apimachinery::patch::apply_json_patch(object, &patch),
            "merge" | "" => apimachinery::patch::apply_merge_patch(object, patch),
            "strategic" => match merge::built_in(resource) {
                Some(ty) => apimachinery::patch::apply_strategic_patch(api::schemas(), ty, object, patch),
                None => apimachinery::patch::apply_merge_patch(object, patch),
            },
            other => return Err(KubectlError::new(format!("invalid override type: {other}"))),
        };
        outcome.map_err(|error| KubectlError::new(error.to_string()))?;
        *object = shaped(resource, object.take())?;
        Ok(())
    }
}
