//! Admission policies: rules in the cluster's own objects that refuse, warn of or change writes
//! (upstream: `apiserver/pkg/admission/plugin/policy`).
//!
//! A policy is compiled when it is read, and read once for each revision of its object.

mod definition;
mod invocation;
mod mutating;
mod parameters;
mod patch;
mod validating;

use apimachinery::{AdmissionRequest, ApiError, Cause};

pub use mutating::MutatingAdmissionPolicy;
pub use validating::ValidatingAdmissionPolicy;

/// What a client is told of a refusal: `message` is also its cause.
fn refusal(request: &AdmissionRequest<'_>, message: &str) -> ApiError {
    let resource = request.resource;
    let mut error = ApiError::forbidden(resource.group, resource.plural, request.name, message);
    error.causes.push(Cause { reason: String::new(), message: message.to_owned(), field: String::new() });
    error
}

#[cfg(test)]
mod tests;
