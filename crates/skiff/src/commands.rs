//! The commands, one file each.

mod delete;
mod demo;
pub(crate) mod image;
mod ip;
mod kubectl;
mod logs;
pub(crate) mod minikube;
mod service;
mod ssh;
mod start;
mod status;
mod stop;

use std::process::ExitCode;

use anyhow::Result;
use container_runtime::{Node, NodeError};

use crate::cli::{Cli, Command};
use crate::cluster::Cluster;
use crate::{daemon, host};

/// Runs a command, for the cluster `default_profile` if the command line names none.
pub(crate) fn run(arguments: Cli, default_profile: &str) -> Result<ExitCode> {
    let profile = arguments.profile.as_deref().unwrap_or(default_profile);
    match arguments.command {
        Command::Start(args) => start::run(profile, &args),
        Command::Status => status::run(profile),
        Command::Stop => stop::run(profile),
        Command::Delete(args) => delete::run(profile, &args),
        Command::Ssh(args) => ssh::run(profile, &args),
        Command::Image(command) => image::run(command),
        Command::Ip => ip::run(profile),
        Command::Service(args) => service::run(profile, &args),
        Command::Demo(args) => demo::run(profile, &args),
        Command::Kubectl(args) => Ok(kubectl::run(arguments.profile.as_deref(), args.arguments)),
        Command::Logs => logs::run(profile),
        Command::Version => {
            minikube::version(default_profile);
            Ok(ExitCode::SUCCESS)
        }
        Command::Minikube(command) => minikube::run(&command),
        Command::Daemon(args) => daemon::run(&args.directory),
    }
}

/// What the shell is told: 1 for most errors, 3 for a missing right, 4 for a cluster that is not there or does not run.
pub(crate) fn exit_code(error: &anyhow::Error) -> u8 {
    match error.downcast_ref::<Failure>() {
        Some(Failure::Unprivileged) => 3,
        Some(Failure::Missing(_) | Failure::Stopped(_)) => 4,
        None => 1,
    }
}

/// Errors that have an exit code of their own.
#[derive(Debug)]
pub(crate) enum Failure {
    Unprivileged,
    Missing(String),
    Stopped(String),
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unprivileged => {
                f.write_str("this needs root: nodes are made of namespaces, links and mounts; try again with sudo")
            }
            Self::Missing(profile) => {
                write!(f, "there is no cluster {profile:?}; start one with `skiff start -p {profile}`")
            }
            Self::Stopped(profile) => {
                write!(f, "cluster {profile:?} does not run; start it with `skiff start -p {profile}`")
            }
        }
    }
}

impl std::error::Error for Failure {}

fn need_root() -> Result<()> {
    if host::is_root() { Ok(()) } else { Err(Failure::Unprivileged.into()) }
}

fn existing(profile: &str) -> Result<Cluster> {
    Cluster::find(profile)?.ok_or_else(|| Failure::Missing(profile.to_owned()).into())
}

/// The node of a cluster that runs.
fn running_node(cluster: &Cluster) -> Result<Node> {
    match Node::find(&cluster.node_directory())? {
        Some(node) if node.is_running() => Ok(node),
        _ => Err(Failure::Stopped(cluster.profile.clone()).into()),
    }
}

fn node_error(error: NodeError) -> anyhow::Error {
    if let NodeError::Listen { address, source, .. } = &error {
        return anyhow::anyhow!(
            "failed to listen on {address} for the API server: {source}; stop what uses that port, or delete the cluster \
             and start it with another --api-port"
        );
    }
    match std::error::Error::source(&error) {
        Some(cause) => anyhow::anyhow!("{error}: {cause}"),
        None => anyhow::anyhow!("{error}"),
    }
}
