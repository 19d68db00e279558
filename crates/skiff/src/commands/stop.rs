//! `skiff stop`: ends all processes of the cluster; what it holds stays on disk.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use container_runtime::Node;

use super::{existing, need_root, node_error};
use crate::printer;

/// How long Pods and the daemon may take.
const GRACE: Duration = Duration::from_secs(30);

pub(crate) fn run(profile: &str) -> Result<ExitCode> {
    need_root()?;
    let cluster = existing(profile)?;
    match Node::find(&cluster.node_directory())? {
        Some(mut node) if node.is_running() => {
            node.stop(GRACE).map_err(node_error)?;
            printer::line(format!("cluster {profile:?} is stopped; `skiff start -p {profile}` goes on with it"));
        }
        _ => printer::line(format!("cluster {profile:?} is stopped already")),
    }
    Ok(ExitCode::SUCCESS)
}
