//! `kubectl cordon` and `kubectl uncordon` (upstream: `kubectl/pkg/cmd/drain`).

use clap::Args;
use client::PatchKind;
use serde_json::{Value, json};

use crate::context::Context;
use crate::error::KubectlError;
use crate::output::OutputFlags;
use crate::resource::{Info, Selection};
use crate::write::{self, DryRun, DryRunFlag};

/// Which nodes are meant, and how far to go.
#[derive(Debug, Args)]
pub(super) struct NodeFlags {
    /// The names of the nodes
    #[arg(value_name = "NODE")]
    nodes: Vec<String>,
    #[command(flatten)]
    dry_run: DryRunFlag,
    /// Choose by labels, such as pool=web,zone!=a
    #[arg(long, short = 'l')]
    selector: Option<String>,
}

/// The nodes that a command line means.
#[derive(Debug)]
pub(super) struct Nodes {
    pub(super) infos: Vec<Info>,
    pub(super) dry_run: DryRun,
}

impl NodeFlags {
    /// Reads the nodes. Everything must be there.
    pub(super) async fn fetch(&self, context: &Context) -> Result<Nodes, KubectlError> {
        let selector = self.selector.as_deref().unwrap_or_default();
        let command = context.command_path.rsplit(' ').next().unwrap_or_default();
        if self.nodes.is_empty() && self.selector.is_none() {
            return Err(KubectlError::usage(&context.command_path, format!("USAGE: {command} NODE [flags]")));
        }
        if !self.nodes.is_empty() && !selector.is_empty() {
            let text = "error: cannot specify both a node name and a --selector option";
            return Err(KubectlError::usage(&context.command_path, text));
        }
        let dry_run = self.dry_run.strategy(context)?;
        let pair = |name: &String| if name.contains('/') { name.clone() } else { format!("nodes/{name}") };
        let arguments =
            if self.nodes.is_empty() { vec!["nodes".to_owned()] } else { self.nodes.iter().map(pair).collect() };
        let selection = Selection {
            arguments,
            label_selector: selector.to_owned(),
            single_type: true,
            stop_on_error: true,
            ..Selection::default()
        };
        let infos = selection.fetch(context).await?.all()?;
        if let Some(other) = infos.iter().find(|info| info.resource.kind != "Node" || !info.resource.group.is_empty()) {
            let resource = &other.resource;
            let what = format!("{}/{}, Resource={}", resource.group, resource.version, resource.plural);
            return Err(KubectlError::new(format!("error: expected resource of type node, got {what:?}")));
        }
        Ok(Nodes { infos, dry_run })
    }
}

impl Nodes {
    /// Marks each node as unschedulable or as schedulable. What fails is told, and is no failure of the command.
    pub(super) async fn mark(&self, context: &Context, unschedulable: bool) -> Result<(), KubectlError> {
        let verb = if unschedulable { "cordon" } else { "uncordon" };
        let requests = write::requests(context, self.dry_run, "", "")?;
        for info in &self.infos {
            let mut done = format!("{verb}ed");
            if info.object["spec"]["unschedulable"].as_bool().unwrap_or_default() == unschedulable {
                done = format!("already {done}");
            } else if self.dry_run != DryRun::Client {
                let value = if unschedulable { json!(true) } else { Value::Null };
                let patch = json!({"spec": {"unschedulable": value}});
                let target = ("", info.name.as_str());
                if let Err(error) = requests.patch(&info.resource, target, "", PatchKind::Strategic, &patch).await {
                    context.printer.err_line(format!("error: unable to {verb} node {:?}: {error}", info.name));
                    continue;
                }
            }
            self.dry_run.printer(&OutputFlags::default(), &done)?.print_info(&context.printer, info)?;
        }
        Ok(())
    }
}

/// Mark nodes as unschedulable: no new Pods come to them.
#[derive(Debug, Args)]
pub(crate) struct CordonCommand {
    #[command(flatten)]
    nodes: NodeFlags,
}

impl CordonCommand {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), KubectlError> {
        self.nodes.fetch(context).await?.mark(context, true).await
    }
}

/// Mark nodes as schedulable.
#[derive(Debug, Args)]
pub(crate) struct UncordonCommand {
    #[command(flatten)]
    nodes: NodeFlags,
}

impl UncordonCommand {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), KubectlError> {
        self.nodes.fetch(context).await?.mark(context, false).await
    }
}
