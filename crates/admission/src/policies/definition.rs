//! Policies and bindings of both kinds, as far as they are read here.

use std::collections::BTreeMap;
use std::rc::Rc;

use apimachinery::cel::{Bindings, Cel, admission_variables};
use serde::Deserialize;
use serde_json::Value;

use crate::expression::{Expression, WrittenCondition};
use crate::matching::Constraints;

/// A `ValidatingAdmissionPolicy` or `MutatingAdmissionPolicy`, compiled.
#[derive(Debug, Deserialize)]
#[serde(from = "Written")]
pub(super) struct Policy {
    pub(super) constraints: Constraints,
    /// Whether the request goes on where the policy can't be evaluated.
    pub(super) may_fail: bool,
    pub(super) param_kind: Option<ParamKind>,
    pub(super) conditions: Vec<Expression>,
    variables: Vec<(String, Expression)>,
    pub(super) validations: Vec<Validation>,
    /// The values of audit annotations.
    pub(super) annotations: Vec<Expression>,
    pub(super) mutations: Vec<Mutation>,
    /// Whether it is asked again after the object has changed.
    pub(super) again: bool,
}

/// What must hold.
#[derive(Debug)]
pub(super) struct Validation {
    pub(super) holds: Expression,
    message: String,
    message_expression: Option<Expression>,
    /// The reason of the refusal; `Invalid` if it is empty.
    pub(super) reason: String,
}

/// What is changed.
#[derive(Debug)]
pub(super) enum Mutation {
    Apply(Expression),
    JsonPatch(Expression),
}

/// A `ValidatingAdmissionPolicyBinding` or `MutatingAdmissionPolicyBinding`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Binding {
    pub(super) spec: BindingSpec,
}

/// What a binding says.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct BindingSpec {
    pub(super) policy_name: String,
    pub(super) param_ref: Option<ParamRef>,
    pub(super) match_resources: Option<Constraints>,
    pub(super) validation_actions: Vec<String>,
}

/// The kind of a policy's parameters.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ParamKind {
    pub(super) api_version: String,
    pub(super) kind: String,
}

/// Which parameters a binding means.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ParamRef {
    pub(super) name: String,
    pub(super) namespace: String,
    pub(super) selector: Option<Value>,
    pub(super) parameter_not_found_action: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Written {
    spec: WrittenSpec,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WrittenSpec {
    failure_policy: Option<String>,
    param_kind: Option<ParamKind>,
    match_constraints: Constraints,
    match_conditions: Vec<WrittenCondition>,
    variables: Vec<WrittenVariable>,
    validations: Vec<WrittenValidation>,
    audit_annotations: Vec<WrittenAnnotation>,
    mutations: Vec<WrittenMutation>,
    reinvocation_policy: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct WrittenVariable {
    name: String,
    expression: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WrittenValidation {
    expression: String,
    message: String,
    message_expression: String,
    reason: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WrittenAnnotation {
    value_expression: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WrittenMutation {
    patch_type: String,
    apply_configuration: WrittenCondition,
    json_patch: WrittenCondition,
}

impl From<Written> for Policy {
    fn from(Written { spec }: Written) -> Self {
        let params = spec.param_kind.is_some();
        let of_conditions = admission_variables(params, false);
        let names = admission_variables(params, true);
        let compile = |text: &str| Expression::new(text, &names);
        let validation = |written: WrittenValidation| Validation {
            holds: compile(&written.expression),
            message_expression: (!written.message_expression.is_empty()).then(|| compile(&written.message_expression)),
            message: written.message.trim().to_owned(),
            reason: written.reason,
        };
        let mutation = |written: WrittenMutation| match written.patch_type.as_str() {
            "JSONPatch" => Mutation::JsonPatch(compile(written.json_patch.expression.trim())),
            _ => Mutation::Apply(compile(written.apply_configuration.expression.trim())),
        };
        let condition = |written: WrittenCondition| Expression::new(&written.expression, &of_conditions);
        Self {
            constraints: spec.match_constraints,
            may_fail: spec.failure_policy.as_deref() == Some("Ignore"),
            param_kind: spec.param_kind,
            conditions: spec.match_conditions.into_iter().map(condition).collect(),
            variables: spec.variables.into_iter().map(|v| (v.name, compile(&v.expression))).collect(),
            validations: spec.validations.into_iter().map(validation).collect(),
            annotations: spec.audit_annotations.into_iter().map(|a| compile(a.value_expression.trim())).collect(),
            mutations: spec.mutations.into_iter().map(mutation).collect(),
            again: spec.reinvocation_policy.as_deref() == Some("IfNeeded"),
        }
    }
}

impl Policy {
    /// Adds `variables`, each of which may read those before it. One that fails fails who reads it.
    pub(super) fn bind_variables<'a>(&'a self, bindings: &mut Bindings<'a>) {
        let mut all: BTreeMap<String, Cel<'a>> = BTreeMap::new();
        bindings.insert("variables", Cel::Map(Rc::new(all.clone())));
        for (name, expression) in &self.variables {
            let value = expression.value(bindings).unwrap_or_else(|why| {
                Cel::Failed(format!("composited variable {name:?} fails to evaluate: {why}").into())
            });
            all.insert(name.clone(), value);
            bindings.insert("variables", Cel::Map(Rc::new(all.clone())));
        }
    }
}

/// The longest message that an expression may make, in bytes (upstream's `MaxEvaluatedMessageExpressionSizeBytes`).
const MESSAGE_MAX: usize = 5 * 1024;

impl Validation {
    /// What is told where it does not hold.
    pub(super) fn message<'a>(&'a self, bindings: &Bindings<'a>) -> String {
        let made = self.message_expression.as_ref().and_then(|expression| match expression.evaluate(bindings) {
            Ok(Cel::Text(text)) => Some(text.trim().to_owned()),
            _ => None,
        });
        let fits = |text: &String| !text.is_empty() && text.len() <= MESSAGE_MAX && !text.contains('\n');
        match made.filter(fits) {
            Some(made) => made,
            None if self.message.is_empty() => format!("failed expression: {}", self.holds.text.trim()),
            None => self.message.clone(),
        }
    }
}
