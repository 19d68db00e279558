//! `cargo xtask sim`: the tutorial in simulated clusters, each seed twice; see `crates/envtest`.
//!
//! Built for release: 100 seeds take half a minute then, and as long in a debug build as the release build takes to compile.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::process::run;

/// Builds the simulator and plays what `words` ask for: `[--seeds N] [--seed N] [--faults] [--log]`.
pub(crate) fn play(repository: &Path, words: &[&str]) -> Result<()> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(repository).args(["run", "--release", "--package", "envtest", "--bin", "skiff-sim", "--"]);
    run(cargo.args(words))
}
