//! CertificateSigningRequests: kubelets' own are approved, Kubernetes' signers sign what is approved, and what is old goes; so do
//! PodCertificateRequests (upstream: `pkg/controller/certificates`).

mod approver;
mod cleaner;
mod plan;
mod signer;

use api::resources::CERTIFICATESIGNINGREQUESTS;
use client::{Client, Informer, Outcome, ReconcileError, Target, WriteOptions};
use serde_json::Value;

use crate::settled::settled;

pub(crate) use approver::start as start_approver;
pub(crate) use cleaner::{start as start_cleaner, start_of_pods as start_pod_cleaner};
pub(crate) use signer::start as start_signer;

/// Who approves, signs and cleans.
const NAME: &str = "certificate-controller";

/// Writes what was decided of a request to its `subresource`.
async fn write(
    client: &Client,
    requests: &Informer,
    (name, subresource): (&str, &str),
    request: Value,
) -> Result<Outcome, ReconcileError> {
    let target = Target::object(CERTIFICATESIGNINGREQUESTS, "", name).subresource(subresource);
    match client.transport().update(target, request, &WriteOptions::default()).await {
        Ok(object) => {
            requests.caught_up(object.meta().resource_version).await;
            Ok(Outcome::Done)
        }
        Err(error) => settled(error),
    }
}

/// Says something of a request beside what is said already.
fn add_condition(request: &mut Value, condition: Value) {
    let mut conditions = request["status"]["conditions"].as_array().cloned().unwrap_or_default();
    conditions.push(condition);
    request["status"]["conditions"] = Value::Array(conditions);
}
