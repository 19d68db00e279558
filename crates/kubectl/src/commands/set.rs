//! `kubectl set` (upstream: `kubectl/pkg/cmd/set`).

mod env;
mod image;
mod resources;
mod selector;
mod service_account;
mod subject;

use clap::{Args, Subcommand};
use client::PatchKind;
use serde_json::Value;

use crate::context::Context;
use crate::error::KubectlError;
use crate::merge;
use crate::output::OutputFlags;
use crate::resource::{FileFlags, Info, Selection};
use crate::write::{self, DryRun, DryRunFlag, RecordFlag};

/// Configure application resources: set specific features on objects.
#[derive(Debug, Subcommand)]
#[command(disable_help_subcommand = true, disable_help_flag = true)]
pub(crate) enum SetCommand {
    /// Update environment variables on a pod template
    Env(env::SetEnv),
    /// Update the image of a pod template
    Image(image::SetImage),
    /// Update resource requests/limits on objects with pod templates
    Resources(resources::SetResources),
    /// Set the selector on a resource
    Selector(selector::SetSelector),
    /// Update the service account of a resource
    #[command(name = "serviceaccount", alias = "sa")]
    ServiceAccount(service_account::SetServiceAccount),
    /// Update the user, group, or service account in a role binding or cluster role binding
    Subject(subject::SetSubject),
}

impl SetCommand {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), KubectlError> {
        match self {
            Self::Env(command) => command.run(context).await,
            Self::Image(command) => command.run(context).await,
            Self::Resources(command) => command.run(context).await,
            Self::Selector(command) => command.run(context).await,
            Self::ServiceAccount(command) => command.run(context).await,
            Self::Subject(command) => command.run(context).await,
        }
    }
}

/// What all of them take.
#[derive(Debug, Args)]
pub(super) struct SetFlags {
    #[command(flatten)]
    files: FileFlags,
    #[command(flatten)]
    output: OutputFlags,
    #[command(flatten)]
    dry_run: DryRunFlag,
    #[command(flatten)]
    record: RecordFlag,
    /// All objects of the types, in the namespace
    #[arg(long)]
    all: bool,
    /// Who is recorded as the fields' owner
    #[arg(long, default_value = "kubectl-set")]
    field_manager: String,
    /// Change the files' objects only, without the server
    #[arg(long)]
    local: bool,
    /// Choose by labels
    #[arg(long, short = 'l')]
    selector: Option<String>,
}

impl SetFlags {
    /// What holds for the flags together.
    fn check(&self, dry_run: DryRun) -> Result<(), KubectlError> {
        if self.local && dry_run == DryRun::Server {
            return Err(KubectlError::new(
                "cannot specify --local and --dry-run=server - did you mean --dry-run=client?",
            ));
        }
        if self.all && self.selects() {
            return Err(KubectlError::new("cannot set --all and --selector at the same time"));
        }
        Ok(())
    }

    /// Without the server nothing can be named that is not in a file.
    fn check_local(&self, resources: &[String]) -> Result<(), KubectlError> {
        if self.local && !resources.is_empty() {
            return Err(KubectlError::new(
                "error: you must specify resources by --filename when --local is set.\nExample resource specifications \
                 include:\n   '-f rsrc.yaml'\n   '--filename=rsrc.json'",
            ));
        }
        Ok(())
    }

    fn selects(&self) -> bool {
        self.selector.as_ref().is_some_and(|selector| !selector.is_empty())
    }

    async fn infos(&self, context: &Context, resources: &[String]) -> Result<Vec<Info>, KubectlError> {
        let selection = Selection {
            label_selector: if self.local { String::new() } else { self.selector.clone().unwrap_or_default() },
            type_means_all: self.all,
            latest: !self.local,
            local: self.local,
            ..Selection::new(&self.files, resources)
        };
        selection.fetch(context).await?.all()
    }

    /// As [`Self::patch_all`], for what is within a Pod's spec.
    async fn patch_pods(
        &self,
        context: &Context,
        infos: Vec<Info>,
        words: (&str, &str),
        mut change: impl FnMut(&Info, &mut Value, &mut Vec<KubectlError>) -> Result<(), KubectlError>,
    ) -> Result<(), KubectlError> {
        let within = |info: &Info, object: &mut Value, errors: &mut Vec<KubectlError>| match pod_spec(object) {
            Some(spec) => change(info, spec, errors),
            None => Err(KubectlError::new(format!(
                "the object is not a pod or does not have a pod template: {}",
                go_type(&info.object)
            ))),
        };
        self.patch_all(context, infos, words, within).await
    }

    /// Sends what `change` did to the objects as patches. Said are that it is done, or, before the server's words, that it
    /// failed; if there is nothing to be said, failures are told as they are.
    async fn patch_all(
        &self,
        context: &Context,
        infos: Vec<Info>,
        (done, failed): (&str, &str),
        mut change: impl FnMut(&Info, &mut Value, &mut Vec<KubectlError>) -> Result<(), KubectlError>,
    ) -> Result<(), KubectlError> {
        let dry_run = self.dry_run.strategy(context)?;
        let printer = dry_run.printer(&self.output, done)?;
        let mut errors = Vec::new();
        let mut changed = Vec::new();
        for info in infos {
            let mut object = info.object.clone();
            match change(&info, &mut object, &mut errors) {
                Ok(()) => {
                    self.record.record(context, &mut object);
                    changed.push((info, object));
                }
                Err(error) if failed.is_empty() => errors.push(error),
                Err(error) => errors.push(KubectlError::new(format!("error: {} {error}\n", info.object_name()))),
            }
        }
        for (info, object) in changed {
            if object == info.object {
                continue;
            }
            if self.local || dry_run == DryRun::Client {
                printer.print(&context.printer, &super::create::shaped(&info.resource, object)?)?;
                continue;
            }
            let patch = match merge::built_in(&info.resource) {
                Some(ty) => merge::two_way(ty, &info.object, &object).map_err(KubectlError::new)?,
                None => merge::json_diff(&info.object, &object),
            };
            let requests = write::requests(context, dry_run, &self.field_manager, "")?;
            let target = (info.namespace.as_str(), info.name.as_str());
            match requests.patch(&info.resource, target, "", PatchKind::Strategic, &patch).await {
                Ok(object) => printer.print(&context.printer, &object)?,
                Err(error) if failed.is_empty() => errors.push(error),
                Err(error) => errors.push(KubectlError::new(format!("{failed} {error}"))),
            }
        }
        KubectlError::all(errors)
    }
}

/// The Pod's spec in an object that has one.
pub(crate) fn pod_spec(object: &mut Value) -> Option<&mut Value> {
    let path: &[&str] = match object["kind"].as_str()? {
        "Pod" => &["spec"],
        "CronJob" => &["spec", "jobTemplate", "spec", "template", "spec"],
        "ReplicationController" | "Deployment" | "DaemonSet" | "ReplicaSet" | "StatefulSet" | "Job" => {
            &["spec", "template", "spec"]
        }
        _ => return None,
    };
    path.iter().try_fold(object, |at, key| at.get_mut(*key))
}

/// The Go type of an object, which some of upstream's messages name.
fn go_type(object: &Value) -> String {
    let version = object["apiVersion"].as_str().unwrap_or_default();
    format!("*{}.{}", version.rsplit('/').next().unwrap_or(version), object["kind"].as_str().unwrap_or_default())
}

/// The containers of both kinds.
fn containers(spec: &mut Value) -> impl Iterator<Item = (&str, &mut Value)> {
    let lists = spec.as_object_mut().into_iter().flat_map(|spec| spec.iter_mut());
    lists.filter(|(key, _)| matches!(key.as_str(), "containers" | "initContainers")).flat_map(|(key, list)| {
        list.as_array_mut().into_iter().flatten().map(move |container| (key.as_str(), container))
    })
}
