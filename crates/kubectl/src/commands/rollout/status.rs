//! `kubectl rollout status`.

use clap::{ArgAction, Args};
use serde_json::Value;

use super::revisions::REVISION;
use super::{RolloutFlags, say_none_found};
use crate::context::Context;
use crate::error::KubectlError;
use crate::flags::values;
use crate::flags::values::GoDuration;
use crate::pods::TIMED_OUT;
use crate::resource::{Info, Requests};
use crate::watching::watch_one;

/// Show how far a rollout is, until it is done.
#[derive(Debug, Args)]
pub(crate) struct RolloutStatus {
    #[command(flatten)]
    flags: RolloutFlags,
    /// It must be this revision that is rolled out; 0 for the last
    #[arg(long, value_parser = values::int64, default_value = "0", allow_negative_numbers = true)]
    revision: i64,
    /// How long to watch; 0 for without end
    #[arg(long, value_parser = values::duration, default_value = "0s", allow_negative_numbers = true)]
    timeout: GoDuration,
    /// Watch until it is done
    #[arg(long, short, value_parser = values::switch, action = ArgAction::Set, num_args = 0..=1, default_missing_value = "true", default_value = "true")]
    watch: bool,
}

impl RolloutStatus {
    pub(super) async fn run(self, context: &Context) -> Result<(), KubectlError> {
        self.flags.validate()?;
        if self.revision < 0 {
            return Err(KubectlError::new(format!("revision must be a positive integer: {}", self.revision)));
        }
        let selected = self.flags.fetch(context).await?;
        if selected.infos.is_empty() && selected.errors.is_empty() {
            return say_none_found(context);
        }
        let mut errors = selected.errors;
        for info in &selected.infos {
            let viewing = self.view(context, info);
            let outcome = match self.timeout.positive() {
                Some(timeout) => {
                    tokio::time::timeout(timeout, viewing).await.unwrap_or_else(|_| Err(KubectlError::new(TIMED_OUT)))
                }
                None => viewing.await,
            };
            match outcome {
                Err(error @ KubectlError::ReaderGone) => return Err(error),
                outcome => errors.extend(outcome.err()),
            }
        }
        KubectlError::all(errors)
    }

    async fn view(&self, context: &Context, info: &Info) -> Result<(), KubectlError> {
        let status: fn(&Value, i64) -> Result<Status, String> = match info.resource.group_kind().as_str() {
            "Deployment.apps" => deployment,
            "DaemonSet.apps" => daemon_set,
            "StatefulSet.apps" => stateful_set,
            other => return Err(KubectlError::new(format!("no status viewer has been implemented for {other}"))),
        };
        let tell = |object: &Value| {
            let (text, done) = status(object, self.revision).map_err(KubectlError::new)?;
            context.printer.out(text)?;
            Ok::<_, KubectlError>(done || !self.watch)
        };
        watch_one(&Requests::new(context.client()?), info, false, |kind, object| match kind {
            "ADDED" | "MODIFIED" => Ok(tell(&object)?.then_some(())),
            "DELETED" => Err(KubectlError::new("object has been deleted")),
            _ => Ok(None),
        })
        .await
    }
}

/// What is said, with its line end, and whether the rollout is done.
type Status = (String, bool);

fn int(object: &Value, path: &str) -> i64 {
    object.pointer(path).and_then(Value::as_i64).unwrap_or_default()
}

fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

fn waiting(text: String) -> Result<Status, String> {
    Ok((text + "...\n", false))
}

fn deployment(object: &Value, revision: i64) -> Result<Status, String> {
    let name = name(object);
    if revision > 0 {
        let text = object["metadata"]["annotations"][REVISION].as_str().unwrap_or("0");
        let running: i64 = text.parse().map_err(|_| {
            format!(
                "cannot get the revision of deployment {name:?}: strconv.ParseInt: parsing {text:?}: invalid syntax"
            )
        })?;
        if running != revision {
            return Err(format!("desired revision ({revision}) is different from the running revision ({running})"));
        }
    }
    if int(object, "/metadata/generation") > int(object, "/status/observedGeneration") {
        return waiting("Waiting for deployment spec update to be observed".to_owned());
    }
    let conditions = object["status"]["conditions"].as_array();
    let mut conditions = conditions.into_iter().flatten();
    if conditions.any(|c| c["type"] == "Progressing" && c["reason"] == "ProgressDeadlineExceeded") {
        return Err(format!("deployment {name:?} exceeded its progress deadline"));
    }
    let (replicas, updated) = (int(object, "/status/replicas"), int(object, "/status/updatedReplicas"));
    let (wanted, available) = (int(object, "/spec/replicas"), int(object, "/status/availableReplicas"));
    let head = format!("Waiting for deployment {name:?} rollout to finish");
    if updated < wanted {
        return waiting(format!("{head}: {updated} out of {wanted} new replicas have been updated"));
    }
    if replicas > updated {
        return waiting(format!("{head}: {} old replicas are pending termination", replicas - updated));
    }
    if available < updated {
        return waiting(format!("{head}: {available} of {updated} updated replicas are available"));
    }
    Ok((format!("deployment {name:?} successfully rolled out\n"), true))
}

const ROLLING_ONLY: &str = "rollout status is only available for RollingUpdate strategy type";

fn daemon_set(object: &Value, _: i64) -> Result<Status, String> {
    let name = name(object);
    if object["spec"]["updateStrategy"]["type"] != "RollingUpdate" {
        return Err(ROLLING_ONLY.to_owned());
    }
    if int(object, "/metadata/generation") > int(object, "/status/observedGeneration") {
        return waiting("Waiting for daemon set spec update to be observed".to_owned());
    }
    let (wanted, updated) =
        (int(object, "/status/desiredNumberScheduled"), int(object, "/status/updatedNumberScheduled"));
    let available = int(object, "/status/numberAvailable");
    let head = format!("Waiting for daemon set {name:?} rollout to finish");
    if updated < wanted {
        return waiting(format!("{head}: {updated} out of {wanted} new pods have been updated"));
    }
    if available < wanted {
        return waiting(format!("{head}: {available} of {wanted} updated pods are available"));
    }
    Ok((format!("daemon set {name:?} successfully rolled out\n"), true))
}

fn stateful_set(object: &Value, _: i64) -> Result<Status, String> {
    if object["spec"]["updateStrategy"]["type"] != "RollingUpdate" {
        return Err(ROLLING_ONLY.to_owned());
    }
    let observed = int(object, "/status/observedGeneration");
    if observed == 0 || int(object, "/metadata/generation") > observed {
        return waiting("Waiting for statefulset spec update to be observed".to_owned());
    }
    let (wanted, ready) = (int(object, "/spec/replicas"), int(object, "/status/readyReplicas"));
    let updated = int(object, "/status/updatedReplicas");
    if ready < wanted {
        return waiting(format!("Waiting for {} pods to be ready", wanted - ready));
    }
    let rolling = &object["spec"]["updateStrategy"]["rollingUpdate"];
    if !rolling.is_null() {
        if let Some(partition) = rolling["partition"].as_i64()
            && updated < wanted - partition
        {
            let of = wanted - partition;
            return waiting(format!(
                "Waiting for partitioned roll out to finish: {updated} out of {of} new pods have been updated"
            ));
        }
        return Ok((format!("partitioned roll out complete: {updated} new pods have been updated...\n"), true));
    }
    let revision = |path: &str| object["status"][path].as_str().unwrap_or_default().to_owned();
    let (update, current) = (revision("updateRevision"), revision("currentRevision"));
    if update != current {
        return waiting(format!(
            "waiting for statefulset rolling update to complete {updated} pods at revision {update}"
        ));
    }
    let pods = int(object, "/status/currentReplicas");
    Ok((format!("statefulset rolling update complete {pods} pods at revision {current}...\n"), true))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn deployment_with(updated: i64, replicas: i64, available: i64) -> Value {
        json!({
            "metadata": {"name": "web", "generation": 2, "annotations": {REVISION: "3"}},
            "spec": {"replicas": 3},
            "status": {
                "observedGeneration": 2,
                "updatedReplicas": updated,
                "replicas": replicas,
                "availableReplicas": available,
            },
        })
    }

    #[test]
    fn a_deployment_tells_what_is_missing() {
        let say = |updated, replicas, available| deployment(&deployment_with(updated, replicas, available), 0).unwrap();
        let head = "Waiting for deployment \"web\" rollout to finish: ";
        assert_eq!(say(1, 3, 3), (format!("{head}1 out of 3 new replicas have been updated...\n"), false));
        assert_eq!(say(3, 4, 3), (format!("{head}1 old replicas are pending termination...\n"), false));
        assert_eq!(say(3, 3, 2), (format!("{head}2 of 3 updated replicas are available...\n"), false));
        assert_eq!(say(3, 3, 3), ("deployment \"web\" successfully rolled out\n".to_owned(), true));
    }

    #[test]
    fn a_deployment_tells_faults() {
        let mut object = deployment_with(3, 3, 3);
        let fault = deployment(&object, 2).unwrap_err();
        assert_eq!(fault, "desired revision (2) is different from the running revision (3)");
        object["status"]["observedGeneration"] = json!(1);
        assert_eq!(deployment(&object, 0).unwrap().0, "Waiting for deployment spec update to be observed...\n");
        object["status"]["observedGeneration"] = json!(2);
        object["status"]["conditions"] = json!([{"type": "Progressing", "reason": "ProgressDeadlineExceeded"}]);
        assert_eq!(deployment(&object, 0).unwrap_err(), "deployment \"web\" exceeded its progress deadline");
    }

    #[test]
    fn stateful_sets_know_partitions() {
        let mut object = json!({
            "metadata": {"name": "db", "generation": 1},
            "spec": {"replicas": 3, "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 1}}},
            "status": {"observedGeneration": 1, "readyReplicas": 3, "updatedReplicas": 1},
        });
        let text = stateful_set(&object, 0).unwrap().0;
        assert_eq!(text, "Waiting for partitioned roll out to finish: 1 out of 2 new pods have been updated...\n");
        object["status"]["updatedReplicas"] = json!(2);
        let done = stateful_set(&object, 0).unwrap();
        assert_eq!(done, ("partitioned roll out complete: 2 new pods have been updated...\n".to_owned(), true));
        object["spec"]["updateStrategy"]["type"] = json!("OnDelete");
        assert_eq!(stateful_set(&object, 0).unwrap_err(), ROLLING_ONLY);
    }
}
