//! Quantities: what Pods ask for, their class of service, and environment variables that show them.

use super::fields::Fields;
use apimachinery::Quantity;
use apimachinery::quantity::Format;
use serde_json::Value;
use std::collections::BTreeMap;

/// Amounts by resource.
pub(super) type Amounts = BTreeMap<String, Quantity>;

/// A quantity of an object, or zero.
pub(super) fn quantity(value: &Value) -> Quantity {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => String::new(),
    };
    text.parse().unwrap_or_default()
}

/// A quantity's canonical text.
pub(super) fn canonical(value: &Value) -> String {
    quantity(value).to_string()
}

fn amounts(value: &Value, path: &str) -> Amounts {
    value.entries(path).into_iter().map(|(name, amount)| (name.clone(), quantity(amount))).collect()
}

/// Adds up; a sum keeps the format of what it began with.
pub(super) fn add(sum: &mut Amounts, more: &Amounts) {
    for (name, amount) in more {
        match sum.get_mut(name) {
            Some(there) => there.add(amount),
            None => {
                sum.insert(name.clone(), amount.clone());
            }
        }
    }
}

fn raise(most: &mut Amounts, other: Amounts) {
    for (name, amount) in other {
        match most.get_mut(&name) {
            Some(there) if *there >= amount => {}
            _ => {
                most.insert(name, amount);
            }
        }
    }
}

/// Which amounts of a container count.
#[derive(Clone, Copy)]
enum Source {
    Spec,
    Allocated,
    Actuated,
}

/// Requests or limits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Bound {
    Requests,
    Limits,
}

impl Bound {
    fn path(self) -> &'static str {
        match self {
            Bound::Requests => "requests",
            Bound::Limits => "limits",
        }
    }
}

/// What a whole Pod asks for (`PodRequests` and `PodLimits` of component-helpers). With `of_status`, a resize that is
/// under way counts with what the node has given.
pub(super) fn pod_amounts(pod: &Value, bound: Bound, of_status: bool) -> Amounts {
    let is_infeasible = pod
        .list("status/conditions")
        .iter()
        .find(|condition| condition.text("type") == "PodResizePending")
        .is_some_and(|condition| condition.text("reason") == "Infeasible");
    let mut sum = Amounts::new();
    if !of_status || !is_infeasible {
        sum = containers(pod, bound, Source::Spec, false);
    }
    if of_status {
        raise(&mut sum, containers(pod, bound, Source::Actuated, is_infeasible));
        if bound == Bound::Requests {
            raise(&mut sum, containers(pod, bound, Source::Allocated, is_infeasible));
        }
    }
    for (name, amount) in amounts(pod.at("spec/resources"), bound.path()) {
        if is_pod_level(&name) {
            sum.insert(name, amount);
        }
    }
    let overhead = amounts(pod, "spec/overhead");
    match bound {
        Bound::Requests => add(&mut sum, &overhead),
        Bound::Limits => {
            for (name, amount) in &overhead {
                if let Some(limit) = sum.get_mut(name).filter(|limit| !limit.is_zero()) {
                    limit.add(amount);
                }
            }
        }
    }
    sum
}

/// The sum of the containers, or what the init containers take at their most.
fn containers(pod: &Value, bound: Bound, source: Source, is_infeasible: bool) -> Amounts {
    let of = |container: &Value, statuses: &str| {
        let status = pod.list(statuses).iter().find(|status| status.text("name") == container.text("name"));
        let actuated = status.map(|status| status.at("resources")).filter(|resources| resources.has(bound.path()));
        let allocated = status.filter(|status| bound == Bound::Requests && status.has("allocatedResources"));
        match (source, actuated, allocated) {
            (Source::Actuated, Some(resources), _) => amounts(resources, bound.path()),
            (Source::Actuated | Source::Allocated, _, Some(status)) => amounts(status, "allocatedResources"),
            (Source::Actuated | Source::Allocated, ..) if is_infeasible => Amounts::new(),
            _ => amounts(container.at("resources"), bound.path()),
        }
    };
    let mut sum = Amounts::new();
    for container in pod.list("spec/containers") {
        add(&mut sum, &of(container, "status/containerStatuses"));
    }
    let mut sidecars = Amounts::new();
    let mut most = Amounts::new();
    for container in pod.list("spec/initContainers") {
        let mut own = of(container, "status/initContainerStatuses");
        if container.text("restartPolicy") == "Always" {
            add(&mut sum, &own);
            add(&mut sidecars, &own);
            raise(&mut most, sidecars.clone());
        } else {
            add(&mut own, &sidecars);
            raise(&mut most, own);
        }
    }
    raise(&mut sum, most);
    sum
}

fn is_pod_level(name: &str) -> bool {
    matches!(name, "cpu" | "memory") || name.starts_with("hugepages-")
}

/// A Pod's class of service: what its status says, or what follows from its containers.
pub(super) fn qos_class(pod: &Value) -> &str {
    match pod.text("status/qosClass") {
        "" => {}
        class => return class,
    }
    let resources = pod.at("spec/resources");
    let names = || resources.entries("requests").into_iter().chain(resources.entries("limits"));
    if names().any(|(name, _)| is_pod_level(name)) {
        return class_of(resources);
    }
    let all = pod.list("spec/initContainers").iter().chain(pod.list("spec/containers"));
    let mut classes: Vec<_> = all.map(|container| class_of(container.at("resources"))).collect();
    classes.dedup();
    match classes.as_slice() {
        [] => "BestEffort",
        [only] => only,
        _ => "Burstable",
    }
}

fn class_of(resources: &Value) -> &'static str {
    if resources.entries("requests").is_empty() && resources.entries("limits").is_empty() {
        return "BestEffort";
    }
    let of = |name: &str| {
        let amount = |path: &str| Some(resources.at(path).at(name)).filter(|v| !v.is_null()).map(quantity);
        let request = amount("requests").filter(|q| !q.is_zero());
        let limit = amount("limits").filter(|q| !q.is_zero());
        match (request, limit) {
            (None, None) => "BestEffort",
            (request, Some(limit)) if request.as_ref().is_none_or(|request| *request == limit) => "Guaranteed",
            _ => "Burstable",
        }
    };
    match (of("cpu"), of("memory")) {
        (cpu, memory) if cpu == memory => cpu,
        _ => "Burstable",
    }
}

/// What a variable with `resourceFieldRef` shows: the amount in units of the divisor, rounded up.
pub(super) fn field_value(container: &Value, reference: &Value) -> Option<String> {
    let (bound, name) = reference.text("resource").split_once('.')?;
    if !matches!(bound, "limits" | "requests") {
        return None;
    }
    let divisor = quantity(reference.at("divisor"));
    let divisor = if divisor.is_zero() { Quantity::new(1, Format::DecimalSi) } else { divisor };
    let amount = quantity(container.at("resources").at(bound).at(name));
    let (amount, divisor) = match name {
        "cpu" => (amount.milli_value(), divisor.milli_value()),
        "memory" | "ephemeral-storage" => (amount.value(), divisor.value()),
        name if name.starts_with("hugepages-") => (amount.value(), divisor.value()),
        _ => return None,
    };
    Some(((amount as f64 / divisor as f64).ceil() as i64).to_string())
}
