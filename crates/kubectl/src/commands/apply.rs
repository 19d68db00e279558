//! `kubectl apply`, client-side and server-side (upstream: `kubectl/pkg/cmd/apply`).

mod view_last_applied;

use clap::{ArgAction, Args, Subcommand};
use client::{PatchKind, Propagation};
use serde_json::{Value, json};
use tokio::time::{Duration, Instant};

use crate::context::Context;
use crate::error::KubectlError;
use crate::flags::values::{self, GoDuration};
use crate::merge;
use crate::output::OutputFlags;
use crate::resource::{Check, FileFlags, Info, Requests, Selection, delete_options};
use crate::waiting;
use crate::write::{self, DryRun, DryRunFlag, LAST_APPLIED, RecordFlag, ValidateFlag};

/// How often a patch is made anew after a conflict, and how long between.
const RETRIES_MAX: usize = 5;
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// What is said of an object that can't be asked for.
const NO_NAME: &str = "resource name may not be empty";

/// Apply a configuration to resources by files or standard input. What does not exist is created; what exists is brought
/// to the configuration, and fields that an earlier configuration had and this one has no longer are taken out.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, disable_help_subcommand = true, disable_help_flag = true)]
pub(crate) struct ApplyCommand {
    #[command(subcommand)]
    within: Option<Within>,
    #[arg(hide = true)]
    arguments: Vec<String>,
    #[command(flatten)]
    files: FileFlags,
    #[command(flatten)]
    output: OutputFlags,
    #[command(flatten)]
    dry_run: DryRunFlag,
    #[command(flatten)]
    validate: ValidateFlag,
    /// What --prune would choose from; not together with --selector
    #[arg(long)]
    all: bool,
    /// Must be "background", "orphan", or "foreground": how dependants of what --force deletes go
    #[arg(long, num_args = 0..=1, default_missing_value = "background", default_value = "background")]
    cascade: String,
    /// Who is recorded as the fields' owner; "kubectl-client-side-apply", or "kubectl" with --server-side
    #[arg(long)]
    field_manager: Option<String>,
    /// With --server-side: take fields that others own
    #[arg(long)]
    force_conflicts: bool,
    /// Delete and create anew what can't be patched
    #[arg(long)]
    force: bool,
    /// Seconds of grace for what --force deletes; the kind's default where negative
    #[arg(long, value_parser = values::int64, default_value = "-1", allow_negative_numbers = true)]
    grace_period: i64,
    /// Settle conflicts with the live object in favour of the configuration
    #[arg(long, value_parser = values::switch, action = ArgAction::Set, num_args = 0..=1, default_missing_value = "true", default_value = "true")]
    overwrite: bool,
    #[command(flatten)]
    record: RecordFlag,
    /// Only those of the objects that have these labels
    #[arg(long, short = 'l')]
    selector: Option<String>,
    /// The server merges, and keeps who owns which fields
    #[arg(long)]
    server_side: bool,
    /// How long to wait for what --force deletes; 0 for as long as it takes
    #[arg(long, value_parser = values::duration, default_value = "0s")]
    timeout: GoDuration,
    /// Nothing more to wait for: what --force deletes is gone before the new object comes
    #[arg(long = "wait")]
    _wait: bool,
}

#[derive(Debug, Subcommand)]
enum Within {
    /// View the latest last-applied-configuration annotations of a resource/object
    ViewLastApplied(view_last_applied::ViewLastApplied),
}

/// What became of an object.
struct Applied {
    object: Value,
    operation: &'static str,
}

impl ApplyCommand {
    /// Runs the command.
    pub(crate) async fn run(mut self, context: &Context) -> Result<(), KubectlError> {
        if let Some(Within::ViewLastApplied(command)) = self.within.take() {
            return command.run(context).await;
        }
        if !self.arguments.is_empty() {
            let shown = self.arguments.join(" ");
            return Err(KubectlError::usage(&context.command_path, format!("Unexpected args: [{shown}]")));
        }
        let dry_run = self.dry_run.strategy(context)?;
        if self.files.is_empty() {
            return Err(KubectlError::new("must specify one of -f and -k"));
        }
        let validation = self.validate.directive()?;
        if self.force_conflicts && !self.server_side {
            return Err(KubectlError::new("--force-conflicts only works with --server-side"));
        }
        if dry_run == DryRun::Client && self.server_side {
            let why = "--dry-run=client doesn't work with --server-side (did you mean --dry-run=server instead?)";
            return Err(KubectlError::new(why));
        }
        if self.server_side && self.force {
            return Err(KubectlError::new("--force cannot be used with --server-side"));
        }
        if dry_run == DryRun::Server && self.force {
            return Err(KubectlError::new("--dry-run=server cannot be used with --force"));
        }
        if self.all && self.selector.as_ref().is_some_and(|selector| !selector.is_empty()) {
            return Err(KubectlError::new("cannot set --all and --selector at the same time"));
        }
        if !self.overwrite {
            return Err(KubectlError::new("--overwrite=false is not served by this kubectl"));
        }
        let selection = Selection {
            check: if validation == "Ignore" { Check::None } else { Check::Header },
            label_selector: self.selector.clone().unwrap_or_default(),
            ..Selection::new(&self.files, &[])
        };
        let selected = selection.fetch(context).await?;
        let mut errors = selected.errors;
        if selected.infos.is_empty() && errors.is_empty() {
            return Err(KubectlError::new("no objects passed to apply"));
        }
        let whole = !matches!(self.output.output.as_deref().unwrap_or_default(), "" | "name");
        let by_default = if self.server_side { "kubectl" } else { "kubectl-client-side-apply" };
        let field_manager = self.field_manager.as_deref().unwrap_or(by_default);
        let mut requests = write::requests(context, dry_run, field_manager, validation)?;
        if self.server_side {
            requests = requests.with("force", if self.force_conflicts { "true" } else { "false" });
        }
        let mut objects = Vec::new();
        for mut info in selected.infos {
            let applied = match self.server_side {
                true => apply_on_server(context, &requests, &info).await,
                false => self.apply(context, &requests, &mut info, dry_run).await,
            };
            match applied {
                Ok(applied) if whole => objects.push(applied.object),
                Ok(applied) => {
                    dry_run.printer(&self.output, applied.operation)?.print(&context.printer, &applied.object)?;
                }
                Err(error) => errors.push(error),
            }
        }
        KubectlError::all(errors)?;
        if !whole {
            return Ok(());
        }
        let printer = dry_run.printer(&self.output, "")?;
        match objects.as_slice() {
            [one] => printer.print(&context.printer, one),
            many => {
                let list = json!({"apiVersion": "v1", "kind": "List", "metadata": {}, "items": many});
                printer.print(&context.printer, &list)
            }
        }
    }

    async fn apply(
        &self,
        context: &Context,
        requests: &Requests<'_>,
        info: &mut Info,
        dry_run: DryRun,
    ) -> Result<Applied, KubectlError> {
        if info.name.is_empty()
            && let Some(prefix) = info.object["metadata"]["generateName"].as_str().filter(|prefix| !prefix.is_empty())
        {
            return Err(KubectlError::new(format!("from {prefix}: cannot use generate name with apply")));
        }
        let retrieving = || format!("retrieving current configuration of:\n{}\nfrom server for:", described(info));
        if info.name.is_empty() {
            return Err(KubectlError::new(NO_NAME).about_source(&retrieving(), &info.source));
        }
        let mut modified = info.object.clone();
        self.record.record(context, &mut modified);
        write::annotate(&mut modified);
        let current = match requests.read(&info.resource, &info.namespace, &info.name).await {
            Ok(current) => current,
            Err(error) if error.is_not_found() => {
                let mut object = modified;
                prune_nulls(&mut object);
                if dry_run != DryRun::Client {
                    let created = requests.create(&info.resource, &info.namespace, &object).await;
                    object = created.map_err(|error| error.about_source("creating", &info.source))?;
                }
                return Ok(Applied { object, operation: "created" });
            }
            Err(error) => {
                return Err(error.about_source(&retrieving(), &info.source));
            }
        };
        if write::last_applied(&current).is_none() {
            context.printer.err_line(format!(
                "Warning: resource {}/{} is missing the {LAST_APPLIED} annotation which is required by kubectl apply. kubectl \
                 apply should only be used on resources created declaratively by either kubectl create --save-config or \
                 kubectl apply. The missing annotation will be patched automatically.",
                info.resource.plural, info.name
            ));
        }
        let (patch, object) = self.patch(context, requests, info, modified, current, dry_run).await?;
        if !object["metadata"]["deletionTimestamp"].is_null() {
            context.printer.err_line(format!(
                "Warning: Detected changes to resource {} which is currently being deleted.",
                info.name
            ));
        }
        let unchanged = patch.as_object().is_some_and(serde_json::Map::is_empty);
        Ok(Applied { object, operation: if unchanged { "unchanged" } else { "configured" } })
    }

    async fn patch(
        &self,
        context: &Context,
        requests: &Requests<'_>,
        info: &Info,
        modified: Value,
        mut current: Value,
        dry_run: DryRun,
    ) -> Result<(Value, Value), KubectlError> {
        let target = (info.namespace.as_str(), info.name.as_str());
        let mut tries = 0;
        loop {
            let (kind, patch) = three_way(info, &modified, &current).map_err(|text| {
                KubectlError::new(format!(
                    "error when applying patch:\n\nto:\n{}\nfor: {:?}: {text}",
                    described(info),
                    info.source
                ))
            })?;
            if patch.as_object().is_some_and(serde_json::Map::is_empty) {
                return Ok((patch, current));
            }
            if dry_run == DryRun::Client {
                apply_locally(info, kind, &mut current, &patch)?;
                return Ok((patch, current));
            }
            let error = match requests.patch(&info.resource, target, "", kind, &patch).await {
                Ok(object) => return Ok((patch, object)),
                Err(error) => error,
            };
            let code = error.api().map_or(0, |error| error.code);
            if code == 409 && tries < RETRIES_MAX {
                tries += 1;
                if tries > 1 {
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
                current = requests.read(&info.resource, &info.namespace, &info.name).await?;
                continue;
            }
            if self.force && matches!(code, 409 | 422) {
                let object = self.replace(context, requests, info, &modified, &current).await?;
                return Ok((modified, object));
            }
            let shown = apimachinery::gotext::json(&patch);
            let verb = format!("applying patch:\n{shown}\nto:\n{}\nfor:", described(info));
            return Err(error.about_source("patching", &info.source).about_source(&verb, &info.source));
        }
    }

    /// `--force`: the old object goes, the new one comes; the old one comes back where the new one is refused.
    async fn replace(
        &self,
        context: &Context,
        requests: &Requests<'_>,
        info: &Info,
        modified: &Value,
        current: &Value,
    ) -> Result<Value, KubectlError> {
        let propagation = propagation(&self.cascade)?;
        let grace = if self.grace_period >= 0 { self.grace_period } else { 0 };
        let options = delete_options(Some(grace), Some(propagation));
        requests.delete(&info.resource, &info.namespace, &info.name, &options).await?;
        let deadline = self.timeout.positive().map(|timeout| Instant::now() + timeout);
        waiting::until_deleted(context, info, current["metadata"]["uid"].as_str(), deadline).await?;
        let created = requests.create(&info.resource, &info.namespace, modified).await;
        match created {
            Ok(object) => Ok(object),
            Err(error) => match requests.create(&info.resource, &info.namespace, current).await {
                Ok(_) => Err(error),
                Err(again) => Err(KubectlError::new(format!(
                    "An error occurred force-replacing the existing object with the newly provided one:\n\n{error}.\n\n\
                         Additionally, an error occurred attempting to restore the original object:\n\n{again}"
                ))),
            },
        }
    }
}

/// What upstream's kubectl says to a conflict, behind the server's words.
const CONFLICT_ADVICE: &str = "
Please review the fields above--they currently have other managers. Here
are the ways you can resolve this warning:
* If you intend to manage all of these fields, please re-run the apply
  command with the `--force-conflicts` flag.
* If you do not intend to manage all of the fields, please edit your
  manifest to remove references to the fields that should keep their
  current managers.
* You may co-own fields by updating your manifest to match the existing
  value; in this case, you'll become the manager if the other manager(s)
  stop managing the field (remove it from their configuration).
See https://kubernetes.io/docs/reference/using-api/server-side-apply/#conflicts";

/// `--server-side`: the server gets the whole configuration and does the rest.
async fn apply_on_server(context: &Context, requests: &Requests<'_>, info: &Info) -> Result<Applied, KubectlError> {
    if info.name.is_empty() {
        return Err(KubectlError::new(NO_NAME));
    }
    let object = match requests.apply(&info.resource, (&info.namespace, &info.name), &info.object).await {
        Ok(object) => object,
        Err(error) => {
            return Err(match error.api().map_or(0, |error| error.code) {
                409 => {
                    KubectlError::new(format!("{}{CONFLICT_ADVICE}", error.api().map_or("", |error| &error.message)))
                }
                415 => KubectlError::new(format!("Server-side apply not available on the server: ({error})")),
                _ => error,
            });
        }
    };
    if !object["metadata"]["deletionTimestamp"].is_null() {
        let name = &info.name;
        context
            .printer
            .err_line(format!("Warning: Detected changes to resource {name} which is currently being deleted."));
    }
    Ok(Applied { object, operation: "serverside-applied" })
}

/// `--cascade`.
pub(crate) fn propagation(text: &str) -> Result<Propagation, KubectlError> {
    match text {
        "background" => Ok(Propagation::Background),
        "foreground" => Ok(Propagation::Foreground),
        "orphan" => Ok(Propagation::Orphan),
        other => Err(KubectlError::new(format!(
            "invalid cascade value ({other}). Must be \"background\", \"foreground\", or \"orphan\""
        ))),
    }
}

/// Upstream's `Info.String`.
fn described(info: &Info) -> String {
    let resource = &info.resource;
    format!(
        "Resource: {:?}, GroupVersionKind: {:?}\nName: {:?}, Namespace: {:?}",
        format!("{}/{}, Resource={}", resource.group, resource.version, resource.plural),
        format!("{}/{}, Kind={}", resource.group, resource.version, resource.kind),
        info.name,
        info.namespace
    )
}

/// The patch that brings an object to its configuration.
pub(super) fn three_way(info: &Info, modified: &Value, current: &Value) -> Result<(PatchKind, Value), String> {
    let original = match write::last_applied(current) {
        Some(text) if !text.is_empty() => serde_json::from_str(text).map_err(|_| "invalid JSON document".to_owned())?,
        _ => json!({}),
    };
    match merge::built_in(&info.resource) {
        Some(ty) => Ok((PatchKind::Strategic, merge::three_way(ty, &original, modified, current)?)),
        None => Ok((PatchKind::Merge, merge::json_three_way(&original, modified, current)?)),
    }
}

/// `--dry-run=client`: what the server would make of the patch.
pub(crate) fn apply_locally(
    info: &Info,
    kind: PatchKind,
    object: &mut Value,
    patch: &Value,
) -> Result<(), KubectlError> {
    let outcome = match (kind, merge::built_in(&info.resource)) {
        (PatchKind::Strategic, Some(ty)) => {
            apimachinery::patch::apply_strategic_patch(api::schemas(), ty, object, patch.clone())
        }
        (PatchKind::Json, _) => apimachinery::patch::apply_json_patch(object, patch),
        _ => apimachinery::patch::apply_merge_patch(object, patch.clone()),
    };
    outcome.map_err(|error| KubectlError::new(error.to_string()))
}

/// A patch drops nulls; so that a creation gives the same object, it does, too.
fn prune_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(prune_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(prune_nulls),
        _ => {}
    }
}
