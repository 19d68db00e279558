//! `kubectl set selector`.

use clap::Args;
use serde_json::json;

use super::SetFlags;
use crate::commands::create::label_selector;
use crate::context::Context;
use crate::error::KubectlError;

/// Set the selector of a service. What it had is replaced.
#[derive(Debug, Args)]
pub(crate) struct SetSelector {
    /// The service, then the selector
    #[arg(value_name = "TYPE NAME EXPRESSIONS")]
    arguments: Vec<String>,
    #[command(flatten)]
    flags: SetFlags,
    /// Change it only if it has this resource version
    #[arg(long, default_value = "", hide_default_value = true)]
    resource_version: String,
}

impl SetSelector {
    pub(super) async fn run(self, context: &Context) -> Result<(), KubectlError> {
        let Some((selector, resources)) = self.arguments.split_last() else {
            return Err(KubectlError::new("one selector is required"));
        };
        let selector = label_selector(selector).map_err(KubectlError::new)?;
        let mut infos = self.flags.infos(context, resources).await?;
        if !self.resource_version.is_empty() {
            // What the object has is left out of what was, so that the patch holds what is wanted.
            let forget = |metadata: &mut serde_json::Map<String, serde_json::Value>| metadata.remove("resourceVersion");
            infos.iter_mut().filter_map(|info| info.object["metadata"].as_object_mut()).for_each(|m| drop(forget(m)));
        }
        self.flags
            .patch_all(context, infos, ("selector updated", ""), |_, object, _| {
                if object["kind"] != "Service" {
                    return Err(KubectlError::new("setting a selector is only supported for Services"));
                }
                if let Some(expressions) = selector.get("matchExpressions") {
                    return Err(KubectlError::new(format!(
                        "match expression {expressions} not supported on this object"
                    )));
                }
                if !self.resource_version.is_empty() {
                    object["metadata"]["resourceVersion"] = json!(self.resource_version);
                }
                object["spec"]["selector"] = selector.get("matchLabels").cloned().unwrap_or(json!({}));
                Ok(())
            })
            .await
    }
}
