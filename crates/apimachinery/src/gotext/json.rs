//! JSON as `encoding/json` writes it: keys in order, `<`, `>` and `&` escaped, numbers without a needless point.

use super::float_with;
use serde_json::{Number, Value};

/// Compact JSON (`json.Marshal`).
pub fn json(value: &Value) -> String {
    let mut out = String::new();
    write(value, None, 0, &mut out);
    out
}

/// JSON over several lines, each level set in by `indent` (`json.MarshalIndent`).
pub fn json_indented(value: &Value, indent: &str) -> String {
    let mut out = String::new();
    write(value, Some(indent), 0, &mut out);
    out
}

fn write(value: &Value, indent: Option<&str>, depth: usize, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
        Value::Number(n) => out.push_str(&number(n)),
        Value::String(s) => string(s, out),
        Value::Array(items) if items.is_empty() => out.push_str("[]"),
        Value::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                separate(at, indent, depth + 1, out);
                write(item, indent, depth + 1, out);
            }
            end_line(indent, depth, out);
            out.push(']');
        }
        Value::Object(fields) if fields.is_empty() => out.push_str("{}"),
        Value::Object(fields) => {
            let mut sorted: Vec<_> = fields.iter().collect();
            sorted.sort_by_key(|(key, _)| *key);
            out.push('{');
            for (at, (key, field)) in sorted.into_iter().enumerate() {
                separate(at, indent, depth + 1, out);
                string(key, out);
                out.push_str(if indent.is_some() { ": " } else { ":" });
                write(field, indent, depth + 1, out);
            }
            end_line(indent, depth, out);
            out.push('}');
        }
    }
}

fn separate(at: usize, indent: Option<&str>, depth: usize, out: &mut String) {
    if at > 0 {
        out.push(',');
    }
    end_line(indent, depth, out);
}

fn end_line(indent: Option<&str>, depth: usize, out: &mut String) {
    if let Some(indent) = indent {
        out.push('\n');
        out.push_str(&indent.repeat(depth));
    }
}

/// A number in the form of ECMAScript: plain from 1e-6 up to 1e21, else with an exponent without leading zeros.
fn number(number: &Number) -> String {
    if let Some(whole) = number.as_i64() {
        return whole.to_string();
    }
    let number = number.as_f64().unwrap_or_default();
    let size = number.abs();
    if size != 0.0 && !(1e-6..1e21).contains(&size) {
        return float_with(number, 'e', None).replace("e-0", "e-").replace("e+0", "e+");
    }
    float_with(number, 'f', None)
}

fn string(text: &str, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' => {
                out.push_str(&format!("\\u{:04x}", u32::from(character)));
            }
            other => out.push(other),
        }
    }
    out.push('"');
}
