//! `kubectl replace` (upstream: `kubectl/pkg/cmd/replace`).

use clap::Args;
use serde_json::Value;
use tokio::time::{Duration, Instant};

use super::apply::propagation;
use crate::context::Context;
use crate::error::KubectlError;
use crate::flags::values::{self, GoDuration};
use crate::resource::{Check, FileFlags, Info, Requests, Selection, delete_options};
use crate::waiting;
use crate::write::{self, CreateFlags, DryRun, RecordFlag};

/// How long --force waits where nothing is said.
const WAIT_MAX: Duration = Duration::from_secs(300);

/// Replace resources by files or standard input: the whole objects, not only the fields that changed.
#[derive(Debug, Args)]
pub(crate) struct ReplaceCommand {
    #[arg(hide = true)]
    arguments: Vec<String>,
    #[command(flatten)]
    files: FileFlags,
    #[command(flatten)]
    flags: CreateFlags,
    #[command(flatten)]
    record: RecordFlag,
    /// Must be "background", "orphan", or "foreground": how dependants of what --force deletes go
    #[arg(long, num_args = 0..=1, default_missing_value = "background", default_value = "background")]
    cascade: String,
    /// Delete the objects and create them anew
    #[arg(long)]
    force: bool,
    /// Seconds of grace for what --force deletes; the kind's default where negative
    #[arg(long, value_parser = values::int64, default_value = "-1", allow_negative_numbers = true)]
    grace_period: i64,
    /// The subresource to replace
    #[arg(long)]
    subresource: Option<String>,
    /// How long to wait for what --force deletes
    #[arg(long, value_parser = values::duration, default_value = "0s")]
    timeout: GoDuration,
}

impl ReplaceCommand {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), KubectlError> {
        let validation = self.flags.validate.directive()?;
        let dry_run = self.flags.dry_run.strategy(context)?;
        let printer = dry_run.printer(&self.flags.output, "replaced")?;
        if self.files.is_empty() {
            return Err(KubectlError::new("must specify one of -f and -k"));
        }
        if self.grace_period >= 0 && !self.force {
            return Err(KubectlError::new("--grace-period must have --force specified"));
        }
        if self.timeout != GoDuration(0) && !self.force {
            return Err(KubectlError::new("--timeout must have --force specified"));
        }
        if self.force && dry_run != DryRun::None {
            return Err(KubectlError::new("--dry-run can not be used when --force is set"));
        }
        let check = if validation == "Ignore" { Check::None } else { Check::Header };
        let selected = Selection { check, ..Selection::new(&self.files, &[]) }.fetch(context).await?;
        let manager = match self.flags.field_manager.as_str() {
            "kubectl-create" => "kubectl-replace",
            other => other,
        };
        let requests = write::requests(context, dry_run, manager, validation)?;
        let mut errors = selected.errors;
        let mut infos = selected.infos;
        if self.force {
            self.delete_all(context, &infos).await?;
        }
        for info in &mut infos {
            self.record.record(context, &mut info.object);
            write::annotate_if(self.flags.save_config, &mut info.object);
            if dry_run != DryRun::Client {
                let outcome = if self.force {
                    requests.create(&info.resource, &info.namespace, &info.object).await
                } else {
                    let outcome = self.replace(&requests, info).await;
                    outcome.map_err(|error| error.about_source("replacing", &info.source))
                };
                match outcome {
                    Ok(object) => info.refresh(object),
                    Err(error) => {
                        errors.push(error);
                        continue;
                    }
                }
            }
            printer.print_info(&context.printer, info)?;
        }
        KubectlError::all(errors)?;
        if self.force && infos.is_empty() {
            return Err(KubectlError::new("no objects passed to replace"));
        }
        Ok(())
    }

    /// Replaces an object whatever its version is, unless the file says which one it was made from.
    async fn replace(&self, requests: &Requests<'_>, info: &mut Info) -> Result<Value, KubectlError> {
        let target = (info.namespace.as_str(), info.name.as_str());
        if info.object["metadata"]["resourceVersion"].as_str().unwrap_or_default().is_empty()
            && let Ok(current) = requests.read(&info.resource, target.0, target.1).await
        {
            info.object["metadata"]["resourceVersion"] = current["metadata"]["resourceVersion"].clone();
        }
        let subresource = self.subresource.as_deref().unwrap_or_default();
        requests.replace(&info.resource, target, subresource, &info.object).await
    }

    async fn delete_all(&self, context: &Context, infos: &[Info]) -> Result<(), KubectlError> {
        let grace = (self.grace_period >= 0).then_some(self.grace_period.max(1));
        let options = delete_options(grace, Some(propagation(&self.cascade)?));
        let requests = Requests::new(context.client()?);
        let deadline = Instant::now() + self.timeout.positive().unwrap_or(WAIT_MAX);
        let mut deleted = Vec::new();
        for info in infos {
            match requests.delete(&info.resource, &info.namespace, &info.name, &options).await {
                Ok(_) => {
                    let space = if info.resource.namespaced {
                        format!(" from {} namespace", info.namespace)
                    } else {
                        String::new()
                    };
                    let kind = info.resource.qualified_kind();
                    context.printer.line(format!("{kind} {:?} deleted{space}", info.name))?;
                    deleted.push(info);
                }
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error.about_source("deleting", &info.source)),
            }
        }
        for info in deleted {
            waiting::until_deleted(context, info, None, Some(deadline)).await?;
        }
        Ok(())
    }
}
