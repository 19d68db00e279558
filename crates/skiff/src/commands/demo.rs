//! `skiff demo`: plays the Kubernetes basics tutorial on real containers and shows each command with what it prints. With
//! `--load-only` it just makes sure that the tutorial's images are there, so that one can play it oneself.

mod images;
mod script;

use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use self::script::{Program, Step};
use super::{need_root, start};
use crate::cli::{DemoArgs, StartArgs};
use crate::printer;

pub(crate) fn run(profile: &str, args: &DemoArgs) -> Result<ExitCode> {
    need_root()?;
    if args.load_only {
        images::load()?;
        return Ok(ExitCode::SUCCESS);
    }
    let stage = Stage { profile };
    printer::line(format!("$ skiff start{}", stage.profile_flag()));
    start::run(profile, &StartArgs::default())?;
    stage.check_is_free()?;
    images::ensure()?;
    let mut said = String::new();
    for Step { title, commands } in script::STEPS {
        printer::line(format!("\n# {title}"));
        for command in *commands {
            let words = command.words(&said);
            printer::line(format!("$ {} {}", command.program.name(), script::shown(&words)));
            let mut output = stage.run(command.program, &words, command.keeps)?;
            // A Pod without a readiness probe is ready a moment before its program listens.
            let asks = matches!(command.program, Program::Curl) || words.first().is_some_and(|word| word == "exec");
            let mut tries = 0;
            while asks && output.success == command.fails && tries < ASKED_AGAIN_MAX {
                std::thread::sleep(ASKED_AGAIN_AFTER);
                tries += 1;
                output = stage.run(command.program, &words, command.keeps)?;
            }
            if output.success == command.fails {
                bail!(
                    "`{} {}` did not do what the tutorial says; the cluster runs on, look around with `kubectl get events`",
                    command.program.name(),
                    script::shown(&words)
                );
            }
            if command.keeps {
                output.text.trim().clone_into(&mut said);
            }
        }
    }
    printer::text(script::epilogue(&stage.profile_flag()));
    Ok(ExitCode::SUCCESS)
}

/// How often a question that got no answer is asked again.
const ASKED_AGAIN_MAX: u32 = 20;
/// After how long.
const ASKED_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// What a command of the play did.
struct Played {
    success: bool,
    /// What it printed, if that was asked for.
    text: String,
}

/// Where the tutorial is played.
struct Stage<'a> {
    profile: &'a str,
}

impl Stage<'_> {
    /// The flag that names the cluster, where it has to be named.
    fn profile_flag(&self) -> String {
        if self.profile == "skiff" { String::new() } else { format!(" --profile {}", self.profile) }
    }

    /// A command as a user would run it. All programs are in this executable, so the demo needs none on the machine.
    fn command(&self, program: Program, words: &[String]) -> Result<Command> {
        let executable = std::env::current_exe().context("failed to find skiff's own executable")?;
        #[allow(clippy::disallowed_methods, reason = "the demo shows commands as a user runs them")]
        let mut command = Command::new(executable);
        match program {
            Program::Kubectl => command.args(["--profile", self.profile, "kubectl"]),
            Program::Skiff => command.args(["--profile", self.profile]),
            Program::Curl => command.args(["sample-app", "curl"]),
        };
        command.args(words).stdin(Stdio::null()).stderr(Stdio::inherit());
        Ok(command)
    }

    fn run(&self, program: Program, words: &[String], keep: bool) -> Result<Played> {
        const OPERATION: &str = "failed to run a command of the demo";
        let mut command = self.command(program, words)?;
        if !keep {
            let status = command.status().context(OPERATION)?;
            return Ok(Played { success: status.success(), text: String::new() });
        }
        let output = command.output().context(OPERATION)?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        printer::text(&text);
        Ok(Played { success: output.status.success(), text })
    }

    /// An earlier play, or somebody's own one, is not touched.
    fn check_is_free(&self) -> Result<()> {
        for kind in ["deployment", "service"] {
            let words = ["get", kind, script::NAME, "--ignore-not-found", "--output=name"].map(str::to_owned);
            let output = self.command(Program::Kubectl, &words)?.output().context("failed to ask the cluster")?;
            if !output.status.success() || !output.stdout.is_empty() {
                bail!(
                    "the demo makes a {kind} called {name:?}, and there is one already; remove it with \
                     `kubectl delete deployment,service {name}` and try again",
                    name = script::NAME
                );
            }
        }
        Ok(())
    }
}
