//! `kubectl run` (upstream: `kubectl/pkg/cmd/run`).

mod session;

use clap::Args;
use client::Propagation;
use serde_json::{Map, Value, json};

use self::session::Attached;
use super::apply::propagation;
use super::attach::Attachment;
use super::create::known_type;
use super::expose::parse_labels;
use super::generated::{GenerateFlags, Generator};
use crate::context::Context;
use crate::discovery::ResourceType;
use crate::error::KubectlError;
use crate::flags::values;
use crate::flags::values::GoDuration;
use crate::pairs;
use crate::resource::{Requests, delete_options};
use crate::terminal::DETACH_KEYS;
use crate::write::DryRun;
use apimachinery::gotext::quote;

/// Run an image in a Pod.
#[derive(Debug, Args)]
pub(crate) struct RunCommand {
    /// The Pod's name; its arguments behind --
    #[arg(value_name = "NAME")]
    arguments: Vec<String>,
    #[command(flatten)]
    generate: GenerateFlags,
    /// KEY=VALUE of an annotation; may be repeated
    #[arg(long)]
    annotations: Vec<String>,
    /// Wait until the Pod runs and attach to it; on where standard input is handed on
    #[arg(long, value_parser = values::switch, action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true")]
    attach: Option<bool>,
    /// Must be "background", "orphan", or "foreground": how dependants of what --rm deletes go
    #[arg(long, num_args = 0..=1, default_missing_value = "background", default_value = "background")]
    cascade: String,
    #[command(flatten)]
    _deletion: DeletionFlags,
    /// What follows the name is the command, not its arguments
    #[arg(long)]
    command: bool,
    /// The keys that detach from a terminal
    #[arg(long, default_value = DETACH_KEYS)]
    detach_keys: String,
    /// NAME=VALUE of a variable; may be repeated
    #[arg(long)]
    env: Vec<String>,
    /// Make a Service for the port, too
    #[arg(long)]
    expose: bool,
    /// Who is recorded as the fields' owner
    #[arg(long, default_value = "kubectl-run")]
    field_manager: String,
    /// The image
    #[arg(long, required = true)]
    image: String,
    /// Always, IfNotPresent or Never
    #[arg(long)]
    image_pull_policy: Option<String>,
    /// Labels with commas between
    #[arg(long, short = 'l')]
    labels: Option<String>,
    /// Leave standard input open after the first attach
    #[arg(long)]
    leave_stdin_open: bool,
    /// How long to wait for the Pod, such as 5s, 2m or 3h
    #[arg(long, value_parser = values::duration, default_value = "1m0s", allow_negative_numbers = true)]
    pod_running_timeout: GoDuration,
    /// The port that the container listens on
    #[arg(long)]
    port: Option<String>,
    /// Give the container all rights
    #[arg(long)]
    privileged: bool,
    /// Print nothing but the container's output
    #[arg(long, short)]
    quiet: bool,
    /// Always, OnFailure or Never
    #[arg(long, default_value = "Always")]
    restart: String,
    /// Delete the Pod when it has ended
    #[arg(long)]
    rm: bool,
    /// Keep the container's standard input open
    #[arg(long, short = 'i')]
    stdin: bool,
    /// Give the container a terminal
    #[arg(long, short)]
    tty: bool,
}

/// Flags of deletions that upstream's `run` takes and sets to its own: --rm leaves the grace to the Pod and waits for nothing.
#[derive(Debug, Args)]
struct DeletionFlags {
    #[arg(long = "force", hide = true)]
    _force: bool,
    #[arg(long = "grace-period", hide = true, value_parser = values::int64, allow_negative_numbers = true)]
    _grace_period: Option<i64>,
    #[arg(long = "timeout", hide = true, value_parser = values::duration)]
    _timeout: Option<GoDuration>,
    #[arg(long = "wait", hide = true)]
    _wait: bool,
}

/// The parts of the Pod that flags give.
#[derive(Debug)]
struct Parts {
    annotations: Map<String, Value>,
    labels: Map<String, Value>,
    variables: Vec<Value>,
    restart: String,
    pull: String,
}

impl RunCommand {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), KubectlError> {
        let parts = self.parts()?;
        let propagation = propagation(&self.cascade)?;
        let Some(timeout) = self.pod_running_timeout.positive() else {
            return Err(KubectlError::new("--pod-running-timeout must be higher than zero"));
        };
        let generator = self.generate.generator(context, "created", &self.field_manager)?;
        let attaches = self.attach.unwrap_or(self.stdin);
        self.validate(context, attaches, generator.dry_run).map_err(KubectlError::new)?;
        let (name, words) =
            self.arguments.split_first().ok_or_else(|| KubectlError::new("NAME is required for run"))?;
        let labels = match parts.labels.is_empty() {
            true => Map::from_iter([("run".to_owned(), Value::from(name.as_str()))]),
            false => parts.labels.clone(),
        };
        let pods = known_type("", "v1", "pods")?;
        let pod = self.pod(name, &labels, words, &parts);
        let pod = generator.create(context, &pods, pod, true).await?;
        let mut made = vec![(pods, pod)];
        let mut errors = Vec::new();
        if self.expose {
            let services = known_type("", "v1", "services")?;
            let service = self.service(name, &labels, &parts);
            match generator.create(context, &services, service, false).await {
                Ok(service) => made.push((services, service)),
                Err(error) => errors.push(error),
            }
        }
        if !attaches {
            return print(context, &generator, &made, errors);
        }
        let attached = Attached {
            attachment: Attachment {
                container: String::new(),
                stdin: self.stdin,
                tty: self.tty,
                quiet: self.quiet,
                detach_keys: self.detach_keys.clone(),
                command: "kubectl attach".to_owned(),
            },
            timeout,
            exit_of: (!self.leave_stdin_open).then(|| parts.restart.clone()),
        };
        let outcome = attached.run(context, &made[0].0, &made[0].1).await;
        if self.rm {
            self.remove(context, &made, propagation).await?;
        }
        outcome
    }

    fn parts(&self) -> Result<Parts, KubectlError> {
        let (annotations, _) = pairs::parse(&self.annotations, "annotations", false)?;
        let labels = match self.labels.as_deref().unwrap_or_default() {
            "" => Map::new(),
            text => parse_labels(text).map_err(KubectlError::new)?,
        };
        let variables = self.env.iter().map(|text| variable(text)).collect::<Result<Vec<_>, _>>()?;
        let restart = match self.restart.as_str() {
            "" if self.stdin => "OnFailure",
            "" => "Always",
            policy @ ("Always" | "Never" | "OnFailure") => policy,
            other => {
                return Err(KubectlError::new(format!(
                    "invalid restart policy: {other}, valid values are: Always, OnFailure, Never"
                )));
            }
        };
        let pull = match self.image_pull_policy.as_deref().unwrap_or_default() {
            policy @ ("" | "Always" | "IfNotPresent" | "Never") => policy,
            other => {
                return Err(KubectlError::new(format!(
                    "invalid image pull policy: {other}, valid values are: Always, IfNotPresent, Never"
                )));
            }
        };
        Ok(Parts {
            annotations: annotations.into_iter().map(|(key, value)| (key, value.into())).collect(),
            labels,
            variables,
            restart: restart.into(),
            pull: pull.into(),
        })
    }

    fn validate(&self, context: &Context, attaches: bool, dry_run: DryRun) -> Result<(), String> {
        let port = self.port.as_deref().unwrap_or_default();
        if self.arguments.is_empty() || context.before_dash == Some(0) {
            return Err("NAME is required for run".into());
        }
        if self.image.is_empty() {
            return Err("--image is required".into());
        }
        if !is_image(&self.image) {
            return Err(format!("invalid image name {}: invalid reference format", quote(&self.image)));
        }
        for (fault, text) in [
            (self.tty && !self.stdin, "-i/--stdin is required for containers with -t/--tty=true"),
            (self.expose && port.is_empty(), "--port must be set when exposing a service"),
            (!port.is_empty() && port.parse::<i64>().is_err(), "--port must be a number"),
            (!attaches && self.rm, "--rm should only be used for attached containers"),
            (
                attaches && dry_run != DryRun::None,
                "--dry-run=[server|client] can't be used with attached containers options (--attach, --stdin, or --tty)",
            ),
        ] {
            if fault {
                return Err(text.into());
            }
        }
        Ok(())
    }

    fn port_number(&self) -> i64 {
        self.port.as_deref().unwrap_or_default().parse().unwrap_or_default()
    }

    fn pod(&self, name: &str, labels: &Map<String, Value>, words: &[String], parts: &Parts) -> Value {
        let mut container = json!({"name": name, "image": self.image, "resources": {}});
        if !words.is_empty() {
            container[if self.command { "command" } else { "args" }] = words.into();
        }
        if !parts.variables.is_empty() {
            container["env"] = parts.variables.clone().into();
        }
        if !parts.pull.is_empty() {
            container["imagePullPolicy"] = parts.pull.as_str().into();
        }
        if self.port.as_deref().is_some_and(|port| !port.is_empty()) {
            container["ports"] = json!([{"containerPort": self.port_number()}]);
        }
        if self.privileged {
            container["securityContext"] = json!({"privileged": true});
        }
        if self.stdin {
            container["stdin"] = true.into();
            if !self.leave_stdin_open {
                container["stdinOnce"] = true.into();
            }
        }
        if self.tty {
            container["tty"] = true.into();
        }
        let mut metadata = json!({"name": name, "labels": labels});
        if !parts.annotations.is_empty() {
            metadata["annotations"] = parts.annotations.clone().into();
        }
        json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": metadata,
            "spec": {"containers": [container], "dnsPolicy": "ClusterFirst", "restartPolicy": parts.restart},
        })
    }

    fn service(&self, name: &str, labels: &Map<String, Value>, parts: &Parts) -> Value {
        let port = self.port_number();
        let mut metadata = json!({"name": name});
        if !parts.labels.is_empty() {
            metadata["labels"] = parts.labels.clone().into();
        }
        json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {"selector": labels, "ports": [{"port": port, "protocol": "TCP", "targetPort": port}]},
        })
    }

    /// Deletes what was made, and says so.
    async fn remove(
        &self,
        context: &Context,
        made: &[(ResourceType, Value)],
        propagation: Propagation,
    ) -> Result<(), KubectlError> {
        let requests = Requests::new(context.client()?);
        let options = delete_options(None, Some(propagation));
        for (resource, object) in made {
            let text = |key: &str| object["metadata"][key].as_str().unwrap_or_default().to_owned();
            let (namespace, name) = (text("namespace"), text("name"));
            match requests.delete(resource, &namespace, &name, &options).await {
                Ok(_) if !self.quiet => {
                    let kind = resource.qualified_kind();
                    context.printer.line(format!("{kind} {name:?} deleted from {namespace} namespace"))?;
                }
                // The session's own end is what counts; upstream tells of no failure here.
                _ => {}
            }
        }
        Ok(())
    }
}

fn print(
    context: &Context,
    generator: &Generator<'_>,
    made: &[(ResourceType, Value)],
    errors: Vec<KubectlError>,
) -> Result<(), KubectlError> {
    for (_, object) in made {
        generator.printer.print(&context.printer, object)?;
    }
    KubectlError::all(errors)
}

fn variable(text: &str) -> Result<Value, KubectlError> {
    let is_name = |name: &str| {
        let fits = |c: char| c.is_ascii_graphic() && c != '=';
        !name.is_empty() && name.chars().all(fits)
    };
    match text.split_once('=') {
        // An empty value is left out, as Go leaves it out.
        Some((name, "")) if is_name(name) => Ok(json!({"name": name})),
        Some((name, value)) if is_name(name) => Ok(json!({"name": name, "value": value})),
        _ => Err(KubectlError::new(format!("invalid env: {text}"))),
    }
}

/// Whether a text has the form of an image's reference (`distribution/reference`).
fn is_image(text: &str) -> bool {
    let (rest, digest) = match text.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (text, None),
    };
    let is_digest = |digest: &str| {
        digest.split_once(':').is_some_and(|(algorithm, hex)| {
            let mut parts = algorithm.split(['-', '_', '+', '.']);
            parts.all(|part| {
                part.starts_with(|c: char| c.is_ascii_alphabetic()) && part.chars().all(|c| c.is_ascii_alphanumeric())
            }) && hex.len() >= 32
                && hex.chars().all(|c| c.is_ascii_hexdigit())
        })
    };
    let is_tag = |tag: &str| {
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        tag.starts_with(word) && tag.len() <= 128 && tag.chars().all(|c| word(c) || matches!(c, '.' | '-'))
    };
    let slash = rest.rfind('/').map_or(0, |at| at + 1);
    let (name, tag) = match rest[slash..].split_once(':') {
        Some((last, tag)) => (&rest[..slash + last.len()], Some(tag)),
        None => (rest, None),
    };
    digest.is_none_or(is_digest) && tag.is_none_or(is_tag) && is_image_name(name)
}

/// A registry and the parts of a path, or the parts alone.
fn is_image_name(name: &str) -> bool {
    let is_part = |part: &str| {
        // Letters and digits with `.`, `_`, `__` or dashes between.
        let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        let separators = part.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
        edge(part.chars().next())
            && edge(part.chars().next_back())
            && separators
                .filter(|run| !run.is_empty())
                .all(|run| matches!(run, "." | "_" | "__") || run.chars().all(|c| c == '-'))
    };
    if name.split('/').all(is_part) {
        return true;
    }
    let Some((registry, path)) = name.split_once('/') else { return false };
    let (host, port) = match registry.rsplit_once(':').filter(|(host, _)| !host.starts_with('[') || host.ends_with(']'))
    {
        Some((host, port)) => (host, port),
        None => (registry, "0"),
    };
    let is_label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    };
    let is_host = match host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')) {
        Some(inner) => !inner.is_empty() && inner.chars().all(|c| c.is_ascii_hexdigit() || c == ':'),
        None => host.split('.').all(is_label),
    };
    is_host && !port.is_empty() && port.chars().all(|c| c.is_ascii_digit()) && path.split('/').all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_have_the_form_of_references() {
        let digest = "a".repeat(64);
        for good in [
            "nginx",
            "nginx:1.27-alpine",
            "library/nginx",
            "registry.example:5000/a/b_c__d-e--f:T_ag",
            "[fd00::1]:5000/x",
            "UPPER.example/x",
            &format!("x@sha256:{digest}"),
        ] {
            assert!(is_image(good), "{good}");
        }
        for bad in ["", "Nginx", "a//b", "nginx:", "nginx:-x", "a___b", "-a", "x@sha256:12", "a b", "host:port/x"] {
            assert!(!is_image(bad), "{bad}");
        }
    }

    #[test]
    fn variables_have_names() {
        assert_eq!(variable("A=b=c").unwrap(), json!({"name": "A", "value": "b=c"}));
        assert_eq!(variable("A=").unwrap(), json!({"name": "A"}));
        assert_eq!(variable("A").unwrap_err().to_string(), "invalid env: A");
        assert_eq!(variable("=b").unwrap_err().to_string(), "invalid env: =b");
    }
}
