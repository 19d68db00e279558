//! `kubectl exec` (upstream: `kubectl/pkg/cmd/exec`).

use clap::Args;
use client::rest::{encode_query, encode_segment};
use serde_json::Value;

use crate::context::Context;
use crate::error::KubectlError;
use crate::flags::values;
use crate::flags::values::GoDuration;
use crate::pods;
use crate::remote::{self, Output, Session};
use crate::resource::Selection;
use crate::terminal;

/// Run a command in a container.
#[derive(Debug, Args)]
pub(crate) struct ExecCommand {
    /// The Pod, or what has Pods; the command behind --
    #[arg(value_name = "POD | TYPE/NAME")]
    arguments: Vec<String>,
    /// In this container
    #[arg(long, short)]
    container: Option<String>,
    /// The Pod's manifest
    #[arg(long = "filename", short = 'f')]
    filename_lists: Vec<String>,
    /// How long to wait for a Pod, such as 5s, 2m or 3h
    #[arg(long, value_parser = values::duration, default_value = "1m0s", allow_negative_numbers = true)]
    pod_running_timeout: GoDuration,
    /// Print nothing but the command's output
    #[arg(long, short)]
    quiet: bool,
    /// Hand on standard input
    #[arg(long, short = 'i')]
    stdin: bool,
    /// Give the command a terminal
    #[arg(long, short)]
    tty: bool,
}

impl ExecCommand {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), KubectlError> {
        let filenames = values::split_list(&self.filename_lists);
        let (resource, command) = self.words(context, !filenames.is_empty())?;
        let Some(timeout) = self.pod_running_timeout.positive() else {
            let text = "--pod-running-timeout must be higher than zero";
            return Err(KubectlError::usage(&context.command_path, text));
        };
        if resource.is_none() && filenames.is_empty() {
            return Err(KubectlError::new("pod, type/name or --filename must be specified"));
        }
        if command.is_empty() {
            return Err(KubectlError::new("you must specify at least one command for the container"));
        }
        let info = match resource {
            Some(name) if filenames.is_empty() => pods::named_or_pod(context, name).await?,
            _ => Selection { filenames, ..Selection::default() }.fetch(context).await?.one()?,
        };
        let pod = pods::attachable_pod(context, info, timeout).await?;
        refuse_ended(&pod, "exec into")?;
        let container = match self.container.as_deref().unwrap_or_default() {
            "" => pods::container_or_default(context, &pod, "", self.quiet)?,
            name => pods::container(&pod, name).ok_or_else(|| pods::no_such_container(&pod, name))?,
        };
        let raw = raw_terminal(context, self.stdin, self.tty, self.quiet);
        let path = path(&pod, "exec", container, Streams { stdin: self.stdin, stderr: !raw, tty: raw }, command);
        let supervisor = &context.supervisor;
        let session = Session {
            input: self.stdin.then(|| remote::standard_input(supervisor, None)),
            output: Output::Out(context.printer.clone()),
            errors: Output::Err(context.printer.clone()),
            sizes: raw.then(|| remote::sizes(supervisor, terminal::size().into_iter().collect())),
        };
        remote::in_terminal(raw, session.run(context.client()?, &path)).await
    }

    /// The object before `--`, and the command behind it.
    fn words(&self, context: &Context, has_file: bool) -> Result<(Option<&str>, &[String]), KubectlError> {
        let words = self.arguments.as_slice();
        let resource = words.first().filter(|_| context.before_dash != Some(0)).map(String::as_str);
        match context.before_dash {
            Some(count @ (0 | 1)) => Ok((resource, &words[count..])),
            _ if words.len() > 1 || (!words.is_empty() && has_file) => {
                let text = "exec [POD] [COMMAND] is not supported anymore. Use exec [POD] -- [COMMAND] instead";
                Err(KubectlError::usage(&context.command_path, text))
            }
            _ => Ok((resource, &[])),
        }
    }
}

/// Pods that have ended run nothing more.
pub(super) fn refuse_ended(pod: &Value, what: &str) -> Result<(), KubectlError> {
    match pod["status"]["phase"].as_str() {
        Some(phase @ ("Succeeded" | "Failed")) => {
            Err(KubectlError::new(format!("cannot {what} a container in a completed pod; current phase is {phase}")))
        }
        _ => Ok(()),
    }
}

/// Whether the user's terminal is connected to the container's. Says so where it is asked for and there is none.
pub(super) fn raw_terminal(context: &Context, stdin: bool, tty: bool, quiet: bool) -> bool {
    if !stdin || !tty {
        return false;
    }
    let is_terminal = terminal::input_is_terminal();
    if !is_terminal && !quiet {
        let text = "Unable to use a TTY - input is not a terminal or the right kind of file";
        context.printer.err_line(text);
    }
    is_terminal
}

/// Which streams a session has, besides standard output.
#[derive(Debug, Clone, Copy)]
pub(super) struct Streams {
    pub(super) stdin: bool,
    pub(super) stderr: bool,
    pub(super) tty: bool,
}

/// The path of a session in a container.
pub(super) fn path(pod: &Value, verb: &str, container: &Value, streams: Streams, command: &[String]) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut query: Vec<(&str, String)> = command.iter().map(|word| ("command", word.clone())).collect();
    query.push(("container", text(&container["name"])));
    let given = [("stderr", streams.stderr), ("stdin", streams.stdin), ("stdout", true), ("tty", streams.tty)];
    query.extend(given.into_iter().filter(|(_, given)| *given).map(|(name, _)| (name, "true".to_owned())));
    let (namespace, name) = (text(&pod["metadata"]["namespace"]), text(&pod["metadata"]["name"]));
    format!(
        "/api/v1/namespaces/{}/pods/{}/{verb}{}",
        encode_segment(&namespace),
        encode_segment(&name),
        encode_query(query)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_command_and_the_streams_are_in_the_query() {
        let pod = json!({"metadata": {"namespace": "ns", "name": "p"}});
        let streams = Streams { stdin: true, stderr: true, tty: false };
        let words = ["sh", "-c", "a b&c"].map(str::to_owned);
        assert_eq!(
            path(&pod, "exec", &json!({"name": "c"}), streams, &words),
            "/api/v1/namespaces/ns/pods/p/exec?command=sh&command=-c&command=a%20b%26c&container=c&stderr=true&stdin=true\
             &stdout=true"
        );
    }

    #[test]
    fn ended_pods_are_refused() {
        let pod = json!({"status": {"phase": "Succeeded"}});
        assert_eq!(
            refuse_ended(&pod, "exec into").unwrap_err().to_string(),
            "cannot exec into a container in a completed pod; current phase is Succeeded"
        );
    }
}
