//! `skiff ssh`: a shell or a command in the node's namespaces.

use std::process::ExitCode;

use anyhow::{Context, Result};

use super::{existing, need_root, running_node};
use crate::cli::SshArgs;

pub(crate) fn run(profile: &str, args: &SshArgs) -> Result<ExitCode> {
    need_root()?;
    let cluster = existing(profile)?;
    let node = running_node(&cluster)?;
    let argv = if args.command.is_empty() { vec!["/bin/sh".to_owned()] } else { args.command.clone() };
    let mut environment =
        vec!["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned(), "HOME=/root".to_owned()];
    for name in ["TERM", "LANG"] {
        if let Ok(value) = std::env::var(name) {
            environment.push(format!("{name}={value}"));
        }
    }
    let status = node.enter(&argv, &environment).with_context(|| format!("failed to run {:?} in the node", argv[0]))?;
    Ok(ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(255)))
}
