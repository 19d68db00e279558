//! `kubectl label` (upstream: `kubectl/pkg/cmd/label`).

use clap::Args;
use client::PatchKind;
use serde_json::{Value, json};

use crate::context::Context;
use crate::error::KubectlError;
use crate::output::OutputFlags;
use crate::resource::{FileFlags, Info, Requests, Selection, labels_of};
use crate::write::{DryRun, DryRunFlag, RecordFlag};
use crate::{merge, pairs, write};

/// What both `label` and `annotate` take.
#[derive(Debug, Args)]
pub(super) struct MetadataFlags {
    #[command(flatten)]
    pub(super) files: FileFlags,
    #[command(flatten)]
    pub(super) output: OutputFlags,
    #[command(flatten)]
    pub(super) dry_run: DryRunFlag,
    #[command(flatten)]
    record: RecordFlag,
    /// All objects of the types, in the namespace
    #[arg(long)]
    pub(super) all: bool,
    /// Objects of all namespaces
    #[arg(long, short = 'A')]
    pub(super) all_namespaces: bool,
    /// Choose by fields
    #[arg(long)]
    pub(super) field_selector: Option<String>,
    /// Show what there is
    #[arg(long)]
    pub(super) list: bool,
    /// Change the files' objects only, without the server
    #[arg(long)]
    pub(super) local: bool,
    /// Change values that are there already
    #[arg(long)]
    pub(super) overwrite: bool,
    /// Only if the object has this version
    #[arg(long)]
    pub(super) resource_version: Option<String>,
    /// Choose by labels
    #[arg(long, short = 'l')]
    pub(super) selector: Option<String>,
}

impl MetadataFlags {
    /// Changes each of the objects that are meant; `single` tells `change` whether one was named. What fails is told at the end.
    pub(super) async fn each(
        &self,
        context: &Context,
        resources: &[String],
        change: impl AsyncFn(Info, bool) -> Result<(), KubectlError>,
    ) -> Result<(), KubectlError> {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let selection = Selection {
            label_selector: if self.local { String::new() } else { text(&self.selector) },
            field_selector: text(&self.field_selector),
            type_means_all: self.all,
            all_namespaces: self.all_namespaces,
            latest: !self.local,
            local: self.local,
            ..Selection::new(&self.files, resources)
        };
        let selected = selection.fetch(context).await?;
        if !selected.single && self.version().is_some() {
            return Err(KubectlError::new("--resource-version may only be used with a single resource"));
        }
        let mut errors = Vec::new();
        for info in selected.infos {
            match change(info, selected.single).await {
                Err(KubectlError::ReaderGone) => return Err(KubectlError::ReaderGone),
                Err(error) => errors.push(error),
                Ok(()) => {}
            }
        }
        errors.extend(selected.errors);
        KubectlError::all(errors)
    }

    /// The version that the object must have.
    fn version(&self) -> Option<&str> {
        self.resource_version.as_deref().filter(|version| !version.is_empty())
    }

    /// Sends what makes `info.object` of `old`; gives what the server made of it.
    pub(super) async fn patch(
        &self,
        context: &Context,
        requests: &Requests<'_>,
        old: &Value,
        info: &Info,
    ) -> Result<Value, KubectlError> {
        let mut new = info.object.clone();
        self.record.record(context, &mut new);
        let mut patch = merge::json_diff(old, &new);
        if let Some(version) = self.version() {
            patch["metadata"]["resourceVersion"] = json!(version);
        }
        let target = (info.namespace.as_str(), info.name.as_str());
        requests.patch(&info.resource, target, "", PatchKind::Merge, &patch).await
    }

    /// What `--list` prints of an object's `what`.
    pub(super) fn print_list<'a>(
        context: &Context,
        (info, single): (&Info, bool),
        what: &str,
        pairs: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Result<(), KubectlError> {
        let indent = if single { "" } else { " " };
        if !single {
            let resource = &info.resource;
            context.printer.line(format!("Listing {what} for {}.{}/{}:", resource.kind, resource.group, info.name))?;
        }
        for (key, value) in pairs {
            context.printer.line(format!("{indent}{key}={value}"))?;
        }
        Ok(())
    }

    /// Upstream's checks. `sample`: how its message calls a file.
    pub(super) fn validate(&self, resources: &[String], dry_run: DryRun, sample: &str) -> Result<(), KubectlError> {
        let given = |value: &Option<String>| value.as_ref().is_some_and(|text| !text.is_empty());
        let fault = |text: String| Err(KubectlError::new(text));
        if self.list && given(&self.output.output) {
            return fault("--list and --output may not be specified together".into());
        }
        if self.all && given(&self.selector) {
            return fault("cannot set --all and --selector at the same time".into());
        }
        if self.all && given(&self.field_selector) {
            return fault("cannot set --all and --field-selector at the same time".into());
        }
        if !self.local {
            if resources.is_empty() && self.files.is_empty() {
                return fault(
                    "one or more resources must be specified as <resource> <name> or <resource>/<name>".into(),
                );
            }
            return Ok(());
        }
        if dry_run == DryRun::Server {
            return fault("cannot specify --local and --dry-run=server - did you mean --dry-run=client?".into());
        }
        if !resources.is_empty() {
            return fault(format!(
                "can only use local files by -f {sample}.yaml or --filename={sample}.json when --local=true is set"
            ));
        }
        if self.files.is_empty() {
            return fault(format!(
                "one or more files must be specified as -f {sample}.yaml or --filename={sample}.json"
            ));
        }
        Ok(())
    }
}

/// Update the labels on resources. KEY=VALUE sets a label, KEY- takes it out.
#[derive(Debug, Args)]
pub(crate) struct LabelCommand {
    /// The objects, then the changes
    #[arg(value_name = "TYPE NAME KEY_1=VAL_1 ... KEY_N-")]
    arguments: Vec<String>,
    #[command(flatten)]
    flags: MetadataFlags,
    /// Who is recorded as the fields' owner
    #[arg(long, default_value = "kubectl-label")]
    field_manager: String,
}

/// What changes.
struct Changes {
    set: Vec<(String, String)>,
    remove: Vec<String>,
}

impl LabelCommand {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), KubectlError> {
        let dry_run = self.flags.dry_run.strategy(context)?;
        let (resources, pairs) = pairs::split(&self.arguments, "label")?;
        let changes = parse(&pairs)?;
        self.flags.validate(&resources, dry_run, "pod")?;
        if changes.set.is_empty() && changes.remove.is_empty() && !self.flags.list {
            return Err(KubectlError::new("at least one label update is required"));
        }
        let requests =
            if self.flags.local { None } else { Some(write::requests(context, dry_run, &self.field_manager, "")?) };
        let change =
            async |info, single| self.change(context, requests.as_ref(), info, &changes, dry_run, single).await;
        self.flags.each(context, &resources, change).await
    }

    async fn change(
        &self,
        context: &Context,
        requests: Option<&Requests<'_>>,
        mut info: Info,
        changes: &Changes,
        dry_run: DryRun,
        single: bool,
    ) -> Result<(), KubectlError> {
        let old = info.object.clone();
        let local = self.flags.local || self.flags.list || dry_run == DryRun::Client;
        if !local {
            let labels = labels_of(&old);
            for missing in changes.remove.iter().filter(|key| !labels.contains_key(*key)) {
                context.printer.line(format!("label {missing:?} not found."))?;
            }
        }
        let operation = apply(&mut info.object, changes, self.flags.overwrite)?;
        if let Some(requests) = requests.filter(|_| !local && operation != "not labeled") {
            self.flags.patch(context, requests, &old, &info).await?;
        }
        if self.flags.list {
            let labels = labels_of(&info.object);
            let pairs = labels.iter().map(|(key, value)| (key.as_str(), value.as_str()));
            return MetadataFlags::print_list(context, (&info, single), "labels", pairs);
        }
        dry_run.printer(&self.flags.output, operation)?.print_info(&context.printer, &info)
    }
}

fn parse(specs: &[String]) -> Result<Changes, KubectlError> {
    let mut changes = Changes { set: Vec::new(), remove: Vec::new() };
    for spec in specs {
        if spec.contains('=') {
            let [key, value] = spec.split('=').collect::<Vec<_>>()[..] else {
                return Err(KubectlError::new(format!("invalid label spec: {spec}")));
            };
            let faults = apimachinery::names::label_value(value);
            if !faults.is_empty() {
                return Err(KubectlError::new(format!("invalid label value: {spec:?}: {}", faults.join(";"))));
            }
            changes.set.retain(|(known, _)| known != key);
            changes.set.push((key.to_owned(), value.to_owned()));
        } else if let Some(key) = spec.strip_suffix('-') {
            changes.remove.push(key.to_owned());
        } else {
            return Err(KubectlError::new(format!("unknown label spec: {spec}")));
        }
    }
    if changes.remove.iter().any(|key| changes.set.iter().any(|(set, _)| set == key)) {
        return Err(KubectlError::new("can not both modify and remove a label in the same command"));
    }
    Ok(changes)
}

/// Changes the labels; tells what was done.
fn apply(object: &mut Value, changes: &Changes, overwrite: bool) -> Result<&'static str, KubectlError> {
    let mut labels = labels_of(object);
    if !overwrite {
        let taken = |(key, value): &(String, String)| {
            let old = labels.get(key).filter(|old| *old != value)?;
            Some(KubectlError::new(format!("'{key}' already has a value ({old}), and --overwrite is false")))
        };
        let faults: Vec<KubectlError> = changes.set.iter().filter_map(taken).collect();
        KubectlError::all(faults)?;
    }
    let (mut added, mut removed) = (false, false);
    for (key, value) in &changes.set {
        added |= labels.insert(key.clone(), value.clone()).as_ref() != Some(value);
    }
    for key in &changes.remove {
        removed |= labels.remove(key).is_some();
    }
    object["metadata"]["labels"] = json!(labels);
    Ok(match (added, removed) {
        (true, true) => "modified",
        (true, false) => "labeled",
        (false, true) => "unlabeled",
        (false, false) => "not labeled",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(specs: &str, overwrite: bool) -> String {
        let mut object = json!({"metadata": {"labels": {"a": "1", "b": "2"}}});
        let specs: Vec<String> = specs.split_whitespace().map(str::to_owned).collect();
        match parse(&specs).and_then(|changes| apply(&mut object, &changes, overwrite)) {
            Ok(operation) => format!("{operation} {}", object["metadata"]["labels"]),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn labels() {
        assert_eq!(check("c=3", false), r#"labeled {"a":"1","b":"2","c":"3"}"#);
        assert_eq!(check("a=1", false), r#"not labeled {"a":"1","b":"2"}"#);
        assert_eq!(check("a=2", false), "'a' already has a value (1), and --overwrite is false");
        assert_eq!(check("a=2 b-", true), r#"modified {"a":"2"}"#);
        assert_eq!(check("b-", false), r#"unlabeled {"a":"1"}"#);
        assert_eq!(check("a=x a-", false), "can not both modify and remove a label in the same command");
        assert_eq!(check("a=b=c", false), "invalid label spec: a=b=c");
    }
}
