//! `kubectl taint` (upstream: `kubectl/pkg/cmd/taint`).

mod change;

use std::sync::Arc;

use clap::Args;
use client::PatchKind;
use serde_json::Value;

use self::change::Changes;
use crate::context::Context;
use crate::discovery::ResourceType;
use crate::error::KubectlError;
use crate::merge;
use crate::output::OutputFlags;
use crate::resource::{Info, Requests, Selected, Selection};
use crate::write::{self, DryRun, DryRunFlag, ValidateFlag};

/// Update the taints on nodes. KEY=VALUE:EFFECT sets one, KEY- and KEY:EFFECT- take them out. The effects are NoSchedule,
/// PreferNoSchedule and NoExecute.
#[derive(Debug, Args)]
pub(crate) struct TaintCommand {
    /// The nodes, then the changes
    #[arg(value_name = "NODE NAME KEY_1=VAL_1:TAINT_EFFECT_1 ... KEY_N=VAL_N:TAINT_EFFECT_N")]
    arguments: Vec<String>,
    #[command(flatten)]
    output: OutputFlags,
    #[command(flatten)]
    dry_run: DryRunFlag,
    #[command(flatten)]
    validate: ValidateFlag,
    /// All nodes
    #[arg(long)]
    all: bool,
    /// Who is recorded as the fields' owner
    #[arg(long, default_value = "kubectl-taint")]
    field_manager: String,
    /// Change taints that are there already
    #[arg(long)]
    overwrite: bool,
    /// Choose by labels, such as pool=web,zone!=a
    #[arg(long, short = 'l')]
    selector: Option<String>,
}

impl TaintCommand {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), KubectlError> {
        let dry_run = self.dry_run.strategy(context)?;
        let validation = self.validate.directive()?;
        let (resources, specs) = change::split(&self.arguments)?;
        let Some((ty, names)) = resources.split_first() else {
            return Err(KubectlError::new("one or more resources must be specified as <resource> <name>"));
        };
        if specs.is_empty() {
            return Err(KubectlError::new("at least one taint update is required"));
        }
        let changes = Changes::parse(&specs).map_err(|text| KubectlError::usage(&context.command_path, text))?;
        let ty = ty.to_lowercase();
        if named_type(context, &ty).await?.kind != "Node" {
            return Err(KubectlError::new(format!("invalid resource type {ty}, only node types are supported")));
        }
        changes.validate().map_err(KubectlError::new)?;
        let selector = self.selector.clone().unwrap_or_default();
        if self.all && !selector.is_empty() {
            return Err(KubectlError::new("setting 'all' parameter with a non empty selector is prohibited"));
        }
        let by_name = !self.all && selector.is_empty();
        if by_name && names.is_empty() {
            return Err(KubectlError::new(
                "at least one resource name must be specified since 'all' parameter is not set",
            ));
        }
        let named = names.iter().map(|name| format!("node/{name}"));
        let arguments = if by_name { named.collect() } else { vec!["node".to_owned()] };
        let selection = Selection { arguments, label_selector: selector, all: self.all, ..Selection::default() };
        let Selected { infos, mut errors, .. } = selection.fetch(context).await?;
        let requests = write::requests(context, dry_run, &self.field_manager, validation)?;
        for info in infos {
            match self.change(context, &requests, info, &changes, dry_run).await {
                Err(KubectlError::ReaderGone) => return Err(KubectlError::ReaderGone),
                Err(error) => errors.push(error),
                Ok(()) => {}
            }
        }
        KubectlError::all(errors)
    }

    async fn change(
        &self,
        context: &Context,
        requests: &Requests<'_>,
        mut info: Info,
        changes: &Changes,
        dry_run: DryRun,
    ) -> Result<(), KubectlError> {
        let mut new = info.object.clone();
        let operation = changes.apply(&mut new, self.overwrite).map_err(|faults| {
            let mut faults: Vec<KubectlError> = faults.into_iter().map(KubectlError::new).collect();
            if faults.len() == 1 { faults.remove(0) } else { KubectlError::Many(faults) }
        })?;
        if dry_run == DryRun::Client {
            info.object = new;
        } else {
            let patch = patch(&info, &new)?;
            let target = ("", info.name.as_str());
            info.object = requests.patch(&info.resource, target, "", PatchKind::Strategic, &patch).await?;
        }
        // Upstream does not say here that it was a dry run.
        self.output.printer(operation)?.print_info(&context.printer, &info)
    }
}

/// The type of this name, where upstream does not put `error: ` before the news that there is none.
pub(super) async fn named_type(context: &Context, name: &str) -> Result<Arc<ResourceType>, KubectlError> {
    context.resource(name).await.map_err(|error| match error {
        KubectlError::Message(text) => KubectlError::Exit { text, code: 1 },
        other => other,
    })
}

/// What makes the new node of the old.
fn patch(info: &Info, new: &Value) -> Result<Value, KubectlError> {
    match merge::built_in(&info.resource) {
        Some(ty) => merge::two_way(ty, &info.object, new).map_err(KubectlError::new),
        None => Ok(merge::json_diff(&info.object, new)),
    }
}
