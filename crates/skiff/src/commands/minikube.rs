//! What tutorials ask of minikube beyond skiff's own verbs: either it is so anyway, or it is refused with the next step.

use std::process::ExitCode;

use anyhow::{Result, bail};
use container_runtime::Node;

use crate::cli::{Cli, Command, MinikubeCommand, MinikubeFlags};
use crate::cluster::{Cluster, home};
use crate::printer;

/// The Kubernetes that is served.
const KUBERNETES: &str = "v1.37.2";

/// Reads a command line as minikube would: its words for two of skiff's options are commands.
pub(crate) fn translate(arguments: &mut Cli) {
    if let Command::Service(args) = &mut arguments.command
        && args.name.as_deref() == Some("list")
    {
        args.name = None;
        args.all = true;
    }
}

/// Says which of minikube's flags of `start` change nothing here, and refuses those that can't be honoured.
pub(crate) fn check(flags: &MinikubeFlags) -> Result<()> {
    if let Some(nodes) = flags.nodes.filter(|nodes| *nodes != 1) {
        bail!("a cluster of skiff has one node, not {nodes}; leave --nodes out");
    }
    if let Some(version) = flags.kubernetes_version.as_deref().filter(|version| !is_served(version)) {
        bail!("this skiff serves Kubernetes {KUBERNETES}, not {version}; leave --kubernetes-version out");
    }
    let given = [
        ("--driver", &flags.driver),
        ("--memory", &flags.memory),
        ("--cpus", &flags.cpus),
        ("--disk-size", &flags.disk_size),
        ("--container-runtime", &flags.container_runtime),
    ];
    let given: Vec<&str> = given.into_iter().filter_map(|(flag, value)| value.is_some().then_some(flag)).collect();
    if !given.is_empty() {
        let given = given.join(", ");
        printer::progress(format!("{given}: no effect; the node runs on this machine itself and may use all of it"));
    }
    Ok(())
}

/// Whether `version` names the minor version that is served.
fn is_served(version: &str) -> bool {
    if matches!(version, "stable" | "latest") {
        return true;
    }
    let numbers = |text: &str| text.trim_start_matches('v').split('.').take(2).map(str::to_owned).collect::<Vec<_>>();
    numbers(version) == numbers(KUBERNETES)
}

pub(crate) fn run(command: &MinikubeCommand) -> Result<ExitCode> {
    match command {
        MinikubeCommand::Profile { .. } => list()?,
        MinikubeCommand::Tunnel => {
            printer::line(
                "Services of type LoadBalancer are reachable from this machine as they are; no tunnel is needed",
            );
        }
        MinikubeCommand::Addons { words } => match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            ["enable", "storage-provisioner" | "default-storageclass", ..] => printer::line("it is there already"),
            ["enable", name, ..] => {
                bail!("addon {name:?} is not served; install it from its own manifests with `kubectl apply -f`")
            }
            _ => bail!("addons are not served; install what you need from its own manifests with `kubectl apply -f`"),
        },
        MinikubeCommand::Dashboard { .. } => {
            bail!("the dashboard is not served; `skiff kubectl get all -A` shows what is in the cluster");
        }
        MinikubeCommand::DockerEnv { .. } => {
            bail!("there is no Docker in the node; load an image with `docker save IMAGE | skiff image load -`");
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// `version`, for whoever calls it by the name `called`.
pub(crate) fn version(called: &str) {
    printer::line(format!("{called} version: v{} (skiff, Kubernetes {KUBERNETES})", env!("CARGO_PKG_VERSION")));
}

/// The names of all clusters.
pub(crate) fn profiles() -> Vec<String> {
    let entries = std::fs::read_dir(home().join("clusters")).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| Cluster::find(name).is_ok_and(|cluster| cluster.is_some()))
        .collect();
    names.sort();
    names
}

fn list() -> Result<()> {
    printer::line(format!("{:<30}  {:<7}  {:<21}  NODE ADDRESS", "PROFILE", "NODE", "API"));
    for name in profiles() {
        let Some(cluster) = Cluster::find(&name)? else { continue };
        let running = Node::find(&cluster.node_directory())?.is_some_and(|node| node.is_running());
        let state = if running { "running" } else { "stopped" };
        let api = cluster.api_address().to_string();
        printer::line(format!("{name:<30}  {state:<7}  {api:<21}  {}", cluster.node_address()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_the_same_minor_are_served() {
        for (version, served) in [
            ("stable", true),
            ("latest", true),
            ("v1.37.0", true),
            ("1.37", true),
            ("v1.36.1", false),
            ("v1.3", false),
            ("", false),
        ] {
            assert_eq!(is_served(version), served, "{version}");
        }
    }

    #[test]
    fn what_can_not_be_honoured_is_refused_with_the_next_step() {
        let refused = |flags: MinikubeFlags| check(&flags).map_err(|error| error.to_string());
        let words = |text: &str| Some(text.to_owned());
        assert_eq!(refused(MinikubeFlags { driver: words("docker"), nodes: Some(1), ..Default::default() }), Ok(()));
        assert_eq!(
            refused(MinikubeFlags { nodes: Some(2), ..Default::default() }),
            Err("a cluster of skiff has one node, not 2; leave --nodes out".to_owned())
        );
        assert_eq!(
            refused(MinikubeFlags { kubernetes_version: words("v1.30.0"), ..Default::default() }),
            Err("this skiff serves Kubernetes v1.37.2, not v1.30.0; leave --kubernetes-version out".to_owned())
        );
    }
}
