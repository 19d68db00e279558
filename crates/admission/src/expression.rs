//! Expressions of webhooks and policies: what they are made of and what they read
//! (upstream: `apiserver/pkg/admission/plugin/cel`, `webhook/matchconditions`).

use std::borrow::Cow;

use api::resources::NAMESPACES;
use apimachinery::cel::{Bindings, Cel, Program, admission_variables};
use apimachinery::{AdmissionRequest, Operation, Reader};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::matching::Matched;

/// An expression, compiled when its object was read.
#[derive(Debug)]
pub(crate) struct Expression {
    pub(crate) text: String,
    program: Result<Program, String>,
}

impl Expression {
    /// Compiles `text`. That it does not compile is told when it is evaluated.
    pub(crate) fn new(text: &str, variables: &[&str]) -> Self {
        let program = Program::compile(text, variables).map_err(|error| format!("compilation error: {error}"));
        Self { text: text.to_owned(), program }
    }

    /// The value, or why there is none.
    pub(crate) fn evaluate<'a>(&'a self, bindings: &Bindings<'a>) -> Result<Cel<'a>, String> {
        let program = self.program.as_ref().map_err(String::clone)?;
        program.evaluate(bindings).map_err(|error| self.failed(&error))
    }

    /// The value, with the error as the expression's own sentence.
    pub(crate) fn value<'a>(&'a self, bindings: &Bindings<'a>) -> Result<Cel<'a>, String> {
        let program = self.program.as_ref().map_err(String::clone)?;
        program.evaluate(bindings).map_err(|error| error.to_string())
    }

    /// Whether it is true; an error if it is no truth at all.
    pub(crate) fn holds<'a>(&'a self, bindings: &Bindings<'a>) -> Result<bool, String> {
        match self.evaluate(bindings)? {
            Cel::Bool(flag) => Ok(flag),
            _ => Err(self.failed("must evaluate to bool")),
        }
    }

    fn failed(&self, why: impl std::fmt::Display) -> String {
        format!("expression '{}' resulted in error: {why}", self.text)
    }
}

/// An entry of a webhook's `matchConditions`.
#[derive(Debug, Deserialize)]
#[serde(from = "WrittenCondition")]
pub(crate) struct Condition(pub(crate) Expression);

/// The same as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct WrittenCondition {
    pub(crate) expression: String,
}

impl From<WrittenCondition> for Condition {
    fn from(written: WrittenCondition) -> Self {
        Self(Expression::new(&written.expression, &admission_variables(false, false)))
    }
}

/// Whether all conditions hold. One that does not decides, whatever the others fail with.
pub(crate) fn all_hold<'a>(
    conditions: impl Iterator<Item = &'a Expression>,
    bindings: &Bindings<'a>,
) -> Result<bool, String> {
    let mut failures = Vec::new();
    for condition in conditions {
        match condition.holds(bindings) {
            Ok(true) => {}
            Ok(false) => return Ok(false),
            Err(why) => failures.push(why),
        }
    }
    match failures.as_slice() {
        [] => Ok(true),
        [one] => Err(one.clone()),
        many => Err(format!("[{}]", many.join(", "))),
    }
}

/// What expressions read of a request.
#[derive(Debug)]
pub(crate) struct Facts<'r> {
    object: Cow<'r, Value>,
    old: Option<Cow<'r, Value>>,
    request: Value,
    namespace: Value,
}

impl<'r> Facts<'r> {
    /// For match conditions, which know nothing of the namespace.
    pub(crate) fn of(matched: &Matched, request: &'r AdmissionRequest<'_>) -> Self {
        Self {
            object: matched.converted(request.object),
            old: request.old.map(|old| matched.converted(old)),
            request: described(matched, request),
            namespace: Value::Null,
        }
    }

    /// For the rest of a policy.
    pub(crate) fn with_namespace(mut self, request: &AdmissionRequest<'_>, reader: &dyn Reader) -> Self {
        if request.resource.namespaced()
            && let Some(namespace) = reader.get(NAMESPACES, "", request.namespace)
        {
            self.namespace = namespace.value();
            if let Some(metadata) = self.namespace["metadata"].as_object_mut() {
                metadata.retain(|key, _| !matches!(key.as_str(), "managedFields" | "ownerReferences"));
            }
        }
        self
    }

    /// The variables, with the parameter of a policy.
    pub(crate) fn bindings<'a>(&'a self, params: Option<&'a Value>) -> Bindings<'a> {
        Bindings::from([
            ("object", Cel::from(&*self.object)),
            ("oldObject", self.old.as_deref().map_or(Cel::Null, Cel::from)),
            ("request", Cel::from(&self.request)),
            ("namespaceObject", Cel::from(&self.namespace)),
            ("params", params.map_or(Cel::Null, Cel::from)),
        ])
    }
}

/// A request without its objects, as webhooks and expressions see it (`admission.k8s.io/v1 AdmissionRequest`).
pub(crate) fn described(matched: &Matched, request: &AdmissionRequest<'_>) -> Value {
    let resource = request.resource;
    let kind = |version: &str| match request.operation {
        // What a connection is about is its options.
        Operation::Connect => json!({"group": "", "version": "v1", "kind": request.object["kind"]}),
        _ => match resource.subresource(request.subresource).filter(|s| !s.version.is_empty()) {
            Some(other) => json!({"group": other.group, "version": other.version, "kind": other.kind}),
            None => json!({"group": resource.group, "version": version, "kind": resource.kind}),
        },
    };
    let named = |version: &str| json!({"group": resource.group, "version": version, "resource": resource.plural});
    let (operation, options) = match request.operation {
        Operation::Create => ("CREATE", json!({"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"})),
        Operation::Update => ("UPDATE", json!({"kind": "UpdateOptions", "apiVersion": "meta.k8s.io/v1"})),
        Operation::Delete => ("DELETE", json!({"kind": "DeleteOptions", "apiVersion": "meta.k8s.io/v1"})),
        Operation::Connect => ("CONNECT", Value::Null),
    };
    let user = request.user;
    let mut described = json!({
        "operation": operation, "dryRun": request.dry_run, "options": options,
        "kind": kind(&matched.version), "resource": named(&matched.version),
        "requestKind": kind(resource.version), "requestResource": named(resource.version),
        "userInfo": {"username": user.name, "groups": user.groups},
    });
    let optional = [
        ("name", request.name),
        ("namespace", request.namespace),
        ("subResource", request.subresource),
        ("requestSubResource", request.subresource),
    ];
    for (key, text) in optional.into_iter().filter(|(_, text)| !text.is_empty()) {
        described[key] = json!(text);
    }
    if !user.uid.is_empty() {
        described["userInfo"]["uid"] = json!(user.uid);
    }
    if !user.extra.is_empty() {
        described["userInfo"]["extra"] = json!(user.extra);
    }
    described
}
