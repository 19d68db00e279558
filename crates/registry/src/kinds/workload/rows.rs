//! Rows of the kinds with a pod template.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::print::{age, containers, labels, name, number, selector, selector_or_none};
use crate::value::{int, text};

fn ready(o: &Value) -> Value {
    let ready = int(&o["status"], "readyReplicas").unwrap_or_default();
    json!(format!("{ready}/{}", int(&o["spec"], "replicas").unwrap_or_default()))
}

pub(super) fn deployment(o: &Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&o["spec"], &o["status"]);
    let [names, images] = containers(&spec["template"]);
    vec![
        name(o),
        ready(o),
        number(&status["updatedReplicas"]),
        number(&status["availableReplicas"]),
        age(o, now),
        names,
        images,
        json!(selector(&spec["selector"])),
    ]
}

fn counts(o: &Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&o["spec"], &o["status"]);
    vec![name(o), number(&spec["replicas"]), number(&status["replicas"]), number(&status["readyReplicas"]), age(o, now)]
}

pub(super) fn replica_set(o: &Value, now: Timestamp) -> Vec<Value> {
    let mut cells = counts(o, now);
    cells.extend(containers(&o["spec"]["template"]));
    cells.push(selector_or_none(&o["spec"]["selector"]));
    cells
}

pub(super) fn replication_controller(o: &Value, now: Timestamp) -> Vec<Value> {
    let mut cells = counts(o, now);
    cells.extend(containers(&o["spec"]["template"]));
    cells.push(labels(&o["spec"], "selector"));
    cells
}

pub(super) fn daemon_set(o: &Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&o["spec"], &o["status"]);
    let [names, images] = containers(&spec["template"]);
    vec![
        name(o),
        number(&status["desiredNumberScheduled"]),
        number(&status["currentNumberScheduled"]),
        number(&status["numberReady"]),
        number(&status["updatedNumberScheduled"]),
        number(&status["numberAvailable"]),
        labels(&spec["template"]["spec"], "nodeSelector"),
        age(o, now),
        names,
        images,
        selector_or_none(&spec["selector"]),
    ]
}

pub(super) fn stateful_set(o: &Value, now: Timestamp) -> Vec<Value> {
    let [names, images] = containers(&o["spec"]["template"]);
    vec![name(o), ready(o), age(o, now), names, images]
}

pub(super) fn pod_template(o: &Value, _: Timestamp) -> Vec<Value> {
    let [names, images] = containers(&o["template"]);
    vec![name(o), names, images, labels(&o["template"]["metadata"], "labels")]
}

/// `statefulset.apps/web`.
pub(super) fn owner(reference: &Value) -> String {
    let kind = text(reference, "kind").to_lowercase();
    let group = text(reference, "apiVersion").split_once('/').map_or("", |(group, _)| group);
    let dot = if group.is_empty() { "" } else { "." };
    format!("{kind}{dot}{group}/{}", text(reference, "name"))
}
