//! `kubectl patch` (upstream: `kubectl/pkg/cmd/patch`).

use clap::Args;
use client::PatchKind;

use super::apply::apply_locally;
use crate::context::Context;
use crate::error::KubectlError;
use crate::merge;
use crate::output::OutputFlags;
use crate::resource::{FileFlags, Selection};
use crate::write::{self, DryRun, DryRunFlag, RecordFlag};

/// Update fields of a resource by a strategic merge patch, a JSON merge patch, or a JSON patch, given as JSON or YAML.
#[derive(Debug, Args)]
pub(crate) struct PatchCommand {
    /// What to patch
    #[arg(value_name = "TYPE NAME")]
    arguments: Vec<String>,
    #[command(flatten)]
    files: FileFlags,
    #[command(flatten)]
    output: OutputFlags,
    #[command(flatten)]
    dry_run: DryRunFlag,
    /// Who is recorded as the fields' owner
    #[arg(long, default_value = "kubectl-patch")]
    field_manager: String,
    /// Patch the file's object only, without the server
    #[arg(long)]
    local: bool,
    /// The patch
    #[arg(long, short)]
    patch: Option<String>,
    /// A file with the patch
    #[arg(long)]
    patch_file: Option<String>,
    #[command(flatten)]
    record: RecordFlag,
    /// The subresource to patch
    #[arg(long)]
    subresource: Option<String>,
    /// What kind of patch it is: json, merge or strategic
    #[arg(long = "type", default_value = "strategic")]
    kind: String,
}

/// The patch as it is sent and as it is applied here.
struct Patch {
    text: String,
    value: serde_json::Value,
}

impl PatchCommand {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), KubectlError> {
        let dry_run = self.dry_run.strategy(context)?;
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let (patch, file, subresource) = (text(&self.patch), text(&self.patch_file), text(&self.subresource));
        let kind = self.validate(&patch, &file, dry_run)?;
        let patch = if file.is_empty() {
            patch
        } else {
            std::fs::read_to_string(&file).map_err(|error| match error.kind() {
                std::io::ErrorKind::NotFound => {
                    KubectlError::new(format!("unable to read patch file: open {file}: no such file or directory"))
                }
                _ => KubectlError::new(format!("unable to read patch file: open {file}: {error}")),
            })?
        };
        // JSON goes to the server as it is; YAML is made JSON first.
        let is_json = patch.trim_start().starts_with('{');
        let patch = if is_json {
            Patch { value: serde_json::from_str(&patch).unwrap_or_default(), text: patch }
        } else {
            let value = apimachinery::yaml::parse(&patch).map_err(|error| {
                let error = error.to_string();
                let reason = error.trim_start_matches("error converting YAML to JSON: ");
                KubectlError::new(format!("unable to parse {:?}: {reason}", text(&self.patch)))
            })?;
            Patch { text: apimachinery::gotext::json(&value.value), value: value.value }
        };
        let selection = Selection {
            subresource: subresource.clone(),
            local: self.local,
            ..Selection::new(&self.files, &self.arguments)
        };
        let selected = selection.fetch(context).await?;
        let mut errors = Vec::new();
        let mut count = 0;
        for info in selected.infos {
            count += 1;
            let outcome = if self.local || dry_run == DryRun::Client {
                let mut object = info.object.clone();
                if kind == PatchKind::Strategic && merge::built_in(&info.resource).is_none() && !self.local {
                    errors.push(KubectlError::new(format!(
                        "strategic merge patch is not supported for {}, Kind={} locally, try --type merge",
                        info.resource.api_version(),
                        info.resource.kind
                    )));
                    continue;
                }
                apply_locally(&info, kind, &mut object, &patch.value).map(|()| object)
            } else {
                let requests = write::requests(context, dry_run, &self.field_manager, "")?;
                let target = (info.namespace.as_str(), info.name.as_str());
                let patched = requests.patch_text(&info.resource, target, &subresource, kind, &patch.text).await;
                let recorded = self.record.patch(context).filter(|_| patched.is_ok());
                let patched = match recorded {
                    Some(cause) => requests.patch(&info.resource, target, "", PatchKind::Merge, &cause).await,
                    None => patched,
                };
                patched.map_err(|error| {
                    if error.api().is_none_or(|error| error.code != 415) {
                        return error;
                    }
                    let resource = &info.resource;
                    KubectlError::new(format!(
                        "{} is not supported by {}/{}, Kind={}: {error}",
                        kind.media_type(),
                        resource.group,
                        resource.version,
                        resource.kind
                    ))
                })
            };
            match outcome {
                Ok(object) => {
                    let operation = if object == info.object { "patched (no change)" } else { "patched" };
                    // Upstream sets the operation after the dry run's words, which are lost.
                    self.output.printer(operation)?.print(&context.printer, &object)?;
                }
                Err(error) => errors.push(error),
            }
        }
        errors.extend(selected.errors);
        KubectlError::all(errors)?;
        if count == 0 { Err(KubectlError::new("no objects passed to patch")) } else { Ok(()) }
    }

    fn validate(&self, patch: &str, file: &str, dry_run: DryRun) -> Result<PatchKind, KubectlError> {
        let fault = |text: &str| Err(KubectlError::new(text));
        if !patch.is_empty() && !file.is_empty() {
            return fault("cannot specify --patch and --patch-file together");
        }
        if patch.is_empty() && file.is_empty() {
            return fault("must specify --patch or --patch-file containing the contents of the patch");
        }
        if self.local && !self.arguments.is_empty() {
            return fault("cannot specify --local and server resources");
        }
        if self.local && dry_run == DryRun::Server {
            return fault("cannot specify --local and --dry-run=server - did you mean --dry-run=client?");
        }
        match self.kind.to_lowercase().as_str() {
            "json" => Ok(PatchKind::Json),
            "merge" => Ok(PatchKind::Merge),
            "strategic" | "" => Ok(PatchKind::Strategic),
            _ => Err(KubectlError::new(format!("--type must be one of [json merge strategic], not {:?}", self.kind))),
        }
    }
}
