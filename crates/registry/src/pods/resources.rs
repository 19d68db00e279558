//! Faults of requests and limits.

use apimachinery::{FieldError, FieldPath};
use serde_json::Value;

use crate::value::{as_quantity, entries, list, text};

/// Resources that containers have without a prefix.
const STANDARD: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];

/// Whether a resource is memory in huge pages.
pub(crate) fn is_hugepages(name: &str) -> bool {
    name.starts_with("hugepages-")
}

/// Whether a resource belongs to Kubernetes itself.
pub(crate) fn is_native(name: &str) -> bool {
    !name.contains('/') || name.contains("kubernetes.io/")
}

/// Whether more may be promised than there is.
fn may_be_overcommitted(name: &str) -> bool {
    is_native(name) && !is_hugepages(name)
}

/// Whether a resource is what a device plugin or administrator offers.
pub(crate) fn is_extended(name: &str) -> bool {
    !is_native(name)
        && !name.starts_with("requests.")
        && apimachinery::names::qualified_name(&format!("requests.{name}")).is_empty()
}

/// What is wrong with the name of a container's resource.
fn name_faults(path: &FieldPath, name: &str) -> Vec<FieldError> {
    let invalid = |detail: &str| FieldError::invalid(path, name, detail);
    let mut faults = crate::check::invalid_each(path, name, apimachinery::names::qualified_name(name));
    if !faults.is_empty() {
        return faults;
    }
    if !name.contains('/') {
        if !STANDARD.contains(&name) && !is_hugepages(name) {
            let known_elsewhere = ["pods", "storage", "persistentvolumeclaims", "services", "secrets", "configmaps"];
            if !known_elsewhere.contains(&name) {
                faults.push(invalid("must be a standard resource type or fully qualified"));
            }
            faults.push(invalid("must be a standard resource for containers"));
        }
    } else if !is_native(name) && !is_extended(name) {
        faults.push(invalid("doesn't follow extended resource name standard"));
    }
    faults
}

fn amount_faults(path: &FieldPath, name: &str, value: &Value) -> Vec<FieldError> {
    let Some(amount) = as_quantity(value) else {
        return Vec::new();
    };
    let mut faults = Vec::new();
    let shown = amount.to_string();
    if amount.signum() < 0 {
        faults.push(FieldError::invalid(path, &shown, crate::check::NOT_NEGATIVE));
    }
    let whole = is_extended(name) || name.starts_with("attachable-volumes-");
    if whole && amount.milli_value() % 1000 != 0 {
        faults.push(FieldError::invalid(path, &shown, "must be an integer"));
    }
    faults
}

/// Faults of a container's resources; `claims` are the pod's.
pub(super) fn of_container(path: &FieldPath, resources: &Value, claims: &[&str]) -> Vec<FieldError> {
    let mut faults = lists(path, resources, name_faults);
    let claims_path = path.child("claims");
    let mut seen = crate::check::Seen::default();
    for (at, claim) in list(resources, "claims").iter().enumerate() {
        let (here, name) = (claims_path.index(at), text(claim, "name"));
        if name.is_empty() {
            faults.push(FieldError::required(&here, ""));
            continue;
        }
        let request = text(claim, "request");
        let key = if request.is_empty() { name.to_owned() } else { format!("{name}/{request}") };
        faults.extend(seen.check(&here, &key));
        if !claims.contains(&name) {
            let mut fault = FieldError::not_found(&here, name);
            let known =
                if claims.is_empty() { " which is empty".to_owned() } else { format!(": {}", claims.join(", ")) };
            fault.detail = format!("must be one of the names in pod.spec.resourceClaims{known}");
            faults.push(fault);
        }
    }
    faults
}

/// Faults of a pod's own resources.
pub(super) fn of_pod(path: &FieldPath, resources: &Value) -> Vec<FieldError> {
    lists(path, resources, |path, name| {
        if matches!(name, "cpu" | "memory") || is_hugepages(name) {
            return Vec::new();
        }
        vec![FieldError::not_supported(path, name, &["cpu", "hugepages-", "memory"])]
    })
}

fn lists(path: &FieldPath, resources: &Value, names: impl Fn(&FieldPath, &str) -> Vec<FieldError>) -> Vec<FieldError> {
    let (limits_path, requests_path) = (path.child("limits"), path.child("requests"));
    let mut faults = Vec::new();
    let (mut huge, mut computing) = (false, false);
    let mut note = |name: &str| {
        huge |= is_hugepages(name);
        computing |= matches!(name, "cpu" | "memory");
    };
    for (name, value) in entries(resources, "limits") {
        let here = limits_path.key(name);
        faults.extend(names(&here, name));
        faults.extend(amount_faults(&here, name, value));
        note(name);
    }
    for (name, value) in entries(resources, "requests") {
        let here = requests_path.key(name);
        faults.extend(names(&here, name));
        faults.extend(amount_faults(&here, name, value));
        note(name);
        let (Some(request), limit) = (as_quantity(value), as_quantity(&resources["limits"][name])) else {
            continue;
        };
        match limit {
            Some(limit) if request != limit && !may_be_overcommitted(name) => {
                let detail = format!("must be equal to {name} limit of {limit}");
                faults.push(FieldError::invalid(&requests_path, &request.to_string(), detail));
            }
            Some(limit) if request > limit => {
                let detail = format!("must be less than or equal to {name} limit of {limit}");
                faults.push(FieldError::invalid(&requests_path, &request.to_string(), detail));
            }
            None if !may_be_overcommitted(name) => {
                let detail = "Limit must be set for non overcommitable resources";
                faults.push(FieldError::required(&limits_path, detail));
            }
            _ => {}
        }
    }
    if huge && !computing {
        faults.push(FieldError::forbidden(path, "HugePages require cpu or memory"));
    }
    faults
}
