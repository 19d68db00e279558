//! Pod, and the pod template inside every workload (upstream: `registry/core/pod`, `pkg/apis/core/validation`).
//!
//! Absent: defaults of pod-level resources from containers, AppArmor annotations, and checks of volume sources that no
//! cluster without a cloud mounts (their required fields are not looked at).

mod containers;
mod placement;
mod prepare;
mod projections;
pub(crate) mod resources;
mod row;
mod spec;
mod update;
mod volumes;
mod warnings;

pub(crate) use placement::node_selector;
pub use prepare::qos_class;
pub(crate) use volumes::{host_path, no_steps_back};

use apimachinery::names::{dns_label, dns_subdomain};
use apimachinery::{FieldError, FieldPath, Subresource};
use serde_json::Value;

use crate::kinds::subdomain;
use crate::rules::{Generation, Rules, Selectable, at_path};
use crate::value::{flag, int, text};

/// Where a pod is validated: some rules are only for pods, some only for templates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Pod,
    Template,
}

pub(crate) static RULES: Rules = Rules {
    name: subdomain,
    generation: Generation::Of("spec"),
    prepare_create: |o, context| prepare::create(o, context),
    prepare_update: |new, old, context| match context.subresource {
        Subresource::None => prepare::update(new, old),
        Subresource::Status => prepare::status(new, old),
        Subresource::Other("ephemeralcontainers") => prepare::ephemeral_containers(new, old),
        Subresource::Other("resize") => prepare::resize(new, old),
        Subresource::Other(_) => {}
    },
    validate: |o| {
        let mut faults = spec::validate(&FieldPath::new("spec"), o, Place::Pod);
        if o["spec"]["ephemeralContainers"].as_array().is_some_and(|c| !c.is_empty()) {
            let path = FieldPath::new("spec").child("ephemeralContainers");
            faults.push(FieldError::forbidden(&path, "cannot be set on create"));
        }
        faults
    },
    validate_update: |new, old, subresource| match subresource {
        Subresource::None => update::pod(new, old),
        Subresource::Status => update::status(new, old),
        Subresource::Other("ephemeralcontainers") => update::ephemeral_containers(new, old),
        Subresource::Other("resize") => update::resize(new, old),
        Subresource::Other(_) => Vec::new(),
    },
    warnings: |new, old| {
        // Those who change Pods are programs, which read none.
        if old.is_some() {
            return Vec::new();
        }
        let mut warnings = name_warning("the Pod's hostname", new);
        warnings.extend(warnings::of_pod(new));
        warnings
    },
    grace_period_seconds: |o, requested| Some(grace_period_seconds(o, requested)),
    selectable: Selectable {
        names: &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.podIPs",
            "status.nominatedNodeName",
        ],
        read: |o, field| match field {
            "spec.hostNetwork" => flag(&o["spec"], "hostNetwork").to_string(),
            "status.podIP" | "status.podIPs" => text(&o["status"]["podIPs"][0], "ip").to_owned(),
            other => at_path(o, other),
        },
    },
    row: Some(row::row),
    ..Rules::NONE
};

/// The sentence for an object's name that is no DNS label but becomes part of `what`.
fn name_warning(what: &str, o: &Value) -> Vec<String> {
    let faults = dns_label(text(&o["metadata"], "name"));
    if faults.is_empty() {
        return Vec::new();
    }
    vec![format!(
        "metadata.name: this is used in {what}, which can result in surprising behavior; a DNS label is recommended: [{}]",
        faults.join(" ")
    )]
}

/// What is said of a new object whose Pods get its name.
pub(crate) fn owner_name_warning(new: &Value, old: Option<&Value>) -> Vec<String> {
    if old.is_some() { Vec::new() } else { name_warning("Pod names and hostnames", new) }
}

/// What is said of the template at `path` of an object that is new, or was changed beyond its status and metadata.
pub(crate) fn template_warnings(path: &FieldPath, template: &Value, new: &Value, old: Option<&Value>) -> Vec<String> {
    let changed = old.is_none_or(|old| old["metadata"]["generation"] != new["metadata"]["generation"]);
    if changed { warnings::of_template(path, template) } else { Vec::new() }
}

/// The seconds that a pod gets to end: none if it runs nowhere or has ended, at least one if a negative number is asked.
fn grace_period_seconds(o: &Value, requested: Option<i64>) -> i64 {
    let seconds = requested.or(int(&o["spec"], "terminationGracePeriodSeconds")).unwrap_or_default();
    let ended = matches!(text(&o["status"], "phase"), "Failed" | "Succeeded");
    if text(&o["spec"], "nodeName").is_empty() || ended {
        return 0;
    }
    if seconds < 0 { 1 } else { seconds }
}

/// All faults of a pod template at `path`.
pub(crate) fn validate_template(path: &FieldPath, template: &Value) -> Vec<FieldError> {
    let metadata = path.child("metadata");
    let mut faults = crate::metadata::labels(&metadata.child("labels"), &template["metadata"]["labels"]);
    faults.extend(crate::metadata::annotations_of(&metadata.child("annotations"), &template["metadata"]));
    faults.extend(spec::validate(&path.child("spec"), template, Place::Template));
    if template["spec"]["ephemeralContainers"].as_array().is_some_and(|c| !c.is_empty()) {
        let path = path.child("spec").child("ephemeralContainers");
        faults.push(FieldError::forbidden(&path, "ephemeral containers not allowed in pod template"));
    }
    faults
}

/// A DNS subdomain that may be absent.
fn optional_subdomain(path: &FieldPath, o: &Value, key: &str) -> Vec<FieldError> {
    let name = text(o, key);
    if name.is_empty() { Vec::new() } else { crate::check::invalid_each(&path.child(key), name, dns_subdomain(name)) }
}
