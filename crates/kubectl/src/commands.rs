//! The commands: one file each. To add one, write `commands/NAME.rs` with an `Args` struct whose `run` does the work, and
//! name it in [`Command`], in `run` and, if it stood there, take it out of [`UNSERVED`].

mod annotate;
mod api_resources;
mod apply;
mod attach;
mod auth;
mod certificate;
mod cluster_info;
mod config;
mod cordon;
mod cp;
mod create;
mod delete;
mod describe;
mod diff;
mod drain;
mod edit;
mod events;
mod exec;
mod explain;
mod expose;
mod generated;
mod get;
mod label;
mod logs;
mod options;
mod patch;
mod port_forward;
mod proxy;
mod replace;
mod rollout;
mod run;
mod scale;
mod set;
mod taint;
mod version;
mod wait;

use clap::Subcommand;

pub(crate) use create::shaped;

use crate::context::Context;
use crate::error::KubectlError;

/// Commands of upstream's that are not served. Naming one gives an error that says so.
pub(crate) const UNSERVED: [&str; 7] = ["autoscale", "completion", "debug", "kuberc", "kustomize", "plugin", "top"];

/// The same of commands within others.
pub(crate) const UNSERVED_WITHIN: [(&str, &str); 3] =
    [("apply", "edit-last-applied"), ("apply", "set-last-applied"), ("auth", "reconcile")];

/// All commands.
#[derive(Debug, Subcommand)]
#[command(disable_help_flag = true, disable_help_subcommand = true)]
pub(crate) enum Command {
    /// Update the annotations on a resource
    Annotate(annotate::AnnotateCommand),
    /// Print the supported API resources on the server
    ApiResources(api_resources::ApiResourcesCommand),
    /// Print the supported API versions on the server, in the form of "group/version"
    ApiVersions(api_resources::ApiVersionsCommand),
    /// Apply a configuration to a resource by file name or stdin
    Apply(apply::ApplyCommand),
    /// Inspect authorization
    #[command(subcommand)]
    Auth(auth::AuthCommand),
    /// Modify certificate resources
    #[command(subcommand)]
    Certificate(certificate::CertificateCommand),
    /// Display cluster information
    ClusterInfo(cluster_info::ClusterInfoCommand),
    /// Modify kubeconfig files
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Mark node as unschedulable
    Cordon(cordon::CordonCommand),
    /// Create a resource from a file or from stdin
    Create(create::CreateCommand),
    /// Delete resources by file names, stdin, resources and names, or by resources and label selector
    Delete(delete::DeleteCommand),
    /// Diff the live version against a would-be applied version
    Diff(diff::DiffCommand),
    /// Drain node in preparation for maintenance
    Drain(drain::DrainCommand),
    /// List events
    Events(events::EventsCommand),
    /// Get documentation for a resource
    Explain(explain::ExplainCommand),
    /// Take a replication controller, service, deployment or pod and expose it as a new Kubernetes service
    Expose(expose::ExposeCommand),
    /// Edit a resource on the server
    Edit(edit::EditCommand),
    /// Replace a resource by file name or stdin
    Replace(replace::ReplaceCommand),
    /// Print the list of flags inherited by all commands
    Options(options::OptionsCommand),
    /// Update the labels on a resource
    Label(label::LabelCommand),
    /// Update fields of a resource
    Patch(patch::PatchCommand),
    /// Set a new size for a deployment, replica set, or replication controller
    Scale(scale::ScaleCommand),
    /// Set specific features on objects
    #[command(subcommand)]
    Set(set::SetCommand),
    /// Update the taints on one or more nodes
    Taint(taint::TaintCommand),
    /// Mark node as schedulable
    Uncordon(cordon::UncordonCommand),
    /// Print the client and server version information
    Version(version::VersionCommand),
    /// Display one or many resources
    Get(get::GetCommand),
    /// Show details of a specific resource or group of resources
    Describe(describe::DescribeCommand),
    /// Print the logs for a container in a pod
    Logs(logs::LogsCommand),
    /// Attach to a running container
    Attach(attach::AttachCommand),
    /// Execute a command in a container
    Exec(exec::ExecCommand),
    /// Forward one or more local ports to a pod
    PortForward(port_forward::PortForwardCommand),
    /// Run a proxy to the Kubernetes API server
    Proxy(proxy::ProxyCommand),
    /// Copy files and directories to and from containers
    Cp(cp::CpCommand),
    /// Manage the rollout of a resource
    #[command(subcommand)]
    Rollout(rollout::RolloutCommand),
    /// Wait for a specific condition on one or many resources
    Wait(wait::WaitCommand),
    /// Run a particular image on the cluster
    Run(run::RunCommand),
}

impl Command {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), KubectlError> {
        match self {
            Self::Annotate(command) => command.run(context).await,
            Self::ApiResources(command) => command.run(context).await,
            Self::ApiVersions(command) => command.run(context).await,
            Self::Apply(command) => command.run(context).await,
            Self::Auth(command) => command.run(context).await,
            Self::Certificate(command) => command.run(context).await,
            Self::ClusterInfo(command) => command.run(context).await,
            Self::Config(command) => command.run(context).await,
            Self::Cordon(command) => command.run(context).await,
            Self::Create(command) => command.run(context).await,
            Self::Delete(command) => command.run(context).await,
            Self::Diff(command) => command.run(context).await,
            Self::Drain(command) => command.run(context).await,
            Self::Events(command) => command.run(context).await,
            Self::Explain(command) => command.run(context).await,
            Self::Expose(command) => command.run(context).await,
            Self::Edit(command) => command.run(context).await,
            Self::Replace(command) => command.run(context).await,
            Self::Options(command) => command.run(context),
            Self::Label(command) => command.run(context).await,
            Self::Patch(command) => command.run(context).await,
            Self::Scale(command) => command.run(context).await,
            Self::Set(command) => command.run(context).await,
            Self::Taint(command) => command.run(context).await,
            Self::Uncordon(command) => command.run(context).await,
            Self::Version(command) => command.run(context).await,
            Self::Get(command) => command.run(context).await,
            Self::Describe(command) => command.run(context).await,
            Self::Logs(command) => command.run(context).await,
            Self::Attach(command) => command.run(context).await,
            Self::Exec(command) => command.run(context).await,
            Self::PortForward(command) => command.run(context).await,
            Self::Proxy(command) => command.run(context).await,
            Self::Cp(command) => command.run(context).await,
            Self::Rollout(command) => command.run(context).await,
            Self::Wait(command) => command.run(context).await,
            Self::Run(command) => command.run(context).await,
        }
    }
}
