//! `cargo xtask kubectl`: builds upstream's kubectl, the client that the end-to-end tests drive the cluster with.
//!
//! The sources come through the Go module proxy, at the versions and checksums of `xtask/kubectl/go.{mod,sum}`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::process::{output, run};

/// The package that is built.
const PACKAGE: &str = "k8s.io/kubernetes/cmd/kubectl";
/// The module that it is in, whose version kubectl reports as its own.
const MODULE: &str = "k8s.io/kubernetes";
/// The Go release that Kubernetes 1.37 asks for. From 1.21 on, an older one fetches it by itself.
const GO_WANTED: &str = "1.26";
/// The first release that can fetch a newer one.
const GO_THAT_FETCHES: (u32, u32) = (1, 21);
/// Packages that hold upstream's version variables.
const VERSION_PACKAGES: [&str; 2] = ["k8s.io/component-base/version", "k8s.io/client-go/pkg/version"];

/// Builds kubectl, unless what is there was built from the same sources by the same Go with the same flags.
/// Returns the executable's path.
pub(crate) fn build(repository: &Path) -> Result<PathBuf> {
    let module = repository.join("xtask/kubectl");
    let directory = repository.join("target/tools");
    let executable = directory.join("kubectl");
    let stamp_path = directory.join("kubectl.stamp");

    let go_version = go_version(&module)?;
    run(go(&module).args(["mod", "download", MODULE]))?;
    let listed = output(go(&module).args(["list", "-m", "-json", MODULE]))?;
    let listed: Value = serde_json::from_str(&listed).context("failed to parse what `go list` printed")?;
    let version = listed["Version"].as_str().context("`go list` names no version")?;
    let date = listed["Time"].as_str().context("`go list` names no time")?;
    let flags = linker_flags(version, date)?;

    let mut hasher = Sha256::new();
    hasher.update(fs::read(module.join("go.mod")).context("failed to read xtask/kubectl/go.mod")?);
    hasher.update(fs::read(module.join("go.sum")).context("failed to read xtask/kubectl/go.sum")?);
    hasher.update(&go_version);
    hasher.update(&flags);
    let stamp: String = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    if executable.exists() && fs::read_to_string(&stamp_path).is_ok_and(|old| old == stamp) {
        return Ok(executable);
    }

    fs::create_dir_all(&directory).with_context(|| format!("failed to create {}", directory.display()))?;
    run(go(&module).args(["build", "-trimpath", "-ldflags", &flags, "-o"]).arg(&executable).arg(PACKAGE))?;
    fs::write(&stamp_path, stamp).with_context(|| format!("failed to write {}", stamp_path.display()))?;
    Ok(executable)
}

/// `go`, in the module's directory, for a static executable and with nothing written to go.mod.
fn go(module: &Path) -> Command {
    let mut command = Command::new("go");
    command.current_dir(module).env("CGO_ENABLED", "0").env("GOFLAGS", "-buildvcs=false -mod=readonly");
    command.env("GOTOOLCHAIN", "auto");
    command
}

/// What `go version` says for the module, after it has fetched the release that go.mod asks for.
fn go_version(module: &Path) -> Result<String> {
    // Outside the module first: within it, a Go that can't fetch fails with words about go.mod.
    let own = Command::new("go").arg("version").env("GOTOOLCHAIN", "local").stderr(Stdio::null()).output();
    let hint = format!("hint: install Go {GO_WANTED} (https://go.dev/doc/install), or the Debian package golang-go");
    let Ok(own) = own else {
        bail!("upstream's kubectl is built with Go, and there is no `go` on the PATH\n{hint}");
    };
    let text = String::from_utf8_lossy(&own.stdout).into_owned();
    let release = parse_release(&text).with_context(|| format!("`go version` printed {text:?}"))?;
    if release < GO_THAT_FETCHES {
        bail!(
            "Go {}.{} is too old to build kubectl, and to fetch Go {GO_WANTED} by itself (from 1.21 on)\n{hint}",
            release.0,
            release.1
        );
    }
    output(go(module).arg("version")).with_context(|| format!("failed to get Go {GO_WANTED}\n{hint}"))
}

/// Major and minor number in `go version go1.26.8 linux/amd64`.
fn parse_release(text: &str) -> Option<(u32, u32)> {
    let release = text.split_whitespace().find_map(|word| word.strip_prefix("go1.").map(|_| &word[2..]))?;
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// The variables that upstream's own build sets. A module has no git commit, so that one says where the source is from.
fn linker_flags(version: &str, date: &str) -> Result<String> {
    let mut numbers = version.trim_start_matches('v').split('.');
    let (Some(major), Some(minor)) = (numbers.next(), numbers.next()) else {
        bail!("{MODULE} has the version {version:?}, which is not vMAJOR.MINOR.PATCH");
    };
    let mut flags = "-s -w".to_owned();
    for package in VERSION_PACKAGES {
        for (name, value) in [
            ("gitVersion", version),
            ("gitMajor", major),
            ("gitMinor", minor),
            ("gitCommit", "module"),
            ("gitTreeState", "archive"),
            ("buildDate", date),
        ] {
            flags.push_str(&format!(" -X {package}.{name}={value}"));
        }
    }
    Ok(flags)
}

#[cfg(test)]
mod tests;
