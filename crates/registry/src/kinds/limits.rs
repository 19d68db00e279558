//! LimitRange and ResourceQuota (upstream: `ValidateLimitRange`, `ValidateResourceQuota`).

use std::collections::BTreeSet;

use apimachinery::{FieldError, FieldPath, Quantity, Subresource};
use serde_json::{Value, json};

use super::subdomain;
use crate::check::{Seen, immutable, invalid_each};
use crate::print;
use crate::rules::Rules;
use crate::value::{as_quantity, entries, has, list, text};

pub(super) static LIMIT_RANGE: Rules = Rules {
    name: subdomain,
    create_on_update: true,
    validate: limit_range,
    validate_update: |new, _, _| limit_range(new),
    ..Rules::NONE
};

pub(super) static RESOURCE_QUOTA: Rules = Rules {
    name: subdomain,
    validate: |o| quota(&o["spec"]),
    warnings: |new, old| if old.is_none() { quota_warnings(&new["spec"]["hard"]) } else { Vec::new() },
    validate_update: |new, old, subresource| match subresource {
        Subresource::None => {
            let mut faults = quota(&new["spec"]);
            let path = FieldPath::new("spec").child("scopes");
            faults.extend(immutable(&path, &new["spec"]["scopes"], &old["spec"]["scopes"]));
            faults
        }
        _ => {
            let path = FieldPath::new("status");
            ["hard", "used"].iter().flat_map(|list| amounts(&path.child(list), &new["status"], list)).collect()
        }
    },
    row: Some(quota_row),
    ..Rules::NONE
};

fn limit_range(o: &Value) -> Vec<FieldError> {
    let mut faults = Vec::new();
    let mut kinds = Seen::default();
    for (at, limit) in list(&o["spec"], "limits").iter().enumerate() {
        let path = FieldPath::new("spec").child("limits").index(at);
        let kind = text(limit, "type");
        faults.extend(kinds.check(&path.child("type"), kind));
        let mut compared: Vec<&str> = vec!["min", "max", "maxLimitRequestRatio"];
        for field in ["default", "defaultRequest"] {
            if kind != "Pod" {
                compared.push(field);
            } else if entries(limit, field).next().is_some() {
                faults.push(FieldError::forbidden(&path.child(field), "may not be specified when `type` is 'Pod'"));
            }
        }
        let bounded = ["min", "max"].iter().any(|field| !limit[field]["storage"].is_null());
        if kind == "PersistentVolumeClaim" && !bounded {
            let detail = "either minimum or maximum storage value is required, but neither was provided";
            faults.push(FieldError::required(&path.child("limits"), detail));
        }
        let names: BTreeSet<&String> =
            compared.iter().flat_map(|field| entries(limit, field)).map(|(n, _)| n).collect();
        for name in names {
            faults.extend(ordered(&path, limit, kind, name));
        }
    }
    faults
}

/// The bounds of one resource, which must not contradict each other.
fn ordered(path: &FieldPath, limit: &Value, kind: &str, name: &str) -> Vec<FieldError> {
    let get = |field: &str| -> Option<Quantity> {
        let ignored = kind == "Pod" && field.starts_with("default");
        as_quantity(&limit[field][name]).filter(|_| !ignored)
    };
    // What is too large, what it must not exceed, whose field the fault is, what is shown there, the words for both.
    let rules = [
        ("min", "max", "min", "min", "min value", "max value"),
        ("min", "defaultRequest", "defaultRequest", "defaultRequest", "min value", "default request value"),
        ("defaultRequest", "max", "defaultRequest", "defaultRequest", "default request value", "max value"),
        (
            "defaultRequest",
            "default",
            "defaultRequest",
            "defaultRequest",
            "default request value",
            "default limit value",
        ),
        ("min", "default", "default", "min", "min value", "default value"),
        ("default", "max", "default", "max", "default value", "max value"),
    ];
    let mut faults = Vec::new();
    for (low, high, field, shown, low_words, high_words) in rules {
        let (Some(low), Some(high), Some(shown)) = (get(low), get(high), get(shown)) else {
            continue;
        };
        if low > high {
            let detail = format!("{low_words} {low} is greater than {high_words} {high}");
            faults.push(FieldError::invalid(&path.child(field).key(name), &shown.to_string(), detail));
        }
    }
    if let Some(ratio) = get("maxLimitRequestRatio") {
        let path = path.child("maxLimitRequestRatio").key(name);
        let shown = ratio.to_string();
        if ratio.as_f64() < 1.0 {
            faults.push(FieldError::invalid(&path, &shown, format!("ratio {shown} is less than 1")));
        }
        if let (Some(min), Some(max)) = (get("min"), get("max")) {
            let most = max.as_f64() / min.as_f64();
            if ratio.as_f64() > most {
                let detail = format!("ratio {shown} is greater than max/min = {most:.6}");
                faults.push(FieldError::invalid(&path, &shown, detail));
            }
        }
    }
    faults
}

/// Resources without a prefix that a quota may count in fractions.
const AMOUNTS: [&str; 10] = [
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.storage",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
];

/// Those that are counted in whole numbers.
const WHOLE: [&str; 9] = [
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "persistentvolumeclaims",
    "configmaps",
    "services.nodeports",
    "services.loadbalancers",
];

/// Whether a quota may count a resource that has no prefix.
fn counted(name: &str) -> bool {
    AMOUNTS.contains(&name) || WHOLE.contains(&name)
}

const SCOPES: [&str; 7] = [
    "Terminating",
    "NotTerminating",
    "BestEffort",
    "NotBestEffort",
    "PriorityClass",
    "CrossNamespacePodAffinity",
    "VolumeAttributesClass",
];

/// Requests that may be above the limits.
fn quota_warnings(hard: &Value) -> Vec<String> {
    let mut warnings = Vec::new();
    for name in ["cpu", "memory", "storage", "ephemeral-storage"] {
        let (requests, limits) = (format!("requests.{name}"), format!("limits.{name}"));
        let bare = matches!(name, "cpu" | "memory") && !has(hard, &requests);
        let requests = if bare { name.to_owned() } else { requests };
        if let (Some(request), Some(limit)) = (as_quantity(&hard[&requests]), as_quantity(&hard[&limits]))
            && request > limit
        {
            warnings.push(format!("ResourceQuota {requests} ({request}) should be less than {limits} ({limit})"));
        }
    }
    warnings
}

fn quota(spec: &Value) -> Vec<FieldError> {
    let path = FieldPath::new("spec");
    let mut faults = amounts(&path.child("hard"), spec, "hard");
    faults.extend(scopes(&path.child("scopes"), spec));
    if has(spec, "scopeSelector") {
        faults.extend(scope_selector(&path.child("scopeSelector").child("matchExpressions"), spec));
    }
    faults
}

/// Faults of the amounts at `list`.
fn amounts(path: &FieldPath, of: &Value, list: &str) -> Vec<FieldError> {
    let mut faults = Vec::new();
    for (name, value) in entries(of, list) {
        let here = path.key(name);
        let malformed = invalid_each(&here, name, apimachinery::names::qualified_name(name));
        let known = counted(name) || ["hugepages-", "requests.hugepages-"].iter().any(|p| name.starts_with(p));
        if malformed.is_empty() && !name.contains('/') && !known {
            let details =
                ["must be a standard resource type or fully qualified", "must be a standard resource for quota"];
            faults.extend(details.map(|detail| FieldError::invalid(&here, name, detail)));
        }
        faults.extend(malformed);
        if let Some(amount) = as_quantity(value) {
            let shown = amount.to_string();
            if amount.signum() < 0 {
                faults.push(FieldError::invalid(&here, &shown, crate::check::NOT_NEGATIVE));
            }
            let whole = WHOLE.contains(&name.as_str()) || name.starts_with("count/");
            if whole && amount.milli_value() % 1000 != 0 {
                faults.push(FieldError::invalid(&here, &shown, "must be an integer"));
            }
        }
    }
    faults
}

/// How often a scope goes with none of the resources that the quota counts.
fn misapplied(scope: &str, spec: &Value) -> usize {
    entries(spec, "hard").filter(|(name, _)| counted(name) && !goes_with(scope, name)).count()
}

/// Whether a scope may narrow what is counted of a resource.
fn goes_with(scope: &str, name: &str) -> bool {
    let computing = ["cpu", "memory"].iter().any(|resource| {
        name == *resource || ["requests.", "limits."].iter().any(|p| name.strip_prefix(p) == Some(resource))
    });
    match scope {
        "BestEffort" => name == "pods",
        "VolumeAttributesClass" => matches!(name, "persistentvolumeclaims" | "requests.storage"),
        known if SCOPES.contains(&known) => name == "pods" || computing,
        _ => true,
    }
}

const OPPOSITES: [[&str; 2]; 2] = [["BestEffort", "NotBestEffort"], ["Terminating", "NotTerminating"]];

fn scopes(path: &FieldPath, spec: &Value) -> Vec<FieldError> {
    let mut faults = Vec::new();
    let all: Vec<&str> = list(spec, "scopes").iter().filter_map(Value::as_str).collect();
    let invalid = |detail: &str| FieldError::invalid(path, &spec["scopes"], detail);
    for scope in &all {
        if !SCOPES.contains(scope) {
            faults.push(invalid("unsupported scope"));
        }
        faults.extend((0..misapplied(scope, spec)).map(|_| invalid("unsupported scope applied to resource")));
    }
    for pair in OPPOSITES {
        if pair.iter().all(|scope| all.contains(scope)) {
            faults.push(invalid("conflicting scopes"));
        }
    }
    faults
}

fn scope_selector(path: &FieldPath, spec: &Value) -> Vec<FieldError> {
    let mut faults = Vec::new();
    let expressions = list(&spec["scopeSelector"], "matchExpressions");
    for expression in expressions {
        let (scope, operator) = (text(expression, "scopeName"), text(expression, "operator"));
        if !SCOPES.contains(&scope) {
            faults.push(FieldError::invalid(&path.child("scopeName"), scope, "unsupported scope"));
        }
        let misapplied = misapplied(scope, spec);
        faults.extend(
            (0..misapplied)
                .map(|_| FieldError::invalid(path, &spec["scopeSelector"], "unsupported scope applied to resource")),
        );
        if SCOPES.contains(&scope) && !OPERATED.contains(&scope) && operator != "Exists" {
            let detail = "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, \
                          ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort \
                          or ResourceQuotaScopeCrossNamespacePodAffinity";
            faults.push(FieldError::invalid(&path.child("operator"), operator, detail));
        }
        let values = list(expression, "values");
        match operator {
            "In" | "NotIn" if values.is_empty() => {
                let detail = "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector";
                faults.push(FieldError::required(&path.child("values"), detail));
            }
            "Exists" | "DoesNotExist" if !values.is_empty() => {
                let detail = "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector";
                faults.push(FieldError::invalid(&path.child("values"), &expression["values"], detail));
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            _ => {
                let detail = "not a valid selector operator";
                faults.push(FieldError::invalid(&path.child("operator"), operator, detail));
            }
        }
    }
    for pair in OPPOSITES {
        if pair.iter().all(|scope| expressions.iter().any(|e| text(e, "scopeName") == *scope)) {
            faults.push(FieldError::invalid(path, &spec["scopes"], "conflicting scopes"));
        }
    }
    faults
}

/// Scopes whose operator may be another than `Exists`.
const OPERATED: [&str; 2] = ["PriorityClass", "VolumeAttributesClass"];

fn quota_row(o: &Value, now: jiff::Timestamp) -> Vec<Value> {
    let (mut requests, mut limits) = (Vec::new(), Vec::new());
    for (name, hard) in entries(&o["status"], "hard") {
        let used = match text(&o["status"]["used"], name) {
            "" => "0",
            used => used,
        };
        let shown = format!("{name}: {used}/{}", hard.as_str().unwrap_or_default());
        if name.starts_with("limits.") {
            limits.push(shown);
        } else {
            requests.push(shown);
        }
    }
    vec![print::name(o), json!(requests.join(", ")), json!(limits.join(", ")), print::age(o, now)]
}

#[cfg(test)]
mod tests;
