//! `kubectl create priorityclass`.

use clap::Args;
use serde_json::json;

use super::{create_object, known_type, name_of};
use crate::context::Context;
use crate::error::KubectlError;
use crate::flags::values;
use crate::write::CreateFlags;

/// Create a priority class with the specified name, value, globalDefault and description.
#[derive(Debug, Args)]
pub(crate) struct CreatePriorityClass {
    /// Its name
    #[arg(value_name = "NAME --value=VALUE --global-default=BOOL")]
    arguments: Vec<String>,
    /// What it is for
    #[arg(long, default_value = "", hide_default_value = true)]
    description: String,
    /// Whether Pods that name no class get this one
    #[arg(long)]
    global_default: bool,
    /// PreemptLowerPriority or Never
    #[arg(long, default_value = "PreemptLowerPriority")]
    preemption_policy: String,
    /// The priority
    #[arg(long, value_parser = values::int32, default_value = "0", allow_negative_numbers = true)]
    value: i32,
    #[command(flatten)]
    flags: CreateFlags,
}

impl CreatePriorityClass {
    pub(super) async fn run(self, context: &Context) -> Result<(), KubectlError> {
        let name = name_of(context, &self.arguments)?;
        let mut object = json!({
            "apiVersion": "scheduling.k8s.io/v1",
            "kind": "PriorityClass",
            "metadata": {"name": name},
            "value": self.value,
            "preemptionPolicy": self.preemption_policy,
        });
        if self.global_default {
            object["globalDefault"] = json!(true);
        }
        if !self.description.is_empty() {
            object["description"] = json!(self.description);
        }
        let resource = known_type("scheduling.k8s.io", "v1", "priorityclasses")?;
        create_object(context, &self.flags, &resource, object, "failed to create priorityclass:").await
    }
}
