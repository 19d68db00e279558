//! kubectl's dialect of JSONPath, as `k8s.io/client-go/util/jsonpath` reads and evaluates it: `-o jsonpath`, columns of
//! `-o custom-columns`, `--sort-by` and `wait --for=jsonpath`. Pure.
//!
//! Where upstream visits a map in Go's random order (`.*`, `..`), keys are visited in order here.

mod evaluate;
mod parse;

use crate::gotext::{self, Any};
use serde_json::Value;

/// A template that was parsed.
#[derive(Debug, Clone)]
pub struct JsonPath {
    template: String,
    actions: Vec<parse::Node>,
    allow_missing_keys: bool,
    output_json: bool,
}

/// Why a template does not parse, or does not fit an object; upstream's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct JsonPathError(pub String);

impl JsonPath {
    /// Parses a template: text with actions in braces.
    pub fn parse(template: &str) -> Result<JsonPath, JsonPathError> {
        let actions = parse::parse(template)?;
        Ok(JsonPath { template: template.into(), actions, allow_missing_keys: false, output_json: false })
    }

    /// Whether a field that is not there gives nothing, instead of an error.
    pub fn allow_missing_keys(mut self, allow: bool) -> JsonPath {
        self.allow_missing_keys = allow;
        self
    }

    /// Whether [`JsonPath::execute`] prints each result as a JSON array (`-o jsonpath-as-json`).
    pub fn output_json(mut self, output_json: bool) -> JsonPath {
        self.output_json = output_json;
        self
    }

    /// The text that the template gives for `data`.
    pub fn execute(&self, data: &Value) -> Result<String, JsonPathError> {
        Ok(self.find(data)?.iter().map(|results| self.print_results(results)).collect())
    }

    /// What each part of the template selects in `data`: text gives itself, and the body of a range gives its parts once
    /// for each element.
    pub fn find(&self, data: &Value) -> Result<Vec<Vec<Value>>, JsonPathError> {
        evaluate::find(&self.actions, data, self.allow_missing_keys)
    }

    /// What `-o jsonpath=` prints of an object; the error is the whole text that kubectl shows after `error: `.
    pub fn print_object(&self, object: &Value) -> Result<String, JsonPathError> {
        self.execute(object).map_err(|error| {
            let go_syntax = gotext::sprintf("%#v", &[Any::from_json(object)]);
            JsonPathError(format!(
                "error executing jsonpath {}: Error executing template: {error}. Printing more information for debugging \
                 the template:\n\ttemplate was:\n\t\t{}\n\tobject given to jsonpath engine was:\n\t\t{go_syntax}\n\n\n",
                gotext::quote(&self.template),
                self.template,
            ))
        })
    }

    /// One part's results as they are printed, with spaces between.
    fn print_results(&self, results: &[Value]) -> String {
        if self.output_json {
            return gotext::json_indented(&Value::Array(results.to_vec()), "    ") + "\n";
        }
        results.iter().map(print_value).collect::<Vec<_>>().join(" ")
    }
}

/// A result as text: strings bare, maps and arrays as JSON.
pub fn print_value(value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Array(_) | Value::Object(_) => gotext::json(value),
        scalar => gotext::value(&Any::from_json(scalar)),
    }
}

/// A path as `custom-columns`, `--sort-by` and `wait` take it, made an action: `x`, `.x`, `{x}` and `{.x}` are `{.x}`
/// (`RelaxedJSONPathExpression`).
pub fn relaxed(path: &str) -> Result<String, JsonPathError> {
    if path.is_empty() {
        return Ok(String::new());
    }
    let inner = match path.strip_prefix('{').and_then(|inner| inner.strip_suffix('}')) {
        Some(inner) => inner,
        None => path,
    };
    let body = match inner.strip_prefix('.') {
        // The point is optional, so a lone one is the path.
        Some(body) if !body.is_empty() => body,
        _ => inner,
    };
    if body.is_empty() || body.contains(['{', '}']) {
        return Err(JsonPathError(
            "unexpected path string, expected a 'name1.name2' or '.name1.name2' or '{name1.name2}' or '{.name1.name2}'"
                .into(),
        ));
    }
    Ok(format!("{{.{body}}}"))
}

#[cfg(test)]
mod tests;
