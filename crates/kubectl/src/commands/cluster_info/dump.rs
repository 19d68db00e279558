//! `kubectl cluster-info dump` (upstream: `kubectl/pkg/cmd/clusterinfo/clusterinfo_dump.go`).

use std::fs::{DirBuilder, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use bytes::Bytes;
use clap::Args;
use client::rest::{encode_query, encode_segment};
use http::Method;
use serde_json::Value;

use super::super::create::known_type;
use crate::context::Context;
use crate::error::KubectlError;
use crate::flags::values::{self, GoDuration};
use crate::output::OutputFlags;
use crate::printer::Printer;
use crate::resource::{ListQuery, Requests};

/// What is written of each namespace: group, plural, and the file's name. Pods come last, and their logs behind them.
const KINDS: [(&str, &str, &str); 7] = [
    ("", "events", "events"),
    ("", "replicationcontrollers", "replication-controllers"),
    ("", "services", "services"),
    ("apps", "daemonsets", "daemonsets"),
    ("apps", "deployments", "deployments"),
    ("apps", "replicasets", "replicasets"),
    ("", "pods", "pods"),
];

/// Dump relevant information for debugging and diagnosis: nodes, and what is in the namespaces, with the logs of Pods.
#[derive(Debug, Args)]
pub(crate) struct Dump {
    #[arg(hide = true)]
    arguments: Vec<String>,
    #[command(flatten)]
    output: OutputFlags,
    /// All namespaces
    #[arg(long, short = 'A')]
    all_namespaces: bool,
    /// These namespaces, with commas between; kube-system and the current one if there is none
    #[arg(long)]
    namespaces: Vec<String>,
    /// Where to write files; standard output if empty or '-'
    #[arg(long)]
    output_directory: Option<String>,
    /// How long to wait for a Pod, such as 5s, 2m or 3h
    #[arg(long, value_parser = values::duration, default_value = "20s", allow_negative_numbers = true)]
    pod_running_timeout: GoDuration,
}

impl Dump {
    /// Runs the command.
    pub(super) async fn run(mut self, context: &Context) -> Result<(), KubectlError> {
        if self.pod_running_timeout.positive().is_none() {
            return Err(KubectlError::new("--pod-running-timeout must be higher than zero"));
        }
        let extension = match self.output.output.get_or_insert_with(|| "json".to_owned()).as_str() {
            "json" => ".json",
            "yaml" => ".yaml",
            "name" => return Err(KubectlError::new("list types are not supported by name printing: *v1.NodeList")),
            _ => ".txt",
        };
        let objects = self.output.printer("")?;
        let requests = Requests::new(context.client()?);
        let all = ListQuery::default();
        let nodes = requests.list(&known_type("", "v1", "nodes")?, "", &all).await?;
        objects.print(&self.file(context, &format!("nodes{extension}"))?, &nodes)?;
        for namespace in self.chosen(context, &requests).await? {
            for (group, plural, file) in KINDS {
                let list = requests.list(&known_type(group, "v1", plural)?, &namespace, &all).await?;
                objects.print(&self.file(context, &format!("{namespace}/{file}{extension}"))?, &list)?;
                let pods = list["items"].as_array().filter(|_| plural == "pods");
                for pod in pods.into_iter().flatten() {
                    let name = pod["metadata"]["name"].as_str().unwrap_or_default();
                    let printer = self.file(context, &format!("{namespace}/{name}/logs.txt"))?;
                    print_logs(context, &printer, pod).await?;
                }
            }
        }
        match self.directory() {
            Some(directory) => context.printer.line(format!("Cluster info dumped to {directory}")),
            None => Ok(()),
        }
    }

    async fn chosen(&self, context: &Context, requests: &Requests<'_>) -> Result<Vec<String>, KubectlError> {
        if self.all_namespaces {
            let list = requests.list(&known_type("", "v1", "namespaces")?, "", &ListQuery::default()).await?;
            let items = list["items"].as_array().into_iter().flatten();
            return Ok(items.filter_map(|item| item["metadata"]["name"].as_str().map(str::to_owned)).collect());
        }
        match values::split_list(&self.namespaces) {
            none if none.is_empty() => Ok(vec!["kube-system".to_owned(), context.namespace()?.to_owned()]),
            some => Ok(some),
        }
    }

    fn directory(&self) -> Option<&str> {
        self.output_directory.as_deref().filter(|directory| !matches!(*directory, "" | "-"))
    }

    /// Where a part goes. Logs may hold secrets: files are their owner's alone.
    fn file(&self, context: &Context, name: &str) -> Result<Printer, KubectlError> {
        let Some(directory) = self.directory() else { return Ok(context.printer.clone()) };
        let path = Path::new(directory).join(name);
        let open = || -> std::io::Result<File> {
            if let Some(parent) = path.parent() {
                DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
            }
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)
        };
        let file = open().map_err(|error| KubectlError::new(format!("open {}: {error}", path.display())))?;
        Ok(Printer::new(Box::new(file), Box::new(std::io::sink())))
    }
}

async fn print_logs(context: &Context, printer: &Printer, pod: &Value) -> Result<(), KubectlError> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (namespace, name) = (text(&pod["metadata"]["namespace"]), text(&pod["metadata"]["name"]));
    let lists = [&pod["spec"]["initContainers"], &pod["spec"]["containers"]];
    for container in lists.into_iter().filter_map(Value::as_array).flatten() {
        let container = text(&container["name"]);
        let of = format!("logs for container {container} of pod {namespace}/{name} ====");
        printer.line(format!("==== START {of}"))?;
        let path = format!(
            "/api/v1/namespaces/{}/pods/{}/log{}",
            encode_segment(&namespace),
            encode_segment(&name),
            encode_query([("container", container)])
        );
        match context.client()?.request(Method::GET, &path, &[], Bytes::new()).await {
            Ok(log) => printer.out(&log.body)?,
            Err(error) => printer.line(format!("Request log error: {}", KubectlError::from(error)))?,
        }
        printer.line(format!("==== END {of}"))?;
    }
    Ok(())
}
