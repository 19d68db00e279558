//! Objects that `run` and `expose` make: overrides, creation, dry runs.

use apimachinery::patch::{PatchError, apply_json_patch, apply_merge_patch, apply_strategic_patch};
use clap::{ArgAction, Args};
use serde_json::Value;

use super::create::shaped;
use crate::context::Context;
use crate::discovery::ResourceType;
use crate::error::KubectlError;
use crate::merge;
use crate::output::{ObjectPrinter, OutputFlags};
use crate::write::{self, DryRun, DryRunFlag};

/// The flags of both.
#[derive(Debug, Args)]
pub(super) struct GenerateFlags {
    #[command(flatten)]
    output: OutputFlags,
    #[command(flatten)]
    dry_run: DryRunFlag,
    /// How --overrides changes the object: json, merge or strategic
    #[arg(long, default_value = "merge")]
    override_type: String,
    /// JSON that changes the object before it is made
    #[arg(long)]
    overrides: Option<String>,
    /// Keep the configuration in the annotation that kubectl apply uses
    #[arg(long, action = ArgAction::SetTrue)]
    save_config: bool,
}

/// How objects are made and shown.
#[derive(Debug)]
pub(super) struct Generator<'a> {
    flags: &'a GenerateFlags,
    field_manager: &'a str,
    pub(super) dry_run: DryRun,
    pub(super) printer: ObjectPrinter,
}

impl GenerateFlags {
    /// Reads the flags; `done` is what is said of each object.
    pub(super) fn generator<'a>(
        &'a self,
        context: &Context,
        done: &str,
        field_manager: &'a str,
    ) -> Result<Generator<'a>, KubectlError> {
        let dry_run = self.dry_run.strategy(context)?;
        Ok(Generator { flags: self, field_manager, dry_run, printer: dry_run.printer(&self.output, done)? })
    }
}

impl Generator<'_> {
    /// Makes an object, and gives it as the server has it. `overridden`: the overrides are for it.
    pub(super) async fn create(
        &self,
        context: &Context,
        resource: &ResourceType,
        object: Value,
        overridden: bool,
    ) -> Result<Value, KubectlError> {
        let mut object = shaped(resource, object)?;
        if let Some(overrides) = self.flags.overrides.as_deref().filter(|text| overridden && !text.is_empty()) {
            object = self.overridden(resource, object, overrides)?;
        }
        if self.dry_run == DryRun::Client {
            if context.namespace_is_explicit() {
                object["metadata"]["namespace"] = context.namespace()?.into();
            }
            return Ok(object);
        }
        write::annotate_if(self.flags.save_config, &mut object);
        let requests = write::requests(context, self.dry_run, self.field_manager, "")?;
        requests.create(resource, context.namespace()?, &object).await
    }

    fn overridden(&self, resource: &ResourceType, mut object: Value, text: &str) -> Result<Value, KubectlError> {
        let invalid = |_| KubectlError::new("Invalid JSON Patch");
        let patch: Value = serde_json::from_str(text).map_err(invalid)?;
        let patched = match self.flags.override_type.as_str() {
            "json" => apply_json_patch(&mut object, &patch),
            "" | "merge" => apply_merge_patch(&mut object, patch),
            "strategic" => match merge::built_in(resource) {
                Some(ty) => apply_strategic_patch(api::schemas(), ty, &mut object, patch),
                None => Err(PatchError::Malformed("unable to find api field in struct".to_owned())),
            },
            other => return Err(KubectlError::new(format!("invalid override type: {other}"))),
        };
        patched.map_err(|error| KubectlError::new(error.to_string()))?;
        shaped(resource, object)
    }
}
