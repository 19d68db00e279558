//! Whether a webhook is asked about a write (upstream: `webhook/predicates`, `webhook/generic/webhook.go`).

use api::resources::NAMESPACES;
use apimachinery::labels::Selector;
use apimachinery::{AdmissionRequest, ApiError, Operation, Reader, Resource};
use serde_json::{Value, json};

use super::configuration::{Rule, Webhook};

/// How a webhook sees a resource: in its own version, or in an equivalent one that its rules name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Matched {
    pub(super) version: String,
}

impl Matched {
    /// An object in the version that the webhook knows.
    pub(super) fn converted(&self, mut object: Value) -> Value {
        let version = object["apiVersion"].as_str().unwrap_or_default();
        if let Some((group, own)) = version.split_once('/')
            && own != self.version
        {
            object["apiVersion"] = json!(format!("{group}/{}", self.version));
        }
        object
    }
}

/// Whether and how `webhook` is asked.
pub(super) fn matches(
    webhook: &Webhook,
    request: &AdmissionRequest<'_>,
    reader: &dyn Reader,
) -> Result<Option<Matched>, ApiError> {
    let exact = webhook.rules.iter().any(|rule| of_rule(rule, request, Some(request.resource.version)));
    let version = if exact {
        request.resource.version.to_owned()
    } else {
        // A custom resource has the same objects in all its versions.
        let equivalent = webhook.match_policy.as_deref() != Some("Exact") && request.resource.is_custom();
        let rule = webhook.rules.iter().find(|rule| equivalent && of_rule(rule, request, None));
        match rule.and_then(|rule| rule.api_versions.first()) {
            Some(version) => version.clone(),
            None => return Ok(None),
        }
    };
    if !in_namespace(webhook, request, reader)? || !of_object(webhook, request)? {
        return Ok(None);
    }
    Ok(Some(Matched { version }))
}

/// Whether a rule speaks of the request; of any version if `version` is `None`.
fn of_rule(rule: &Rule, request: &AdmissionRequest<'_>, version: Option<&str>) -> bool {
    let has = |all: &[String], wanted: &str| all.iter().any(|one| one == "*" || one == wanted);
    let operation = match request.operation {
        Operation::Create => "CREATE",
        Operation::Update => "UPDATE",
        Operation::Delete => "DELETE",
        Operation::Connect => "CONNECT",
    };
    has(&rule.operations, operation)
        && has(&rule.api_groups, request.resource.group)
        && version.is_none_or(|version| has(&rule.api_versions, version))
        && rule.resources.iter().any(|pattern| of_resource(pattern, request.resource, request.subresource))
        && match rule.scope.as_deref() {
            Some("Cluster") => !request.resource.namespaced(),
            Some("Namespaced") => request.resource.namespaced(),
            _ => true,
        }
}

/// `pods`, `pods/log`, `pods/*`, `*`, `*/scale`, `*/*`.
fn of_resource(pattern: &str, resource: &Resource, subresource: &str) -> bool {
    let (name, below) = pattern.split_once('/').unwrap_or((pattern, ""));
    (name == "*" || name == resource.plural) && (below == "*" || below == subresource)
}

fn selector(value: &Value) -> Result<Selector, ApiError> {
    Selector::from_label_selector(value).map_err(|error| ApiError::internal(error.to_string()))
}

/// Objects of the cluster are in no namespace and always match; a Namespace is judged by its own labels.
fn in_namespace(webhook: &Webhook, request: &AdmissionRequest<'_>, reader: &dyn Reader) -> Result<bool, ApiError> {
    let selector = selector(&webhook.namespace_selector)?;
    if selector.is_everything() {
        return Ok(true);
    }
    if request.resource.is(NAMESPACES) && request.subresource.is_empty() {
        let object = if request.object.is_null() { request.old.unwrap_or(&Value::Null) } else { &*request.object };
        return Ok(selector.matches(&labels(object)));
    }
    if !request.resource.namespaced() {
        return Ok(true);
    }
    let namespace = reader.get(NAMESPACES, "", request.namespace);
    Ok(namespace.is_some_and(|namespace| selector.matches(&namespace.meta().labels)))
}

fn of_object(webhook: &Webhook, request: &AdmissionRequest<'_>) -> Result<bool, ApiError> {
    let selector = selector(&webhook.object_selector)?;
    if selector.is_everything() {
        return Ok(true);
    }
    let of = |object: &Value| object["metadata"].is_object() && selector.matches(&labels(object));
    Ok(of(request.object) || request.old.is_some_and(of))
}

fn labels(object: &Value) -> std::collections::BTreeMap<String, String> {
    let all = object["metadata"]["labels"].as_object().into_iter().flatten();
    all.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}
