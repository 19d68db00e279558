//! `kubectl drain` (upstream: `kubectl/pkg/cmd/drain`, `kubectl/pkg/drain`).

mod evict;
mod filter;

use std::collections::BTreeMap;

use apimachinery::labels::Selector;
use clap::Args;
use serde_json::Value;

use self::evict::Evictions;
use self::filter::{Allowed, Plan, Unread};
use super::cordon::NodeFlags;
use crate::context::Context;
use crate::error::KubectlError;
use crate::flags::values::{self, GoDuration};
use crate::output::OutputFlags;
use crate::resource::{Requests, Selection};
use crate::write::DryRun;

/// Drain nodes in preparation for maintenance: no new Pods come, and those that are there are evicted. Mirror Pods and those
/// of DaemonSets stay.
#[derive(Debug, Args)]
pub(crate) struct DrainCommand {
    #[command(flatten)]
    nodes: NodeFlags,
    /// The most Pods of one answer; 0 for all at once
    #[arg(long, value_parser = values::int64, default_value = "500", allow_negative_numbers = true)]
    chunk_size: i64,
    /// Go on where Pods have emptyDir volumes, whose data is lost
    #[arg(long)]
    delete_emptydir_data: bool,
    /// Delete Pods without asking PodDisruptionBudgets
    #[arg(long)]
    disable_eviction: bool,
    /// Go on where Pods declare no controller
    #[arg(long)]
    force: bool,
    /// How many seconds each Pod has to end; negative for what the Pod says
    #[arg(long, value_parser = values::int64, default_value = "-1", allow_negative_numbers = true)]
    grace_period: i64,
    /// Leave the Pods of DaemonSets
    #[arg(long)]
    ignore_daemonsets: bool,
    /// Choose the Pods by labels
    #[arg(long)]
    pod_selector: Option<String>,
    /// Do not wait for Pods that have been on their way out for more than this many seconds; 0 to wait
    #[arg(long, value_parser = values::int64, default_value = "0", allow_negative_numbers = true)]
    skip_wait_for_delete_timeout: i64,
    /// How long to wait before giving up; 0 for ever
    #[arg(long, value_parser = values::duration, default_value = "0s", allow_negative_numbers = true)]
    timeout: GoDuration,
}

/// Why a node is not drained.
enum Fault {
    /// What Go has as one error.
    One(KubectlError),
    /// What Go has as several, though they may be one.
    Many(Vec<KubectlError>),
}

impl Fault {
    fn into_error(self) -> KubectlError {
        match self {
            Self::One(error) => error,
            Self::Many(errors) => KubectlError::Many(errors),
        }
    }
}

impl DrainCommand {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), KubectlError> {
        let nodes = self.nodes.fetch(context).await?;
        if Selector::parse(self.pod_selector.as_deref().unwrap_or_default()).is_err() {
            return Err(KubectlError::new("--pod-selector=<pod_selector> must be a valid label selector"));
        }
        nodes.mark(context, true).await?;
        let mut remaining = Vec::new();
        for node in &nodes.infos {
            match self.drain(context, &node.name, nodes.dry_run).await {
                Ok(()) => {
                    let printer = nodes.dry_run.printer(&OutputFlags::default(), "drained")?;
                    printer.print_info(&context.printer, node)?;
                }
                Err(Fault::One(KubectlError::ReaderGone)) => return Err(KubectlError::ReaderGone),
                Err(fault) => remaining.push((node.name.as_str(), told(context, &node.name, fault))),
            }
        }
        if remaining.is_empty() {
            return Ok(());
        }
        context.printer.err_line("There are pending nodes to be drained:");
        for (name, _) in &remaining {
            context.printer.err_line(format!(" {name}"));
        }
        let mut faults: Vec<Fault> = remaining.into_iter().map(|(_, fault)| fault).collect();
        if faults.len() > 1 {
            return Err(KubectlError::Many(faults.into_iter().map(Fault::into_error).collect()));
        }
        Err(match faults.remove(0) {
            // Of several errors in Go's sense each is told without `error: ` before it, also where it is the only one.
            Fault::Many(errors) => match errors.as_slice() {
                [KubectlError::Message(text)] => KubectlError::Exit { text: text.clone(), code: 1 },
                _ => KubectlError::Many(errors),
            },
            Fault::One(error) => error,
        })
    }

    /// Empties one node.
    async fn drain(&self, context: &Context, node: &str, dry_run: DryRun) -> Result<(), Fault> {
        let Plan { pods, warnings, faults } = self.plan(context, node).await?;
        if !faults.is_empty() {
            return Err(Fault::Many(faults.into_iter().map(KubectlError::new).collect()));
        }
        if !warnings.is_empty() {
            context.printer.err_line(format!("Warning: {warnings}"));
        }
        if dry_run == DryRun::Client {
            for pod in &pods {
                let line = format!("evicting pod {} (dry run)", filter::full_name(pod));
                context.printer.line(line).map_err(Fault::One)?;
            }
            return Ok(());
        }
        let evictions = Evictions {
            context,
            dry_run,
            grace_period: self.grace_period,
            skip_deleted_seconds: self.skip_wait_for_delete_timeout,
            limit: self.timeout,
        };
        let outcome = evictions.run(&pods, self.disable_eviction).await;
        if let Err(fault) = outcome {
            return Err(self.tell_pending(context, node, fault).await);
        }
        Ok(())
    }

    /// Tells what is left on a node where something failed.
    async fn tell_pending(&self, context: &Context, node: &str, fault: Fault) -> Fault {
        let error = fault.into_error();
        let (pods, faults) = match self.plan(context, node).await {
            Ok(Plan { pods, faults, .. }) => (pods, faults.into_iter().map(KubectlError::new).collect()),
            Err(Fault::Many(faults)) => (Vec::new(), faults),
            Err(Fault::One(fault)) => (Vec::new(), vec![fault]),
        };
        if !pods.is_empty() {
            let head = format!("There are pending pods in node {node:?} when an error occurred: {error}");
            context.printer.err_line(head);
            for pod in &pods {
                let name = pod["metadata"]["name"].as_str().unwrap_or_default();
                context.printer.err_line(format!("pod/{name}"));
            }
        }
        if !faults.is_empty() {
            let faults = KubectlError::Many(faults);
            let head = "Following errors occurred while getting the list of pods to delete:";
            context.printer.err(format!("{head}\n{faults}"));
        }
        match error {
            KubectlError::Many(errors) => Fault::Many(errors),
            one => Fault::One(one),
        }
    }

    /// Looks at the Pods of a node.
    async fn plan(&self, context: &Context, node: &str) -> Result<Plan, Fault> {
        let several = |error| Fault::Many(vec![error]);
        let selection = Selection {
            arguments: vec!["pods".to_owned()],
            label_selector: self.pod_selector.clone().unwrap_or_default(),
            field_selector: format!("spec.nodeName={node}"),
            all_namespaces: true,
            chunk_size: u64::try_from(self.chunk_size).unwrap_or_default(),
            ..Selection::default()
        };
        let infos = selection.fetch(context).await.and_then(crate::resource::Selected::all).map_err(several)?;
        let pods: Vec<Value> = infos.into_iter().map(|info| info.object).collect();
        let unread = unread_daemon_sets(context, &pods).await.map_err(several)?;
        let allowed = Allowed {
            force: self.force,
            ignore_daemon_sets: self.ignore_daemonsets,
            delete_local_data: self.delete_emptydir_data,
            skip_deleted_seconds: self.skip_wait_for_delete_timeout,
        };
        Ok(filter::plan(&pods, allowed, context.clock.now(), |namespace, name| {
            unread.get(&(namespace.to_owned(), name.to_owned())).cloned()
        }))
    }
}

/// Tells why a node is not drained.
fn told(context: &Context, node: &str, fault: Fault) -> Fault {
    let text = match &fault {
        Fault::One(error) => error.to_string(),
        Fault::Many(errors) => KubectlError::Many(errors.clone()).to_string(),
    };
    context
        .printer
        .err_line(format!("error: unable to drain node {node:?} due to error: {text}, continuing command..."));
    fault
}

/// The DaemonSets of Pods that can't be read, by namespace and name.
async fn unread_daemon_sets(
    context: &Context,
    pods: &[Value],
) -> Result<BTreeMap<(String, String), Unread>, KubectlError> {
    let mut unread = BTreeMap::new();
    let owners: std::collections::BTreeSet<(&str, &str)> = pods.iter().filter_map(filter::daemon_set_of).collect();
    if owners.is_empty() {
        return Ok(unread);
    }
    let requests = Requests::new(context.client()?);
    let resource = context.resource("daemonsets.apps").await?;
    for (namespace, name) in owners {
        if let Err(error) = requests.read(&resource, namespace, name).await {
            let fault = Unread { is_missing: error.is_not_found(), text: error.to_string() };
            unread.insert((namespace.to_owned(), name.to_owned()), fault);
        }
    }
    Ok(unread)
}

#[cfg(test)]
mod tests;
