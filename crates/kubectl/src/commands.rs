//! The commands: one file each. To add one, write `commands/NAME.rs` with an `Args` struct whose `run` does the work, and
//! name it in [`Command`], in `run` and, if it stood there, take it out of [`UNSERVED`].

mod get;

use clap::Subcommand;

use crate::context::Context;
use crate::error::KubectlError;

/// Commands of upstream's that are not served. Naming one gives an error that says so.
pub(crate) const UNSERVED: [&str; 15] = [
    "autoscale",
    "certificate",
    "completion",
    "debug",
    "diff",
    "drain",
    "events",
    "kuberc",
    "kustomize",
    "plugin",
    "port-forward",
    "proxy",
    "replace",
    "taint",
    "top",
];

/// All commands.
#[derive(Debug, Subcommand)]
#[command(disable_help_flag = true, disable_help_subcommand = true)]
pub(crate) enum Command {
    /// Display one or many resources
    Get(get::GetCommand),
}

impl Command {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), KubectlError> {
        match self {
            Self::Get(command) => command.run(context).await,
        }
    }
}
