//! `kubectl rollout pause`, `resume` and `restart`.

use clap::Args;
use client::PatchKind;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use serde_json::{Value, json};

use super::{RolloutFlags, say_none_found};
use crate::context::Context;
use crate::error::KubectlError;
use crate::output::OutputFlags;
use crate::resource::Info;
use crate::write::{self, DryRun};

/// The annotation whose change makes new Pods.
const RESTARTED_AT: &str = "kubectl.kubernetes.io/restartedAt";

/// The flags of all three.
#[derive(Debug, Args)]
pub(crate) struct ChangeFlags {
    #[command(flatten)]
    flags: RolloutFlags,
    #[command(flatten)]
    output: OutputFlags,
    /// Who is recorded as the fields' owner
    #[arg(long, default_value = "kubectl-rollout")]
    field_manager: String,
}

/// Let changes of a Deployment wait.
#[derive(Debug, Args)]
pub(crate) struct RolloutPause {
    #[command(flatten)]
    flags: ChangeFlags,
}

/// Roll out the changes of a paused Deployment.
#[derive(Debug, Args)]
pub(crate) struct RolloutResume {
    #[command(flatten)]
    flags: ChangeFlags,
}

/// Make new Pods in the place of all.
#[derive(Debug, Args)]
pub(crate) struct RolloutRestart {
    #[command(flatten)]
    flags: ChangeFlags,
}

impl RolloutPause {
    pub(super) async fn run(self, context: &Context) -> Result<(), KubectlError> {
        self.flags.run(context, "paused", pause).await
    }
}

impl RolloutResume {
    pub(super) async fn run(self, context: &Context) -> Result<(), KubectlError> {
        self.flags.run(context, "resumed", resume).await
    }
}

impl RolloutRestart {
    pub(super) async fn run(self, context: &Context) -> Result<(), KubectlError> {
        let now = rfc3339(&context.clock.now().to_zoned(TimeZone::system()));
        self.flags.run(context, "restarted", |kind, object| restart(kind, object, &now)).await
    }
}

impl ChangeFlags {
    async fn run(
        &self,
        context: &Context,
        done: &str,
        patch: impl Fn(&str, &Value) -> Result<Value, String>,
    ) -> Result<(), KubectlError> {
        self.flags.validate()?;
        let selected = self.flags.fetch(context).await?;
        if selected.infos.is_empty() && selected.errors.is_empty() {
            return say_none_found(context);
        }
        let mut errors = selected.errors;
        for info in &selected.infos {
            errors.extend(self.change(context, info, done, &patch).await.err());
        }
        KubectlError::all(errors)
    }

    async fn change(
        &self,
        context: &Context,
        info: &Info,
        done: &str,
        patch: impl Fn(&str, &Value) -> Result<Value, String>,
    ) -> Result<(), KubectlError> {
        let patch = patch(&info.resource.group_kind(), &info.object).map_err(|fault| {
            KubectlError::new(format!("error: {} {:?} {fault}", info.resource.qualified(), info.name))
        })?;
        if patch == json!({}) {
            return Err(KubectlError::new(format!(
                "failed to create patch for {}: if restart has already been triggered within the past second, please wait \
                 before attempting to trigger another",
                info.name
            )));
        }
        let requests = write::requests(context, DryRun::None, &self.field_manager, "")?;
        let target = (info.namespace.as_str(), info.name.as_str());
        let changed = requests.patch(&info.resource, target, "", PatchKind::Strategic, &patch).await;
        let changed = changed.map_err(|error| KubectlError::new(format!("failed to patch: {error}")))?;
        self.output.printer(done)?.print(&context.printer, &changed)
    }
}

fn pause(kind: &str, object: &Value) -> Result<Value, String> {
    match (kind, object["spec"]["paused"] == true) {
        ("Deployment.apps", false) => Ok(json!({"spec": {"paused": true}})),
        ("Deployment.apps", true) => Err("is already paused".to_owned()),
        _ => Err("pausing is not supported".to_owned()),
    }
}

fn resume(kind: &str, object: &Value) -> Result<Value, String> {
    match (kind, object["spec"]["paused"] == true) {
        ("Deployment.apps", true) => Ok(json!({"spec": {"paused": null}})),
        ("Deployment.apps", false) => Err("is not paused".to_owned()),
        _ => Err("resuming is not supported".to_owned()),
    }
}

/// Nothing where it was restarted within the same second.
fn restart(kind: &str, object: &Value, now: &str) -> Result<Value, String> {
    match kind {
        "Deployment.apps" if object["spec"]["paused"] == true => {
            Err("can't restart paused deployment (run rollout resume first)".to_owned())
        }
        "Deployment.apps" | "DaemonSet.apps" | "StatefulSet.apps" => {
            if object["spec"]["template"]["metadata"]["annotations"][RESTARTED_AT] == now {
                return Ok(json!({}));
            }
            Ok(json!({"spec": {"template": {"metadata": {"annotations": {RESTARTED_AT: now}}}}}))
        }
        _ => Err("restarting is not supported".to_owned()),
    }
}

/// A time as Go's RFC 3339 has it, to the second: `Z` for UTC.
fn rfc3339(time: &Zoned) -> String {
    if time.offset().is_zero() {
        return apimachinery::metav1_time(Timestamp::from(time.clone()));
    }
    time.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_deployments_pause() {
        let paused = json!({"spec": {"paused": true}});
        assert_eq!(pause("Deployment.apps", &paused).unwrap_err(), "is already paused");
        assert_eq!(resume("Deployment.apps", &json!({})).unwrap_err(), "is not paused");
        assert_eq!(pause("DaemonSet.apps", &json!({})).unwrap_err(), "pausing is not supported");
        assert_eq!(resume("Deployment.apps", &paused).unwrap(), json!({"spec": {"paused": null}}));
    }

    #[test]
    fn a_restart_changes_the_template_once_a_second() {
        let patch = restart("StatefulSet.apps", &json!({}), "2026-01-01T00:00:00Z").unwrap();
        assert_eq!(restart("StatefulSet.apps", &patch, "2026-01-01T00:00:00Z").unwrap(), json!({}));
        let paused = json!({"spec": {"paused": true}});
        assert!(restart("Deployment.apps", &paused, "").unwrap_err().starts_with("can't restart paused deployment"));
        let time: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        assert_eq!(rfc3339(&time.to_zoned(TimeZone::UTC)), "2026-01-01T00:00:00Z");
        let east = TimeZone::fixed(jiff::tz::offset(2));
        assert_eq!(rfc3339(&time.to_zoned(east)), "2026-01-01T02:00:00+02:00");
    }
}
