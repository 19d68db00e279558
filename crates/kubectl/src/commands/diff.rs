//! `kubectl diff` (upstream: `kubectl/pkg/cmd/diff`).

mod folders;
mod mask;

use clap::Args;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::Value;

use self::folders::Folders;
use super::apply::three_way;
use crate::context::Context;
use crate::error::KubectlError;
use crate::flags::values;
use crate::resource::{FileFlags, Info, Requests, Selection};
use crate::write::{self, DryRun};

/// How often an object is compared before it is done without a lock.
const TRIES: usize = 4;

/// Show what an apply would change: the objects as they are, and as the server would make them, are written to files, and
/// `diff -u -N`, or what $KUBECTL_EXTERNAL_DIFF names, compares them. Ends with 1 where there is a difference, with more
/// where something failed.
#[derive(Debug, Args)]
pub(crate) struct DiffCommand {
    #[arg(hide = true)]
    arguments: Vec<String>,
    #[command(flatten)]
    files: FileFlags,
    /// How many objects are looked at at once
    #[arg(long, value_parser = values::int64, default_value = "1", allow_negative_numbers = true)]
    concurrency: i64,
    /// Who is recorded as the fields' owner; "kubectl-client-side-apply", or "kubectl" with --server-side
    #[arg(long)]
    field_manager: Option<String>,
    /// With --server-side: take fields that others own
    #[arg(long)]
    force_conflicts: bool,
    /// Only those of the objects that have these labels
    #[arg(long, short = 'l')]
    selector: Option<String>,
    /// The server merges
    #[arg(long)]
    server_side: bool,
    /// Compare metadata.managedFields as well
    #[arg(long)]
    show_managed_fields: bool,
    /// Show the values in Secrets
    #[arg(long)]
    show_secrets: bool,
}

impl DiffCommand {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), KubectlError> {
        // 1 means that there are differences, so that failures have the next code.
        let differs = self.differs(context).await.map_err(|error| match error {
            KubectlError::ReaderGone => KubectlError::ReaderGone,
            error => KubectlError::Exit { text: error.printed(), code: error.code().saturating_add(1) },
        })?;
        if differs { Err(KubectlError::Exit { text: String::new(), code: 1 }) } else { Ok(()) }
    }

    async fn differs(&self, context: &Context) -> Result<bool, KubectlError> {
        if !self.arguments.is_empty() {
            let shown = self.arguments.join(" ");
            return Err(KubectlError::usage(&context.command_path, format!("Unexpected args: [{shown}]")));
        }
        if self.files.is_empty() {
            return Err(KubectlError::new("must specify one of -f and -k"));
        }
        if self.force_conflicts && !self.server_side {
            return Err(KubectlError::new("--force-conflicts only works with --server-side"));
        }
        let by_default = if self.server_side { "kubectl" } else { "kubectl-client-side-apply" };
        let field_manager = self.field_manager.as_deref().unwrap_or(by_default);
        let mut requests = write::requests(context, DryRun::Server, field_manager, "")?;
        if self.server_side {
            requests = requests.with("force", if self.force_conflicts { "true" } else { "false" });
        }
        let folders = Folders::create()?;
        let selection =
            Selection { label_selector: self.selector.clone().unwrap_or_default(), ..Selection::new(&self.files, &[]) };
        let infos = selection.fetch(context).await?.all()?;
        let at_once = usize::try_from(self.concurrency).unwrap_or_default().max(1);
        let (requests, folders) = (&requests, &folders);
        let written = stream::iter(infos).map(|info| async move {
            let (live, merged) = self.compare(context, requests, &info).await?;
            if live.as_ref().is_some_and(|live| !live["metadata"]["deletionTimestamp"].is_null()) {
                context.printer.err_line(format!(
                    "Warning: Detected changes to resource {} which is currently being deleted.",
                    info.name
                ));
            }
            self.write(folders, &info, live, merged)
        });
        written.buffered(at_once).try_collect::<()>().await?;
        folders.compare()
    }

    /// The object as it is, if it is there, and as it would be.
    async fn compare(
        &self,
        context: &Context,
        requests: &Requests<'_>,
        info: &Info,
    ) -> Result<(Option<Value>, Value), KubectlError> {
        if info.name.is_empty() {
            return Err(KubectlError::new("resource name may not be empty"));
        }
        let mut tries = 1;
        loop {
            let live = match requests.read(&info.resource, &info.namespace, &info.name).await {
                Ok(live) => Some(live),
                Err(error) if error.is_not_found() => None,
                Err(error) => return Err(error),
            };
            let locked = tries < TRIES;
            if !locked {
                let resource = &info.resource;
                let kind = format!("{}/{}, Kind={}", resource.group, resource.version, resource.kind);
                let name = &info.name;
                context.klog_warning(&format!("Object ({kind}: {name}) keeps changing, diffing without lock"));
            }
            match self.merged(requests, info, live.as_ref(), locked).await {
                Err(error) if locked && error.api().is_some_and(|error| error.code == 409) => tries += 1,
                merged => return Ok((live, merged?)),
            }
        }
    }

    /// What the server would make of it. `locked`: only if the object is still the one that was read.
    async fn merged(
        &self,
        requests: &Requests<'_>,
        info: &Info,
        live: Option<&Value>,
        locked: bool,
    ) -> Result<Value, KubectlError> {
        let target = (info.namespace.as_str(), info.name.as_str());
        if self.server_side {
            return requests.apply(&info.resource, target, &info.object).await;
        }
        let Some(live) = live else {
            return requests.create(&info.resource, &info.namespace, &info.object).await;
        };
        let modified = serde_json::from_str(&write::configuration(&info.object)).unwrap_or_default();
        let (kind, mut patch) = three_way(info, &modified, live).map_err(KubectlError::new)?;
        if patch.as_object().is_some_and(serde_json::Map::is_empty) {
            return Ok(live.clone());
        }
        if locked {
            patch["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"].clone();
        }
        let patched = requests.patch(&info.resource, target, "", kind, &patch).await;
        patched.map_err(|error| error.about_source("patching", &info.source))
    }

    fn write(
        &self,
        folders: &Folders,
        info: &Info,
        mut live: Option<Value>,
        mut merged: Value,
    ) -> Result<(), KubectlError> {
        if !self.show_managed_fields {
            for object in live.iter_mut().chain([&mut merged]) {
                if let Some(metadata) = object["metadata"].as_object_mut() {
                    metadata.remove("managedFields");
                }
            }
        }
        let is_secret = info.resource.version == "v1" && info.resource.kind == "Secret";
        if is_secret && !self.show_secrets {
            mask::mask(live.as_mut(), &mut merged);
            // As upstream writes a Secret that is not there.
            live.get_or_insert(Value::Null);
        }
        let group = &info.resource.group;
        let dot = if group.is_empty() { "" } else { "." };
        let (version, kind) = (&info.resource.version, &info.resource.kind);
        let name = format!("{group}{dot}{version}.{kind}.{}.{}", info.namespace, info.name);
        folders.write(&name, live.as_ref(), &merged)
    }
}
