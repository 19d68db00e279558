//! Event, of both groups (upstream: `pkg/apis/core/validation/events.go`, `registry/core/event`).

use apimachinery::names::{dns_subdomain, qualified_name};
use apimachinery::{FieldError, FieldPath, Subresource};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::subdomain;
use crate::check::{immutable, one_of};
use crate::print;
use crate::rules::{Rules, Selectable};
use crate::value::{has, int, text, time};

pub(super) static CORE: Rules = Rules {
    name: subdomain,
    create_on_update: true,
    validate: |o| validate(o, &CORE_NAMES),
    validate_update: |new, old, _| validate_update_core(new, old),
    selectable: Selectable { names: CORE_FIELDS, read: |o, field| selectable(o, field, &CORE_NAMES) },
    row: Some(|o, now| row(o, now, &CORE_NAMES)),
    ..Rules::NONE
};

pub(super) static EVENTS: Rules = Rules {
    name: subdomain,
    create_on_update: true,
    validate: |o| validate(o, &EVENTS_NAMES),
    validate_update: |new, old, _: Subresource<'_>| validate_update(new, old),
    selectable: Selectable { names: EVENTS_FIELDS, read: |o, field| selectable(o, field, &EVENTS_NAMES) },
    row: Some(|o, now| row(o, now, &EVENTS_NAMES)),
    ..Rules::NONE
};

/// What the same fact is called in each group.
struct Names {
    new: bool,
    object: &'static str,
    message: &'static str,
    source: &'static str,
    first: &'static str,
    last: &'static str,
    count: &'static str,
    controller: &'static str,
}

static CORE_NAMES: Names = Names {
    new: false,
    object: "involvedObject",
    message: "message",
    source: "source",
    first: "firstTimestamp",
    last: "lastTimestamp",
    count: "count",
    controller: "reportingComponent",
};

static EVENTS_NAMES: Names = Names {
    new: true,
    object: "regarding",
    message: "note",
    source: "deprecatedSource",
    first: "deprecatedFirstTimestamp",
    last: "deprecatedLastTimestamp",
    count: "deprecatedCount",
    controller: "reportingController",
};

const CORE_FIELDS: &[&str] = &[
    "involvedObject.kind",
    "involvedObject.namespace",
    "involvedObject.name",
    "involvedObject.uid",
    "involvedObject.apiVersion",
    "involvedObject.resourceVersion",
    "involvedObject.fieldPath",
    "reason",
    "reportingComponent",
    "source",
    "type",
];

const EVENTS_FIELDS: &[&str] = &[
    "regarding.kind",
    "regarding.namespace",
    "regarding.name",
    "regarding.uid",
    "regarding.apiVersion",
    "regarding.resourceVersion",
    "regarding.fieldPath",
    "reason",
    "reportingController",
    "type",
];

fn selectable(o: &Value, field: &str, names: &Names) -> String {
    match field {
        "source" => {
            let component = text(&o[names.source], "component");
            if component.is_empty() { text(o, names.controller) } else { component }.to_owned()
        }
        other => crate::rules::at_path(o, other),
    }
}

fn validate(o: &Value, names: &Names) -> Vec<FieldError> {
    let mut faults = Vec::new();
    let mut required = |key: &str| faults.push(FieldError::required(&FieldPath::new(key), ""));
    // Events of the old shape are not checked for what only the new one has.
    let new_shape = names.new && has(o, "eventTime");
    if new_shape {
        for key in [names.controller, "reportingInstance", "action", "reason"] {
            if text(o, key).is_empty() {
                required(shown(key));
            }
        }
    }
    let object = &o[names.object];
    let namespace = text(&o["metadata"], "namespace");
    let path = FieldPath::new("involvedObject").child("namespace");
    let theirs = text(object, "namespace");
    if theirs.is_empty() {
        if namespace != "default" && namespace != "kube-system" {
            faults.push(FieldError::invalid(&path, theirs, "does not match event.namespace"));
        }
    } else if theirs != namespace {
        faults.push(FieldError::invalid(&path, theirs, "does not match event.namespace"));
    }
    if new_shape {
        let controller = text(o, names.controller);
        let path = FieldPath::new("reportingController");
        faults.extend(qualified_name(controller).into_iter().map(|f| FieldError::invalid(&path, controller, f)));
        for (key, limit) in [("reportingInstance", 128), ("action", 128), ("reason", 128), (names.message, 1024)] {
            if text(o, key).len() > limit {
                let detail = format!("can have at most {limit} characters");
                faults.push(FieldError::invalid(&FieldPath::new(shown(key)), "", detail));
            }
        }
        let kind = text(o, "type");
        if kind != "Normal" && kind != "Warning" {
            faults.push(FieldError::invalid(&FieldPath::new("type"), "", format!("has invalid value: {kind}")));
        }
    }
    faults.extend(
        dns_subdomain(namespace)
            .into_iter()
            .filter(|_| !namespace.is_empty())
            .map(|f| FieldError::invalid(&FieldPath::new("namespace"), namespace, f)),
    );
    faults
}

/// Faults show the internal names.
fn shown(key: &str) -> &str {
    match key {
        "reportingComponent" => "reportingController",
        "note" => "message",
        other => other,
    }
}

fn validate_update_core(new: &Value, old: &Value) -> Vec<FieldError> {
    let _ = old;
    validate(new, &CORE_NAMES)
}

fn validate_update(new: &Value, old: &Value) -> Vec<FieldError> {
    let mut faults = validate(new, &EVENTS_NAMES);
    if !has(new, "eventTime") {
        return faults;
    }
    let fields =
        ["regarding", "reason", "action", "related", "reportingController", "reportingInstance", "type", "note"];
    for field in fields {
        faults.extend(immutable(&FieldPath::new(field), &new[field], &old[field]));
    }
    faults.extend(one_of(&FieldPath::new("type"), text(new, "type"), &["Normal", "Warning"]));
    faults
}

fn row(o: &Value, now: Timestamp, names: &Names) -> Vec<Value> {
    let event_time = print::since(time(o, "eventTime"), now);
    let first = time(o, names.first).map_or(event_time, |then| print::since(Some(then), now));
    let mut last = time(o, names.last).map_or_else(|| first.clone(), |then| print::since(Some(then), now));
    let mut count = int(o, names.count).filter(|n| *n != 0).unwrap_or(1);
    if has(o, "series") {
        last = print::since(time(&o["series"], "lastObservedTime"), now);
        count = int(&o["series"], "count").unwrap_or_default();
    }
    let object = &o[names.object];
    let kind = text(object, "kind").to_lowercase();
    let target = match text(object, "name") {
        "" => kind,
        name => format!("{kind}/{name}"),
    };
    let first_of = |a: &str, b: &str| if a.is_empty() { b.to_owned() } else { a.to_owned() };
    let component = first_of(text(&o[names.source], "component"), text(o, names.controller));
    let instance = first_of(text(&o[names.source], "host"), text(o, "reportingInstance"));
    let source = if instance.is_empty() { component } else { format!("{component}, {instance}") };
    vec![
        json!(last),
        json!(text(o, "type")),
        json!(text(o, "reason")),
        json!(target),
        json!(text(object, "fieldPath")),
        json!(source),
        json!(text(o, names.message).trim()),
        json!(first),
        json!(count),
        print::name(o),
    ]
}
