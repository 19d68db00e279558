//! Policies that change what is written (upstream: `policy/mutating/dispatcher.go`).

use api::resources::{MUTATINGADMISSIONPOLICIES, MUTATINGADMISSIONPOLICYBINDINGS};
use apimachinery::{Admission, AdmissionRequest, ApiError, Cause, Operation, Reader, Reason};

use super::invocation::{Invocation, Misfit, concerned};
use super::patch::{Failure, Kind, mutated};
use super::refusal;
use crate::expression::{Facts, all_hold};

/// The plugin.
#[derive(Debug, Clone, Copy)]
pub struct MutatingAdmissionPolicy;

/// A policy's own fault, in the words for the client.
struct Fault {
    message: String,
    /// Whether its expressions are at fault, and not how it is set up.
    invalid: bool,
}

impl Admission for MutatingAdmissionPolicy {
    fn name(&self) -> &'static str {
        "MutatingAdmissionPolicy"
    }

    fn admit(&self, request: &mut AdmissionRequest<'_>, reader: &dyn Reader) -> Result<(), ApiError> {
        if !matches!(request.operation, Operation::Create | Operation::Update) || request.object.is_null() {
            return Ok(());
        }
        let all = concerned(MUTATINGADMISSIONPOLICIES, MUTATINGADMISSIONPOLICYBINDINGS, request, reader)?;
        if all.is_empty() {
            return Ok(());
        }
        let kind = Kind::of(request, reader);
        let (mut invocations, mut faults) = (Vec::new(), Vec::new());
        for one in all {
            match one {
                Ok(invocation) => invocations.push(invocation),
                Err(Misfit { policy_name, binding_name, why }) => {
                    let message = match binding_name {
                        Some(binding) => told(&policy_name, &binding, &why),
                        None => format!("policy {policy_name:?} denied request: {why}"),
                    };
                    faults.push(Fault { message, invalid: false });
                }
            }
        }
        let mut changed = false;
        for invocation in &invocations {
            changed |= invoke(invocation, &kind, request, reader, &mut faults)?;
        }
        // Who wants to see the others' changes is asked once more.
        for invocation in invocations.iter().filter(|invocation| changed && invocation.policy.again) {
            invoke(invocation, &kind, request, reader, &mut faults)?;
        }
        let Some(first) = faults.first() else { return Ok(()) };
        let mut error = refusal(request, &first.message);
        error.message.clone_from(&first.message);
        if first.invalid {
            error.reason = Reason::Invalid;
        }
        let cause =
            |fault: &Fault| Cause { reason: String::new(), message: fault.message.clone(), field: String::new() };
        error.causes.extend(faults[1..].iter().map(cause));
        Err(error)
    }
}

fn told(policy: &str, binding: &str, why: &str) -> String {
    format!("policy '{policy}' with binding '{binding}' denied request: {why}")
}

/// Lets a policy change the object; whether it did.
fn invoke(
    invocation: &Invocation,
    kind: &Kind,
    request: &mut AdmissionRequest<'_>,
    reader: &dyn Reader,
    faults: &mut Vec<Fault>,
) -> Result<bool, ApiError> {
    let policy = &invocation.policy;
    let mut fail = |why: String| {
        if !policy.may_fail {
            let message = told(&invocation.policy_name, &invocation.binding_name, &why);
            faults.push(Fault { message, invalid: true });
        }
    };
    let facts = Facts::of(&invocation.matched, request);
    match all_hold(policy.conditions.iter(), &facts.bindings(invocation.params.as_ref())) {
        Ok(true) => {}
        Ok(false) => return Ok(false),
        Err(why) => {
            fail(why);
            return Ok(false);
        }
    }
    let mut changed = false;
    for mutation in &policy.mutations {
        let facts = Facts::of(&invocation.matched, request).with_namespace(request, reader);
        let mut bindings = facts.bindings(invocation.params.as_ref());
        policy.bind_variables(&mut bindings);
        match mutated(mutation, &bindings, request.object, kind) {
            Ok(made) => {
                changed |= made != *request.object;
                drop(bindings);
                drop(facts);
                *request.object = made;
            }
            Err(Failure::Policy(why)) => fail(why),
            Err(Failure::Broken(error)) => return Err(error),
        }
    }
    Ok(changed)
}
