//! `kubectl create job`.

use clap::Args;
use serde_json::{Value, json};

use super::{create_object, known_type, name_of};
use crate::context::Context;
use crate::error::KubectlError;
use crate::resource::Selection;
use crate::write::CreateFlags;

/// Create a job with the specified name. What stands behind -- is the container's command.
#[derive(Debug, Args)]
pub(crate) struct CreateJob {
    /// Its name, and the command
    #[arg(value_name = "NAME --image=IMAGE [--from=cronjob/NAME] -- [COMMAND] [ARGUMENTS]")]
    arguments: Vec<String>,
    /// The container's image
    #[arg(long)]
    image: Option<String>,
    /// The cron job to take the job from
    #[arg(long)]
    from: Option<String>,
    #[command(flatten)]
    flags: CreateFlags,
}

impl CreateJob {
    pub(super) async fn run(self, context: &Context) -> Result<(), KubectlError> {
        let name = name_of(context, &self.arguments)?;
        let command = &self.arguments[1..];
        let image = self.image.as_deref().unwrap_or_default();
        let from = self.from.as_deref().unwrap_or_default();
        if image.is_empty() == from.is_empty() {
            return Err(KubectlError::new("either --image or --from must be specified"));
        }
        if !command.is_empty() && !from.is_empty() {
            return Err(KubectlError::new("cannot specify --from and command"));
        }
        let object = if from.is_empty() {
            let mut container = json!({"name": name, "image": image});
            if !command.is_empty() {
                container["command"] = json!(command);
            }
            let pod = json!({"containers": [container], "restartPolicy": "Never"});
            json!({
                "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name},
                "spec": {"template": {"metadata": {}, "spec": pod}},
            })
        } else {
            let selection = Selection { arguments: vec![from.to_owned()], ..Selection::default() };
            let infos = selection.fetch(context).await?.all()?;
            let [info] = infos.as_slice() else { return Err(KubectlError::new("from must be an existing cronjob")) };
            if !info.resource.is("batch", "CronJob") {
                let Some((version, kind)) = info.object["apiVersion"].as_str().zip(info.object["kind"].as_str()) else {
                    return Err(KubectlError::new("unknown object type"));
                };
                return Err(KubectlError::new(format!("unknown object type *{}.{kind}", version.replace('/', "."))));
            }
            from_cron_job(&name, &info.object)
        };
        let resource = known_type("batch", "v1", "jobs")?;
        create_object(context, &self.flags, &resource, object, "failed to create job:").await
    }
}

fn from_cron_job(name: &str, cron_job: &Value) -> Value {
    let template = &cron_job["spec"]["jobTemplate"];
    let mut annotations = json!({"cronjob.kubernetes.io/instantiate": "manual"});
    for (key, value) in template["metadata"]["annotations"].as_object().into_iter().flatten() {
        annotations[key] = value.clone();
    }
    let mut job = json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {
            "name": name, "annotations": annotations,
            "ownerReferences": [{
                "apiVersion": "batch/v1", "kind": "CronJob", "name": cron_job["metadata"]["name"],
                "uid": cron_job["metadata"]["uid"], "controller": true,
            }],
        },
        "spec": template["spec"],
    });
    if let Some(labels) = template["metadata"].get("labels") {
        job["metadata"]["labels"] = labels.clone();
    }
    job
}
