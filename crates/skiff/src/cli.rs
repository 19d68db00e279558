//! The command line: one definition makes parser and help.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// A complete Kubernetes in one executable.
#[derive(Debug, Parser)]
#[command(name = "skiff", version, about, disable_help_subcommand = true)]
pub(crate) struct Cli {
    /// Which local cluster is meant.
    #[arg(short, long, global = true, default_value = "skiff", value_name = "NAME")]
    pub(crate) profile: String,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start a local cluster with one node.
    Start(StartArgs),
    /// Say whether the cluster runs.
    Status,
    /// Stop the cluster; everything in it is kept.
    Stop,
    /// Delete the cluster and everything in it.
    Delete(DeleteArgs),
    /// Open a shell in the node, or run a command there.
    Ssh(SshArgs),
    /// Load, list and remove images of the node.
    #[command(subcommand)]
    Image(ImageCommand),
    /// Load the tutorial's sample application.
    Demo(DemoArgs),
    /// Print the log of the cluster's own process.
    Logs,
    /// The cluster's own process. Started by node init, not by people.
    #[command(hide = true)]
    Daemon(DaemonArgs),
}

#[derive(Debug, Args)]
pub(crate) struct StartArgs {
    /// Port of the API server on 127.0.0.1; by default the first free one from 6443 on.
    #[arg(long, value_name = "PORT")]
    pub(crate) api_port: Option<u16>,
}

#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    /// Remove the images too, which all clusters of this machine share.
    #[arg(long)]
    pub(crate) purge: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Only load the images that the tutorial names, under those names.
    #[arg(long, required = true)]
    pub(crate) load_only: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SshArgs {
    /// The command; a shell if there is none.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    pub(crate) command: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ImageCommand {
    /// Load an archive of `docker save` or an OCI layout.
    Load {
        /// The archive; `-` for standard input.
        file: PathBuf,
    },
    /// List the images.
    Ls,
    /// Remove an image.
    Rm {
        /// Its name.
        image: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct DaemonArgs {
    /// The cluster's directory.
    #[arg(long)]
    pub(crate) directory: PathBuf,
}
