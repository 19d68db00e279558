//! Pods.

use super::Case;
use super::containers::{Owner, containers, requirements, seccomp};
use super::events::events;
use super::fields::{Fields, or_none, selector};
use super::page::{Page, age, line, time};
use super::resources;
use super::volumes;
use serde_json::Value;

pub(super) fn pod(case: &Case<'_>, page: &mut Page) {
    let pod = case.object;
    page.names(pod);
    if pod.has("spec/priority") {
        line!(page, 0, "Priority:\t{}", pod.int("spec/priority"));
    }
    page.field_if(0, "Priority Class Name", pod.text("spec/priorityClassName"));
    page.field_if(0, "Runtime Class Name", pod.text("spec/runtimeClassName"));
    page.field_if(0, "Service Account", pod.text("spec/serviceAccountName"));
    match pod.text("spec/nodeName") {
        "" => page.field(0, "Node", "<none>"),
        node => line!(page, 0, "Node:\t{node}/{}", pod.text("status/hostIP")),
    }
    if pod.has("status/startTime") {
        page.field(0, "Start Time", &time(pod.at("status/startTime"), case.zone));
    }
    page.metadata(pod);
    status(case, page);
    seccomp(page, 0, 0, pod.at("spec/securityContext/seccompProfile"));
    addresses(page, pod);
    page.controlled_by(pod);
    page.field_if(0, "NominatedNodeName", pod.text("status/nominatedNodeName"));
    if pod.has("spec/resources") {
        line!(page, 0, "Resources:");
        requirements(page, 1, pod.at("spec/resources"));
    }
    all_containers(case, page);
    conditions(page, pod);
    volumes::volumes(page, pod.list("spec/volumes"), "");
    page.field(0, "QoS Class", resources::qos_class(pod));
    page.labels("Node-Selectors", pod, "spec/nodeSelector");
    tolerations(page, "Tolerations", pod.at("spec"));
    spread_constraints(page, pod.at("spec"), "");
    scheduling_group(page, pod.at("spec"), "");
    events(case, page);
}

fn status(case: &Case<'_>, page: &mut Page) {
    let pod = case.object;
    let phase = pod.text("status/phase");
    if pod.has("metadata/deletionTimestamp") && !matches!(phase, "Failed" | "Succeeded") {
        let lasts = age(pod.at("metadata/deletionTimestamp"), case.now);
        line!(page, 0, "Status:\tTerminating (lasts {lasts})");
        line!(page, 0, "Termination Grace Period:\t{}s", pod.int("metadata/deletionGracePeriodSeconds"));
    } else {
        page.field(0, "Status", phase);
    }
    page.field_if(0, "Reason", pod.text("status/reason"));
    page.field_if(0, "Message", pod.text("status/message"));
}

fn addresses(page: &mut Page, pod: &Value) {
    page.field(0, "IP", pod.text("status/podIP"));
    let addresses = pod.list("status/podIPs");
    if addresses.is_empty() {
        return page.field(0, "IPs", "<none>");
    }
    line!(page, 0, "IPs:");
    for address in addresses {
        page.field(1, "IP", address.text("ip"));
    }
}

fn all_containers(case: &Case<'_>, page: &mut Page) {
    let pod = case.object;
    let owner = Owner::Pod(pod, case.zone);
    for (title, list, statuses) in [
        ("Init Containers", "spec/initContainers", "status/initContainerStatuses"),
        ("Containers", "spec/containers", "status/containerStatuses"),
        ("Ephemeral Containers", "spec/ephemeralContainers", "status/ephemeralContainerStatuses"),
    ] {
        if title == "Containers" || !pod.list(list).is_empty() {
            containers(page, title, pod.list(list), pod.list(statuses), owner);
        }
    }
}

fn conditions(page: &mut Page, pod: &Value) {
    let conditions = pod.list("status/conditions");
    let gates = pod.list("spec/readinessGates");
    if !gates.is_empty() {
        line!(page, 0, "Readiness Gates:\n  Type\tStatus");
        for gate in gates {
            let of_gate = |condition: &&Value| condition.text("type") == gate.text("conditionType");
            let status = conditions.iter().find(of_gate).map_or("<none>", |condition| condition.text("status"));
            line!(page, 1, "{} \t{status} ", gate.text("conditionType"));
        }
    }
    if !conditions.is_empty() {
        line!(page, 0, "Conditions:\n  Type\tStatus");
        for condition in conditions {
            line!(page, 1, "{} \t{} ", condition.text("type"), condition.text("status"));
        }
    }
}

/// The tolerations of a Pod's spec.
pub(super) fn tolerations(page: &mut Page, title: &str, spec: &Value) {
    let mut sorted: Vec<_> = spec.list("tolerations").iter().collect();
    sorted.sort_by_key(|toleration| toleration.text("key"));
    page.multiline(
        title,
        sorted.into_iter().map(|toleration| {
            let (key, value, effect) = (toleration.text("key"), toleration.text("value"), toleration.text("effect"));
            let mut text = key.to_string();
            if !value.is_empty() {
                text.push_str(&format!("={value}"));
            }
            if !effect.is_empty() {
                text.push_str(&format!(":{effect}"));
            }
            if toleration.text("operator") == "Exists" && value.is_empty() {
                text.push_str(if text.is_empty() { "op=Exists" } else { " op=Exists" });
            }
            if toleration.has("tolerationSeconds") {
                text.push_str(&format!(" for {}s", toleration.int("tolerationSeconds")));
            }
            text
        }),
    );
}

/// The topology spread constraints of a Pod's spec, if there are any.
pub(super) fn spread_constraints(page: &mut Page, spec: &Value, indent: &str) {
    let mut sorted: Vec<_> = spec.list("topologySpreadConstraints").iter().collect();
    sorted.sort_by_key(|constraint| constraint.text("topologyKey"));
    for (at, constraint) in sorted.into_iter().enumerate() {
        let title = if at == 0 { "Topology Spread Constraints:" } else { "" };
        let of = match constraint.at("labelSelector") {
            Value::Null => String::new(),
            labels => format!(" for selector {}", or_none(&selector(labels))),
        };
        let (key, action) = (constraint.text("topologyKey"), constraint.text("whenUnsatisfiable"));
        let skew = constraint.int("maxSkew");
        line!(page, 0, "{indent}{title}\t{key}:{action} when max skew {skew} is exceeded{of}");
    }
}

/// The group that a Pod is scheduled with, if there is one.
pub(super) fn scheduling_group(page: &mut Page, spec: &Value, indent: &str) {
    if spec.has("schedulingGroup") {
        line!(page, 0, "{indent}SchedulingGroup:");
        page.field(1, "PodGroupName", spec.text("schedulingGroup/podGroupName"));
    }
}
