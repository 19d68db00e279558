//! Pods behind other objects, and their containers (upstream: `kubectl/pkg/polymorphichelpers`, `cmd/util/podcmd`).

use std::cmp::Ordering;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::context::Context;
use crate::error::KubectlError;
use crate::resource::{Info, ListQuery, Requests, Selection};

/// Names the container that commands take where none is named.
pub(crate) const DEFAULT_CONTAINER: &str = "kubectl.kubernetes.io/default-container";

/// Upstream's words for a wait that was too long.
pub(crate) const TIMED_OUT: &str = "timed out waiting for the condition";

/// The object that `NAME` or `TYPE/NAME` means; a name alone is a Pod's.
pub(crate) async fn named_or_pod(context: &Context, name: &str) -> Result<Info, KubectlError> {
    let arguments = if name.contains('/') { vec![name.to_owned()] } else { vec!["pods".to_owned(), name.to_owned()] };
    Selection { arguments, single_type: true, ..Selection::default() }.fetch(context).await?.one()
}

/// A label selector as text, in upstream's order and form.
pub(crate) fn label_selector(selector: &Value) -> String {
    crate::describe::selector_text(selector)
}

/// `*v1.ConfigMap`: a type as upstream's errors name it.
pub(crate) fn go_type(object: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let api_version = text(&object["apiVersion"]);
    let version = api_version.rsplit('/').next().unwrap_or_default();
    format!("*{version}.{}", text(&object["kind"]))
}

/// The selector of the Pods behind an object (`SelectorsForObject`).
pub(crate) fn selector_for(object: &Value) -> Result<String, String> {
    let selector = &object["spec"]["selector"];
    match object["kind"].as_str().unwrap_or_default() {
        "ReplicaSet" | "StatefulSet" | "DaemonSet" | "Deployment" | "Job" => Ok(label_selector(selector)),
        "ReplicationController" | "Service" => {
            let mut pairs: Vec<_> = selector.as_object().map(Map::iter).into_iter().flatten().collect();
            if pairs.is_empty() && object["kind"] == "Service" {
                let name = object["metadata"]["name"].as_str().unwrap_or_default();
                return Err(format!("invalid service '{name}': Service is defined without a selector"));
            }
            pairs.sort_by_key(|(key, _)| *key);
            let pairs = pairs.into_iter().map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()));
            Ok(pairs.collect::<Vec<_>>().join(","))
        }
        _ => Err(format!("selector for {} not implemented", go_type(object))),
    }
}

/// The Pods that a selector finds, the best first by `order`. Waits for one where there is none.
pub(crate) async fn pods_of(
    context: &Context,
    namespace: &str,
    selector: &str,
    timeout: Duration,
    order: fn(&Value, &Value) -> Ordering,
) -> Result<Vec<Value>, KubectlError> {
    let requests = Requests::new(context.client()?);
    let resource = context.resource("pods").await?;
    let mut query = ListQuery { label_selector: selector.to_owned(), ..ListQuery::default() };
    let mut list = requests.list(&resource, namespace, &query).await?;
    let mut pods = match list["items"].take() {
        Value::Array(pods) => pods,
        _ => Vec::new(),
    };
    if !pods.is_empty() {
        pods.sort_by(order);
        return Ok(pods);
    }
    query.resource_version = list["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned();
    let first = async {
        let mut events = requests.watch(&resource, namespace, &query).await?;
        while let Some((kind, pod)) = events.next().await? {
            if matches!(kind.as_str(), "ADDED" | "MODIFIED") {
                return Ok(vec![pod]);
            }
        }
        Err(KubectlError::new("watch closed before UntilWithoutRetry timeout"))
    };
    match tokio::time::timeout(timeout, first).await {
        Ok(found) => found,
        Err(_) => Err(KubectlError::new(TIMED_OUT)),
    }
}

/// The Pod that `exec` and `attach` take for an object.
pub(crate) async fn attachable_pod(context: &Context, info: Info, timeout: Duration) -> Result<Value, KubectlError> {
    if info.object["kind"] == "Pod" {
        return Ok(info.object);
    }
    let selector = selector_for(&info.object)
        .map_err(|fault| KubectlError::new(format!("cannot attach to {}: {fault}", go_type(&info.object))))?;
    let mut pods = pods_of(context, &info.namespace, &selector, timeout, by_activity).await?;
    Ok(pods.swap_remove(0))
}

fn phase_rank(pod: &Value) -> u8 {
    match pod["status"]["phase"].as_str() {
        Some("Unknown") => 1,
        Some("Pending") => 2,
        // Upstream's map gives what it does not name a zero, as the first.
        _ => 0,
    }
}

fn ready_since(pod: &Value) -> Option<Timestamp> {
    let conditions = pod["status"]["conditions"].as_array()?;
    let ready = conditions.iter().find(|c| c["type"] == "Ready" && c["status"] == "True")?;
    Some(time(&ready["lastTransitionTime"]).unwrap_or(Timestamp::MIN))
}

fn time(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

fn restarts(pod: &Value) -> (i64, i64) {
    let most = |statuses: &Value, keep: &dyn Fn(&Value) -> bool| {
        let statuses = statuses.as_array().into_iter().flatten().filter(|status| keep(status));
        statuses.filter_map(|status| status["restartCount"].as_i64()).max().unwrap_or(0)
    };
    let is_sidecar = |status: &Value| {
        let containers = pod["spec"]["initContainers"].as_array().into_iter().flatten();
        let mut sidecars = containers.filter(|container| container["restartPolicy"] == "Always");
        sidecars.any(|container| container["name"] == status["name"])
    };
    (most(&pod["status"]["containerStatuses"], &|_| true), most(&pod["status"]["initContainerStatuses"], &is_sidecar))
}

/// The best Pod to read logs of comes first (`ByLogging`).
pub(crate) fn by_logging(a: &Value, b: &Value) -> Ordering {
    let unassigned = |pod: &Value| pod["spec"]["nodeName"].as_str().unwrap_or_default().is_empty();
    // A Pod that has been ready longer comes first; unknown times come last.
    let since = |time: Option<Timestamp>| time.map_or((true, Timestamp::MIN), |time| (false, time));
    (unassigned(a).cmp(&unassigned(b)))
        .then_with(|| phase_rank(a).cmp(&phase_rank(b)))
        .then_with(|| ready_since(a).is_none().cmp(&ready_since(b).is_none()))
        .then_with(|| ready_since(a).cmp(&ready_since(b)))
        .then_with(|| restarts(b).cmp(&restarts(a)))
        .then_with(|| {
            let created = |pod: &Value| since(time(&pod["metadata"]["creationTimestamp"]));
            created(a).cmp(&created(b))
        })
}

/// The Pod that is most at work comes first (`ActivePods`, reversed).
pub(crate) fn by_activity(a: &Value, b: &Value) -> Ordering {
    let unassigned = |pod: &Value| pod["spec"]["nodeName"].as_str().unwrap_or_default().is_empty();
    let deleted = |pod: &Value| time(&pod["metadata"]["deletionTimestamp"]);
    let rank = |pod: &Value| match pod["status"]["phase"].as_str() {
        Some("Running") => 0,
        Some("Unknown") => 1,
        _ => 2,
    };
    (unassigned(a).cmp(&unassigned(b)))
        .then_with(|| rank(a).cmp(&rank(b)))
        .then_with(|| ready_since(a).is_none().cmp(&ready_since(b).is_none()))
        .then_with(|| deleted(a).is_some().cmp(&deleted(b).is_some()))
        .then_with(|| deleted(b).cmp(&deleted(a)))
        .then_with(|| ready_since(a).cmp(&ready_since(b)))
        .then_with(|| restarts(a).cmp(&restarts(b)))
        .then_with(|| {
            let created = |pod: &Value| time(&pod["metadata"]["creationTimestamp"]);
            created(a).cmp(&created(b))
        })
}

/// The lists of containers in a Pod's spec, in the order in which names are looked for.
const LISTS: [&str; 3] = ["containers", "initContainers", "ephemeralContainers"];

fn containers<'a>(pod: &'a Value, list: &str) -> impl Iterator<Item = &'a Value> {
    pod["spec"][list].as_array().into_iter().flatten()
}

/// The container of this name.
pub(crate) fn container<'a>(pod: &'a Value, name: &str) -> Option<&'a Value> {
    LISTS.iter().flat_map(|list| containers(pod, list)).find(|container| container["name"] == name)
}

/// Whether the container of this name is an ephemeral one.
pub(crate) fn is_ephemeral(pod: &Value, name: &str) -> bool {
    containers(pod, "ephemeralContainers").any(|container| container["name"] == name)
}

/// The names of all containers: init containers, ordinary ones, ephemeral ones.
pub(crate) fn container_names(pod: &Value) -> Vec<String> {
    let all =
        ["initContainers", "containers", "ephemeralContainers"].into_iter().flat_map(|list| containers(pod, list));
    all.map(|container| container["name"].as_str().unwrap_or_default().to_owned()).collect()
}

/// All containers as messages list them.
pub(crate) fn listed_containers(pod: &Value) -> String {
    let with = |list: &str, mark: &str| {
        let names = containers(pod, list).map(|container| container["name"].as_str().unwrap_or_default());
        names.map(|name| format!("{name}{mark}")).collect::<Vec<_>>()
    };
    [with("containers", ""), with("ephemeralContainers", " (ephem)"), with("initContainers", " (init)")]
        .concat()
        .join(", ")
}

/// `container X is not valid for pod Y out of: …`
pub(crate) fn no_such_container(pod: &Value, name: &str) -> KubectlError {
    let pod_name = pod["metadata"]["name"].as_str().unwrap_or_default();
    KubectlError::new(format!("container {name} is not valid for pod {pod_name} out of: {}", listed_containers(pod)))
}

/// The container of this name, or where it is empty the one that the Pod says is meant, or the first. Says so where there
/// are several, unless it is to be quiet.
pub(crate) fn container_or_default<'a>(
    context: &Context,
    pod: &'a Value,
    name: &str,
    quiet: bool,
) -> Result<&'a Value, KubectlError> {
    let text = |value: &'a Value| value.as_str().unwrap_or_default();
    let Some(first) = containers(pod, "containers").next() else {
        let (namespace, name) = (text(&pod["metadata"]["namespace"]), text(&pod["metadata"]["name"]));
        return Err(KubectlError::new(format!("pod {namespace}/{name} does not have any containers")));
    };
    let name = match name {
        "" => text(&pod["metadata"]["annotations"][DEFAULT_CONTAINER]),
        name => name,
    };
    if !name.is_empty() {
        return container(pod, name).ok_or_else(|| no_such_container(pod, name));
    }
    if !quiet && container_names(pod).len() > 1 {
        say_defaulted(context, pod, text(&first["name"]));
    }
    Ok(first)
}

/// Tells which container was taken.
pub(crate) fn say_defaulted(context: &Context, pod: &Value, name: &str) {
    context.printer.err_line(format!("Defaulted container {name:?} out of: {}", listed_containers(pod)));
}

#[cfg(test)]
mod tests;
