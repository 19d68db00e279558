//! The Common Expression Language, as Kubernetes uses it in admission policies, match conditions and the rules of custom
//! resources (upstream: `k8s.io/apiserver/pkg/cel`, cel-spec). Pure.
//!
//! An expression is compiled once: syntax, names of variables, functions and macros are checked then. Types are checked
//! when it is evaluated, where upstream checks what it can beforehand. Left out, and refused when compiled: optional
//! syntax (`.?`), and the libraries `authorizer`, `ip`, `cidr`, `url`, `semver` and `format`.

mod evaluate;
mod functions;
mod parse;
mod value;

use std::collections::BTreeMap;

pub use evaluate::EvaluateError;
pub use value::Cel;

/// The longest expression, in bytes (upstream's limit of a rule is of its cost).
const LENGTH_MAX: usize = 64 << 10;

/// An expression that compiles.
#[derive(Debug, Clone)]
pub struct Program {
    root: parse::Expression,
}

/// Why an expression does not compile, with the place, as upstream prints it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("compilation failed: ERROR: <input>:{line}:{column}: {what}")]
pub struct CompileError {
    /// Counted from 1.
    pub line: usize,
    /// Counted from 1, in characters.
    pub column: usize,
    /// What is wrong.
    pub what: String,
}

/// The values of variables, by name.
pub type Bindings<'a> = BTreeMap<&'a str, Cel<'a>>;

/// The variables of expressions in admission: in match conditions, and in those of policies. `params` are there if the
/// policy names their kind, `variables` if it has some.
pub fn admission_variables(params: bool, variables: bool) -> Vec<&'static str> {
    let mut names = vec!["object", "oldObject", "request", "namespaceObject"];
    names.extend(params.then_some("params"));
    names.extend(variables.then_some("variables"));
    names
}

impl Program {
    /// Compiles an expression over variables of these names.
    pub fn compile(text: &str, variables: &[&str]) -> Result<Self, CompileError> {
        if text.len() > LENGTH_MAX {
            let what = format!("the expression is longer than {LENGTH_MAX} bytes");
            return Err(CompileError { line: 1, column: 1, what });
        }
        let root = parse::parse(text, variables)?;
        Ok(Self { root })
    }

    /// The expression's value.
    pub fn evaluate<'a>(&'a self, bindings: &Bindings<'a>) -> Result<Cel<'a>, EvaluateError> {
        evaluate::evaluate(&self.root, bindings)
    }
}

#[cfg(test)]
mod tests;
