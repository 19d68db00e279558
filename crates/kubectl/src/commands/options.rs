//! `kubectl options`.

use clap::{Args, CommandFactory as _};

use crate::cli::Cli;
use crate::context::Context;
use crate::error::KubectlError;
use crate::help;

/// List the command-line options that all commands have.
#[derive(Debug, Args)]
pub(crate) struct OptionsCommand {
    #[arg(hide = true)]
    arguments: Vec<String>,
}

impl OptionsCommand {
    /// Runs the command.
    pub(crate) fn run(self, context: &Context) -> Result<(), KubectlError> {
        let flags = help::options(&Cli::command());
        context.printer.out(format!("The following options can be passed to any command:\n\n{flags}"))
    }
}
