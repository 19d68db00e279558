//! What can be said of an APIService, and whether its server has to be asked.

use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

/// What is seen of an APIService.
#[derive(Debug)]
pub(super) struct Observed<'a> {
    pub(super) api_service: &'a Value,
    /// The Service that it names, if that exists.
    pub(super) service: Option<&'a Value>,
    /// The Service's EndpointSlices.
    pub(super) slices: &'a [Value],
}

/// What the condition `Available` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    available: bool,
    pub(super) reason: &'static str,
    pub(super) message: String,
}

impl Finding {
    fn unavailable(reason: &'static str, message: String) -> Self {
        Self { available: false, reason, message }
    }

    /// The server has answered.
    pub(super) fn passed() -> Self {
        Self { available: true, reason: "Passed", message: "all checks passed".to_owned() }
    }

    /// It has not.
    pub(super) fn no_answer(why: String) -> Self {
        Self::unavailable("FailedDiscoveryCheck", why)
    }

    pub(super) fn is_available(&self) -> bool {
        self.available
    }
}

/// What the cluster's objects alone say; `None` if they speak for it and the server has to be asked.
pub(super) fn find(observed: &Observed<'_>) -> Option<Finding> {
    let reference = &observed.api_service["spec"]["service"];
    if reference.is_null() {
        let message = "Local APIServices are always available".to_owned();
        return Some(Finding { available: true, reason: "Local", message });
    }
    let text = |key: &str| reference[key].as_str().unwrap_or_default();
    let (name, namespace) = (text("name"), text("namespace"));
    let Some(service) = observed.service else {
        let message = format!("service/{name} in {namespace:?} is not present");
        return Some(Finding::unavailable("ServiceNotFound", message));
    };
    // Of the other types nobody knows here what is behind them.
    if service["spec"]["type"].as_str().is_some_and(|kind| kind != "ClusterIP") {
        return None;
    }
    let port = reference["port"].as_u64().unwrap_or(443);
    let mut ports = service["spec"]["ports"].as_array().into_iter().flatten();
    let Some(found) = ports.find(|candidate| candidate["port"].as_u64() == Some(port)) else {
        let message = format!("service/{name} in {namespace:?} is not listening on port {port}");
        return Some(Finding::unavailable("ServicePortError", message));
    };
    let port_name = found["name"].as_str().unwrap_or_default();
    if observed.slices.is_empty() {
        let message = format!("cannot find endpointslices for service/{name} in {namespace:?}");
        return Some(Finding::unavailable("EndpointsNotFound", message));
    }
    if !observed.slices.iter().any(|slice| leads_somewhere(slice, port_name)) {
        let message = format!(
            "endpointslices for service/{name} in {namespace:?} have no addresses with port name {port_name:?}"
        );
        return Some(Finding::unavailable("MissingEndpoints", message));
    }
    None
}

fn leads_somewhere(slice: &Value, port_name: &str) -> bool {
    let mut endpoints = slice["endpoints"].as_array().into_iter().flatten();
    let mut ports = slice["ports"].as_array().into_iter().flatten();
    let ready = endpoints.any(|endpoint| endpoint["conditions"]["ready"] != false);
    // A port without a name is written without one.
    ready && ports.any(|port| port["name"].as_str().unwrap_or_default() == port_name && port["port"].is_u64())
}

/// The APIService with its condition `Available` as found. The time of the last transition is that of the last change.
pub(super) fn with_condition(api_service: &Value, finding: &Finding, now: Timestamp) -> Value {
    let mut changed = api_service.clone();
    let status = if finding.available { "True" } else { "False" };
    let mut conditions = changed["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let at = conditions.iter().position(|condition| condition["type"] == "Available").unwrap_or_else(|| {
        conditions.push(json!({"type": "Available"}));
        conditions.len() - 1
    });
    let condition = &mut conditions[at];
    if condition["status"] != status {
        condition["status"] = json!(status);
        condition["lastTransitionTime"] = json!(now.to_string());
    }
    condition["reason"] = json!(finding.reason);
    condition["message"] = json!(finding.message);
    changed["status"]["conditions"] = json!(conditions);
    changed
}

#[cfg(test)]
mod tests;
