//! `skiff logs`.

use std::process::ExitCode;

use anyhow::{Context, Result};

use super::existing;

pub(crate) fn run(profile: &str) -> Result<ExitCode> {
    let path = existing(profile)?.log_path();
    let mut file = std::fs::File::open(&path).with_context(|| format!("failed to read {}", path.display()))?;
    // A reader that goes away is no error.
    let _ = std::io::copy(&mut file, &mut std::io::stdout().lock());
    Ok(ExitCode::SUCCESS)
}
