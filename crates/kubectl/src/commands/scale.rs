//! `kubectl scale` (upstream: `kubectl/pkg/cmd/scale`, `kubectl/pkg/scale`).

use clap::Args;
use client::PatchKind;
use serde_json::{Value, json};
use tokio::time::{Duration, sleep, timeout};

use crate::context::Context;
use crate::error::KubectlError;
use crate::flags::values::{self, GoDuration};
use crate::output::OutputFlags;
use crate::resource::{FileFlags, Info, ListQuery, Requests, Selection};
use crate::write::{self, DryRun, DryRunFlag, RecordFlag};

/// Between two tries after a conflict, and how long they go on.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(300);

/// Set a new size for a deployment, replica set, or anything else that can be scaled.
#[derive(Debug, Args)]
pub(crate) struct ScaleCommand {
    /// What to scale
    #[arg(value_name = "TYPE NAME")]
    arguments: Vec<String>,
    #[command(flatten)]
    files: FileFlags,
    #[command(flatten)]
    output: OutputFlags,
    #[command(flatten)]
    dry_run: DryRunFlag,
    /// All objects of the types, in the namespace
    #[arg(long)]
    all: bool,
    /// Only if this is the size now; -1 for any
    #[arg(long, value_parser = values::int64, default_value = "-1", allow_negative_numbers = true)]
    current_replicas: i64,
    /// The new size
    #[arg(long, value_parser = values::int64, required = true, allow_negative_numbers = true)]
    replicas: i64,
    #[command(flatten)]
    record: RecordFlag,
    /// Only if the object has this version
    #[arg(long)]
    resource_version: Option<String>,
    /// Choose by labels
    #[arg(long, short = 'l')]
    selector: Option<String>,
    /// How long to wait until the size is reached; 0 to not wait
    #[arg(long, value_parser = values::duration, default_value = "0s")]
    timeout: GoDuration,
}

impl ScaleCommand {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), KubectlError> {
        let dry_run = self.dry_run.strategy(context)?;
        let printer = dry_run.printer(&self.output, "scaled")?;
        if self.replicas < 0 {
            return Err(KubectlError::new(
                "The --replicas=COUNT flag is required, and COUNT must be greater than or equal to 0",
            ));
        }
        if self.current_replicas < -1 {
            return Err(KubectlError::new("The --current-replicas must specify an integer of -1 or greater"));
        }
        let selection = Selection {
            label_selector: self.selector.clone().unwrap_or_default(),
            type_means_all: self.all,
            ..Selection::new(&self.files, &self.arguments)
        };
        let selected = selection.fetch(context).await?;
        let version = self.resource_version.clone().unwrap_or_default();
        if !version.is_empty() && selected.infos.len() > 1 {
            return Err(KubectlError::new("cannot use --resource-version with multiple resources"));
        }
        if selected.infos.is_empty() {
            KubectlError::all(selected.errors)?;
            return Err(KubectlError::new("no objects passed to scale"));
        }
        let requests = write::requests(context, dry_run, "", "")?;
        for mut info in selected.infos {
            let size = if dry_run == DryRun::Client {
                self.replicas
            } else {
                timeout(RETRY_MAX, self.scale(&requests, &info, &version))
                    .await
                    .unwrap_or_else(|_| Err(KubectlError::new("context deadline exceeded")))?
            };
            if dry_run == DryRun::None
                && let Some(limit) = self.timeout.positive()
            {
                let waiting = timeout(limit, self.wait(&requests, &info)).await;
                waiting.unwrap_or_else(|_| {
                    Err(KubectlError::new(format!("timed out waiting for {:?} to be synced", info.name)))
                })?;
            }
            if let Some(patch) = self.record.patch(context).filter(|_| dry_run != DryRun::Client) {
                let target = (info.namespace.as_str(), info.name.as_str());
                requests.patch(&info.resource, target, "", PatchKind::Merge, &patch).await?;
            }
            // Others keep their size elsewhere.
            if matches!(info.resource.group.as_str(), "apps" | "")
                && let Some(spec) = info.object["spec"].as_object_mut()
            {
                spec.insert("replicas".to_owned(), json!(size));
            }
            printer.print_info(&context.printer, &info)?;
        }
        KubectlError::all(selected.errors)
    }

    /// Scales; again where somebody else did at the same time. Gives the size that the server says.
    async fn scale(&self, requests: &Requests<'_>, info: &Info, version: &str) -> Result<i64, KubectlError> {
        let target = (info.namespace.as_str(), info.name.as_str());
        let of_scale = Selection { subresource: "scale".to_owned(), ..Selection::default() };
        loop {
            let outcome = if self.current_replicas == -1 && version.is_empty() {
                let patch = json!({"spec": {"replicas": self.replicas}});
                requests.patch(&info.resource, target, "scale", PatchKind::Merge, &patch).await
            } else {
                let mut scale = requests.get(&info.resource, target.0, target.1, &of_scale).await?;
                self.check(&scale, version)?;
                scale["spec"]["replicas"] = json!(self.replicas);
                requests.replace(&info.resource, target, "scale", &scale).await
            };
            match outcome {
                Ok(scale) => return Ok(scale["spec"]["replicas"].as_i64().unwrap_or_default()),
                Err(error) if error.api().is_some_and(|error| error.code == 409) => sleep(RETRY_PAUSE).await,
                Err(error) => return Err(error),
            }
        }
    }

    fn check(&self, scale: &Value, version: &str) -> Result<(), KubectlError> {
        let size = scale["spec"]["replicas"].as_i64().unwrap_or_default();
        if self.current_replicas != -1 && size != self.current_replicas {
            return Err(KubectlError::new(format!("Expected replicas to be {}, was {size}", self.current_replicas)));
        }
        let actual = scale["metadata"]["resourceVersion"].as_str().unwrap_or_default();
        if !version.is_empty() && actual != version {
            return Err(KubectlError::new(format!("Expected resource version to be {version}, was {actual}")));
        }
        Ok(())
    }

    /// Waits until the size is what was asked for, or somebody asked for another one.
    async fn wait(&self, requests: &Requests<'_>, info: &Info) -> Result<(), KubectlError> {
        let of_scale = Selection { subresource: "scale".to_owned(), ..Selection::default() };
        let mut query = ListQuery { field_selector: format!("metadata.name={}", info.name), ..ListQuery::default() };
        loop {
            query.resource_version.clear();
            let list = requests.list(&info.resource, &info.namespace, &query).await?;
            list["metadata"]["resourceVersion"].as_str().unwrap_or_default().clone_into(&mut query.resource_version);
            let mut events = requests.watch(&info.resource, &info.namespace, &query).await?;
            loop {
                let scale = requests.get(&info.resource, &info.namespace, &info.name, &of_scale).await?;
                let wanted = scale["spec"]["replicas"].as_i64().unwrap_or_default();
                if wanted != self.replicas || scale["status"]["replicas"].as_i64().unwrap_or_default() == wanted {
                    return Ok(());
                }
                // A watch that ends or expires is begun anew.
                let Ok(Some(_)) = events.next().await else { break };
            }
        }
    }
}
