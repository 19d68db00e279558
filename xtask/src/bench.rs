//! `cargo xtask bench …`: how long a user waits, measured with the release build and a cluster of its own.
//!
//! `--skiff FILE` measures another executable, so that two can be compared on one machine; the sample that runs in Pods, `skiff-sample`,
//! lies beside it. Needs root.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::kubectl;
use crate::process::{output, run};

mod image;
mod samples;

use image::IMAGE;
use samples::{Samples, Stopwatch};

/// Runs of `bench start`.
const STARTS: usize = 10;
/// Pods of `bench pod`, one after the other and then at once.
const PODS: usize = 50;
/// Pods that run when a cluster is deleted.
const PODS_AT_DELETE: usize = 10;

/// Everything that a measurement runs.
#[derive(Debug)]
struct Bench {
    skiff: PathBuf,
    kubectl: PathBuf,
    home: PathBuf,
    profile: String,
    archive: Vec<u8>,
}

/// Runs the benchmark `name`, of `skiff` or of the release build.
pub(crate) fn run_named(repository: &Path, name: &str, skiff: Option<&str>) -> Result<()> {
    let measure = match name {
        "start" => Bench::starts,
        "pod" => Bench::pods,
        _ => bail!("there is no benchmark {name:?}\nhint: cargo xtask bench start | pod"),
    };
    let kubectl = kubectl::build(repository)?;
    let skiff = match skiff {
        Some(path) => std::path::absolute(path).with_context(|| format!("{path:?} is no path"))?,
        None => {
            let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
            run(cargo.current_dir(repository).args(["build", "--release", "--package", "skiff", "--bins"]))?;
            repository.join("target/x86_64-unknown-linux-gnu/release/skiff")
        }
    };
    let profile = format!("bench{}", std::process::id());
    let home = std::env::temp_dir().join(format!("skiff-{profile}"));
    let archive = image::archive(&skiff.with_file_name("skiff-sample"))?;
    let bench = Bench { skiff, kubectl, home, profile, archive };
    let measured = measure(&bench);
    let cleaned = bench.clean();
    let table = measured?;
    cleaned?;
    std::io::stdout().write_all(table.as_bytes()).context("failed to print the figures")
}

impl Bench {
    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env("SKIFF_HOME", &self.home).env("KUBECONFIG", self.home.join("kubeconfig")).stdin(Stdio::null());
        command
    }

    fn skiff(&self, words: &[&str]) -> Result<()> {
        let mut command = self.command(&self.skiff);
        output(command.args(["--profile", &self.profile]).args(words)).map(drop)
    }

    fn kubectl(&self, words: &[&str]) -> Result<String> {
        output(self.command(&self.kubectl).args(words))
    }

    fn load_image(&self) -> Result<()> {
        let mut command = self.command(&self.skiff);
        command.args(["--profile", &self.profile, "image", "load", "-"]).stdin(Stdio::piped()).stdout(Stdio::null());
        let mut child = command.spawn().context("failed to run skiff")?;
        let mut input = child.stdin.take().context("skiff has no standard input")?;
        input.write_all(&self.archive).context("failed to hand the image over")?;
        drop(input);
        let status = child.wait().context("failed to wait for skiff")?;
        if !status.success() {
            bail!("`skiff image load -` failed: {status}");
        }
        Ok(())
    }

    /// Removes what a measurement that failed may have left.
    fn clean(&self) -> Result<()> {
        if self.home.join("clusters").join(&self.profile).exists() {
            self.skiff(&["delete", "--purge"])?;
        }
        match std::fs::remove_dir_all(&self.home) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("failed to remove {}", self.home.display()))
            }
            _ => Ok(()),
        }
    }

    fn starts(&self) -> Result<String> {
        let mut ready = Samples::new("skiff start: to node Ready");
        let mut first_pod = Samples::new("then: to the first Pod of a loaded image Ready");
        let mut deleted = Samples::new("skiff delete, with Pods running");
        for _ in 0..STARTS {
            let watch = Stopwatch::start();
            self.skiff(&["start"])?;
            ready.add(watch.elapsed());
            self.load_image()?;
            let mut events = self.watch_pods()?;
            let watch = Stopwatch::start();
            self.create_pods("first", 1)?;
            events.until_ready(1)?;
            first_pod.add(watch.elapsed());
            self.create_pods("more", PODS_AT_DELETE - 1)?;
            events.until_ready(PODS_AT_DELETE - 1)?;
            events.end();
            let watch = Stopwatch::start();
            self.skiff(&["delete"])?;
            deleted.add(watch.elapsed());
        }
        Ok(samples::table(&[ready, first_pod, deleted]))
    }

    fn pods(&self) -> Result<String> {
        self.skiff(&["start"])?;
        self.load_image()?;
        let mut events = self.watch_pods()?;
        let mut one = Samples::new("create call to Ready seen by a watch, one after the other");
        for number in 0..PODS {
            let watch = Stopwatch::start();
            self.create_pods(&format!("one{number}"), 1)?;
            events.until_ready(1)?;
            one.add(watch.elapsed());
        }
        self.kubectl(&["delete", "pods", "--all"])?;
        let mut all = Samples::new(&format!("create call to Ready, {PODS} at once"));
        let watch = Stopwatch::start();
        self.create_pods("all", PODS)?;
        for _ in 0..PODS {
            events.until_ready(1)?;
            all.add(watch.elapsed());
        }
        events.end();
        Ok(samples::table(&[one, all]))
    }

    /// Creates Pods in one call. `kubectl`'s own start is part of what a user waits for.
    fn create_pods(&self, name: &str, count: usize) -> Result<()> {
        let items: Vec<Value> = (0..count)
            .map(|number| {
                serde_json::json!({
                    "apiVersion": "v1", "kind": "Pod", "metadata": {"name": format!("{name}-{number}")},
                    "spec": {
                        "terminationGracePeriodSeconds": 1,
                        "containers": [{"name": "app", "image": IMAGE, "imagePullPolicy": "Never"}],
                    },
                })
            })
            .collect();
        let list = serde_json::json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string();
        let mut command = self.command(&self.kubectl);
        command.args(["create", "--validate=false", "-f", "-"]).stdin(Stdio::piped()).stdout(Stdio::null());
        let mut child = command.spawn().context("failed to run kubectl")?;
        let mut input = child.stdin.take().context("kubectl has no standard input")?;
        input.write_all(list.as_bytes()).context("failed to hand the Pods over")?;
        drop(input);
        let status = child.wait().context("failed to wait for kubectl")?;
        if !status.success() {
            bail!("`kubectl create` failed: {status}");
        }
        Ok(())
    }

    /// A watch on all Pods, which has seen the beginning.
    fn watch_pods(&self) -> Result<PodEvents> {
        let columns = "custom-columns=NAME:.metadata.name,READY:.status.conditions[?(@.type=='Ready')].status";
        let mut command = self.command(&self.kubectl);
        // No Pod is there yet, so that the first line is the first event.
        command.args(["get", "pods", "--watch", "--no-headers", "-o", columns]).stdout(Stdio::piped());
        let mut child = command.spawn().context("failed to run kubectl")?;
        let lines = BufReader::new(child.stdout.take().context("kubectl has no standard output")?);
        Ok(PodEvents { child, lines, ready: Vec::new() })
    }
}

/// What a watch tells about Pods.
#[derive(Debug)]
struct PodEvents {
    child: Child,
    lines: BufReader<std::process::ChildStdout>,
    /// Pods that were ready once; they are not counted again.
    ready: Vec<String>,
}

impl PodEvents {
    /// Waits until `count` more Pods have become ready.
    fn until_ready(&mut self, count: usize) -> Result<()> {
        let wanted = self.ready.len() + count;
        while self.ready.len() < wanted {
            let mut line = String::new();
            if self.lines.read_line(&mut line).context("failed to read the watch")? == 0 {
                bail!("`kubectl get --watch` ended after {} Pods were ready", self.ready.len());
            }
            let mut words = line.split_whitespace();
            if let (Some(name), Some("True")) = (words.next(), words.next())
                && !self.ready.iter().any(|ready| ready == name)
            {
                self.ready.push(name.to_owned());
            }
        }
        Ok(())
    }

    fn end(self) {
        drop(self);
    }
}

impl Drop for PodEvents {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
