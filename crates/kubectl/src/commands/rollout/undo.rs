//! `kubectl rollout undo`.

use clap::Args;
use client::PatchKind;
use serde_json::{Map, Value, json};

use super::revisions::{Revision, revisions, without_hash};
use super::{Rolled, RolloutFlags};
use crate::context::Context;
use crate::describe::template_text;
use crate::error::KubectlError;
use crate::flags::values;
use crate::output::OutputFlags;
use crate::resource::Info;
use crate::write::{self, DryRun, DryRunFlag, LAST_APPLIED};

/// The annotations of a Deployment that stay its own.
const KEPT_ANNOTATIONS: [&str; 6] = [
    LAST_APPLIED,
    "deployment.kubernetes.io/revision",
    "deployment.kubernetes.io/revision-history",
    "deployment.kubernetes.io/desired-replicas",
    "deployment.kubernetes.io/max-replicas",
    "deprecated.deployment.rollback.to",
];

/// Go back to an earlier revision.
#[derive(Debug, Args)]
pub(crate) struct RolloutUndo {
    #[command(flatten)]
    flags: RolloutFlags,
    #[command(flatten)]
    output: OutputFlags,
    #[command(flatten)]
    dry_run: DryRunFlag,
    /// Go back to this revision; 0 for the one before the present
    #[arg(long, value_parser = values::int64, default_value = "0", allow_negative_numbers = true)]
    to_revision: i64,
}

impl RolloutUndo {
    pub(super) async fn run(self, context: &Context) -> Result<(), KubectlError> {
        let dry_run = self.dry_run.strategy(context)?;
        self.flags.validate()?;
        let selected = self.flags.fetch(context).await?;
        let mut errors = selected.errors;
        for info in &selected.infos {
            if info.object["metadata"]["annotations"].get(LAST_APPLIED).is_some() {
                context.printer.err_line(format!(
                    "Warning: resource {} was previously managed with 'kubectl apply'. Rolling back will not update the \
                     {LAST_APPLIED} annotation, which may cause unexpected behavior on future 'kubectl apply' operations. \
                     Consider using 'kubectl apply' with your previous configuration file instead.",
                    info.object_name()
                ));
            }
            let outcome = match self.roll_back(context, info, dry_run).await {
                Ok(result) => {
                    dry_run.printer(&self.output, &result).and_then(|p| p.print(&context.printer, &info.object))
                }
                Err(error) => Err(error),
            };
            errors.extend(outcome.err());
        }
        KubectlError::all(errors)
    }

    /// What was done, in upstream's words.
    async fn roll_back(&self, context: &Context, info: &Info, dry_run: DryRun) -> Result<String, KubectlError> {
        let rolled = Rolled::of(info, ("rollbacker", "rollbacker"))?;
        let number = self.to_revision;
        if number < 0 {
            return Err(not_found(number));
        }
        let all = revisions(context, info, rolled).await?;
        let skipped = format!("skipped rollback (current template already matches revision {number})");
        let template = &info.object["spec"]["template"];
        let (kind, patch) = match rolled {
            Rolled::Deployment => {
                let name = &info.name;
                let target = choose(&all, number).ok_or_else(|| match number {
                    0 => KubectlError::new(format!("no rollout history found for deployment {name:?}")),
                    number => not_found(number),
                })?;
                if dry_run == DryRun::Client {
                    return Ok(template_text(&target.object["spec"]["template"]));
                }
                if info.object["spec"]["paused"] == true {
                    return Err(KubectlError::new(
                        "you cannot rollback a paused deployment; resume it first with 'kubectl rollout resume' and try \
                         again",
                    ));
                }
                if target.restored_template() == without_hash(template) {
                    return Ok(skipped);
                }
                (PatchKind::Json, deployment_patch(&info.object, target))
            }
            Rolled::Controller(_) => {
                if number == 0 && all.len() <= 1 {
                    return Err(KubectlError::new("no last revision to roll back to"));
                }
                let target = choose(&all, number).ok_or_else(|| not_found(number))?;
                if dry_run == DryRun::Client {
                    return Ok(format!("will roll back to {}", template_text(&target.template)));
                }
                if target.template == *template {
                    return Ok(skipped);
                }
                (PatchKind::Strategic, target.patch.clone())
            }
        };
        let requests = write::requests(context, dry_run, "", "")?;
        let name = (info.namespace.as_str(), info.name.as_str());
        requests
            .patch(&info.resource, name, "", kind, &patch)
            .await
            .map_err(|error| KubectlError::new(format!("failed restoring revision {number}: {error}")))?;
        Ok("rolled back".to_owned())
    }
}

fn not_found(number: i64) -> KubectlError {
    KubectlError::new(format!("unable to find specified revision {number} in history"))
}

/// The revision of this number, or the last but one.
fn choose(all: &[Revision], number: i64) -> Option<&Revision> {
    if number > 0 {
        return all.iter().find(|revision| revision.number == number);
    }
    let mut sorted: Vec<&Revision> = all.iter().collect();
    sorted.sort_by_key(|revision| revision.number);
    sorted.len().checked_sub(2).map(|at| sorted[at])
}

/// Puts a ReplicaSet's template and annotations into its Deployment.
fn deployment_patch(deployment: &Value, target: &Revision) -> Value {
    let mut annotations = Map::new();
    for name in KEPT_ANNOTATIONS {
        if let Some(value) = deployment["metadata"]["annotations"].get(name) {
            annotations.insert(name.to_owned(), value.clone());
        }
    }
    let taken = target.annotations().filter(|(name, _)| !KEPT_ANNOTATIONS.contains(&name.as_str()));
    annotations.extend(taken.map(|(name, value)| (name.clone(), value.clone())));
    json!([
        {"op": "replace", "path": "/spec/template", "value": target.restored_template()},
        {"op": "replace", "path": "/metadata/annotations", "value": annotations},
    ])
}
