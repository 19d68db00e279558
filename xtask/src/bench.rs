//! `cargo xtask bench …`: what a user waits for and pays, measured with the release build and a cluster of its own.
//!
//! `--skiff FILE` measures another executable, so that two can be compared on one machine. Needs root.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process::run;

mod cluster;
mod crash;
mod idle;
mod load;
mod pod;
mod rollout;
mod samples;
mod start;

pub(crate) use load::serve_from_within as load_from_within;

pub(crate) use cluster::Cluster;

/// The benchmarks' names.
pub(crate) const NAMES: [&str; 6] = ["start", "pod", "crash", "idle", "rollout", "schedule"];

/// Runs the benchmark `name`, of `skiff` or of the release build.
pub(crate) fn run_named(repository: &Path, name: &str, skiff: Option<&str>) -> Result<()> {
    if !NAMES.contains(&name) {
        bail!("there is no benchmark {name:?}\nhint: cargo xtask bench {}", NAMES.join(" | "));
    }
    if name == "schedule" {
        if skiff.is_some() {
            bail!("`bench schedule` measures this checkout, and no executable");
        }
        // On simulated nodes: no cluster, no root.
        let mut cargo = cargo(repository);
        return run(cargo.args(["run", "--release", "--package", "envtest", "--example", "schedule"]));
    }
    let skiff = executable(repository, skiff)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("failed to start tokio")?;
    let cluster = Cluster::new(skiff);
    let measured = runtime.block_on(async {
        match name {
            "start" => start::measure(&cluster).await,
            "pod" => pod::measure(&cluster).await,
            "crash" => crash::measure(&cluster).await,
            "idle" => idle::measure(&cluster).await,
            _ => rollout::measure(&cluster).await,
        }
    });
    let cleaned = cluster.clean();
    let table = measured?;
    cleaned?;
    crate::process::print(&table)
}

/// The executable that is measured: the one that is named, or the release build.
pub(crate) fn executable(repository: &Path, named: Option<&str>) -> Result<PathBuf> {
    if let Some(path) = named {
        return std::path::absolute(path).with_context(|| format!("{path:?} is no path"));
    }
    run(cargo(repository).args(["build", "--release", "--package", "skiff", "--bin", "skiff"]))?;
    Ok(repository.join("target/x86_64-unknown-linux-gnu/release/skiff"))
}

fn cargo(repository: &Path) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(repository);
    cargo
}
