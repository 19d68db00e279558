//! The command line: one definition makes parser and help.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// A complete Kubernetes in one executable.
#[derive(Debug, Parser)]
#[command(name = "skiff", version, about, disable_help_subcommand = true)]
pub(crate) struct Cli {
    /// Which local cluster is meant [default: `skiff`, or `minikube` when called by that name]
    #[arg(short, long, global = true, value_name = "NAME")]
    pub(crate) profile: Option<String>,
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
    /// Print the node's address.
    Ip,
    /// Open a Service in the browser, or print the URL by which the host reaches it.
    Service(ServiceArgs),
    /// Play the tutorial on real containers: start, deploy, expose, scale, update, roll back.
    Demo(DemoArgs),
    /// The command line of Kubernetes, for this and any other cluster.
    #[command(disable_help_flag = true)]
    Kubectl(KubectlArgs),
    /// Print the log of the cluster's own process.
    Logs,
    /// Print the version.
    Version,
    #[command(flatten)]
    Minikube(MinikubeCommand),
    /// The cluster's own process. Started by node init, not by people.
    #[command(hide = true)]
    Daemon(DaemonArgs),
}

#[derive(Debug, Default, Args)]
pub(crate) struct StartArgs {
    /// Port of the API server on 127.0.0.1; by default the first free one from 6443 on.
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) api_port: Option<u16>,
    #[command(flatten)]
    pub(crate) minikube: MinikubeFlags,
}

/// Flags of `minikube start` that tutorials use.
#[derive(Debug, Default, Args)]
pub(crate) struct MinikubeFlags {
    #[arg(long, hide = true, alias = "vm-driver")]
    pub(crate) driver: Option<String>,
    #[arg(long, hide = true)]
    pub(crate) memory: Option<String>,
    #[arg(long, hide = true)]
    pub(crate) cpus: Option<String>,
    #[arg(long, hide = true)]
    pub(crate) disk_size: Option<String>,
    #[arg(long, hide = true)]
    pub(crate) container_runtime: Option<String>,
    #[arg(long, short = 'n', hide = true)]
    pub(crate) nodes: Option<u32>,
    #[arg(long, hide = true)]
    pub(crate) kubernetes_version: Option<String>,
}

/// Commands of minikube that tutorials use.
#[derive(Debug, Subcommand)]
pub(crate) enum MinikubeCommand {
    #[command(hide = true)]
    Profile {
        /// There is `list` only.
        #[arg(value_parser = ["list"])]
        what: String,
    },
    #[command(hide = true)]
    Tunnel,
    #[command(hide = true)]
    Addons {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<String>,
    },
    #[command(hide = true)]
    Dashboard {
        #[arg(long)]
        url: bool,
    },
    #[command(hide = true)]
    DockerEnv {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<String>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    /// Delete all clusters.
    #[arg(long, conflicts_with = "profile")]
    pub(crate) all: bool,
    /// Remove the images too, which all clusters of this machine share.
    #[arg(long)]
    pub(crate) purge: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Only load the images that the tutorial names, under those names.
    #[arg(long)]
    pub(crate) load_only: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ServiceArgs {
    /// The Service's name.
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    pub(crate) name: Option<String>,
    /// Its namespace.
    #[arg(short, long, default_value = "default")]
    pub(crate) namespace: String,
    /// Only print the URLs.
    #[arg(long)]
    pub(crate) url: bool,
    /// Print all Services of all namespaces as a table.
    #[arg(long)]
    pub(crate) all: bool,
    /// Make the URLs `https` ones.
    #[arg(long)]
    pub(crate) https: bool,
}

#[derive(Debug, Args)]
pub(crate) struct KubectlArgs {
    /// What kubectl is told.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
    pub(crate) arguments: Vec<std::ffi::OsString>,
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
    #[command(alias = "list")]
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
