//! `skiff ip`.

use std::process::ExitCode;

use anyhow::Result;

use super::{existing, running_node};
use crate::printer;

pub(crate) fn run(profile: &str) -> Result<ExitCode> {
    let cluster = existing(profile)?;
    running_node(&cluster)?;
    printer::line(cluster.node_address().to_string());
    Ok(ExitCode::SUCCESS)
}
