//! Which policies a request concerns, by which of their bindings and with which parameters
//! (upstream: `policy/generic/policy_dispatcher.go`).

use std::sync::Arc;

use apimachinery::{AdmissionRequest, ApiError, Object, Reader, Resource};
use serde_json::Value;

use super::definition::{Binding, Policy};
use super::parameters::{find, resource_of};
use crate::matching::{Matched, is_exempt};

/// A policy, one of its bindings and one of the parameters that this names.
#[derive(Debug)]
pub(super) struct Invocation {
    pub(super) policy: Arc<Policy>,
    pub(super) policy_name: String,
    pub(super) binding: Arc<Binding>,
    pub(super) binding_name: String,
    pub(super) matched: Matched,
    pub(super) params: Option<Value>,
}

/// A policy that refuses, for it is not set up well.
#[derive(Debug)]
pub(super) struct Misfit {
    pub(super) policy_name: String,
    pub(super) binding_name: Option<String>,
    pub(super) why: String,
}

/// All that concern a request, in the order of their names.
pub(super) fn concerned(
    policies: &'static Resource,
    bindings: &'static Resource,
    request: &AdmissionRequest<'_>,
    reader: &dyn Reader,
) -> Result<Vec<Result<Invocation, Misfit>>, ApiError> {
    // Reviews are questions, not objects.
    if is_exempt(request.resource) || matches!(request.resource.group, "authentication.k8s.io" | "authorization.k8s.io")
    {
        return Ok(Vec::new());
    }
    let objects = reader.list(policies, "");
    let bindings = if objects.is_empty() { Vec::new() } else { reader.list(bindings, "") };
    let mut all = Vec::new();
    for object in objects {
        let policy = object.typed::<Policy>().map_err(ApiError::internal)?;
        if let Some(matched) = policy.constraints.matches(request, reader)? {
            of_policy(&object, &policy, &matched, &bindings, request, reader, &mut all)?;
        }
    }
    Ok(all)
}

fn of_policy(
    object: &Object,
    policy: &Arc<Policy>,
    matched: &Matched,
    bindings: &[Arc<Object>],
    request: &AdmissionRequest<'_>,
    reader: &dyn Reader,
    all: &mut Vec<Result<Invocation, Misfit>>,
) -> Result<(), ApiError> {
    let policy_name = object.meta().name.clone();
    let misfit = |binding_name: Option<String>, why: String| {
        let what = if binding_name.is_some() { "binding" } else { "policy" };
        let why = format!("failed to configure {what}: {why}");
        (!policy.may_fail).then(|| Err(Misfit { policy_name: policy_name.clone(), binding_name, why }))
    };
    let mut own = Vec::new();
    for object in bindings {
        let binding = object.typed::<Binding>().map_err(ApiError::internal)?;
        if binding.spec.policy_name == policy_name {
            own.push((object.meta().name.clone(), binding));
        }
    }
    if own.is_empty() {
        return Ok(());
    }
    let resource = match policy.param_kind.as_ref().map(|kind| resource_of(kind, reader)).transpose() {
        Ok(resource) => resource,
        Err(why) => {
            all.extend(misfit(None, why));
            return Ok(());
        }
    };
    for (binding_name, binding) in own {
        let allows = binding.spec.match_resources.as_ref().map(|wanted| wanted.allows(request, reader)).transpose()?;
        if allows == Some(false) {
            continue;
        }
        let params = match (resource, &binding.spec.param_ref) {
            (Some(resource), Some(wanted)) => match find(resource, wanted, request, reader) {
                Ok(found) => found.into_iter().map(Some).collect(),
                Err(why) => {
                    all.extend(misfit(Some(binding_name), why));
                    continue;
                }
            },
            // A policy that is bound without parameters has none.
            _ => vec![None],
        };
        all.extend(params.into_iter().map(|params| {
            Ok(Invocation {
                policy: policy.clone(),
                policy_name: policy_name.clone(),
                binding: binding.clone(),
                binding_name: binding_name.clone(),
                matched: matched.clone(),
                params,
            })
        }));
    }
    Ok(())
}
