//! Amounts by resource name: a `ResourceList`, its sums, and what a Pod asks for and may use
//! (upstream: `apiserver/pkg/quota/v1/resources.go`, `component-helpers/resource`).

use std::collections::BTreeMap;

use apimachinery::Quantity;
use serde_json::{Value, json};

use crate::value::{as_quantity, list, text};

/// Amounts by resource name.
pub type ResourceList = BTreeMap<String, Quantity>;

/// Reads a `ResourceList`. What is no amount is left out: validation has refused it.
pub fn read(value: &Value) -> ResourceList {
    let entries = value.as_object().into_iter().flatten();
    entries.filter_map(|(name, value)| as_quantity(value).map(|amount| (name.clone(), amount))).collect()
}

/// The list as the API writes it.
pub fn write(list: &ResourceList) -> Value {
    list.iter()
        .map(|(name, amount)| (name.clone(), json!(amount.to_string())))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// Adds `other`, name by name.
pub fn add(list: &mut ResourceList, other: &ResourceList) {
    for (name, amount) in other {
        match list.get_mut(name) {
            Some(sum) => sum.add(amount),
            None => {
                list.insert(name.clone(), amount.clone());
            }
        }
    }
}

/// Raises to `other`, name by name.
pub fn raise(list: &mut ResourceList, other: &ResourceList) {
    for (name, amount) in other {
        if list.get(name).is_none_or(|have| amount > have) {
            list.insert(name.clone(), amount.clone());
        }
    }
}

/// What counts as a Pod's resources.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reckoning {
    /// What the spec says of its containers, or of the Pod as a whole.
    Containers,
    /// That and the overhead.
    Spec,
    /// The largest of spec, allocation and what runs, for a resize may be on its way; and the overhead.
    Charged,
    /// The same, of the Pod as a whole too.
    Scheduled,
}

/// What a Pod asks for.
pub fn pod_requests(pod: &Value, reckoning: Reckoning) -> ResourceList {
    pod_requests_or(pod, reckoning, &ResourceList::new())
}

/// What a Pod asks for, where each container that does not say how much it needs of a resource counts with `missing`.
pub fn pod_requests_or(pod: &Value, reckoning: Reckoning, missing: &ResourceList) -> ResourceList {
    let infeasible = resize_is_infeasible(pod);
    let filled = |mut list: ResourceList| {
        missing.iter().for_each(|(name, amount)| _ = list.entry(name.clone()).or_insert_with(|| amount.clone()));
        list
    };
    let spec = |container: &Value, _: &Value| filled(read(&container["resources"]["requests"]));
    let unless_infeasible =
        |container: &Value| if infeasible { filled(ResourceList::new()) } else { spec(container, container) };
    let allocated = |container: &Value, status: &Value| match &status["allocatedResources"] {
        Value::Null => unless_infeasible(container),
        given => filled(read(given)),
    };
    let running = |container: &Value, status: &Value| match &status["resources"]["requests"] {
        Value::Null => allocated(container, status),
        given => filled(read(given)),
    };
    let (whole, whole_allocated) = (&pod["status"]["resources"], &pod["status"]["allocatedResources"]);
    let told = reckoning == Reckoning::Scheduled && whole_allocated.is_object() && whole["requests"].is_object();
    let sources: &[Source<'_>] = match reckoning {
        Reckoning::Containers | Reckoning::Spec => &[&spec],
        Reckoning::Scheduled if told && infeasible => &[],
        Reckoning::Scheduled if told => &[&spec],
        Reckoning::Charged | Reckoning::Scheduled if infeasible => &[&running, &allocated],
        Reckoning::Charged | Reckoning::Scheduled => &[&spec, &running, &allocated],
    };
    let mut total = largest(pod, sources);
    if told {
        // These are the sums of all containers already.
        [whole_allocated, &whole["requests"]].into_iter().for_each(|sum| raise(&mut total, &read(sum)));
    }
    whole_pod(pod, "requests", reckoning, &mut total);
    if reckoning != Reckoning::Containers {
        add(&mut total, &read(&pod["spec"]["overhead"]));
    }
    total
}

/// What a Pod may use at most.
pub fn pod_limits(pod: &Value, reckoning: Reckoning) -> ResourceList {
    let infeasible = resize_is_infeasible(pod);
    let spec = |container: &Value, _: &Value| read(&container["resources"]["limits"]);
    let running = |container: &Value, status: &Value| match &status["resources"]["limits"] {
        Value::Null if infeasible => ResourceList::new(),
        Value::Null => read(&container["resources"]["limits"]),
        given => read(given),
    };
    let whole = &pod["status"]["resources"]["limits"];
    let told = reckoning == Reckoning::Scheduled && whole.is_object();
    let sources: &[Source<'_>] = match reckoning {
        Reckoning::Containers | Reckoning::Spec => &[&spec],
        Reckoning::Scheduled if told && infeasible => &[],
        Reckoning::Scheduled if told => &[&spec],
        Reckoning::Charged | Reckoning::Scheduled if infeasible => &[&running],
        Reckoning::Charged | Reckoning::Scheduled => &[&spec, &running],
    };
    let mut total = largest(pod, sources);
    if told {
        raise(&mut total, &read(whole));
    }
    whole_pod(pod, "limits", reckoning, &mut total);
    if reckoning != Reckoning::Containers {
        for (name, overhead) in read(&pod["spec"]["overhead"]) {
            // What has no limit has none with the overhead either.
            if let Some(limit) = total.get_mut(&name).filter(|limit| !limit.is_zero()) {
                limit.add(&overhead);
            }
        }
    }
    total
}

/// Gives a container's amounts from its spec and its status.
type Source<'a> = &'a dyn Fn(&Value, &Value) -> ResourceList;

fn largest(pod: &Value, sources: &[Source<'_>]) -> ResourceList {
    let mut total = ResourceList::new();
    for source in sources {
        raise(&mut total, &of_containers(pod, source));
    }
    total
}

/// Containers and sidecars together, or the largest init container with the sidecars before it.
fn of_containers(pod: &Value, source: Source<'_>) -> ResourceList {
    let of = |container: &Value| source(container, status_of(pod, text(container, "name")));
    let mut total = ResourceList::new();
    list(&pod["spec"], "containers").iter().for_each(|container| add(&mut total, &of(container)));
    let (mut sidecars, mut starting) = (ResourceList::new(), ResourceList::new());
    for container in list(&pod["spec"], "initContainers") {
        let mut need = of(container);
        if text(container, "restartPolicy") == "Always" {
            add(&mut total, &need);
            add(&mut sidecars, &need);
            raise(&mut starting, &sidecars);
        } else {
            add(&mut need, &sidecars);
            raise(&mut starting, &need);
        }
    }
    raise(&mut total, &starting);
    total
}

fn status_of<'a>(pod: &'a Value, name: &str) -> &'a Value {
    let all = ["containerStatuses", "initContainerStatuses"].into_iter().flat_map(|key| list(&pod["status"], key));
    all.into_iter().find(|status| text(status, "name") == name).unwrap_or(&Value::Null)
}

/// What the Pod says of itself as a whole counts before the sum of its containers.
fn whole_pod(pod: &Value, kind: &str, reckoning: Reckoning, total: &mut ResourceList) {
    let mut stated = read(&pod["spec"]["resources"][kind]);
    let status = &pod["status"];
    if reckoning == Reckoning::Scheduled && !stated.is_empty() && status["resources"].is_object() {
        if resize_is_infeasible(pod) {
            stated.clear();
        }
        raise(&mut stated, &read(&status["resources"][kind]));
        if kind == "requests" {
            raise(&mut stated, &read(&status["allocatedResources"]));
        }
    }
    total.extend(stated.into_iter().filter(|(name, _)| is_pod_level(name)));
}

/// Whether a Pod as a whole may have this resource.
pub(crate) fn is_pod_level(name: &str) -> bool {
    matches!(name, "cpu" | "memory") || name.starts_with("hugepages-")
}

fn resize_is_infeasible(pod: &Value) -> bool {
    let pending = list(&pod["status"], "conditions").iter().find(|c| text(c, "type") == "PodResizePending");
    pending.is_some_and(|condition| text(condition, "reason") == "Infeasible")
}
