//! Kinds whose only rules are their rows and when their generation grows.

use apimachinery::names::path_segment;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::subdomain;
use crate::print::{age, name, or_none, since};
use crate::rules::{Generation, Rules, Selectable, at_path, is_deleting};
use crate::value::{has, int, list, text, time};

/// The rules of kinds that have no file of their own.
pub(super) fn rules(group: &str, kind: &str) -> Option<&'static Rules> {
    Some(match (group, kind) {
        ("flowcontrol.apiserver.k8s.io", "FlowSchema") => &FLOW_SCHEMA,
        ("flowcontrol.apiserver.k8s.io", _) => &PRIORITY_LEVEL,
        ("networking.k8s.io", "IPAddress") => &IP_ADDRESS,
        ("networking.k8s.io", "ServiceCIDR") => &SERVICE_CIDR,
        ("resource.k8s.io", "DeviceClass") => &DEVICE_CLASS,
        ("resource.k8s.io", "DeviceTaintRule") => &DEVICE_TAINT,
        ("resource.k8s.io", "ResourceClaim") => &RESOURCE_CLAIM,
        ("resource.k8s.io", "ResourceClaimTemplate") => &CLAIM_TEMPLATE,
        ("resource.k8s.io", "ResourceSlice") => &RESOURCE_SLICE,
        ("storage.k8s.io", "VolumeAttributesClass") => &ATTRIBUTES_CLASS,
        ("storagemigration.k8s.io", "StorageVersionMigration") => &MIGRATION,
        ("", "ComponentStatus") => &COMPONENT,
        _ => return None,
    })
}

/// A kind with a spec and a generation.
const OF_SPEC: Rules = Rules { name: subdomain, generation: Generation::Of("spec"), ..Rules::NONE };
/// A kind without a generation.
const PLAIN: Rules = Rules { name: subdomain, ..Rules::NONE };

/// Whether a condition of this type is true.
pub(super) fn holds(o: &Value, kind: &str) -> bool {
    list(&o["status"], "conditions").iter().any(|c| text(c, "type") == kind && text(c, "status") == "True")
}

static FLOW_SCHEMA: Rules = Rules {
    row: Some(|o, now| {
        let spec = &o["spec"];
        let method = or_none(text(&spec["distinguisherMethod"], "type"));
        let dangling = list(&o["status"], "conditions").iter().find(|c| text(c, "type") == "Dangling");
        vec![
            name(o),
            json!(text(&spec["priorityLevelConfiguration"], "name")),
            json!(int(spec, "matchingPrecedence").unwrap_or_default()),
            json!(method),
            age(o, now),
            json!(dangling.map_or("?", |c| text(c, "status"))),
        ]
    }),
    ..OF_SPEC
};

static PRIORITY_LEVEL: Rules = Rules {
    row: Some(|o, now| {
        let spec = &o["spec"];
        let or_none = |value: &Value| if value.is_null() { json!("<none>") } else { value.clone() };
        let queuing = &spec["limited"]["limitResponse"]["queuing"];
        vec![
            name(o),
            json!(text(spec, "type")),
            or_none(&spec["limited"]["nominalConcurrencyShares"]),
            or_none(&queuing["queues"]),
            or_none(&queuing["handSize"]),
            or_none(&queuing["queueLengthLimit"]),
            age(o, now),
        ]
    }),
    ..OF_SPEC
};

static IP_ADDRESS: Rules = Rules {
    name: |name, _| path_segment(name),
    row: Some(|o, _| {
        let parent = &o["spec"]["parentRef"];
        let dotted = |group: &str| if group.is_empty() { String::new() } else { format!(".{group}") };
        let kind = format!("{}{}", text(parent, "resource"), dotted(text(parent, "group"))).to_lowercase();
        let shown = match (parent.is_null(), text(parent, "namespace")) {
            (true, _) => "<none>".to_owned(),
            (false, "") => format!("{kind}/{}", text(parent, "name")),
            (false, namespace) => format!("{kind}/{namespace}/{}", text(parent, "name")),
        };
        vec![name(o), json!(shown)]
    }),
    ..PLAIN
};

static SERVICE_CIDR: Rules = Rules {
    row: Some(|o, now| {
        let cidrs: Vec<&str> = list(&o["spec"], "cidrs").iter().filter_map(Value::as_str).collect();
        vec![name(o), json!(cidrs.join(",")), age(o, now)]
    }),
    ..PLAIN
};

fn name_and_age(o: &Value, now: Timestamp) -> Vec<Value> {
    vec![name(o), age(o, now)]
}

static DEVICE_CLASS: Rules = Rules { row: Some(name_and_age), ..OF_SPEC };
static CLAIM_TEMPLATE: Rules = Rules { row: Some(name_and_age), ..PLAIN };

static DEVICE_TAINT: Rules = Rules {
    row: Some(|o, now| {
        let taint = &o["spec"]["taint"];
        let added = time(taint, "timeAdded").map(|then| since(Some(then), now)).unwrap_or_default();
        let mut cells = vec![name(o)];
        cells.extend(["key", "value", "effect"].map(|key| json!(text(taint, key))));
        cells.extend([json!(added), age(o, now)]);
        cells
    }),
    ..OF_SPEC
};

static RESOURCE_CLAIM: Rules = Rules {
    row: Some(|o, now| {
        let (status, deleting) = (&o["status"], is_deleting(o));
        let allocated = has(status, "allocation");
        let states = [
            (deleting, "deleted"),
            (!allocated && !deleting, "pending"),
            (allocated, "allocated"),
            (allocated && !list(status, "reservedFor").is_empty(), "reserved"),
        ];
        let shown: Vec<&str> = states.iter().filter(|(is, _)| *is).map(|(_, state)| *state).collect();
        vec![name(o), json!(shown.join(",")), age(o, now)]
    }),
    ..PLAIN
};

static RESOURCE_SLICE: Rules = Rules {
    selectable: Selectable { names: &["spec.nodeName", "spec.driver"], read: at_path },
    row: Some(|o, now| {
        let spec = &o["spec"];
        let pool = json!(text(&spec["pool"], "name"));
        vec![name(o), json!(text(spec, "nodeName")), json!(text(spec, "driver")), pool, age(o, now)]
    }),
    ..OF_SPEC
};

static ATTRIBUTES_CLASS: Rules =
    Rules { row: Some(|o, now| vec![name(o), json!(text(o, "driverName")), age(o, now)]), ..PLAIN };

static MIGRATION: Rules = Rules {
    unconditional_update: false,
    row: Some(|o, _| {
        let resource = &o["spec"]["resource"];
        let group = text(resource, "group");
        let dot = if group.is_empty() { "" } else { "." };
        let states = ["Running", "Failed", "Succeeded"];
        let last = list(&o["status"], "conditions")
            .iter()
            .rfind(|c| text(c, "status") == "True" && states.contains(&text(c, "type")));
        let shown = format!("{}{dot}{group}", text(resource, "resource"));
        vec![name(o), json!(shown), json!(last.map_or("Unknown", |c| text(c, "type")))]
    }),
    ..PLAIN
};

static COMPONENT: Rules = Rules {
    row: Some(|o, _| {
        let healthy = list(o, "conditions").iter().find(|c| text(c, "type") == "Healthy");
        let status = match healthy.map(|c| text(c, "status")) {
            Some("True") => "Healthy",
            Some(_) => "Unhealthy",
            None => "Unknown",
        };
        let words = |key: &str| json!(healthy.map_or("", |c| text(c, key)));
        vec![name(o), json!(status), words("message"), words("error")]
    }),
    ..PLAIN
};
