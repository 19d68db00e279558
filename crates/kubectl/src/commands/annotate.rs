//! `kubectl annotate` (upstream: `kubectl/pkg/cmd/annotate`).

use clap::Args;
use serde_json::{Value, json};

use super::label::MetadataFlags;
use crate::context::Context;
use crate::error::KubectlError;
use crate::resource::{Info, Requests};
use crate::write::DryRun;
use crate::{pairs, write};

/// May always be overwritten: `kubectl rollout history` shows it.
const CHANGE_CAUSE: &str = "kubernetes.io/change-cause";

/// Update the annotations on resources. KEY=VALUE sets one, KEY- takes it out.
#[derive(Debug, Args)]
pub(crate) struct AnnotateCommand {
    /// The objects, then the changes
    #[arg(value_name = "TYPE NAME KEY_1=VAL_1 ... KEY_N-")]
    arguments: Vec<String>,
    #[command(flatten)]
    flags: MetadataFlags,
    /// Who is recorded as the fields' owner
    #[arg(long, default_value = "kubectl-annotate")]
    field_manager: String,
}

impl AnnotateCommand {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), KubectlError> {
        let dry_run = self.flags.dry_run.strategy(context)?;
        let (resources, specs) = pairs::split(&self.arguments, "annotation")?;
        let changes = pairs::parse(&specs, "annotation", true)?;
        self.flags.validate(&resources, dry_run, "rsrc")?;
        if changes.0.is_empty() && changes.1.is_empty() && !self.flags.list {
            return Err(KubectlError::new("at least one annotation update is required"));
        }
        let both: Vec<&str> =
            changes.1.iter().filter(|key| changes.0.iter().any(|(set, _)| set == *key)).map(String::as_str).collect();
        if !both.is_empty() {
            return Err(KubectlError::new(format!(
                "can not both modify and remove the following annotation(s) in the same command: {}",
                both.join(", ")
            )));
        }
        let requests =
            if self.flags.local { None } else { Some(write::requests(context, dry_run, &self.field_manager, "")?) };
        let change =
            async |info, single| self.change(context, requests.as_ref(), info, &changes, dry_run, single).await;
        self.flags.each(context, &resources, change).await
    }

    async fn change(
        &self,
        context: &Context,
        requests: Option<&Requests<'_>>,
        mut info: Info,
        changes: &pairs::Changes,
        dry_run: DryRun,
        single: bool,
    ) -> Result<(), KubectlError> {
        let old = info.object.clone();
        apply(&mut info.object, changes, self.flags.overwrite)?;
        let local = self.flags.local || self.flags.list || dry_run == DryRun::Client;
        if let Some(requests) = requests.filter(|_| !local) {
            info.object = self.flags.patch(context, requests, &old, &info).await?;
        }
        if self.flags.list {
            let annotations = info.object["metadata"]["annotations"].as_object().into_iter().flatten();
            let pairs = annotations.map(|(key, value)| (key.as_str(), value.as_str().unwrap_or_default()));
            return MetadataFlags::print_list(context, (&info, single), "annotations", pairs);
        }
        dry_run.printer(&self.flags.output, "annotated")?.print_info(&context.printer, &info)
    }
}

fn apply(object: &mut Value, (set, remove): &pairs::Changes, overwrite: bool) -> Result<(), KubectlError> {
    let mut annotations = object["metadata"]["annotations"].as_object().cloned().unwrap_or_default();
    if !overwrite {
        let taken = |(key, value): &(String, String)| {
            let old = annotations.get(key)?.as_str().filter(|old| old != value && key != CHANGE_CAUSE)?;
            Some(format!("'{key}' already has a value ({old})"))
        };
        let faults: Vec<String> = set.iter().filter_map(taken).collect();
        if !faults.is_empty() {
            return Err(KubectlError::new(format!(
                "--overwrite is false but found the following declared annotation(s): {}",
                faults.join("; ")
            )));
        }
    }
    for (key, value) in set {
        annotations.insert(key.clone(), json!(value));
    }
    for key in remove {
        annotations.remove(key);
    }
    object["metadata"]["annotations"] = Value::Object(annotations);
    Ok(())
}
