//! `skiff status`.

use std::process::ExitCode;

use anyhow::Result;
use container_runtime::Node;

use super::existing;
use crate::printer;

pub(crate) fn run(profile: &str) -> Result<ExitCode> {
    let cluster = existing(profile)?;
    let running = Node::find(&cluster.node_directory())?.is_some_and(|node| node.is_running());
    printer::line(format!("profile: {profile}"));
    printer::line(format!("node: {}", if running { "running" } else { "stopped" }));
    printer::line(format!("api: https://{}", cluster.api_address()));
    printer::line(format!("node address: {}", cluster.node_address()));
    printer::line(format!("log: {}", cluster.log_path().display()));
    // As minikube's: a stopped cluster is told by the code too.
    Ok(if running { ExitCode::SUCCESS } else { ExitCode::from(4) })
}
