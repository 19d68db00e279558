//! `kubectl config` (upstream: `kubectl/pkg/cmd/config`).

mod delete;
mod files;
mod list;
mod property;
mod set;
mod view;

use clap::{Args, Subcommand};

use crate::context::Context;
use crate::error::KubectlError;
use files::Files;

/// Modify kubeconfig files. With --kubeconfig, that file alone counts; else those of $KUBECONFIG, of which the first one
/// that has an entry wins and is changed; else ~/.kube/config.
#[derive(Debug, Subcommand)]
#[command(disable_help_subcommand = true, disable_help_flag = true)]
pub(crate) enum ConfigCommand {
    /// Display the current-context
    CurrentContext(Nothing),
    /// Delete the specified cluster from the kubeconfig
    DeleteCluster(Named),
    /// Delete the specified context from the kubeconfig
    DeleteContext(Named),
    /// Delete the specified user from the kubeconfig
    DeleteUser(Named),
    /// Display clusters defined in the kubeconfig
    GetClusters(Nothing),
    /// Describe one or many contexts
    GetContexts(list::GetContexts),
    /// Display users defined in the kubeconfig
    GetUsers(Nothing),
    /// Rename a context from the kubeconfig file
    RenameContext(Named),
    /// Set an individual value in a kubeconfig file
    Set(property::SetProperty),
    /// Set a cluster entry in kubeconfig
    SetCluster(set::SetCluster),
    /// Set a context entry in kubeconfig
    SetContext(set::SetContext),
    /// Set a user entry in kubeconfig
    SetCredentials(set::SetCredentials),
    /// Unset an individual value in a kubeconfig file
    Unset(Named),
    /// Set the current-context in a kubeconfig file
    #[command(alias = "use")]
    UseContext(Named),
    /// Display merged kubeconfig settings or a specified kubeconfig file
    View(view::View),
}

/// A command that takes no arguments of its own.
#[derive(Debug, Args)]
pub(crate) struct Nothing {
    #[arg(hide = true)]
    arguments: Vec<String>,
}

/// A command that takes names.
#[derive(Debug, Args)]
pub(crate) struct Named {
    /// The entry's name
    #[arg(value_name = "NAME")]
    arguments: Vec<String>,
}

impl ConfigCommand {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), KubectlError> {
        match self {
            Self::CurrentContext(_) => list::current_context(context),
            Self::DeleteCluster(command) => delete::delete_cluster(context, &command.arguments),
            Self::DeleteContext(command) => delete::delete_context(context, &command.arguments),
            Self::DeleteUser(command) => delete::delete_user(context, &command.arguments),
            Self::GetClusters(_) => list::names(context, files::CLUSTERS),
            Self::GetContexts(command) => command.run(context),
            Self::GetUsers(_) => list::names(context, files::USERS),
            Self::RenameContext(command) => set::rename_context(context, &command.arguments),
            Self::Set(command) => command.run(context),
            Self::SetCluster(command) => command.run(context),
            Self::SetContext(command) => command.run(context),
            Self::SetCredentials(command) => command.run(context),
            Self::Unset(command) => property::unset(context, &command.arguments),
            Self::UseContext(command) => set::use_context(context, &command.arguments),
            Self::View(command) => command.run(context),
        }
    }
}

/// Upstream's `helpErrorf`: help on standard output, then the fault.
fn unexpected(context: &Context, arguments: &[String]) -> KubectlError {
    match help(context) {
        Ok(()) => KubectlError::new(format!("Unexpected args: [{}]", arguments.join(" "))),
        Err(error) => error,
    }
}

/// Prints the running command's help.
fn help(context: &Context) -> Result<(), KubectlError> {
    let path: Vec<String> = context.command_path.split(' ').skip(1).map(str::to_owned).collect();
    let root = <crate::cli::Cli as clap::CommandFactory>::command();
    context.printer.out(crate::help::text(&root, &path))
}

/// The one argument of a command.
fn one<'a>(context: &Context, arguments: &'a [String]) -> Result<&'a str, KubectlError> {
    match arguments {
        [one] => Ok(one),
        _ => Err(unexpected(context, arguments)),
    }
}
