//! `kubectl auth` (upstream: `kubectl/pkg/cmd/auth`).

mod can_i;
mod whoami;

use clap::Subcommand;

use crate::context::Context;
use crate::error::KubectlError;

/// Inspect authorization.
#[derive(Debug, Subcommand)]
#[command(disable_help_subcommand = true, disable_help_flag = true)]
pub(crate) enum AuthCommand {
    /// Check whether an action is allowed
    #[command(name = "can-i")]
    CanI(can_i::CanI),
    /// Check self subject attributes
    Whoami(whoami::Whoami),
}

impl AuthCommand {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), KubectlError> {
        match self {
            Self::CanI(command) => command.run(context).await,
            Self::Whoami(command) => command.run(context).await,
        }
    }
}
