//! What commands that change things have in common: dry runs, validation, the annotation of the last applied
//! configuration.

use clap::{ArgAction, Args};
use serde_json::{Value, json};

use crate::context::Context;
use crate::error::KubectlError;
use crate::flags::values;
use crate::output::{ObjectPrinter, OutputFlags};
use crate::resource::Requests;

/// Where `kubectl apply` keeps what it was given last.
pub(crate) const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// How far a change goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DryRun {
    /// It is made.
    None,
    /// It is only shown.
    Client,
    /// The server does everything but keep it.
    Server,
}

/// `--dry-run`.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct DryRunFlag {
    /// Must be "none", "server", or "client": only show the object (client), or let the server do all but keep it
    #[arg(long, num_args = 0..=1, default_missing_value = "unchanged", default_value = "none")]
    dry_run: String,
}

impl DryRunFlag {
    /// What the flag says. Old forms are deprecated.
    pub(crate) fn strategy(&self, context: &Context) -> Result<DryRun, KubectlError> {
        let deprecated = |text: String| context.klog_warning(&text);
        match self.dry_run.as_str() {
            "unchanged" => {
                deprecated("--dry-run is deprecated and can be replaced with --dry-run=client.".to_owned());
                Ok(DryRun::Client)
            }
            "client" => Ok(DryRun::Client),
            "server" => Ok(DryRun::Server),
            "none" | "" => Ok(DryRun::None),
            other => match values::boolean(other) {
                Ok(on) => {
                    let (strategy, name) = if on { (DryRun::Client, "client") } else { (DryRun::None, "none") };
                    deprecated(format!(
                        "--dry-run={other} is deprecated (boolean value) and can be replaced with --dry-run={name}."
                    ));
                    Ok(strategy)
                }
                Err(_) => Err(KubectlError::new(format!(
                    "Invalid dry-run value ({other}). Must be \"none\", \"server\", or \"client\"."
                ))),
            },
        }
    }
}

impl DryRun {
    /// What is said to have been done.
    pub(crate) fn operation(self, done: &str) -> String {
        match self {
            Self::None => done.to_owned(),
            Self::Client => format!("{done} (dry run)"),
            Self::Server => format!("{done} (server dry run)"),
        }
    }

    /// The query parameter's value; empty for none.
    pub(crate) fn parameter(self) -> &'static str {
        if self == Self::Server { "All" } else { "" }
    }

    /// A printer that says so.
    pub(crate) fn printer(self, output: &OutputFlags, done: &str) -> Result<ObjectPrinter, KubectlError> {
        output.printer(&self.operation(done))
    }
}

/// `--validate`.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ValidateFlag {
    /// What unknown or duplicate fields are: strict (or true) for an error, warn, ignore (or false)
    #[arg(long, num_args = 0..=1, default_missing_value = "strict", default_value = "strict")]
    validate: String,
}

impl ValidateFlag {
    /// The query parameter's value.
    pub(crate) fn directive(&self) -> Result<&'static str, KubectlError> {
        match (self.validate.as_str(), values::boolean(&self.validate)) {
            ("strict", _) | (_, Ok(true)) => Ok("Strict"),
            ("warn", _) => Ok("Warn"),
            ("ignore", _) | (_, Ok(false)) => Ok("Ignore"),
            (other, Err(_)) => Err(KubectlError::new(format!(
                "invalid - validate option {other:?}; must be one of: strict (or true), warn, ignore (or false)"
            ))),
        }
    }
}

/// The flags of commands that make objects.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct CreateFlags {
    #[command(flatten)]
    pub(crate) output: OutputFlags,
    #[command(flatten)]
    pub(crate) dry_run: DryRunFlag,
    #[command(flatten)]
    pub(crate) validate: ValidateFlag,
    /// Who is recorded as the fields' owner
    #[arg(long, default_value = "kubectl-create")]
    pub(crate) field_manager: String,
    /// Keep the configuration in the annotation that kubectl apply uses
    #[arg(long, action = ArgAction::SetTrue)]
    pub(crate) save_config: bool,
}

/// The object as `kubectl apply` remembers it: compact JSON with a line break, without the annotation itself.
pub(crate) fn configuration(object: &Value) -> String {
    let mut object = object.clone();
    let metadata = object.as_object_mut().map(|o| o.entry("metadata").or_insert_with(|| json!({})));
    if let Some(metadata) = metadata.and_then(Value::as_object_mut) {
        // Upstream's accessor leaves an empty map where there were no annotations.
        let annotations = metadata.entry("annotations").or_insert_with(|| json!({}));
        match annotations.as_object_mut() {
            Some(annotations) => {
                annotations.remove(LAST_APPLIED);
            }
            None => *annotations = json!({}),
        }
    }
    apimachinery::gotext::json(&object) + "\n"
}

/// Puts the configuration into the annotation.
pub(crate) fn annotate(object: &mut Value) {
    let configuration = configuration(object);
    set_annotation(object, LAST_APPLIED, configuration);
}

/// Sets one annotation.
pub(crate) fn set_annotation(object: &mut Value, key: &str, value: String) {
    let metadata = object.as_object_mut().map(|o| o.entry("metadata").or_insert_with(|| json!({})));
    if let Some(metadata) = metadata.and_then(Value::as_object_mut) {
        let annotations = metadata.entry("annotations").or_insert_with(|| json!({}));
        if !annotations.is_object() {
            *annotations = json!({});
        }
        if let Some(annotations) = annotations.as_object_mut() {
            annotations.insert(key.to_owned(), value.into());
        }
    }
}

/// Where the reason of a change is kept, which `rollout history` shows.
const CHANGE_CAUSE: &str = "kubernetes.io/change-cause";

/// `--record`, which is deprecated.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct RecordFlag {
    /// Keep the command in the annotation kubernetes.io/change-cause
    #[arg(long, hide = true)]
    record: bool,
}

impl RecordFlag {
    /// Puts the command into the object's annotations, if it is to be kept.
    pub(crate) fn record(&self, context: &Context, object: &mut Value) {
        if self.record {
            set_annotation(object, CHANGE_CAUSE, context.cause.clone());
        }
    }

    /// The patch that does so, if it is to be kept.
    pub(crate) fn patch(&self, context: &Context) -> Option<Value> {
        self.record.then(|| json!({"metadata": {"annotations": {CHANGE_CAUSE: context.cause}}}))
    }
}

/// What was applied last; none if nothing was.
pub(crate) fn last_applied(object: &Value) -> Option<&str> {
    object["metadata"]["annotations"][LAST_APPLIED].as_str()
}

/// Upstream's `CreateOrUpdateAnnotation`: the annotation is renewed where it is, and made where that is asked for.
pub(crate) fn annotate_if(create: bool, object: &mut Value) {
    if create || last_applied(object).is_some_and(|text| !text.is_empty()) {
        annotate(object);
    }
}

/// Requests with the parameters of a command's writes.
pub(crate) fn requests<'a>(
    context: &'a Context,
    dry_run: DryRun,
    field_manager: &str,
    validation: &str,
) -> Result<Requests<'a>, KubectlError> {
    Ok(Requests::new(context.client()?)
        .with("dryRun", dry_run.parameter())
        .with("fieldManager", field_manager)
        .with("fieldValidation", validation))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_annotation_holds_what_was_given() {
        let mut object = json!({"kind": "Pod", "metadata": {"name": "a"}, "spec": {"x": "<"}});
        annotate(&mut object);
        let expected =
            "{\"kind\":\"Pod\",\"metadata\":{\"annotations\":{},\"name\":\"a\"},\"spec\":{\"x\":\"\\u003c\"}}\n";
        assert_eq!(last_applied(&object), Some(expected));
        annotate(&mut object);
        assert_eq!(last_applied(&object), Some(expected), "the annotation itself is left out");
        let mut other = json!({"metadata": {}});
        annotate_if(false, &mut other);
        assert_eq!(last_applied(&other), None);
    }
}
