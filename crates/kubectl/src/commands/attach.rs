//! `kubectl attach` (upstream: `kubectl/pkg/cmd/attach`).

use clap::Args;
use serde_json::Value;

use super::exec::{Streams, path, raw_terminal, refuse_ended};
use crate::context::Context;
use crate::error::KubectlError;
use crate::flags::values;
use crate::flags::values::GoDuration;
use crate::pods;
use crate::remote::{self, Output, Session};
use crate::resource::Selection;
use crate::terminal::{self, DETACH_KEYS, Detacher, Size};

/// Attach to the process of a container that runs.
#[derive(Debug, Args)]
pub(crate) struct AttachCommand {
    /// The Pod, or what has Pods
    #[arg(value_name = "POD | TYPE/NAME")]
    arguments: Vec<String>,
    /// To this container
    #[arg(long, short)]
    container: Option<String>,
    /// The keys that detach from a terminal
    #[arg(long, default_value = DETACH_KEYS)]
    detach_keys: String,
    /// How long to wait for a Pod, such as 5s, 2m or 3h
    #[arg(long, value_parser = values::duration, default_value = "1m0s", allow_negative_numbers = true)]
    pod_running_timeout: GoDuration,
    /// Print nothing but the process' output
    #[arg(long, short)]
    quiet: bool,
    /// Hand on standard input
    #[arg(long, short = 'i')]
    stdin: bool,
    /// Connect to the process' terminal
    #[arg(long, short)]
    tty: bool,
}

impl AttachCommand {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), KubectlError> {
        let arguments = match self.arguments.as_slice() {
            [] => return Err(KubectlError::new("at least 1 argument is required for attach")),
            [one] if !one.contains('/') => vec!["pods".to_owned(), one.clone()],
            words @ ([_] | [_, _]) => words.to_vec(),
            words => {
                return Err(KubectlError::new(format!(
                    "expected POD, TYPE/NAME, or TYPE NAME, (at most 2 arguments) saw {}: [{}]",
                    words.len(),
                    words.join(" ")
                )));
            }
        };
        let Some(timeout) = self.pod_running_timeout.positive() else {
            let text = "--pod-running-timeout must be higher than zero";
            return Err(KubectlError::usage(&context.command_path, text));
        };
        let info = Selection { arguments, ..Selection::default() }.fetch(context).await?.one()?;
        let pod = pods::attachable_pod(context, info, timeout).await?;
        refuse_ended(&pod, "attach")?;
        let attachment = Attachment {
            container: self.container.unwrap_or_default(),
            stdin: self.stdin,
            tty: self.tty,
            quiet: self.quiet,
            detach_keys: self.detach_keys,
            command: context.command_path.clone(),
        };
        attachment.run(context, &pod).await
    }
}

/// How to attach to a Pod.
#[derive(Debug)]
pub(super) struct Attachment {
    /// The container; the default one where it is empty.
    pub(super) container: String,
    /// Hand on standard input.
    pub(super) stdin: bool,
    /// Connect to the process' terminal.
    pub(super) tty: bool,
    /// Print nothing but the process' output.
    pub(super) quiet: bool,
    /// The keys that detach from a terminal.
    pub(super) detach_keys: String,
    /// The command that attaches again: `kubectl attach`.
    pub(super) command: String,
}

impl Attachment {
    /// Attaches until the process ends or the keys are typed.
    pub(super) async fn run(&self, context: &Context, pod: &Value) -> Result<(), KubectlError> {
        let container = pods::container_or_default(context, pod, &self.container, self.quiet)
            .map_err(|error| KubectlError::new(format!("cannot attach to the container: {error}")))?;
        let name = container["name"].as_str().unwrap_or_default();
        let has_terminal = container["tty"] == true;
        if self.tty && !has_terminal && !self.quiet {
            let text = format!("error: Unable to use a TTY - container {name} did not allocate one");
            context.printer.err_line(text);
        }
        // A process with a terminal is attached to as such, or its output could not be read.
        let raw = raw_terminal(context, self.stdin, has_terminal, self.quiet);
        let detacher = if raw { Some(Detacher::new(or_default(&self.detach_keys))?) } else { None };
        let streams = Streams { stdin: self.stdin, stderr: !raw, tty: raw };
        let path = path(pod, "attach", container, streams, &[]);
        if !self.quiet {
            context.printer.err_line(
                "All commands and output from this session will be recorded in container logs, including credentials and \
                 sensitive information passed through the command prompt.\nIf you don't see a command prompt, try pressing \
                 enter.",
            );
        }
        let supervisor = &context.supervisor;
        let session = Session {
            input: self.stdin.then(|| remote::standard_input(supervisor, detacher)),
            output: Output::Out(context.printer.clone()),
            errors: Output::Err(context.printer.clone()),
            sizes: raw.then(|| remote::sizes(supervisor, redrawing_sizes())),
        };
        remote::in_terminal(raw, session.run(context.client()?, &path)).await?;
        if raw && !self.quiet {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let (pod_name, namespace) = (text(&pod["metadata"]["name"]), text(&pod["metadata"]["namespace"]));
            let again = format!("'{} {pod_name} -c {name} -n {namespace} -i -t'", self.command);
            context.printer.line(if pods::is_ephemeral(pod, name) {
                format!(
                    "Session ended, the ephemeral container will not be restarted but may be reattached using {again} if it \
                     is still running"
                )
            } else {
                format!("Session ended, resume using {again} command")
            })?;
        }
        Ok(())
    }
}

fn or_default(keys: &str) -> &str {
    if keys.is_empty() { DETACH_KEYS } else { keys }
}

/// One size too large, then the right one: the change makes the process draw its screen again.
fn redrawing_sizes() -> Vec<Size> {
    let Some(size) = terminal::size() else {
        return Vec::new();
    };
    vec![Size { width: size.width.saturating_add(1), height: size.height.saturating_add(1) }, size]
}
