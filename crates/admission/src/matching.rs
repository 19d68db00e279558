//! What webhooks and policies are concerned with (upstream: `webhook/predicates`, `webhook/generic/webhook.go`,
//! `policy/matching`).

use std::borrow::Cow;

use api::resources::NAMESPACES;
use apimachinery::labels::Selector;
use apimachinery::{AdmissionRequest, ApiError, Operation, Reader, Resource};
use serde::Deserialize;
use serde_json::{Value, json};

/// Which requests are meant.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Constraints {
    /// A policy calls them `resourceRules`.
    #[serde(alias = "resourceRules")]
    rules: Vec<Rule>,
    exclude_resource_rules: Vec<Rule>,
    match_policy: Option<String>,
    namespace_selector: Value,
    object_selector: Value,
}

/// Operations on resources.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Rule {
    operations: Vec<String>,
    api_groups: Vec<String>,
    api_versions: Vec<String>,
    resources: Vec<String>,
    resource_names: Vec<String>,
    scope: Option<String>,
}

/// How whoever is asked sees a resource: in its own version, or in an equivalent one that the rules name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Matched {
    pub(crate) version: String,
}

impl Matched {
    /// An object in the version that whoever is asked knows.
    pub(crate) fn converted<'a>(&self, object: &'a Value) -> Cow<'a, Value> {
        match object["apiVersion"].as_str().and_then(|version| version.split_once('/')) {
            Some((group, own)) if own != self.version => {
                let mut object = object.clone();
                object["apiVersion"] = json!(format!("{group}/{}", self.version));
                Cow::Owned(object)
            }
            _ => Cow::Borrowed(object),
        }
    }
}

/// Kinds that neither webhooks nor policies see: else one that fails could never be taken away.
pub(crate) fn is_exempt(resource: &Resource) -> bool {
    resource.group == "admissionregistration.k8s.io"
}

impl Constraints {
    /// Whether and how a request is meant.
    pub(crate) fn matches(
        &self,
        request: &AdmissionRequest<'_>,
        reader: &dyn Reader,
    ) -> Result<Option<Matched>, ApiError> {
        let Some(version) = self.version(&self.rules, request) else { return Ok(None) };
        if self.version(&self.exclude_resource_rules, request).is_some()
            || !in_namespace(&self.namespace_selector, request, reader)?
            || !of_object(&self.object_selector, request)?
        {
            return Ok(None);
        }
        Ok(Some(Matched { version }))
    }

    /// The same for a policy's binding, which means all that the policy does if it has no rules.
    pub(crate) fn allows(&self, request: &AdmissionRequest<'_>, reader: &dyn Reader) -> Result<bool, ApiError> {
        Ok((self.rules.is_empty() || self.version(&self.rules, request).is_some())
            && self.version(&self.exclude_resource_rules, request).is_none()
            && in_namespace(&self.namespace_selector, request, reader)?
            && of_object(&self.object_selector, request)?)
    }

    /// The version in which one of `rules` speaks of the request.
    fn version(&self, rules: &[Rule], request: &AdmissionRequest<'_>) -> Option<String> {
        let own = request.resource.version;
        if rules.iter().any(|rule| of_rule(rule, request, Some(own))) {
            return Some(own.to_owned());
        }
        // A custom resource has the same objects in all its versions.
        let equivalent = self.match_policy.as_deref() != Some("Exact") && request.resource.is_custom();
        let rule = rules.iter().find(|rule| equivalent && of_rule(rule, request, None))?;
        rule.api_versions.first().cloned()
    }
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
        && (rule.resource_names.is_empty() || rule.resource_names.iter().any(|name| name == request.name))
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
fn in_namespace(wanted: &Value, request: &AdmissionRequest<'_>, reader: &dyn Reader) -> Result<bool, ApiError> {
    let selector = selector(wanted)?;
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

fn of_object(wanted: &Value, request: &AdmissionRequest<'_>) -> Result<bool, ApiError> {
    let selector = selector(wanted)?;
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
