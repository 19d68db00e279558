//! `skiff delete`: leaves no process, link, rule, mount, cgroup or file behind. The images stay, unless `--purge`.

use std::fs;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use container_runtime::Node;

use super::{existing, minikube, need_root, node_error};
use crate::cli::DeleteArgs;
use crate::cluster::{Choosing, home, images_directory};
use crate::{kubeconfig, printer};

pub(crate) fn run(profile: &str, args: &DeleteArgs) -> Result<ExitCode> {
    need_root()?;
    if args.all {
        minikube::profiles().iter().try_for_each(|profile| delete(profile))?;
    } else {
        delete(profile)?;
    }
    if args.purge {
        purge()?;
    }
    Ok(ExitCode::SUCCESS)
}

fn delete(profile: &str) -> Result<()> {
    let cluster = existing(profile)?;
    kubeconfig::check()?;
    if let Some(node) = Node::find(&cluster.node_directory())? {
        node.delete().map_err(node_error)?;
    }
    let directory = &cluster.directory;
    fs::remove_dir_all(directory).with_context(|| format!("failed to remove {}", directory.display()))?;
    kubeconfig::remove(profile)?;
    kubeconfig::forget_discovery(cluster.api_address())?;
    Choosing::begin()?.forget()?;
    printer::line(format!("cluster {profile:?} is deleted"));
    Ok(())
}

/// Removes the machine's images, unless another cluster may need them.
fn purge() -> Result<()> {
    let others = minikube::profiles();
    if !others.is_empty() {
        bail!("the images are not removed, for these clusters share them: {}; delete those first", others.join(", "));
    }
    let images = images_directory(&home());
    match fs::remove_dir_all(&images) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("failed to remove {}", images.display()))
        }
        _ => {
            printer::line("the machine's images are removed");
            Ok(())
        }
    }
}
