//! What the server sets and resets in a pod.

use serde_json::{Value, json};

use crate::metadata::keep_for_status;
use crate::value::{as_quantity, child, entries, has, items_mut, list, put, text};
use apimachinery::{Quantity, WriteContext};

/// A new pod is pending, has a QoS class, and waits if it is gated.
pub(super) fn create(o: &mut Value, context: &WriteContext<'_>) {
    let mut status = json!({ "phase": "Pending" });
    if !list(&o["spec"], "schedulingGates").is_empty() {
        status["conditions"] = json!([{
            "type": "PodScheduled",
            "status": "False",
            "lastTransitionTime": apimachinery::metav1_time(context.now),
            "reason": "SchedulingGated",
            "message": "Scheduling is blocked due to non-empty scheduling gates",
        }]);
    }
    status["qosClass"] = json!(qos_class(&o["spec"]));
    put(o, "status", status);
    merge_label_keys(o);
}

/// How a pod's resources are guaranteed: `Guaranteed`, `Burstable` or `BestEffort`.
pub fn qos_class(spec: &Value) -> &'static str {
    let whole = &spec["resources"];
    if entries(whole, "requests").next().is_some() || entries(whole, "limits").next().is_some() {
        return requirements_class(whole);
    }
    let mut class = None;
    for container in list(spec, "initContainers").iter().chain(list(spec, "containers")) {
        let one = requirements_class(&container["resources"]);
        match class {
            _ if one == "Burstable" => return one,
            None => class = Some(one),
            Some(before) if before != one => return "Burstable",
            Some(_) => {}
        }
    }
    class.unwrap_or("BestEffort")
}

fn requirements_class(resources: &Value) -> &'static str {
    if entries(resources, "requests").next().is_none() && entries(resources, "limits").next().is_none() {
        return "BestEffort";
    }
    let amount = |kind: &str, name: &str| as_quantity(&resources[kind][name]).unwrap_or_default();
    let class = |name: &str| -> &'static str {
        let (request, limit): (Quantity, Quantity) = (amount("requests", name), amount("limits", name));
        match (request == limit, request.is_zero()) {
            (false, _) => "Burstable",
            (true, true) => "BestEffort",
            (true, false) => "Guaranteed",
        }
    };
    let (cpu, memory) = (class("cpu"), class("memory"));
    if cpu == memory { cpu } else { "Burstable" }
}

/// `matchLabelKeys` become expressions of the selector beside them.
fn merge_label_keys(o: &mut Value) {
    let labels = o["metadata"]["labels"].clone();
    let spec = child(o, "spec");
    for constraint in items_mut(spec, "topologySpreadConstraints") {
        add_expressions(constraint, &labels, "matchLabelKeys", "In");
    }
    for kind in ["podAffinity", "podAntiAffinity"] {
        let Some(affinity) = spec.get_mut("affinity").and_then(|a| a.get_mut(kind)) else {
            continue;
        };
        for weighted in items_mut(affinity, "preferredDuringSchedulingIgnoredDuringExecution") {
            if let Some(term) = weighted.get_mut("podAffinityTerm") {
                add_expressions(term, &labels, "matchLabelKeys", "In");
                add_expressions(term, &labels, "mismatchLabelKeys", "NotIn");
            }
        }
        for term in items_mut(affinity, "requiredDuringSchedulingIgnoredDuringExecution") {
            add_expressions(term, &labels, "matchLabelKeys", "In");
            add_expressions(term, &labels, "mismatchLabelKeys", "NotIn");
        }
    }
}

fn add_expressions(term: &mut Value, labels: &Value, keys: &str, operator: &str) {
    if !has(term, "labelSelector") {
        return;
    }
    let keys: Vec<String> = list(term, keys).iter().filter_map(|k| k.as_str().map(str::to_owned)).collect();
    for key in keys {
        if let Some(value) = labels[&key].as_str() {
            let expression = json!({ "key": key, "operator": operator, "values": [value] });
            let selector = child(term, "labelSelector");
            match selector.get_mut("matchExpressions").and_then(Value::as_array_mut) {
                Some(all) => all.push(expression),
                None => selector["matchExpressions"] = json!([expression]),
            }
        }
    }
}

/// Pod-level resources survive a client that does not know them.
pub(super) fn update(new: &mut Value, old: &Value) {
    if !has(&new["spec"], "resources") && has(&old["spec"], "resources") {
        child(new, "spec")["resources"] = old["spec"]["resources"].clone();
    }
}

/// A status write keeps owners, QoS class and what older clients drop.
pub(super) fn status(new: &mut Value, old: &Value) {
    put(child(new, "metadata"), "ownerReferences", old["metadata"]["ownerReferences"].clone());
    let before = &old["status"];
    let mut generations: Vec<(String, i64)> = list(before, "conditions")
        .iter()
        .map(|c| (text(c, "type").to_owned(), crate::value::int(c, "observedGeneration").unwrap_or_default()))
        .collect();
    let status = child(new, "status");
    if text(status, "qosClass").is_empty() {
        put(status, "qosClass", before["qosClass"].clone());
    }
    for key in [
        "resourceClaimStatuses",
        "extendedResourceClaimStatus",
        "nodeAllocatableResourceClaimStatuses",
        "observedGeneration",
    ] {
        if !has(status, key) {
            put(status, key, before[key].clone());
        }
    }
    for condition in items_mut(status, "conditions") {
        let Some(at) = generations.iter().position(|(kind, _)| kind == text(condition, "type")) else {
            continue;
        };
        let (_, generation) = generations.remove(at);
        if crate::value::int(condition, "observedGeneration").unwrap_or_default() == 0 && generation > 0 {
            condition["observedGeneration"] = json!(generation);
        }
    }
}

/// Only the list of ephemeral containers is taken over.
pub(super) fn ephemeral_containers(new: &mut Value, old: &Value) {
    let containers = new["spec"]["ephemeralContainers"].clone();
    keep_all(new, old);
    put(child(new, "spec"), "ephemeralContainers", containers);
}

/// Only the containers' resources and resize policies are taken over.
pub(super) fn resize(new: &mut Value, old: &Value) {
    let fields = ["containers", "initContainers"];
    let same_shape = |field: &str| {
        let names =
            |o: &Value| -> Vec<String> { list(&o["spec"], field).iter().map(|c| text(c, "name").to_owned()).collect() };
        names(new) == names(old)
    };
    if !fields.iter().all(|field| same_shape(field)) {
        // Validation refuses containers that come, go or change places.
        return;
    }
    let wanted = new["spec"].clone();
    keep_all(new, old);
    let spec = child(new, "spec");
    put(
        spec,
        "resources",
        if has(&wanted, "resources") { wanted["resources"].clone() } else { old["spec"]["resources"].clone() },
    );
    for field in fields {
        for (at, container) in items_mut(spec, field).enumerate() {
            for key in ["resources", "resizePolicy"] {
                put(container, key, wanted[field][at][key].clone());
            }
        }
    }
}

fn keep_all(new: &mut Value, old: &Value) {
    put(new, "spec", old["spec"].clone());
    put(new, "status", old["status"].clone());
    keep_for_status(new, old);
}
