//! Admission policies and their bindings (upstream: `pkg/apis/admissionregistration/validation`).

use apimachinery::cel::{Program, admission_variables};
use apimachinery::names::{dns_subdomain, dns1035_label, path_segment, qualified_name};
use apimachinery::{FieldError, FieldPath};
use serde_json::{Value, json};

use super::subdomain;
use super::webhooks::{expression, match_conditions, validate_rule};
use crate::check::{Seen, invalid_each, label_selector, one_of};
use crate::print::{age, name, selector};
use crate::rules::{Generation, Rules};
use crate::value::{has, list, text};

const OF_SPEC: Rules =
    Rules { name: subdomain, generation: Generation::Of("spec"), unconditional_update: false, ..Rules::NONE };

const POLICY: Rules = Rules {
    row: Some(|o, now| {
        let spec = &o["spec"];
        let count = list(spec, "validations").len() + list(spec, "mutations").len();
        let kind = &spec["paramKind"];
        let shown = format!("{}/{}", text(kind, "apiVersion"), text(kind, "kind"));
        vec![name(o), json!(count), json!(if kind.is_null() { "<unset>" } else { &shown }), age(o, now)]
    }),
    ..OF_SPEC
};

const BINDING: Rules = Rules {
    row: Some(|o, now| {
        let spec = &o["spec"];
        let reference = &spec["paramRef"];
        let (of, namespace) = (text(reference, "name"), text(reference, "namespace"));
        let shown = match (of.is_empty(), namespace.is_empty()) {
            (false, false) => format!("{namespace}/{of}"),
            (false, true) => format!("*/{of}"),
            (true, _) if has(reference, "selector") => selector(&reference["selector"]),
            (true, _) => "<unset>".to_owned(),
        };
        vec![name(o), json!(text(spec, "policyName")), json!(shown), age(o, now)]
    }),
    ..OF_SPEC
};

pub(super) static VALIDATING: Rules =
    Rules { validate: validate_validating, validate_update: |new, _, _| validate_validating(new), ..POLICY };
pub(super) static MUTATING: Rules =
    Rules { validate: validate_mutating, validate_update: |new, _, _| validate_mutating(new), ..POLICY };
pub(super) static VALIDATING_BINDING: Rules = Rules {
    validate: validate_validating_binding,
    validate_update: |new, _, _| validate_validating_binding(new),
    ..BINDING
};
pub(super) static MUTATING_BINDING: Rules = Rules {
    validate: validate_mutating_binding,
    validate_update: |new, _, _| validate_mutating_binding(new),
    ..BINDING
};

/// The most audit annotations, and the longest expression of one in bytes.
const ANNOTATIONS_MAX: usize = 20;
const ANNOTATION_LENGTH_MAX: usize = 5 * 1024;

fn validate_validating(o: &Value) -> Vec<FieldError> {
    let (path, spec) = (FieldPath::new("spec"), &o["spec"]);
    let mut faults = frame(&path, spec);
    let params = has(spec, "paramKind");
    let names = admission_variables(params, !list(spec, "variables").is_empty());
    let (validations, annotations) = (list(spec, "validations"), list(spec, "auditAnnotations"));
    if validations.is_empty() && annotations.is_empty() {
        let why = "validations or auditAnnotations must contain at least one item";
        faults.extend(["validations", "auditAnnotations"].map(|key| FieldError::required(&path.child(key), why)));
    }
    for (at, validation) in validations.iter().enumerate() {
        faults.extend(validate_validation(&path.child("validations").index(at), validation, &names));
    }
    let path = path.child("auditAnnotations");
    if annotations.len() > ANNOTATIONS_MAX {
        let why = format!("must not have more than {ANNOTATIONS_MAX} auditAnnotations");
        faults.push(FieldError::invalid(&path, &spec["auditAnnotations"], why));
    }
    let mut seen = Seen::default();
    for (at, annotation) in annotations.iter().enumerate() {
        let (here, key) = (path.index(at), text(annotation, "key"));
        let full = format!("{}/{key}", text(&o["metadata"], "name"));
        faults.extend(invalid_each(&here.child("key"), &full, qualified_name(&full)));
        let below = here.child("valueExpression");
        let written = text(annotation, "valueExpression").trim();
        if written.len() > ANNOTATION_LENGTH_MAX {
            let why = format!("must not exceed {ANNOTATION_LENGTH_MAX} bytes in length");
            faults.push(FieldError::required(&below, why));
        } else {
            faults.extend(expression(&below, written, "valueExpression is not specified", &names));
        }
        faults.extend(seen.check(&here.child("key"), key));
    }
    faults
}

fn validate_validation(path: &FieldPath, validation: &Value, names: &[&str]) -> Vec<FieldError> {
    let missing = "expression is not specified";
    let mut faults = Vec::new();
    faults.extend(expression(&path.child("expression"), text(validation, "expression"), missing, names));
    let non_empty = "must be non-empty if specified";
    let made = text(validation, "messageExpression");
    if !made.is_empty() && made.trim().is_empty() {
        faults.push(FieldError::invalid(&path.child("messageExpression"), made, non_empty));
    } else if !made.is_empty() {
        faults.extend(expression(&path.child("messageExpression"), made, "", names));
    }
    let message = text(validation, "message");
    if !message.is_empty() && message.trim().is_empty() {
        faults.push(FieldError::invalid(&path.child("message"), message, non_empty));
    } else if message.trim().contains(['\n', '\r']) {
        faults.push(FieldError::invalid(&path.child("message"), message, "must not contain line breaks"));
    }
    if has(validation, "reason") {
        let known = ["Forbidden", "Invalid", "RequestEntityTooLarge"];
        faults.extend(one_of(&path.child("reason"), text(validation, "reason"), &known));
    }
    faults
}

fn validate_mutating(o: &Value) -> Vec<FieldError> {
    let (path, spec) = (FieldPath::new("spec"), &o["spec"]);
    let mut faults = frame(&path, spec);
    faults.extend(only_writes(&path.child("matchConstraints"), &spec["matchConstraints"]));
    let names = admission_variables(has(spec, "paramKind"), true);
    let mutations = list(spec, "mutations");
    if mutations.is_empty() {
        faults.push(FieldError::required(&path.child("mutations"), "mutations must contain at least one item"));
    }
    for (at, mutation) in mutations.iter().enumerate() {
        faults.extend(validate_mutation(&path.child("mutations").index(at), mutation, &names));
    }
    faults.extend(required_one_of(&path, spec, "reinvocationPolicy", &["IfNeeded", "Never"]));
    faults
}

fn validate_mutation(path: &FieldPath, mutation: &Value, names: &[&str]) -> Vec<FieldError> {
    let (own, other) = match text(mutation, "patchType") {
        "JSONPatch" => ("jsonPatch", "applyConfiguration"),
        "ApplyConfiguration" => ("applyConfiguration", "jsonPatch"),
        _ => return required_one_of(path, mutation, "patchType", &["ApplyConfiguration", "JSONPatch"]),
    };
    let kind = text(mutation, "patchType");
    let mut faults = Vec::new();
    if has(mutation, own) {
        let below = path.child(own).child("expression");
        faults.extend(expression(&below, text(&mutation[own], "expression").trim(), "", names));
    } else {
        let why = format!("must be specified when patchType is {kind}");
        faults.push(FieldError::required(&path.child(own), why));
    }
    if has(mutation, other) {
        let why = format!("must not be specified when patchType is {kind}");
        faults.push(FieldError::invalid(&path.child(other), &format!("{{{other}}}")[..], why));
    }
    faults
}

/// What policies of both kinds say: what they are about, and the variables.
fn frame(path: &FieldPath, spec: &Value) -> Vec<FieldError> {
    let mut faults = required_one_of(path, spec, "failurePolicy", &["Fail", "Ignore"]);
    let params = has(spec, "paramKind");
    if params {
        faults.extend(param_kind(&path.child("paramKind"), &spec["paramKind"]));
    }
    let (below, constraints) = (path.child("matchConstraints"), &spec["matchConstraints"]);
    if has(spec, "matchConstraints") {
        faults.extend(match_resources(&below, constraints));
        if list(constraints, "resourceRules").is_empty() {
            faults.push(FieldError::required(&below.child("resourceRules"), ""));
        }
    } else {
        faults.push(FieldError::required(&below, ""));
    }
    faults.extend(match_conditions(&path.child("matchConditions"), list(spec, "matchConditions"), params));
    let names = admission_variables(params, true);
    for (at, variable) in list(spec, "variables").iter().enumerate() {
        let (here, called) = (path.child("variables").index(at), text(variable, "name"));
        if called.trim().is_empty() {
            faults.push(FieldError::required(&here.child("name"), "name is not specified"));
        } else if !is_identifier(called) {
            faults.push(FieldError::invalid(&here.child("name"), called, "must be a valid CEL identifier"));
        }
        let missing = "expression is not specified";
        faults.extend(expression(&here.child("expression"), text(variable, "expression"), missing, &names));
    }
    faults
}

/// A text that must be there and one of `allowed`.
fn required_one_of(path: &FieldPath, of: &Value, key: &str, allowed: &[&str]) -> Vec<FieldError> {
    match text(of, key) {
        "" => vec![FieldError::required(&path.child(key), "")],
        given => one_of(&path.child(key), given, allowed),
    }
}

/// Whether the name can stand in an expression.
fn is_identifier(called: &str) -> bool {
    let starts = called.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let plain = called.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    starts && plain && !matches!(called, "true" | "false" | "null") && Program::compile(called, &[called]).is_ok()
}

fn param_kind(path: &FieldPath, kind: &Value) -> Vec<FieldError> {
    let mut faults = Vec::new();
    let (below, written) = (path.child("apiVersion"), text(kind, "apiVersion"));
    let (group, version) = written.split_once('/').unwrap_or(("", written));
    if written.is_empty() {
        faults.push(FieldError::required(&below, ""));
    } else if version.contains('/') {
        faults.push(FieldError::invalid(&below, written, format!("unexpected GroupVersion string: {written}")));
    } else {
        let bad = if group.is_empty() { Vec::new() } else { dns_subdomain(group) };
        if !bad.is_empty() {
            faults.push(FieldError::invalid(&below, group, bad.join(",")));
        }
        if version.is_empty() {
            faults.push(FieldError::invalid(&below, written, "version must be specified"));
        } else if let bad = dns1035_label(version)
            && !bad.is_empty()
        {
            faults.push(FieldError::invalid(&below, version, bad.join(",")));
        }
    }
    let called = text(kind, "kind");
    let bad = dns1035_label(&called.to_lowercase());
    if called.is_empty() {
        faults.push(FieldError::required(&path.child("kind"), ""));
    } else if !bad.is_empty() {
        let why = format!("may have mixed case, but should otherwise match: {}", bad.join(","));
        faults.push(FieldError::invalid(&path.child("kind"), called, why));
    }
    faults
}

fn match_resources(path: &FieldPath, wanted: &Value) -> Vec<FieldError> {
    let mut faults = required_one_of(path, wanted, "matchPolicy", &["Equivalent", "Exact"]);
    for key in ["namespaceSelector", "objectSelector"] {
        if has(wanted, key) {
            faults.extend(label_selector(&path.child(key), &wanted[key]));
        } else {
            faults.push(FieldError::required(&path.child(key), ""));
        }
    }
    for key in ["resourceRules", "excludeResourceRules"] {
        for (at, rule) in list(wanted, key).iter().enumerate() {
            let here = path.child(key).index(at);
            let mut seen = Seen::default();
            for (at, one) in list(rule, "resourceNames").iter().filter_map(Value::as_str).enumerate() {
                let below = here.child("resourceNames").index(at);
                faults.extend(invalid_each(&below, one, path_segment(one)));
                faults.extend(seen.check(&below, one));
            }
            faults.extend(validate_rule(rule, &here));
        }
    }
    faults
}

/// What is deleted can't be changed. (Neither can a connection, but upstream lets it be named.)
fn only_writes(path: &FieldPath, wanted: &Value) -> Vec<FieldError> {
    let operations = list(wanted, "resourceRules").iter().flat_map(|rule| list(rule, "operations"));
    let below = path.child("resourceRules").child("operations");
    operations
        .filter_map(Value::as_str)
        .flat_map(|one| one_of(&below, one, &["*", "CONNECT", "CREATE", "UPDATE"]))
        .collect()
}

fn validate_validating_binding(o: &Value) -> Vec<FieldError> {
    let (path, spec) = (FieldPath::new("spec"), &o["spec"]);
    let mut faults = validate_binding(&path, spec);
    let (below, actions) = (path.child("validationActions"), list(spec, "validationActions"));
    let mut seen = Seen::default();
    for (at, action) in actions.iter().filter_map(Value::as_str).enumerate() {
        faults.extend(one_of(&below.index(at), action, &["Audit", "Deny", "Warn"]));
        faults.extend(seen.check(&below.index(at), action));
    }
    if ["Deny", "Warn"].iter().all(|wanted| actions.iter().any(|action| action == wanted)) {
        let why = "must not contain both Deny and Warn (repeating the same validation failure information in the API \
                   response and headers serves no purpose)";
        faults.push(FieldError::invalid(&below, &spec["validationActions"], why));
    }
    if actions.is_empty() {
        faults.push(FieldError::required(&below, ""));
    }
    faults
}

fn validate_mutating_binding(o: &Value) -> Vec<FieldError> {
    let (path, spec) = (FieldPath::new("spec"), &o["spec"]);
    let mut faults = validate_binding(&path, spec);
    faults.extend(only_writes(&path.child("matchResources"), &spec["matchResources"]));
    faults
}

/// What bindings of both kinds say.
fn validate_binding(path: &FieldPath, spec: &Value) -> Vec<FieldError> {
    let mut faults = Vec::new();
    let (below, of) = (path.child("policyName"), text(spec, "policyName"));
    if of.is_empty() {
        faults.push(FieldError::required(&below, ""));
    } else {
        faults.extend(invalid_each(&below, of, dns_subdomain(of)));
    }
    if has(spec, "paramRef") {
        faults.extend(param_ref(&path.child("paramRef"), &spec["paramRef"]));
    }
    if has(spec, "matchResources") {
        faults.extend(match_resources(&path.child("matchResources"), &spec["matchResources"]));
    }
    faults
}

fn param_ref(path: &FieldPath, reference: &Value) -> Vec<FieldError> {
    let (of, selects) = (text(reference, "name"), has(reference, "selector"));
    let mut faults = invalid_each(&path.child("name"), of, if of.is_empty() { Vec::new() } else { path_segment(of) });
    let exclusive = "name and selector are mutually exclusive";
    if selects && !of.is_empty() {
        faults.push(FieldError::forbidden(&path.child("name"), exclusive));
    }
    if selects {
        faults.extend(label_selector(&path.child("selector"), &reference["selector"]));
    }
    if selects && !of.is_empty() {
        faults.push(FieldError::forbidden(&path.child("selector"), exclusive));
    }
    if of.is_empty() && !selects {
        faults.push(FieldError::required(path, "one of name or selector must be specified"));
    }
    faults.extend(required_one_of(path, reference, "parameterNotFoundAction", &["Deny", "Allow"]));
    faults
}
