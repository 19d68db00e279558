//! `kubectl create cronjob`.

use clap::Args;
use serde_json::json;

use super::{create_object, known_type, name_of};
use crate::context::Context;
use crate::error::KubectlError;
use crate::write::CreateFlags;

/// Create a cron job with the specified name. What stands behind -- is the container's command.
#[derive(Debug, Args)]
pub(crate) struct CreateCronJob {
    /// Its name, and the command
    #[arg(value_name = "NAME --image=IMAGE --schedule='0/5 * * * ?' -- [COMMAND] [ARGUMENTS]")]
    arguments: Vec<String>,
    /// The container's image
    #[arg(long)]
    image: String,
    /// When a job is started, in the cron format
    #[arg(long)]
    schedule: String,
    /// The restart policy of the job's Pods: OnFailure or Never
    #[arg(long, default_value = "", hide_default_value = true)]
    restart: String,
    #[command(flatten)]
    flags: CreateFlags,
}

impl CreateCronJob {
    pub(super) async fn run(self, context: &Context) -> Result<(), KubectlError> {
        let name = name_of(context, &self.arguments)?;
        let command = &self.arguments[1..];
        let mut container = json!({"name": name, "image": self.image});
        if !command.is_empty() {
            container["command"] = json!(command);
        }
        let restart = if self.restart.is_empty() { "OnFailure" } else { &self.restart };
        let pod = json!({"containers": [container], "restartPolicy": restart});
        let object = json!({
            "apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": name},
            "spec": {
                "schedule": self.schedule,
                "jobTemplate": {"metadata": {"name": name}, "spec": {"template": {"metadata": {}, "spec": pod}}},
            },
        });
        let resource = known_type("batch", "v1", "cronjobs")?;
        create_object(context, &self.flags, &resource, object, "failed to create cronjob:").await
    }
}
