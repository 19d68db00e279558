//! MutatingWebhookConfiguration and ValidatingWebhookConfiguration (upstream: `pkg/apis/admissionregistration/validation`).

use apimachinery::cel::{Program, admission_variables};
use apimachinery::names::{dns_subdomain, qualified_name};
use apimachinery::{FieldError, FieldPath};
use serde_json::{Value, json};

use super::subdomain;
use crate::check::{Seen, invalid_each, one_of};
use crate::print::{age, name};
use crate::rules::{Generation, Rules};
use crate::value::{has, int, list, text};

pub(super) static RULES: Rules = Rules {
    name: subdomain,
    generation: Generation::Of("webhooks"),
    unconditional_update: false,
    validate: |o| validate(o),
    validate_update: |new, _, _| validate(new),
    row: Some(|o, now| vec![name(o), json!(list(o, "webhooks").len()), age(o, now)]),
    ..Rules::NONE
};

/// The longest time that a webhook may take, in seconds.
const TIMEOUT_MAX: i64 = 30;

fn validate(o: &Value) -> Vec<FieldError> {
    let path = FieldPath::new("webhooks");
    let mut seen = Seen::default();
    let mut faults = Vec::new();
    for (at, webhook) in list(o, "webhooks").iter().enumerate() {
        let here = path.index(at);
        faults.extend(validate_webhook(webhook, &here));
        faults.extend(seen.check(&here.child("name"), text(webhook, "name")));
    }
    faults
}

fn validate_webhook(webhook: &Value, path: &FieldPath) -> Vec<FieldError> {
    let mut faults = Vec::new();
    let called = text(webhook, "name");
    let invalid = dns_subdomain(called);
    if called.is_empty() {
        faults.push(FieldError::required(&path.child("name"), ""));
    } else if !invalid.is_empty() {
        faults.push(FieldError::invalid(&path.child("name"), called, invalid.join(",")));
    } else if called.split('.').count() < 3 {
        let why = "should be a domain with at least three segments separated by dots";
        faults.push(FieldError::invalid(&path.child("name"), called, why));
    }
    for (at, rule) in list(webhook, "rules").iter().enumerate() {
        faults.extend(validate_rule(rule, &path.child("rules").index(at)));
    }
    faults.extend(one_of(&path.child("failurePolicy"), text(webhook, "failurePolicy"), &["Fail", "Ignore"]));
    faults.extend(one_of(&path.child("matchPolicy"), text(webhook, "matchPolicy"), &["Equivalent", "Exact"]));
    match text(webhook, "sideEffects") {
        "" => {
            let why = "must specify one of None, NoneOnDryRun";
            faults.push(FieldError::required(&path.child("sideEffects"), why));
        }
        given => faults.extend(one_of(&path.child("sideEffects"), given, &["None", "NoneOnDryRun"])),
    }
    if int(webhook, "timeoutSeconds").is_some_and(|seconds| !(1..=TIMEOUT_MAX).contains(&seconds)) {
        let why = "the timeout value must be between 1 and 30 seconds";
        faults.push(FieldError::invalid(&path.child("timeoutSeconds"), &webhook["timeoutSeconds"], why));
    }
    let versions = list(webhook, "admissionReviewVersions");
    let below = path.child("admissionReviewVersions");
    if versions.is_empty() {
        faults.push(FieldError::required(&below, "must specify one of v1, v1beta1"));
    } else if !versions.iter().any(|version| version == "v1" || version == "v1beta1") {
        faults.push(FieldError::invalid(
            &below,
            &webhook["admissionReviewVersions"],
            "must include at least one of v1, v1beta1",
        ));
    }
    faults.extend(match_conditions(&path.child("matchConditions"), list(webhook, "matchConditions"), false));
    faults.extend(validate_client(&webhook["clientConfig"], &path.child("clientConfig")));
    faults
}

pub(super) fn validate_rule(rule: &Value, path: &FieldPath) -> Vec<FieldError> {
    let mut faults = Vec::new();
    for key in ["operations", "apiGroups", "apiVersions", "resources"] {
        let below = path.child(key);
        let all = list(rule, key);
        if all.is_empty() {
            faults.push(FieldError::required(&below, ""));
        }
        let star = all.iter().any(|one| one == "*");
        if star && all.len() > 1 && key != "resources" {
            let why = "if '*' is present, must not specify other ".to_owned()
                + match key {
                    "apiGroups" => "API groups",
                    "apiVersions" => "API versions",
                    other => other,
                };
            faults.push(FieldError::invalid(&below, &rule[key], why));
        }
        for (at, one) in all.iter().filter_map(Value::as_str).enumerate() {
            if key == "operations" {
                faults.extend(one_of(&below.index(at), one, &["*", "CONNECT", "CREATE", "DELETE", "UPDATE"]));
            } else if one.is_empty() && key != "apiGroups" {
                faults.push(FieldError::required(&below.index(at), ""));
            }
        }
    }
    faults.extend(validate_resources(&path.child("resources"), &rule["resources"]));
    faults.extend(one_of(&path.child("scope"), text(rule, "scope"), &["*", "Cluster", "Namespaced"]));
    faults
}

/// Resources that are named beside a pattern that means them already.
fn validate_resources(path: &FieldPath, resources: &Value) -> Vec<FieldError> {
    let mut faults = Vec::new();
    let all: Vec<&str> = resources.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for (at, one) in all.iter().enumerate() {
        let Some((resource, subresource)) = one.split_once('/') else { continue };
        for pattern in [format!("{resource}/*"), format!("*/{subresource}")] {
            if all[..at].contains(&pattern.as_str()) {
                let why = format!("if '{pattern}' is present, must not specify {one}");
                faults.push(FieldError::invalid(&path.index(at), *one, why));
            }
        }
    }
    if all.len() > 1 && all.contains(&"*/*") {
        let why = "if '*/*' is present, must not specify other resources";
        faults.push(FieldError::invalid(path, resources, why));
    }
    // Upstream looks at the last of those without a subresource.
    let last = all.iter().rfind(|one| !one.is_empty() && !one.contains('/'));
    if all.contains(&"*") && last.is_some_and(|one| *one != "*") {
        let why = "if '*' is present, must not specify other resources without subresources";
        faults.push(FieldError::invalid(path, resources, why));
    }
    faults
}

/// The most match conditions that one webhook or policy may have.
const CONDITIONS_MAX: usize = 64;

/// The `matchConditions` of a webhook or a policy.
pub(super) fn match_conditions(path: &FieldPath, conditions: &[Value], params: bool) -> Vec<FieldError> {
    let mut faults = Vec::new();
    let mut seen = Seen::default();
    if conditions.len() > CONDITIONS_MAX {
        faults.push(FieldError::too_many(path, conditions.len(), CONDITIONS_MAX));
    }
    for (at, condition) in conditions.iter().enumerate() {
        let here = path.index(at);
        let variables = admission_variables(params, false);
        faults.extend(expression(&here.child("expression"), text(condition, "expression").trim(), "", &variables));
        let called = text(condition, "name");
        if called.is_empty() {
            faults.push(FieldError::required(&here.child("name"), ""));
            continue;
        }
        faults.extend(invalid_each(&here.child("name"), called, qualified_name(called)));
        faults.extend(seen.check(&here.child("name"), called));
    }
    faults
}

/// An expression that must be there, with the word for one that is not, and must compile.
pub(super) fn expression(path: &FieldPath, written: &str, missing: &str, variables: &[&str]) -> Option<FieldError> {
    if written.trim().is_empty() {
        return Some(FieldError::required(path, missing));
    }
    let error = Program::compile(written, variables).err()?;
    Some(FieldError::invalid(path, written, error.to_string()))
}

/// How a webhook is reached: a URL or a Service.
pub(super) fn validate_client(client: &Value, path: &FieldPath) -> Vec<FieldError> {
    let mut faults = Vec::new();
    if has(client, "url") == has(client, "service") {
        faults.push(FieldError::required(path, "exactly one of url or service is required"));
    } else if let Some(url) = client["url"].as_str()
        && !url.starts_with("https://")
    {
        let why = "'https' is the only allowed URL scheme; desired format: https://host[/path]";
        faults.push(FieldError::invalid(&path.child("url"), url, why));
    } else {
        let service = &client["service"];
        for key in
            ["name", "namespace"].into_iter().filter(|key| has(client, "service") && text(service, key).is_empty())
        {
            faults.push(FieldError::required(
                &path.child("service").child(key),
                &format!("service {key} is required")[..],
            ));
        }
    }
    faults
}
