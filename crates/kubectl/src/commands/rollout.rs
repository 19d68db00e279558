//! `kubectl rollout` (upstream: `kubectl/pkg/cmd/rollout`).

mod change;
mod history;
mod revisions;
mod status;
mod undo;

use clap::{Args, Subcommand};

use crate::context::Context;
use crate::error::KubectlError;
use crate::resource::{FileFlags, Info, Selected, Selection};

/// Manage the rollout of Deployments, DaemonSets and StatefulSets.
#[derive(Debug, Subcommand)]
#[command(disable_help_subcommand = true, disable_help_flag = true)]
pub(crate) enum RolloutCommand {
    /// View rollout history
    History(history::RolloutHistory),
    /// Mark the provided resource as paused
    Pause(change::RolloutPause),
    /// Restart a resource
    Restart(change::RolloutRestart),
    /// Resume a paused resource
    Resume(change::RolloutResume),
    /// Show the status of the rollout
    Status(status::RolloutStatus),
    /// Undo a previous rollout
    Undo(undo::RolloutUndo),
}

impl RolloutCommand {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), KubectlError> {
        match self {
            Self::History(command) => command.run(context).await,
            Self::Pause(command) => command.run(context).await,
            Self::Restart(command) => command.run(context).await,
            Self::Resume(command) => command.run(context).await,
            Self::Status(command) => command.run(context).await,
            Self::Undo(command) => command.run(context).await,
        }
    }
}

/// Which objects are meant.
#[derive(Debug, Args)]
pub(super) struct RolloutFlags {
    /// The types and names
    #[arg(value_name = "TYPE NAME | TYPE/NAME")]
    arguments: Vec<String>,
    #[command(flatten)]
    files: FileFlags,
    /// Choose by labels, such as app=web,tier!=db
    #[arg(long, short = 'l')]
    selector: Option<String>,
}

impl RolloutFlags {
    /// Names must be there before anything else is looked at.
    fn validate(&self) -> Result<(), KubectlError> {
        if self.arguments.is_empty() && self.files.is_empty() {
            return Err(KubectlError::new("required resource not specified"));
        }
        Ok(())
    }

    async fn fetch(&self, context: &Context) -> Result<Selected, KubectlError> {
        let selection = Selection {
            label_selector: self.selector.clone().unwrap_or_default(),
            type_means_all: true,
            latest: true,
            ..Selection::new(&self.files, &self.arguments)
        };
        selection.fetch(context).await
    }
}

fn say_none_found(context: &Context) -> Result<(), KubectlError> {
    context.printer.err_line(format!("No resources found in {} namespace.", context.namespace()?));
    Ok(())
}

/// What has a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rolled {
    /// Kept in ReplicaSets.
    Deployment,
    /// Kept in ControllerRevisions; the name that errors give it.
    Controller(&'static str),
}

impl Rolled {
    /// What an object is; the error names `what` is missing for another.
    fn of(info: &Info, (retrieving, missing): (&str, &str)) -> Result<Self, KubectlError> {
        let name = info.resource.group_kind();
        match name.as_str() {
            "Deployment.apps" => Ok(Self::Deployment),
            "DaemonSet.apps" => Ok(Self::Controller("DaemonSet")),
            "StatefulSet.apps" => Ok(Self::Controller("StatefulSet")),
            "Pod" | "ReplicationController" | "ReplicaSet.apps" | "Job.batch" | "CronJob.batch" => {
                Err(KubectlError::new(format!("no {missing} has been implemented for {name:?}")))
            }
            _ => Err(KubectlError::new(format!(
                "error retrieving {retrieving} for {name:?}, no visitor method exists for {{{} {}}}",
                info.resource.group, info.resource.kind
            ))),
        }
    }
}
