//! CertificateSigningRequests: kubelets' own are approved, Kubernetes' signers sign what is approved, and what is old goes; so do
//! PodCertificateRequests (upstream: `pkg/controller/certificates`).

mod approver;
mod cleaner;
mod plan;
mod signer;

use apimachinery::{ApiError, Reason};
use client::{Outcome, ReconcileError};

pub(crate) use approver::start as start_approver;
pub(crate) use cleaner::{start as start_cleaner, start_of_pods as start_pod_cleaner};
pub(crate) use signer::start as start_signer;

/// Who approves, signs and cleans.
const NAME: &str = "certificate-controller";

/// Nothing is to be done for a request that is gone; one that has changed is looked at again.
fn settled(error: ApiError) -> Result<Outcome, ReconcileError> {
    match error.reason {
        Reason::NotFound => Ok(Outcome::Done),
        Reason::Conflict => Ok(Outcome::Retry),
        _ => Err(error.into()),
    }
}
