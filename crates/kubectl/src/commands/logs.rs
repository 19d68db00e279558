//! `kubectl logs` (upstream: `kubectl/pkg/cmd/logs`).

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use clap::Args;
use client::rest::{encode_query, encode_segment};
use futures_util::future::try_join_all;
use http::Method;
use jiff::Timestamp;
use serde_json::Value;
use tokio::time::Instant;

use crate::context::Context;
use crate::error::KubectlError;
use crate::flags::values;
use crate::flags::values::GoDuration;
use crate::pods::{self, by_logging, go_type, named_or_pod, pods_of, selector_for};
use crate::resource::Selection;

/// How many lines of each Pod are shown where Pods are chosen by labels.
const SELECTOR_TAIL: i64 = 10;
/// How long a follower waits before it asks again for a container that has no log yet.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// A longer line is printed in parts.
const LINE_BYTES_MAX: usize = 1 << 20;

/// Print the logs of a container.
#[derive(Debug, Args)]
pub(crate) struct LogsCommand {
    /// The Pod, or what has Pods
    #[arg(value_name = "POD | TYPE/NAME")]
    arguments: Vec<String>,
    /// Of all containers
    #[arg(long)]
    all_containers: bool,
    /// Of all Pods; turns --prefix on
    #[arg(long)]
    all_pods: bool,
    /// Of this container
    #[arg(long, short)]
    container: Option<String>,
    /// Go on as more is written
    #[arg(long, short)]
    follow: bool,
    /// Go on with the others where one cannot be read
    #[arg(long)]
    ignore_errors: bool,
    /// Do not check the node's certificate
    #[arg(long)]
    insecure_skip_tls_verify_backend: bool,
    /// At most this many bytes
    #[arg(long, value_parser = values::int64, default_value = "0", allow_negative_numbers = true)]
    limit_bytes: i64,
    /// The most logs that are followed at once
    #[arg(long, value_parser = values::int64, default_value = "5", allow_negative_numbers = true)]
    max_log_requests: i64,
    /// How long to wait for a Pod, such as 5s, 2m or 3h
    #[arg(long, value_parser = values::duration, default_value = "20s", allow_negative_numbers = true)]
    pod_running_timeout: GoDuration,
    /// Begin each line with Pod and container
    #[arg(long)]
    prefix: bool,
    /// Of the container's previous run
    #[arg(long, short)]
    previous: bool,
    /// Choose Pods by labels
    #[arg(long, short = 'l')]
    selector: Option<String>,
    /// What is newer than 5s, 2m or 3h
    #[arg(long, value_parser = values::duration, default_value = "0s", allow_negative_numbers = true)]
    since: GoDuration,
    /// What is newer than this time (RFC 3339)
    #[arg(long)]
    since_time: Option<String>,
    /// The last lines only; -1 for all
    #[arg(long, value_parser = values::int64, allow_negative_numbers = true)]
    tail: Option<i64>,
    /// Begin each line with its time
    #[arg(long)]
    timestamps: bool,
}

/// What each request asks for, but for its container.
type Query = Vec<(&'static str, String)>;

/// One log that is read.
#[derive(Debug, PartialEq, Eq)]
struct Source {
    path: String,
    prefix: String,
}

impl LogsCommand {
    /// Runs the command.
    pub(crate) async fn run(mut self, context: &Context) -> Result<(), KubectlError> {
        let (resource, query) = self.complete(context)?;
        let pods = self.targets(context, resource.as_deref()).await?;
        self.validate(&query)?;
        let mut sources = Vec::new();
        for pod in &pods {
            self.sources_of(context, pod, &query, pods.len() > 1, &mut sources)?;
        }
        let many = i64::try_from(sources.len()).unwrap_or(i64::MAX);
        if self.follow && many > 1 && many > self.max_log_requests {
            return Err(KubectlError::new(format!(
                "you are attempting to follow {many} log streams, but maximum allowed concurrency is {}, use \
                 --max-log-requests to increase the limit",
                self.max_log_requests
            )));
        }
        if self.follow && many > 1 {
            try_join_all(sources.iter().map(|source| self.print(context, source))).await?;
            return Ok(());
        }
        for source in &sources {
            self.print(context, source).await?;
        }
        Ok(())
    }

    fn selector(&self) -> &str {
        self.selector.as_deref().unwrap_or_default()
    }

    /// Reads the arguments: the object that is named, and the query of each request but for its container.
    fn complete(&mut self, context: &Context) -> Result<(Option<String>, Query), KubectlError> {
        let usage = || {
            KubectlError::usage(
                &context.command_path,
                "expected 'logs [-f] [-p] (POD | TYPE/NAME) [-c CONTAINER]'.\nPOD or TYPE/NAME is a required argument for \
                 the logs command",
            )
        };
        let resource = match self.arguments.as_slice() {
            [] if self.selector().is_empty() => return Err(usage()),
            [] => None,
            [_] if !self.selector().is_empty() => {
                let text = "only a selector (-l) or a POD name is allowed";
                return Err(KubectlError::usage(&context.command_path, text));
            }
            [resource] => Some(resource.clone()),
            [resource, inline] => {
                let resource = Some(resource.clone());
                let named = self.container.replace(inline.clone());
                if named.is_some() {
                    return Err(KubectlError::new("only one of -c or an inline [CONTAINER] arg is allowed"));
                }
                resource
            }
            _ => return Err(usage()),
        };
        self.prefix |= self.all_pods;
        if self.pod_running_timeout.positive().is_none() {
            return Err(KubectlError::new("--pod-running-timeout must be higher than zero"));
        }
        let mut query = Vec::new();
        for (name, given) in [
            ("follow", self.follow),
            ("previous", self.previous),
            ("timestamps", self.timestamps),
            ("insecureSkipTLSVerifyBackend", self.insecure_skip_tls_verify_backend),
        ] {
            if given {
                query.push((name, "true".to_owned()));
            }
        }
        if let Some(time) = self.since_time.as_deref().filter(|time| !time.is_empty()) {
            let parsed: Timestamp = time.parse().map_err(|_| KubectlError::new(bad_time(time)))?;
            query.push(("sinceTime", apimachinery::metav1_time(parsed)));
        }
        if self.limit_bytes != 0 {
            query.push(("limitBytes", self.limit_bytes.to_string()));
        }
        if self.since.0 != 0 {
            let seconds = (self.since.0 as f64 / 1e9).round() as i64;
            query.push(("sinceSeconds", seconds.to_string()));
        }
        let tail = match self.tail {
            None if !self.selector().is_empty() => SELECTOR_TAIL,
            tail => tail.unwrap_or(-1),
        };
        if tail != -1 {
            query.push(("tailLines", tail.to_string()));
        }
        Ok((resource, query))
    }

    fn validate(&self, query: &[(&'static str, String)]) -> Result<(), KubectlError> {
        let given = |name: &str| query.iter().find(|(known, _)| *known == name);
        let fault = if given("sinceTime").is_some() && self.since.0 != 0 {
            "at most one of `sinceTime` or `sinceSeconds` may be specified".to_owned()
        } else if let Some(container) = self.container.as_deref().filter(|name| self.all_containers && !name.is_empty())
        {
            format!("--all-containers=true should not be specified with container name {container}")
        } else if self.limit_bytes < 0 {
            "--limit-bytes must be greater than 0".to_owned()
        } else if given("sinceSeconds").is_some_and(|(_, seconds)| seconds.starts_with('-')) {
            "--since must be greater than 0".to_owned()
        } else if self.tail.is_some_and(|tail| tail < -1) {
            "--tail must be greater than or equal to -1".to_owned()
        } else {
            return Ok(());
        };
        Err(KubectlError::new(fault))
    }

    /// The Pods whose logs are meant.
    async fn targets(&self, context: &Context, resource: Option<&str>) -> Result<Vec<Value>, KubectlError> {
        let Some(resource) = resource else {
            let selection = Selection {
                arguments: vec!["pods".to_owned()],
                label_selector: self.selector().to_owned(),
                ..Selection::default()
            };
            let pods: Vec<_> = selection.fetch(context).await?.all()?.into_iter().map(|info| info.object).collect();
            if pods.is_empty() {
                context.printer.err_line(format!("No resources found in {} namespace.", context.namespace()?));
            }
            return Ok(pods);
        };
        let info = match named_or_pod(context, resource).await {
            Err(error) if error.is_not_found() => {
                let namespace = context.namespace()?;
                let text = format!("error from server (NotFound): {error} in namespace {namespace:?}");
                return Err(KubectlError::new(text));
            }
            info => info?,
        };
        if info.object["kind"] == "Pod" {
            return Ok(vec![info.object]);
        }
        let selector = selector_for(&info.object).map_err(|fault| {
            KubectlError::new(format!("cannot get the logs from {}: {fault}", go_type(&info.object)))
        })?;
        let timeout = self.pod_running_timeout.positive().unwrap_or_default();
        let mut pods = pods_of(context, &info.namespace, &selector, timeout, by_logging).await?;
        if pods.len() > 1 && !self.all_pods {
            let name = pods[0]["metadata"]["name"].as_str().unwrap_or_default();
            context.printer.err_line(format!("Found {} pods, using pod/{name}", pods.len()));
            pods.truncate(1);
        }
        Ok(pods)
    }

    /// The logs of one Pod that are meant.
    fn sources_of(
        &self,
        context: &Context,
        pod: &Value,
        query: &[(&'static str, String)],
        several: bool,
        sources: &mut Vec<Source>,
    ) -> Result<(), KubectlError> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (namespace, name) = (text(&pod["metadata"]["namespace"]), text(&pod["metadata"]["name"]));
        let containers = if self.all_containers {
            pods::container_names(pod)
        } else {
            vec![self.container_of(context, pod, several)?]
        };
        for container in containers {
            let query = query.iter().cloned().chain([("container", container.clone())]);
            let path = format!(
                "/api/v1/namespaces/{}/pods/{}/log{}",
                encode_segment(&namespace),
                encode_segment(&name),
                encode_query(query)
            );
            let prefix = if self.prefix { format!("[pod/{name}/{container}] ") } else { String::new() };
            sources.push(Source { path, prefix });
        }
        Ok(())
    }

    fn container_of(&self, context: &Context, pod: &Value, several: bool) -> Result<String, KubectlError> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let named = self.container.clone().unwrap_or_default();
        if !named.is_empty() {
            return match pods::container(pod, &named) {
                Some(_) => Ok(named),
                None => Err(pods::no_such_container(pod, &named)),
            };
        }
        let annotated = text(&pod["metadata"]["annotations"][pods::DEFAULT_CONTAINER]);
        if !annotated.is_empty() {
            if pods::container(pod, &annotated).is_some() {
                return Ok(annotated);
            }
            let name = text(&pod["metadata"]["name"]);
            context.printer.err_line(format!("Default container name {annotated:?} not found in pod {name}"));
        }
        let first = text(&pod["spec"]["containers"][0]["name"]);
        if pods::container_names(pod).len() > 1 && !(self.all_pods && several) {
            pods::say_defaulted(context, pod, &first);
        }
        Ok(first)
    }

    /// Prints one log. A follower asks again for a container that has none yet.
    async fn print(&self, context: &Context, source: &Source) -> Result<(), KubectlError> {
        let until = Instant::now() + self.pod_running_timeout.positive().unwrap_or_default();
        loop {
            let error = match self.read(context, source).await {
                Ok(()) => return Ok(()),
                Err(error @ KubectlError::ReaderGone) => return Err(error),
                Err(error) => error,
            };
            if self.ignore_errors {
                return context.printer.line(format!("error: {error}"));
            }
            if !self.follow {
                return Err(error);
            }
            context.printer.err_line(&error);
            if error.api().is_none() {
                return Err(error);
            }
            if Instant::now() + RETRY_INTERVAL > until {
                return Err(KubectlError::new("context deadline exceeded"));
            }
            tokio::time::sleep(RETRY_INTERVAL).await;
        }
    }

    /// Reads to the log's end, and prints whole lines, so that several logs do not mix within a line.
    async fn read(&self, context: &Context, source: &Source) -> Result<(), KubectlError> {
        let mut stream = context.client()?.stream(Method::GET, &source.path, &[], Bytes::new()).await?;
        let mut buffer = BytesMut::new();
        while let Some(chunk) = stream.chunk().await? {
            buffer.extend_from_slice(&chunk);
            let whole = match buffer.iter().rposition(|byte| *byte == b'\n') {
                Some(at) => at + 1,
                None if buffer.len() > LINE_BYTES_MAX => buffer.len(),
                None => continue,
            };
            context.printer.out(prefixed(&buffer.split_to(whole), &source.prefix))?;
        }
        context.printer.out(prefixed(&buffer, &source.prefix))
    }
}

/// Go's words for a time that is none: the first part of the layout that does not fit.
fn bad_time(time: &str) -> String {
    const LAYOUT: &str = "2006-01-02T15:04:05Z07:00";
    const PARTS: [&str; 12] = ["2006", "-", "01", "-", "02", "T", "15", ":", "04", ":", "05", "Z07:00"];
    let mut rest = time;
    for part in PARTS {
        let is_number = part.bytes().all(|byte| byte.is_ascii_digit());
        let fits = match rest.get(..part.len()) {
            Some(head) if is_number => head.bytes().all(|byte| byte.is_ascii_digit()),
            Some(head) => head == part,
            None => false,
        };
        if !fits {
            return format!("parsing time {time:?} as {LAYOUT:?}: cannot parse {rest:?} as {part:?}");
        }
        rest = &rest[part.len()..];
    }
    format!("parsing time {time:?}: extra text: {rest:?}")
}

/// The lines, each with the prefix before it.
fn prefixed(lines: &[u8], prefix: &str) -> Vec<u8> {
    if prefix.is_empty() {
        return lines.to_vec();
    }
    lines.split_inclusive(|byte| *byte == b'\n').flat_map(|line| [prefix.as_bytes(), line].concat()).collect()
}

#[cfg(test)]
mod tests {
    use super::{bad_time, prefixed};

    #[test]
    fn a_time_that_is_none_is_told_as_in_go() {
        let layout = "as \"2006-01-02T15:04:05Z07:00\": cannot parse";
        assert_eq!(bad_time("x"), format!("parsing time \"x\" {layout} \"x\" as \"2006\""));
        assert_eq!(bad_time("2024-1"), format!("parsing time \"2024-1\" {layout} \"1\" as \"01\""));
    }

    #[test]
    fn every_line_gets_the_prefix() {
        assert_eq!(prefixed(b"a\nb\nc", "[p] "), b"[p] a\n[p] b\n[p] c");
        assert_eq!(prefixed(b"", "[p] "), b"");
    }
}
