//! `skiff ssh`: a shell or a command in the node's namespaces.

use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};

use super::{existing, need_root, running_node};
use crate::cli::SshArgs;
use crate::cluster::Cluster;

/// Programs of this executable that a node has even where the host has none.
const TOOLS: [&str; 2] = ["curl", "kubectl"];

pub(crate) fn run(profile: &str, args: &SshArgs) -> Result<ExitCode> {
    need_root()?;
    let cluster = existing(profile)?;
    let node = running_node(&cluster)?;
    let argv = match args.command.as_slice() {
        [] => vec!["/bin/sh".to_owned()],
        // As with ssh, a line of several words is the shell's.
        [line] if line.contains(char::is_whitespace) => vec!["/bin/sh".to_owned(), "-c".to_owned(), line.clone()],
        words => words.to_vec(),
    };
    let tools = tools(&cluster)?;
    let mut environment = vec![
        format!("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:{}", tools.display()),
        "HOME=/root".to_owned(),
    ];
    for name in ["TERM", "LANG"] {
        if let Ok(value) = std::env::var(name) {
            environment.push(format!("{name}={value}"));
        }
    }
    let status = node.enter(&argv, &environment).with_context(|| format!("failed to run {:?} in the node", argv[0]))?;
    Ok(ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(255)))
}

/// A directory with [`TOOLS`] as links to this executable. It comes last in the path: what the host has goes first.
fn tools(cluster: &Cluster) -> Result<PathBuf> {
    let executable = std::env::current_exe().context("failed to find skiff's own executable")?;
    let directory = cluster.node_directory().join("tools");
    let failed = || format!("failed to make the node's tools in {}", directory.display());
    std::fs::create_dir_all(&directory).with_context(failed)?;
    for tool in TOOLS {
        let link = directory.join(tool);
        if std::fs::read_link(&link).is_ok_and(|target| target == executable) {
            continue;
        }
        // An upgrade may have moved the executable.
        match std::fs::remove_file(&link) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error).with_context(failed),
            _ => symlink(&executable, &link).with_context(failed)?,
        }
    }
    Ok(directory)
}
