//! `cargo xtask test`: everything that must hold before a change goes in.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::kubectl;
use crate::process::run;

/// Formatting, lints, then all tests; the end-to-end ones with upstream's kubectl. The first failure ends it, save that
/// all tests are run.
pub(crate) fn run_all(repository: &Path) -> Result<()> {
    let cargo = || {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.current_dir(repository);
        command
    };
    run(cargo().args(["fmt", "--all", "--check"]))?;
    run(cargo().args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    let kubectl = kubectl::build(repository)?;
    // One call for all, so that nothing is built twice: cargo builds skiff itself for the end-to-end tests.
    run(cargo().args(["test", "--workspace", "--no-fail-fast"]).env("SKIFF_TEST_KUBECTL", kubectl))
}
