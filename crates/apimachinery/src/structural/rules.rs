//! The rules that a schema has in CEL (`x-kubernetes-validations`; upstream: `apiserver/schema/cel`).

use serde_json::Value;

use super::{ListKind, StructuralSchema};
use crate::cel::{Bindings, Cel, CompileError, Program};
use crate::field::FieldErrorKind;
use crate::{FieldError, FieldPath};

/// One rule.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    text: String,
    program: Program,
    message: Option<String>,
    message_program: Option<Program>,
    reason: String,
    /// Where the fault is shown, below the value; empty: at the value.
    field_path: String,
    /// Whether it is about a change: then it is asked only where there was something before.
    is_transition: bool,
}

impl Rule {
    /// Reads a rule that compiles; another one was refused when its definition was accepted.
    pub(super) fn parse(rule: &Value) -> Option<Self> {
        let text = rule["rule"].as_str().unwrap_or_default();
        let message_program = rule["messageExpression"].as_str().and_then(|text| compile(text).ok());
        Some(Self {
            text: text.trim().to_owned(),
            program: compile(text).ok()?,
            message: rule["message"].as_str().map(|message| message.trim().to_owned()),
            message_program,
            reason: rule["reason"].as_str().unwrap_or_default().to_owned(),
            field_path: rule["fieldPath"].as_str().unwrap_or_default().trim_start_matches('.').to_owned(),
            is_transition: Program::compile(text, &["self"]).is_err(),
        })
    }
}

fn compile(text: &str) -> Result<Program, CompileError> {
    Program::compile(text, &["self", "oldSelf"])
}

/// The faults of a schema's rules themselves.
pub(super) fn check(schema: &Value, path: &FieldPath, faults: &mut Vec<FieldError>) {
    let rules = schema["x-kubernetes-validations"].as_array().into_iter().flatten();
    for (at, rule) in rules.enumerate() {
        let here = path.child("x-kubernetes-validations").index(at);
        let text = rule["rule"].as_str().unwrap_or_default();
        if text.trim().is_empty() {
            faults.push(FieldError::required(&here.child("rule"), "rule is not specified"));
        } else if let Err(error) = compile(text) {
            faults.push(FieldError::invalid(&here.child("rule"), rule, error.to_string()));
        }
        match rule["message"].as_str() {
            Some(message) if message.trim().is_empty() => {
                faults.push(FieldError::invalid(&here.child("message"), message, "must be non-empty if specified"));
            }
            Some(message) if message.trim().contains('\n') => {
                faults.push(FieldError::invalid(&here.child("message"), message, "must not contain line breaks"));
            }
            None if text.trim().contains('\n') => {
                let why = "message must be specified if rule contains line breaks";
                faults.push(FieldError::required(&here.child("message"), why));
            }
            _ => {}
        }
        if let Some(Err(error)) = rule["messageExpression"].as_str().map(compile) {
            faults.push(FieldError::invalid(&here.child("messageExpression"), rule, error.to_string()));
        }
        let reasons = ["FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired"];
        if let Some(reason) = rule["reason"].as_str().filter(|reason| !reasons.contains(reason)) {
            faults.push(FieldError::not_supported(&here.child("reason"), reason, &reasons));
        }
        if rule["optionalOldSelf"] == true {
            let why = "optional values are not served by this API server";
            faults.push(FieldError::forbidden(&here.child("optionalOldSelf"), why));
        }
    }
}

impl StructuralSchema {
    /// The faults that the rules find in a value, and whether each is of a change.
    pub(super) fn check_rules(
        &self,
        path: &FieldPath,
        value: &Value,
        old: Option<&Value>,
        faults: &mut Vec<(FieldError, bool)>,
    ) {
        if value.is_null() || !self.has_rules {
            return;
        }
        for rule in &self.cel_rules {
            if !rule.is_transition || old.is_some() {
                faults.extend(self.check_rule(rule, path, value, old).map(|fault| (fault, rule.is_transition)));
            }
        }
        match value {
            Value::Object(fields) => {
                for (key, field) in fields {
                    if let Some(schema) = self.properties.get(key).or_else(|| self.additional_schema()) {
                        let before = old.and_then(|old| old.get(key)).filter(|before| !before.is_null());
                        schema.check_rules(&path.child(key), field, before, faults);
                    }
                }
            }
            Value::Array(items) => {
                let Some(schema) = &self.items else { return };
                for (at, item) in items.iter().enumerate() {
                    schema.check_rules(&path.index(at), item, self.before(item, old), faults);
                }
            }
            _ => {}
        }
    }

    /// The item that was in the list before, where items are told apart by keys.
    fn before<'v>(&self, item: &Value, old: Option<&'v Value>) -> Option<&'v Value> {
        if self.list_kind != ListKind::Map {
            return None;
        }
        let same = |other: &&Value| self.list_map_keys.iter().all(|key| other[key] == item[key]);
        old?.as_array()?.iter().find(same)
    }

    fn check_rule(&self, rule: &Rule, path: &FieldPath, value: &Value, old: Option<&Value>) -> Option<FieldError> {
        let mut bindings = Bindings::from([("self", Cel::from(value))]);
        if let Some(old) = old {
            bindings.insert("oldSelf", Cel::from(old));
        }
        let ty = self.ty.as_str();
        match rule.program.evaluate(&bindings) {
            Ok(Cel::Bool(true)) => return None,
            Ok(Cel::Bool(false)) => {}
            Ok(other) => {
                let why = format!("rule gives {} and not bool: {}", other.type_name(), rule.text);
                return Some(FieldError::invalid(path, ty, why));
            }
            Err(error) => {
                let shown = rule.message.as_deref().unwrap_or(&rule.text);
                let why = match error.0.starts_with("no such overload") {
                    true => format!(
                        "'{error}': call arguments did not match a supported operator, function or macro signature for rule: {shown}"
                    ),
                    false => format!("{error} evaluating rule: {shown}"),
                };
                return Some(FieldError::invalid(path, ty, why));
            }
        }
        let computed = rule.message_program.as_ref().and_then(|program| match program.evaluate(&bindings) {
            Ok(Cel::Text(text)) if !text.trim().is_empty() && !text.contains('\n') => Some(text.into_owned()),
            _ => None,
        });
        let detail = computed.or_else(|| rule.message.clone()).unwrap_or_else(|| format!("failed rule: {}", rule.text));
        let place = if rule.field_path.is_empty() { path.clone() } else { path.child(&rule.field_path) };
        let shown = if value.is_object() || value.is_array() { String::new() } else { value.to_string() };
        Some(match rule.reason.as_str() {
            "FieldValueRequired" => FieldError::required(&place, detail),
            "FieldValueForbidden" => FieldError::forbidden(&place, detail),
            "FieldValueDuplicate" => FieldError { path: place, kind: FieldErrorKind::Duplicate, value: shown, detail },
            _ => FieldError { path: place, kind: FieldErrorKind::Invalid, value: shown, detail },
        })
    }
}
