//! Deletes requests that nobody needs any more.

use std::sync::Arc;
use std::time::Duration;

use api::resources::{CERTIFICATESIGNINGREQUESTS, PODCERTIFICATEREQUESTS};
use apimachinery::Resource;
use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use client::{
    Client, DeleteOptions, Informer, Outcome, Preconditions, ReconcileError, Reconciler, WorkQueue, run_controller,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{NAME, signer};
use crate::context::ControllerContext;
use crate::owner;
use crate::settled::settled;

/// Who cleans requests of Pods.
const OF_PODS: &str = "podcertificaterequestcleaner";
/// How long what was decided can be read.
const DECIDED: SignedDuration = SignedDuration::from_hours(1);
/// How long somebody may take to decide, or to sign.
const PENDING: SignedDuration = SignedDuration::from_hours(24);
/// How long a request of a Pod is there: its certificate comes sooner or not at all.
const POD: SignedDuration = SignedDuration::from_mins(15);

/// When a request goes.
type Deadline = fn(&Value) -> Option<Timestamp>;

struct Cleaner {
    name: &'static str,
    client: Client,
    context: ControllerContext,
    resource: &'static Resource,
    requests: Informer,
    deadline: Deadline,
}

/// Starts the controller of CertificateSigningRequests.
pub(crate) fn start(context: &ControllerContext) {
    run(context, NAME, CERTIFICATESIGNINGREQUESTS, deadline);
}

/// Starts the controller of PodCertificateRequests.
pub(crate) fn start_of_pods(context: &ControllerContext) {
    run(context, OF_PODS, PODCERTIFICATEREQUESTS, |request| created(request)?.checked_add(POD).ok());
}

fn run(context: &ControllerContext, name: &'static str, resource: &'static Resource, deadline: Deadline) {
    let queue = WorkQueue::new();
    let requests = context.informers.of(resource);
    requests.on_change(owner::enqueue(&queue));
    let (client, context) = (context.client(name), context.clone());
    let cleaner = Cleaner { name, client, context: context.clone(), resource, requests, deadline };
    run_controller(&context.supervisor, &queue, 1, Arc::new(cleaner));
}

fn time(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

fn created(request: &Value) -> Option<Timestamp> {
    time(&request["metadata"]["creationTimestamp"])
}

/// When a CertificateSigningRequest goes; the earliest of several reasons counts.
fn deadline(request: &Value) -> Option<Timestamp> {
    let conditions = request["status"]["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
    if conditions.is_empty() {
        return created(request)?.checked_add(PENDING).ok();
    }
    let certificate = request["status"]["certificate"].as_str().filter(|certificate| !certificate.is_empty());
    let reasons = conditions.iter().filter_map(|condition| {
        let since = time(&condition["lastUpdateTime"]);
        let after = |span: SignedDuration| since?.checked_add(span).ok();
        match condition["type"].as_str()? {
            "Denied" | "Failed" => after(DECIDED),
            "Approved" => match certificate {
                Some(certificate) => {
                    let text = STANDARD.decode(certificate).unwrap_or_default();
                    let end = signer::end_of(&String::from_utf8_lossy(&text));
                    after(DECIDED).into_iter().chain(end).min()
                }
                None => after(PENDING),
            },
            _ => None,
        }
    });
    reasons.min()
}

#[async_trait]
impl Reconciler for Cleaner {
    fn name(&self) -> &'static str {
        self.name
    }

    async fn reconcile(&self, key: &str) -> Result<Outcome, ReconcileError> {
        self.requests.synced().await;
        let Some(object) = self.requests.store().get(key) else { return Ok(Outcome::Done) };
        let Some(deadline) = (self.deadline)(&object.value()) else { return Ok(Outcome::Done) };
        let left = Duration::try_from(deadline.duration_since(self.context.clock.now())).unwrap_or_default();
        if !left.is_zero() {
            return Ok(Outcome::After(left));
        }
        let meta = object.meta();
        // What has changed meanwhile has another deadline.
        let preconditions =
            Preconditions { uid: Some(meta.uid.clone()), resource_version: Some(meta.resource_version) };
        let options = DeleteOptions { preconditions, ..DeleteOptions::default() };
        match self.client.delete(self.resource, &meta.namespace, &meta.name, &options).await {
            Ok(revision) => {
                self.requests.caught_up(revision).await;
                Ok(Outcome::Done)
            }
            Err(error) => settled(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::deadline;

    #[test]
    fn requests_stay_for_a_while() {
        let condition = |kind: &str| json!({"type": kind, "lastUpdateTime": "2026-01-01T10:00:00Z"});
        let of = |conditions: Value, certificate: &str| {
            let request = json!({
                "metadata": {"creationTimestamp": "2026-01-01T08:00:00Z"},
                "status": {"conditions": conditions, "certificate": certificate},
            });
            deadline(&request).map(|at| at.to_string())
        };
        let expected = |text: &str| Some(text.to_owned());
        assert_eq!(of(json!([]), ""), expected("2026-01-02T08:00:00Z"));
        assert_eq!(of(json!([condition("Denied")]), ""), expected("2026-01-01T11:00:00Z"));
        assert_eq!(of(json!([condition("Approved")]), ""), expected("2026-01-02T10:00:00Z"));
        assert_eq!(of(json!([condition("Approved")]), "AQI="), expected("2026-01-01T11:00:00Z"));
        assert_eq!(of(json!([condition("Approved"), condition("Failed")]), ""), expected("2026-01-01T11:00:00Z"));
        assert_eq!(of(json!([condition("Other")]), ""), None);
    }
}
