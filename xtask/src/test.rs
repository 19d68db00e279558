//! `cargo xtask test`: everything that must hold before a change goes in.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::kubectl;
use crate::process::{output, run};

/// Names the kubectl that the end-to-end tests use.
const KUBECTL: &str = "SKIFF_TEST_KUBECTL";

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
    run(cargo().args(["test", "--workspace", "--no-fail-fast"]).env(KUBECTL, kubectl))?;
    // The same clusters once more, with the kubectl that skiff has built in.
    let own = own_kubectl(repository)?;
    let built = output(cargo().args(["test", "--workspace", "--no-run", "--quiet", "--message-format=json"]))?;
    let tests = end_to_end_tests(&built).context("cargo does not say where the end-to-end tests are")?;
    run(Command::new(tests).current_dir(repository.join("crates/skiff")).env(KUBECTL, own))
}

/// The end-to-end tests' executable, from what cargo tells of a build. Asking cargo to test that package alone would build
/// its dependencies again, with fewer features.
fn end_to_end_tests(built: &str) -> Option<String> {
    let messages = built.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let is_it = |message: &Value| {
        message["target"]["name"] == "it"
            && message["manifest_path"].as_str().is_some_and(|path| path.ends_with("crates/skiff/Cargo.toml"))
    };
    messages.filter(is_it).find_map(|message| message["executable"].as_str().map(str::to_owned))
}

/// The executable that was just built, by the name that makes it a kubectl.
fn own_kubectl(repository: &Path) -> Result<PathBuf> {
    let skiff = repository.join("target/x86_64-unknown-linux-gnu/debug/skiff");
    let link = repository.join("target/tools/own/kubectl");
    let directory = link.parent().context("the link lies in a folder")?;
    let failed = || format!("failed to make the link {}", link.display());
    std::fs::create_dir_all(directory).with_context(failed)?;
    match std::fs::remove_file(&link) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error).with_context(failed),
        _ => symlink(&skiff, &link).with_context(failed)?,
    }
    Ok(link)
}

#[cfg(test)]
mod tests {
    use super::end_to_end_tests;

    #[test]
    fn the_right_executable_is_found() {
        let built = r#"{"reason":"compiler-artifact","manifest_path":"/a/crates/cni/Cargo.toml","target":{"name":"it"},"executable":"/no"}
{"reason":"compiler-artifact","manifest_path":"/a/crates/skiff/Cargo.toml","target":{"name":"skiff"},"executable":"/no"}
{"reason":"compiler-artifact","manifest_path":"/a/crates/skiff/Cargo.toml","target":{"name":"it"},"executable":"/it"}
{"reason":"build-finished","success":true}"#;
        assert_eq!(end_to_end_tests(built).as_deref(), Some("/it"));
        assert_eq!(end_to_end_tests("{}"), None);
    }
}
