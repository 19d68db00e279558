//! Go's `text/template` as `kubectl -o go-template` offers it, with kubectl's own functions `exists` and `base64decode`.
//! Pure.
//!
//! Objects are decoded as kubectl decodes them: whole numbers are `int64`, so that `eq .spec.replicas 3` holds, others
//! `float64`. Complex constants are not served.

mod compare;
mod execute;
mod functions;
mod lex;
mod node;
mod parse;

use apimachinery::gotext::{self, Any};
use serde_json::Value;

/// A template that was parsed.
#[derive(Debug)]
pub struct GoTemplate {
    text: String,
    trees: parse::Trees,
    allow_missing_keys: bool,
}

/// Why a template does not parse, or does not fit an object; Go's words, with the template's name and the position.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TemplateError(pub(crate) String);

/// The name that kubectl gives its templates; errors show it.
const NAME: &str = "output";

impl GoTemplate {
    /// Parses a template.
    pub fn parse(text: &str) -> Result<GoTemplate, TemplateError> {
        Ok(GoTemplate { text: text.into(), trees: parse::parse(NAME, text)?, allow_missing_keys: true })
    }

    /// Whether a key that is not there gives `<no value>` (the default), instead of an error.
    pub fn allow_missing_keys(mut self, allow: bool) -> GoTemplate {
        self.allow_missing_keys = allow;
        self
    }

    /// What kubectl prints for an object, and the error that it ends with. With an error, what was printed up to it stays,
    /// and an explanation follows.
    pub fn print_object(&self, object: &Value) -> (String, Result<(), TemplateError>) {
        let data = Any::from_json(object);
        let mut out = String::new();
        let program = execute::Program {
            trees: &self.trees,
            name: NAME,
            source: &self.text,
            allow_missing_keys: self.allow_missing_keys,
        };
        let Err(error) = program.execute(data.clone(), &mut out) else {
            return (out, Ok(()));
        };
        out.push_str(&format!(
            "Error executing template: {error}. Printing more information for debugging the template:\n\ttemplate was:\n\t\t\
             {}\n\traw data was:\n\t\t{}\n\tobject given to template engine was:\n\t\t{}\n\n",
            self.text,
            gotext::json(object),
            gotext::value(&data),
        ));
        (out, Err(TemplateError(format!("error executing template {}: {error}", gotext::quote(&self.text)))))
    }
}

#[cfg(test)]
mod tests;
