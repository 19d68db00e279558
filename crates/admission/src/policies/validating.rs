//! Policies that refuse or warn (upstream: `policy/validating/{dispatcher,validator}.go`).

use api::resources::{VALIDATINGADMISSIONPOLICIES, VALIDATINGADMISSIONPOLICYBINDINGS};
use apimachinery::cel::Cel;
use apimachinery::{Admission, AdmissionRequest, ApiError, Reader, Reason};

use super::definition::Policy;
use super::invocation::{Invocation, Misfit, concerned};
use super::refusal;
use crate::expression::{Facts, all_hold};

/// The plugin.
#[derive(Debug, Clone, Copy)]
pub struct ValidatingAdmissionPolicy;

/// Why a policy refuses.
#[derive(Debug, PartialEq)]
struct Denied {
    message: String,
    /// Empty for one that could not be evaluated.
    reason: String,
    /// Whether the binding does not choose what becomes of it.
    always: bool,
}

impl Admission for ValidatingAdmissionPolicy {
    fn name(&self) -> &'static str {
        "ValidatingAdmissionPolicy"
    }

    fn validate(&self, request: &mut AdmissionRequest<'_>, reader: &dyn Reader) -> Result<(), ApiError> {
        let all = concerned(VALIDATINGADMISSIONPOLICIES, VALIDATINGADMISSIONPOLICYBINDINGS, request, reader)?;
        let mut refusal = None;
        for one in all {
            match one {
                Ok(invocation) => {
                    for denied in evaluate(&invocation, request, reader) {
                        judge(&invocation, denied, request, &mut refusal);
                    }
                }
                Err(Misfit { policy_name, binding_name, why }) => {
                    let by = binding_name.map(|name| format!(" with binding '{name}'")).unwrap_or_default();
                    refuse(&policy_name, &by, &why, "", request, &mut refusal);
                }
            }
        }
        refusal.map_or(Ok(()), Err)
    }
}

/// Does with a denial what the binding says.
fn judge(invocation: &Invocation, denied: Denied, request: &mut AdmissionRequest<'_>, refusal: &mut Option<ApiError>) {
    let (policy, binding) = (&invocation.policy_name, &invocation.binding_name);
    let Denied { message, reason, always } = denied;
    let actions = &invocation.binding.spec.validation_actions;
    if always || actions.iter().any(|action| action == "Deny") {
        refuse(policy, &format!(" with binding '{binding}'"), &message, &reason, request, refusal);
    }
    if !always && actions.iter().any(|action| action == "Warn") {
        let of = format!("ValidatingAdmissionPolicy '{policy}' with binding '{binding}'");
        request.warnings.push(format!("Validation failed for {of}: {message}"));
    }
}

/// The first refusal is the one that is told.
fn refuse(
    policy: &str,
    by: &str,
    why: &str,
    reason: &str,
    request: &AdmissionRequest<'_>,
    first: &mut Option<ApiError>,
) {
    first.get_or_insert_with(|| {
        let message = format!("ValidatingAdmissionPolicy '{policy}'{by} denied request: {why}");
        let mut error = refusal(request, &message);
        (error.reason, error.code) = match Reason::parse(reason) {
            Reason::Forbidden => (Reason::Forbidden, 403),
            Reason::Unauthorized => (Reason::Unauthorized, 401),
            Reason::RequestEntityTooLarge => (Reason::RequestEntityTooLarge, 413),
            _ => (Reason::Invalid, 422),
        };
        error
    });
}

/// What a policy has against a request.
fn evaluate(invocation: &Invocation, request: &AdmissionRequest<'_>, reader: &dyn Reader) -> Vec<Denied> {
    let policy: &Policy = &invocation.policy;
    let failed = |message: String, always: bool| Denied { message, reason: String::new(), always };
    let facts = Facts::of(&invocation.matched, request);
    match all_hold(policy.conditions.iter(), &facts.bindings(invocation.params.as_ref())) {
        Ok(true) => {}
        Ok(false) => return Vec::new(),
        Err(_) if policy.may_fail => return Vec::new(),
        Err(why) => return vec![failed(why, false)],
    }
    let facts = facts.with_namespace(request, reader);
    let mut bindings = facts.bindings(invocation.params.as_ref());
    policy.bind_variables(&mut bindings);
    let mut denied = Vec::new();
    for validation in &policy.validations {
        match validation.holds.holds(&bindings) {
            Ok(true) => {}
            Ok(false) => {
                let (message, reason) = (validation.message(&bindings), validation.reason.clone());
                denied.push(Denied { message, reason, always: false });
            }
            Err(_) if policy.may_fail => {}
            Err(why) => denied.push(failed(why, false)),
        }
    }
    // Nothing records annotations, but one that has no value refuses.
    for annotation in &policy.annotations {
        let why = match annotation.evaluate(&bindings) {
            Ok(Cel::Text(_) | Cel::Null) => continue,
            Ok(other) => format!(
                "valueExpression '{}' resulted in unsupported return type: {}. Return type must be either string or \
                 null.",
                annotation.text,
                other.type_name()
            ),
            Err(_) if policy.may_fail => continue,
            Err(why) => why,
        };
        denied.push(failed(why, true));
    }
    denied
}
