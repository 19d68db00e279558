//! YAML as upstream reads and prints it: `sigs.k8s.io/yaml` on go-yaml 2, which is YAML 1.1. So `yes` is true, `0644` is
//! octal, `1e3` is a number, strings that look like any of these are quoted, and lines fold behind column 80.

mod emit;
mod parse;
mod scalar;

pub use emit::to_yaml;
pub use parse::{Parsed, parse};

use serde_json::Value;

/// Why text is no YAML document that JSON can hold. Shows as upstream's decoder does.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("error converting YAML to JSON: yaml: {}{what}", .line.map(|n| format!("line {n}: ")).unwrap_or_default())]
pub struct YamlError {
    /// The line as go-yaml counts it, which for some faults is one too few; none at the start of the text.
    pub line: Option<usize>,
    /// What is wrong.
    pub what: String,
}

/// The documents in `text`: JSON objects one after the other, as far as they go, and then what lines that start with `---`
/// part, as upstream's reader does (`YAMLOrJSONDecoder`). Text that holds only white space and comments gives a document
/// that parses to null.
pub fn documents(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    let mut in_json = true;
    std::iter::from_fn(move || {
        let whole = rest?;
        in_json = in_json && whole.trim_start().starts_with('{');
        if in_json {
            let mut values = serde_json::Deserializer::from_str(whole).into_iter::<serde::de::IgnoredAny>();
            if let Some(Ok(_)) = values.next() {
                let (document, after) = whole.split_at(values.byte_offset());
                rest = Some(after).filter(|after| !after.trim_start().is_empty());
                return Some(document);
            }
            in_json = false;
        }
        let mut at = 0;
        for line in whole.split_inclusive('\n') {
            if let Some(after) = line.strip_prefix("---")
                && (at > 0 || after.trim().is_empty())
                && after.trim_end().is_empty()
            {
                rest = Some(&whole[at + line.len()..]);
                return Some(&whole[..at]);
            }
            at += line.len();
        }
        rest = None;
        Some(whole)
    })
}

/// All documents in `text` but the empty ones.
pub fn parse_all(text: &str) -> Result<Vec<Value>, YamlError> {
    let mut values = Vec::new();
    for document in documents(text) {
        let value = parse(document)?.value;
        if !value.is_null() {
            values.push(value);
        }
    }
    Ok(values)
}

#[cfg(test)]
mod tests;
