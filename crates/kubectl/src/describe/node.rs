//! Nodes.

use super::Case;
use super::events::events;
use super::fields::{Fields, or, or_none};
use super::page::{Page, age, line, time};
use super::resources::{Amounts, Bound, add, canonical, pod_amounts, quantity};
use apimachinery::Quantity;
use serde_json::Value;
use std::collections::BTreeSet;

pub(super) fn node(case: &Case<'_>, page: &mut Page) {
    let node = case.object;
    page.name(node);
    page.field(0, "Roles", or_none(&roles(node)));
    page.metadata(node);
    page.field(0, "CreationTimestamp", &time(node.at("metadata/creationTimestamp"), case.zone));
    taints(page, node);
    line!(page, 0, "Unschedulable:\t{}", node.flag("spec/unschedulable"));
    lease(case, page);
    conditions(case, page);
    line!(page, 0, "Addresses:");
    for address in node.list("status/addresses") {
        page.field(1, address.text("type"), address.text("address"));
    }
    for (title, path) in [("Capacity", "status/capacity"), ("Allocatable", "status/allocatable")] {
        let entries = node.entries(path);
        if !entries.is_empty() {
            line!(page, 0, "{title}:");
        }
        for (name, amount) in entries {
            page.field(1, name, &canonical(amount));
        }
    }
    system(page, node.at("status/nodeInfo"));
    page.field_if(0, "PodCIDR", node.text("spec/podCIDR"));
    page.field_if(0, "PodCIDRs", &node.joined("spec/podCIDRs", ","));
    page.field_if(0, "ProviderID", node.text("spec/providerID"));
    match &case.related.pods {
        Some(Ok(pods)) => {
            pods_on(case, page, pods);
            allocated(page, node, pods);
        }
        _ => page.field(0, "Pods", "not authorized"),
    }
    events(case, page);
}

fn roles(node: &Value) -> String {
    let labels = node.entries("metadata/labels");
    let roles: BTreeSet<_> = labels
        .into_iter()
        .filter_map(|(key, value)| match key.strip_prefix("node-role.kubernetes.io/") {
            Some(role) => Some(role),
            None if key == "kubernetes.io/role" => value.as_str(),
            None => None,
        })
        .filter(|role| !role.is_empty())
        .collect();
    roles.into_iter().collect::<Vec<_>>().join(",")
}

fn taints(page: &mut Page, node: &Value) {
    let mut taints: Vec<_> = node.list("spec/taints").iter().collect();
    taints.sort_by_key(|taint| format!("{},{}", taint.text("effect"), taint.text("key")));
    page.multiline(
        "Taints",
        taints.into_iter().map(|taint| {
            let (key, value, effect) = (taint.text("key"), taint.text("value"), taint.text("effect"));
            match (value, effect) {
                ("", "") => key.to_string(),
                ("", effect) => format!("{key}:{effect}"),
                (value, "") => format!("{key}={value}:"),
                (value, effect) => format!("{key}={value}:{effect}"),
            }
        }),
    );
}

fn lease(case: &Case<'_>, page: &mut Page) {
    let lease = match &case.related.lease {
        Some(Ok(lease)) => lease,
        Some(Err(error)) => return line!(page, 0, "Lease:\tFailed to get lease: {error}"),
        None => return,
    };
    line!(page, 0, "Lease:");
    page.field(1, "HolderIdentity", or(lease.text("spec/holderIdentity"), "<unset>"));
    for (title, path) in [("AcquireTime", "spec/acquireTime"), ("RenewTime", "spec/renewTime")] {
        let shown = if lease.has(path) { time(lease.at(path), case.zone) } else { "<unset>".into() };
        page.field(1, title, &shown);
    }
}

fn conditions(case: &Case<'_>, page: &mut Page) {
    let conditions = case.object.list("status/conditions");
    if conditions.is_empty() {
        return;
    }
    line!(page, 0, "Conditions:\n  Type\tStatus\tLastHeartbeatTime\tLastTransitionTime\tReason\tMessage");
    line!(page, 1, "----\t------\t-----------------\t------------------\t------\t-------");
    for condition in conditions {
        let (kind, status) = (condition.text("type"), condition.text("status"));
        let heartbeat = time(condition.at("lastHeartbeatTime"), case.zone);
        let transition = time(condition.at("lastTransitionTime"), case.zone);
        let (reason, message) = (condition.text("reason"), condition.text("message"));
        line!(page, 1, "{kind} \t{status} \t{heartbeat} \t{transition} \t{reason} \t{message}");
    }
}

fn system(page: &mut Page, info: &Value) {
    line!(page, 0, "System Info:");
    for (title, path) in [
        ("Machine ID", "machineID"),
        ("System UUID", "systemUUID"),
        ("Boot ID", "bootID"),
        ("Kernel Version", "kernelVersion"),
        ("OS Image", "osImage"),
        ("Operating System", "operatingSystem"),
        ("Architecture", "architecture"),
        ("Container Runtime Version", "containerRuntimeVersion"),
        ("Kubelet Version", "kubeletVersion"),
    ] {
        page.field(1, title, info.text(path));
    }
}

/// What Pods may use of the node.
fn allocatable(node: &Value) -> &Value {
    match node.at("status/allocatable") {
        Value::Object(map) if !map.is_empty() => node.at("status/allocatable"),
        _ => node.at("status/capacity"),
    }
}

fn amount(amounts: &Amounts, name: &str) -> Quantity {
    amounts.get(name).cloned().unwrap_or_default()
}

/// A share in whole percent. Go's conversion of what is no number gives the smallest integer.
fn percent(part: i64, whole: i64) -> i64 {
    let share = part as f64 / whole as f64 * 100.0;
    if share.is_finite() { share as i64 } else { i64::MIN }
}

fn pods_on(case: &Case<'_>, page: &mut Page, pods: &[Value]) {
    line!(page, 0, "Non-terminated Pods:\t({} in total)", pods.len());
    line!(page, 1, "Namespace\tName\t\tCPU Requests\tCPU Limits\tMemory Requests\tMemory Limits\tAge");
    line!(page, 1, "---------\t----\t\t------------\t----------\t---------------\t-------------\t---");
    let allocatable = allocatable(case.object);
    let (cpu, memory) = (quantity(allocatable.at("cpu")).milli_value(), quantity(allocatable.at("memory")).value());
    for pod in pods {
        let requests = pod_amounts(pod, Bound::Requests, true);
        let limits = pod_amounts(pod, Bound::Limits, true);
        let of_cpu = |amounts: &Amounts| {
            let amount = amount(amounts, "cpu");
            format!("{amount} ({}%)", percent(amount.milli_value(), cpu))
        };
        let of_memory = |amounts: &Amounts| {
            let amount = amount(amounts, "memory");
            format!("{amount} ({}%)", percent(amount.value(), memory))
        };
        line!(
            page,
            1,
            "{}\t{}\t\t{}\t{}\t{}\t{}\t{}",
            pod.text("metadata/namespace"),
            pod.text("metadata/name"),
            of_cpu(&requests),
            of_cpu(&limits),
            of_memory(&requests),
            of_memory(&limits),
            age(pod.at("metadata/creationTimestamp"), case.now),
        );
    }
}

fn allocated(page: &mut Page, node: &Value, pods: &[Value]) {
    line!(page, 0, "Allocated resources:\n  (Total limits may be over 100 percent, i.e., overcommitted.)");
    line!(page, 1, "Resource\tRequests\tLimits");
    line!(page, 1, "--------\t--------\t------");
    let (mut requests, mut limits) = (Amounts::new(), Amounts::new());
    for pod in pods {
        add(&mut requests, &pod_amounts(pod, Bound::Requests, false));
        add(&mut limits, &pod_amounts(pod, Bound::Limits, false));
    }
    let allocatable = allocatable(node);
    let share = |amounts: &Amounts, name: &str| {
        let part = amount(amounts, name);
        let whole = quantity(allocatable.get(name).unwrap_or(&Value::Null));
        let values =
            if name == "cpu" { (part.milli_value(), whole.milli_value()) } else { (part.value(), whole.value()) };
        let percent = if values.1 == 0 { 0 } else { percent(values.0, values.1) };
        format!("{part} ({percent}%)")
    };
    let names: Vec<_> = allocatable.as_object().map(|map| map.keys()).into_iter().flatten().collect();
    let sorted = |keep: fn(&str) -> bool| {
        let mut names: Vec<_> = names.iter().map(|name| name.as_str()).filter(|name| keep(name)).collect();
        names.sort_unstable();
        names
    };
    const STANDARD: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];
    let huge_pages = sorted(|name| name.starts_with("hugepages-"));
    for name in STANDARD.into_iter().chain(huge_pages) {
        line!(page, 1, "{name}\t{}\t{}", share(&requests, name), share(&limits, name));
    }
    for name in sorted(|name| !name.starts_with("hugepages-") && name != "pods" && !STANDARD.contains(&name)) {
        line!(page, 1, "{name}\t{}\t{}", amount(&requests, name), amount(&limits, name));
    }
}
