//! `cargo xtask conformance KIT`: upstream's conformance suite against a cluster of its own. KIT is the folder with the
//! suite as a Go module and the scripts that build it (`build.sh`), make its images (`images.sh`) and run it (`run.sh`).

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::bench::Cluster;
use crate::process::{print, run};

/// Tests that run at once: the suite mostly waits.
const DEFAULT_PROCESSES: &str = "4";

/// The kit's file with the names of the tests that need no node.
const NO_NODES: &str = "no-nodes.txt";

/// What is asked for.
#[derive(Debug, Default)]
struct Arguments<'a> {
    kit: &'a str,
    /// Only the tests that need no node.
    no_nodes: bool,
    /// A file with names of tests, one a line.
    names: Option<&'a str>,
    /// Ends the suite after this time, as `30m`; it reports what there is.
    timeout: Option<&'a str>,
    /// How many tests run at once, but for those that want the cluster for themselves.
    processes: Option<&'a str>,
    skiff: Option<&'a str>,
}

fn parse<'a>(words: &[&'a str]) -> Result<Arguments<'a>> {
    const HINT: &str =
        "hint: cargo xtask conformance KIT [--no-nodes | --names FILE] [--timeout 30m] [--procs N] [--skiff FILE]";
    let mut arguments = Arguments::default();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let mut value = || words.next().copied().with_context(|| format!("{word} wants a value\n{HINT}"));
        match *word {
            "--no-nodes" => arguments.no_nodes = true,
            "--names" => arguments.names = Some(value()?),
            "--timeout" => arguments.timeout = Some(value()?),
            "--procs" => arguments.processes = Some(value()?),
            "--skiff" => arguments.skiff = Some(value()?),
            kit if arguments.kit.is_empty() && !kit.starts_with('-') => arguments.kit = kit,
            other => bail!("unknown word {other:?}\n{HINT}"),
        }
    }
    if arguments.kit.is_empty() {
        bail!("where is the suite?\n{HINT}");
    }
    Ok(arguments)
}

/// Builds what is missing, runs the suite, and prints how many tests passed; the reports stay in `target/conformance`.
pub(crate) fn run_suite(repository: &Path, words: &[&str]) -> Result<()> {
    let arguments = parse(words)?;
    let kit = fs::canonicalize(arguments.kit).with_context(|| format!("there is no folder {:?}", arguments.kit))?;
    let target = repository.join("target/conformance");
    let [programs, images, report] = ["bin", "images", "report"].map(|name| target.join(name));
    fs::create_dir_all(&report).with_context(|| format!("failed to create {}", report.display()))?;
    run(script(&kit, "build.sh").arg(&programs))?;
    run(script(&kit, "images.sh").arg("--bin").arg(&programs).arg(&images))?;

    let cluster = Cluster::new(crate::bench::executable(repository, arguments.skiff)?);
    let ran = suite(&cluster, &kit, &arguments, [&programs, &images, &report]);
    let cleaned = cluster.clean();
    ran?;
    cleaned?;
    let results = report.join("results.txt");
    let results = fs::read_to_string(&results).with_context(|| format!("failed to read {}", results.display()))?;
    let names = kit.join(NO_NODES);
    let names = fs::read_to_string(&names).with_context(|| format!("failed to read {}", names.display()))?;
    print(&summary(&results, &names))
}

fn script(kit: &Path, name: &str) -> Command {
    Command::new(kit.join(name))
}

fn suite(cluster: &Cluster, kit: &Path, arguments: &Arguments<'_>, folders: [&PathBuf; 3]) -> Result<()> {
    let [programs, images, report] = folders;
    cluster.skiff(&["start"])?;
    for entry in fs::read_dir(images).with_context(|| format!("failed to read {}", images.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "tar") {
            cluster.skiff(&["image", "load", path.to_str().context("an image's file has a name that is no text")?])?;
        }
    }
    let mut command = script(kit, "run.sh");
    command.arg("--kubeconfig").arg(cluster.kubeconfig()).arg("--bin").arg(programs).arg("--report").arg(report);
    command.args(["--procs", arguments.processes.unwrap_or(DEFAULT_PROCESSES)]);
    if arguments.no_nodes {
        command.arg("--names").arg(kit.join(NO_NODES));
    }
    if let Some(names) = arguments.names {
        command.args(["--names", names]);
    }
    if let Some(timeout) = arguments.timeout {
        command.args(["--timeout", timeout]);
    }
    // It fails unless every test passes; how many did is what is asked here.
    command.status().context("failed to run the suite").map(drop)
}

/// What did not pass, by name, and how many of the tests did: of all that ran, and of those that need no node, whose names
/// are the lines of `no_nodes`.
fn summary(results: &str, no_nodes: &str) -> String {
    let count = |what: &str, lines: &[&str]| {
        let of = |state: &str| lines.iter().filter(|line| line.starts_with(state)).count();
        let [passed, failed, skipped] = ["PASS", "FAIL", "SKIP"].map(of);
        format!("{} {what}: {passed} passed, {failed} failed, {skipped} skipped themselves\n", lines.len())
    };
    let all: Vec<&str> = results.lines().collect();
    let names: BTreeSet<&str> = no_nodes.lines().map(str::trim).filter(|name| !name.is_empty()).collect();
    let without = |line: &&str| name_of(line).is_some_and(|name| names.contains(name));
    let without_nodes: Vec<&str> = all.iter().copied().filter(without).collect();
    let failed: String = all.iter().filter(|line| !line.starts_with("PASS")).map(|line| format!("{line}\n")).collect();
    failed + &count("ran", &all) + &count("of them need no node", &without_nodes)
}

/// The name in a line of `results.txt`, which stands between state and seconds.
fn name_of(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once(char::is_whitespace)?;
    Some(rest.rsplit_once(char::is_whitespace)?.0.trim())
}

#[cfg(test)]
mod tests {
    use super::{parse, summary};

    #[test]
    fn words_are_understood_or_named() {
        let arguments = parse(&["kit", "--no-nodes", "--timeout", "30m"]).expect("it is right");
        assert_eq!((arguments.kit, arguments.no_nodes, arguments.timeout), ("kit", true, Some("30m")));
        for (words, wanted) in [(&["kit", "--fast"][..], "--fast"), (&["--names"], "--names"), (&[], "where")] {
            let error = parse(words).expect_err("it is wrong").to_string();
            assert!(error.contains(wanted) && error.contains("hint:"), "{error}");
        }
    }

    #[test]
    fn results_are_counted() {
        let results = "PASS a test 1.0\nFAIL two 2.0\nPASS three 3.0\nSKIP four 0\n";
        let wanted = "FAIL two 2.0\nSKIP four 0\n4 ran: 2 passed, 1 failed, 1 skipped themselves\n\
                      2 of them need no node: 1 passed, 1 failed, 0 skipped themselves\n";
        assert_eq!(summary(results, "a test\ntwo\nnever\n"), wanted);
    }
}
