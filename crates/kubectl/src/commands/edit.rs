//! `kubectl edit` (upstream: `kubectl/pkg/cmd/util/editor`).

mod editor;

use clap::Args;
use client::PatchKind;
use serde_json::{Value, json};

use crate::context::Context;
use crate::error::KubectlError;
use crate::merge;
use crate::output::OutputFlags;
use crate::resource::{Check, FileFlags, Info, Selection};
use crate::write::{self, DryRun, ValidateFlag};
use apimachinery::gotext;
use editor::EditedFile;

/// The lines above what is edited.
const HEADER: &str = "# Please edit the object below. Lines beginning with a '#' will be ignored,\n\
                      # and an empty file will abort the edit. If an error occurs while saving this file will be\n\
                      # reopened with the relevant failures.\n#\n";

/// Edit resources on the server with the editor that $KUBE_EDITOR or $EDITOR names, or vi.
#[derive(Debug, Args)]
pub(crate) struct EditCommand {
    /// What to edit
    #[arg(value_name = "TYPE/NAME")]
    arguments: Vec<String>,
    #[command(flatten)]
    files: FileFlags,
    #[command(flatten)]
    output: OutputFlags,
    #[command(flatten)]
    validate: ValidateFlag,
    /// Who is recorded as the fields' owner
    #[arg(long, default_value = "kubectl-edit")]
    field_manager: String,
    /// Print the patch that is sent
    #[arg(long)]
    output_patch: bool,
    /// Keep the configuration in the annotation that kubectl apply uses
    #[arg(long)]
    save_config: bool,
    /// The subresource to edit
    #[arg(long)]
    subresource: Option<String>,
}

/// How one attempt to save ended.
#[derive(Debug, Default)]
struct Outcome {
    /// What the server refused, for the file's header.
    reasons: Vec<String>,
    retryable: usize,
    not_found: usize,
}

impl EditCommand {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), KubectlError> {
        let validation = self.validate.directive()?;
        let format = match self.output.output.as_deref().unwrap_or_default() {
            "" => "yaml",
            known @ ("json" | "kyaml" | "yaml") => known,
            other => {
                return Err(KubectlError::new(format!(
                    "unable to match a printer suitable for the output format {other:?}, allowed formats are: json,kyaml,yaml"
                )));
            }
        };
        let selection = Selection {
            latest: true,
            type_means_all: true,
            subresource: self.subresource.clone().unwrap_or_default(),
            ..Selection::new(&self.files, &self.arguments)
        };
        let mut infos = selection.fetch(context).await?.all()?;
        if infos.is_empty() {
            return Err(KubectlError::new("edit cancelled, no objects found"));
        }
        for info in &mut infos {
            if let Some(metadata) = info.object["metadata"].as_object_mut() {
                metadata.remove("managedFields");
            }
        }
        let original = shown(&infos, format);
        let mut text = format!("{HEADER}{original}");
        let mut before: Option<String> = None;
        loop {
            let file = EditedFile::open(&text, &format!(".{format}"))?;
            let edited = strip_comments(&file.text);
            if before.as_ref().is_some_and(|before| *before == edited) {
                return Err(file.keep(context, KubectlError::new("Edit cancelled, no valid changes were saved.")));
            }
            if edited.trim().is_empty() {
                context.printer.err_line("Edit cancelled, saved file was empty.");
                return file.remove();
            }
            if same_documents(&edited, &original) {
                context.printer.err_line("Edit cancelled, no changes made.");
                return file.remove();
            }
            let check = if validation == "Ignore" { Check::None } else { Check::Header };
            let updated = Selection { check, ..Selection::default() }.read_text(context, &file.name(), &edited).await;
            let outcome = match updated {
                Err(error) => Outcome {
                    reasons: vec![format!("The edited file had a syntax error: {error}")],
                    ..Outcome::default()
                },
                Ok(updated) => match self.save(context, &infos, updated, validation).await {
                    Ok(outcome) => outcome,
                    Err(error) => return Err(file.keep(context, error)),
                },
            };
            let exit = || Err(KubectlError::Exit { text: String::new(), code: 1 });
            if outcome.retryable > 0 {
                let name = file.forget();
                context.printer.err_line(format!("You can run `kubectl replace -f {name}` to try this update again."));
                return exit();
            }
            if outcome.not_found > 0 {
                let name = file.forget();
                context
                    .printer
                    .err_line(format!("The edits you made on deleted resources have been saved to {name:?}"));
                return exit();
            }
            if outcome.reasons.is_empty() {
                return file.remove();
            }
            let reasons: String = outcome.reasons.iter().map(|reason| format!("# {}\n#\n", hashed(reason))).collect();
            text = format!("{HEADER}{reasons}{edited}");
            before = Some(edited);
            file.remove()?;
        }
    }

    async fn save(
        &self,
        context: &Context,
        infos: &[Info],
        updated: Vec<Info>,
        validation: &str,
    ) -> Result<Outcome, KubectlError> {
        let mut outcome = Outcome::default();
        let requests = write::requests(context, DryRun::None, &self.field_manager, validation)?;
        let subresource = self.subresource.as_deref().unwrap_or_default();
        for mut info in updated {
            let uid = &info.object["metadata"]["uid"];
            let Some(original) = infos.iter().find(|old| old.object["metadata"]["uid"] == *uid) else {
                return Err(KubectlError::new(format!("no original object found for {}", info.object_name())));
            };
            write::annotate_if(self.save_config, &mut info.object);
            let say = |operation: &str, object: &Value| -> Result<(), KubectlError> {
                OutputFlags::default().printer(operation)?.print(&context.printer, object)
            };
            if info.object == original.object {
                say("skipped", &info.object)?;
                continue;
            }
            let changed = |key: &str| info.object[key] != original.object[key];
            if changed("apiVersion")
                || changed("kind")
                || info.object["metadata"]["name"] != original.object["metadata"]["name"]
            {
                return Err(KubectlError::new("At least one of apiVersion, kind and name was changed"));
            }
            let (kind, patch) = match merge::built_in(&info.resource) {
                Some(ty) => {
                    let patch = merge::two_way(ty, &original.object, &info.object).map_err(KubectlError::new)?;
                    (PatchKind::Strategic, patch)
                }
                None => (PatchKind::Merge, merge::json_diff(&original.object, &info.object)),
            };
            if self.output_patch {
                context.printer.line(format!("Patch: {}", gotext::json(&patch)))?;
            }
            let target = (info.namespace.as_str(), info.name.as_str());
            match requests.patch(&info.resource, target, subresource, kind, &patch).await {
                Ok(object) => say("edited", &object)?,
                Err(error) => outcome.add(context, &info, &error),
            }
        }
        Ok(outcome)
    }
}

impl Outcome {
    fn add(&mut self, context: &Context, info: &Info, error: &KubectlError) {
        let what = format!("{} {:?}", info.resource.qualified(), info.name);
        match error.api() {
            Some(api) if api.code == 422 => {
                let causes: String = api
                    .causes
                    .iter()
                    .map(|cause| format!("\n# * {}: {}", cause.field, hashed(&cause.message)))
                    .collect();
                let colon = if causes.is_empty() { "" } else { ":" };
                self.reasons.push(format!("{what} was not valid{colon}{causes}"));
                context.printer.err_line(format!("error: {what} is invalid"));
            }
            Some(api) if api.code == 404 => {
                self.not_found += 1;
                context.printer.err_line(format!("error: {what} could not be found on the server"));
            }
            _ => {
                self.retryable += 1;
                context.printer.err_line(format!("error: {what} could not be patched: {error}"));
            }
        }
    }
}

/// The objects as they are edited: alone, or in a list.
fn shown(infos: &[Info], format: &str) -> String {
    let value = match infos {
        [one] => one.object.clone(),
        many => {
            let items: Vec<&Value> = many.iter().map(|info| &info.object).collect();
            json!({"apiVersion": "v1", "kind": "List", "metadata": {}, "items": items})
        }
    };
    match format {
        "json" => gotext::json_indented(&value, "    ") + "\n",
        "kyaml" => crate::output::kyaml::to_kyaml(&value),
        _ => apimachinery::yaml::to_yaml(&value),
    }
}

/// The lines that are no comments.
fn strip_comments(text: &str) -> String {
    let is_comment = |line: &&str| line.trim_start().starts_with('#') && !line.trim_start().starts_with("#!");
    text.split_inclusive('\n').filter(|line| !is_comment(line)).collect()
}

fn same_documents(a: &str, b: &str) -> bool {
    match (apimachinery::yaml::parse(a), apimachinery::yaml::parse(b)) {
        (Ok(a), Ok(b)) => a.value == b.value,
        _ => a == b,
    }
}

/// A text of several lines as a comment.
fn hashed(text: &str) -> String {
    text.replace("\n# ", "\n").trim_end_matches('\n').replace('\n', "\n# ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_do_not_count() {
        assert_eq!(strip_comments("# a\nx: 1\n  # b\ny: '# c'\n"), "x: 1\ny: '# c'\n");
        assert!(same_documents("x: 1\ny: 2\n", "{y: 2, x: 1}"));
        assert!(!same_documents("x: 1", "x: 2"));
        assert_eq!(hashed("a\nb"), "a\n# b");
    }
}
