//! `kubectl delete` (upstream: `kubectl/pkg/cmd/delete`).

use std::io::BufRead as _;

use clap::{ArgAction, Args};
use http::Method;
use tokio::time::{Duration, Instant};

use super::apply::propagation;
use crate::context::Context;
use crate::error::KubectlError;
use crate::flags::values::{self, GoDuration};
use crate::resource::{FileFlags, Info, Selection, delete_options};
use crate::write::{DryRun, DryRunFlag};
use crate::{raw, waiting, write};

/// How long is waited where nothing is said: a week.
const WAIT_MAX: Duration = Duration::from_secs(168 * 3600);

/// Delete resources by files, standard input, types and names, or types and labels.
#[derive(Debug, Args)]
pub(crate) struct DeleteCommand {
    /// The types and names
    #[arg(value_name = "TYPE [NAME | -l label | --all]")]
    arguments: Vec<String>,
    #[command(flatten)]
    files: FileFlags,
    #[command(flatten)]
    dry_run: DryRunFlag,
    /// All objects of the types, in the namespace
    #[arg(long)]
    all: bool,
    /// Objects of all namespaces
    #[arg(long, short = 'A')]
    all_namespaces: bool,
    /// Must be "background", "orphan", or "foreground": how dependants go
    #[arg(long, num_args = 0..=1, default_missing_value = "background", default_value = "background")]
    cascade: String,
    /// Choose by fields
    #[arg(long)]
    field_selector: Option<String>,
    /// Remove objects from the API at once, without their graceful end
    #[arg(long)]
    force: bool,
    /// Seconds of grace; the kind's default where negative
    #[arg(long, value_parser = values::int64, default_value = "-1", allow_negative_numbers = true)]
    grace_period: i64,
    /// An object that does not exist is no error; the default where objects are chosen
    #[arg(long, value_parser = values::switch, action = ArgAction::Set, num_args = 0..=1, default_missing_value = "true")]
    ignore_not_found: Option<bool>,
    /// Ask before anything is deleted
    #[arg(long, short)]
    interactive: bool,
    /// The same as --grace-period=1
    #[arg(long)]
    now: bool,
    /// -o name for short output
    #[arg(long, short)]
    output: Option<String>,
    /// Send DELETE to this path
    #[arg(long)]
    raw: Option<String>,
    /// Choose by labels
    #[arg(long, short = 'l')]
    selector: Option<String>,
    /// How long to wait; 0 for as long as it takes
    #[arg(long, value_parser = values::duration, default_value = "0s")]
    timeout: GoDuration,
    /// Wait until the objects are gone
    #[arg(long, value_parser = values::switch, action = ArgAction::Set, num_args = 0..=1, default_missing_value = "true", default_value = "true")]
    wait: bool,
}

impl DeleteCommand {
    async fn send_raw(&self, context: &Context, path: &str) -> Result<(), KubectlError> {
        if self.interactive {
            return Err(KubectlError::new("--interactive can not be used with --raw"));
        }
        let files = self.files.filenames();
        raw::check_files(&files, self.files.recursive)?;
        if self.output.as_ref().is_some_and(|output| !output.is_empty()) {
            return Err(KubectlError::new("--raw and --output are mutually exclusive"));
        }
        raw::check_path(path)?;
        raw::send(context, Method::DELETE, path, files.first()).await
    }

    /// Runs the command.
    pub(crate) async fn run(mut self, context: &Context) -> Result<(), KubectlError> {
        let propagation = propagation(&self.cascade)?;
        if let Some(path) = self.raw.as_deref().filter(|path| !path.is_empty()) {
            return self.send_raw(context, path).await;
        }
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let (labels, fields) = (text(&self.selector), text(&self.field_selector));
        let chosen = self.all || !labels.is_empty() || !fields.is_empty();
        let ignore_not_found = self.ignore_not_found.unwrap_or(chosen);
        if self.now {
            if self.grace_period != -1 {
                return Err(KubectlError::new("--now and --grace-period cannot be specified together"));
            }
            self.grace_period = 1;
        }
        // Only --force may take an object from under its running processes.
        if self.grace_period == 0 && !self.force {
            self.grace_period = 1;
        }
        if self.force && self.grace_period < 0 {
            self.grace_period = 0;
        }
        let dry_run = self.dry_run.strategy(context)?;
        let selection = Selection {
            label_selector: labels.clone(),
            field_selector: fields.clone(),
            all: self.all,
            all_namespaces: self.all_namespaces,
            names_only: true,
            ..Selection::new(&self.files, &self.arguments)
        };
        let selected = selection.fetch(context).await?;
        self.validate(context, &labels, &fields)?;
        let mut errors = selected.errors;
        let mut infos = selected.infos;
        if self.interactive && !infos.is_empty() && !confirmed(context, &infos)? {
            return context.printer.line("deletion is cancelled");
        }
        let requests = write::requests(context, dry_run, "", "")?;
        let grace = (self.grace_period >= 0).then_some(self.grace_period);
        let options = delete_options(grace, Some(propagation));
        let mut warn_of_scope = context.namespace_is_explicit() && !self.all_namespaces;
        let found = infos.len();
        let mut deleted: Vec<(Info, Option<String>)> = Vec::new();
        for info in infos.drain(..) {
            if warn_of_scope && !info.resource.namespaced {
                context
                    .printer
                    .err_line("Warning: deleting cluster-scoped resources, not scoped to the provided namespace");
                warn_of_scope = false;
            }
            if dry_run == DryRun::Client {
                self.print(context, &info, dry_run)?;
                continue;
            }
            match requests.delete(&info.resource, &info.namespace, &info.name, &options).await {
                Ok(answer) => {
                    self.print(context, &info, dry_run)?;
                    let uid =
                        if answer["kind"] == "Status" { &answer["details"]["uid"] } else { &answer["metadata"]["uid"] };
                    deleted.push((info, uid.as_str().map(str::to_owned)));
                }
                Err(error) => errors.push(error.about_source("deleting", &info.source)),
            }
        }
        if ignore_not_found {
            errors.retain(|error| !error.is_not_found());
        }
        KubectlError::all(errors)?;
        if found == 0 {
            return context.printer.line("No resources found");
        }
        if !self.wait || dry_run != DryRun::None {
            return Ok(());
        }
        self.wait_for(context, &deleted).await
    }

    fn validate(&self, context: &Context, labels: &str, fields: &str) -> Result<(), KubectlError> {
        if let Some(mode) = self.output.as_deref().filter(|mode| !matches!(*mode, "" | "name")) {
            return Err(KubectlError::new(format!("unexpected -o output mode: {mode}. We only support '-o name'")));
        }
        if self.all && !labels.is_empty() {
            return Err(KubectlError::new("cannot set --all and --selector at the same time"));
        }
        if self.all && !fields.is_empty() {
            return Err(KubectlError::new("cannot set --all and --field-selector at the same time"));
        }
        if self.force && self.grace_period == 0 {
            context.printer.err_line(
                "Warning: Immediate deletion does not wait for confirmation that the running resource has been terminated. \
                 The resource may continue to run on the cluster indefinitely.",
            );
        } else if self.force {
            return Err(KubectlError::new("--force and --grace-period greater than 0 cannot be specified together"));
        }
        Ok(())
    }

    fn print(&self, context: &Context, info: &Info, dry_run: DryRun) -> Result<(), KubectlError> {
        let kind = info.resource.qualified_kind();
        if self.output.as_deref() == Some("name") {
            return context.printer.line(format!("{kind}/{}", info.name));
        }
        let mut operation = if self.grace_period == 0 { "force deleted" } else { "deleted" }.to_owned();
        if info.resource.namespaced {
            operation.push_str(&format!(" from {} namespace", info.namespace));
        }
        context.printer.line(format!("{kind} {:?} {}", info.name, dry_run.operation(&operation)))
    }

    async fn wait_for(&self, context: &Context, deleted: &[(Info, Option<String>)]) -> Result<(), KubectlError> {
        let timeout = self.timeout.positive().unwrap_or(WAIT_MAX);
        let deadline = Instant::now() + timeout;
        for (info, uid) in deleted {
            match waiting::until_deleted(context, info, uid.as_deref(), Some(deadline)).await {
                Ok(()) => {}
                // Who may delete but not look is not told of a failure.
                Err(error) if error.api().is_some_and(|error| matches!(error.code, 403 | 405)) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

fn confirmed(context: &Context, infos: &[Info]) -> Result<bool, KubectlError> {
    context.printer.line(format!("You are about to delete the following {} resource(s):", infos.len()))?;
    for info in infos {
        context.printer.line(format!("{}/{}", info.resource.qualified_kind(), info.name))?;
    }
    context.printer.out("Do you want to continue? (y/N): ")?;
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    Ok(read.is_ok() && answer.trim().eq_ignore_ascii_case("y"))
}
