//! `-o kyaml`: YAML that is explicit about what everything is, in braces and quotes (upstream: `sigs.k8s.io/yaml/kyaml`).

use serde_json::Value;

use crate::flags::values;
use apimachinery::gotext;

/// A document with its separator and a line break at its end.
pub(crate) fn to_kyaml(value: &Value) -> String {
    let mut out = "---\n".to_owned();
    node(value, 0, &mut out);
    out.push('\n');
    out
}

fn indent(level: usize, out: &mut String) {
    out.extend(std::iter::repeat_n("  ", level));
}

/// A value where the output stands; lines after the first one are set in by `level`.
fn node(value: &Value, level: usize, out: &mut String) {
    match value {
        Value::String(text) => string(text, level + 1, out),
        Value::Object(fields) if fields.is_empty() => out.push_str("{}"),
        Value::Array(items) if items.is_empty() => out.push_str("[]"),
        Value::Object(fields) => {
            out.push_str("{\n");
            for (key, field) in fields {
                indent(level + 1, out);
                if needs_quotes(key) {
                    compact_string(key, out);
                } else {
                    out.push_str(key);
                }
                out.push_str(": ");
                node(field, level + 1, out);
                out.push_str(",\n");
            }
            indent(level, out);
            out.push('}');
        }
        // Lists of maps and lists stand close.
        Value::Array(items) if items.iter().all(|item| item.is_object() || item.is_array()) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                out.push_str(if at > 0 { ", " } else { "" });
                node(item, level, out);
            }
            out.push(']');
        }
        Value::Array(items) => {
            out.push_str("[\n");
            for item in items {
                indent(level + 1, out);
                node(item, level + 1, out);
                out.push_str(",\n");
            }
            indent(level, out);
            out.push(']');
        }
        other => out.push_str(&gotext::json(other)),
    }
}

/// Text of several lines is folded at each: `\n` is written and the line broken.
fn string(text: &str, level: usize, out: &mut String) {
    if !text.contains('\n') {
        out.push('"');
        text.chars().for_each(|c| if c == '\t' { out.push(c) } else { escaped(c, out) });
        out.push('"');
        return;
    }
    out.push_str("\"\\\n");
    for c in text.chars() {
        if out.ends_with('\n') {
            indent(level, out);
            // White space at the start of a line would be dropped.
            out.push(if c.is_whitespace() && c != '\n' { '\\' } else { ' ' });
        }
        match c {
            '\n' => out.push_str("\\n\\\n"),
            '\t' => out.push('\t'),
            c => escaped(c, out),
        }
    }
    if !out.ends_with('\n') {
        out.push_str("\\\n");
    }
    indent(level, out);
    out.push('"');
}

fn compact_string(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c => escaped(c, out),
        }
    }
    out.push('"');
}

fn escaped(c: char, out: &mut String) {
    match c {
        '"' | '\\' => out.extend(['\\', c]),
        c if gotext::is_printable(c) => out.push(c),
        '\x07' => out.push_str("\\a"),
        '\x08' => out.push_str("\\b"),
        '\x0c' => out.push_str("\\f"),
        '\r' => out.push_str("\\r"),
        '\x0b' => out.push_str("\\v"),
        '\0' => out.push_str("\\0"),
        '\x1b' => out.push_str("\\e"),
        '\u{85}' => out.push_str("\\N"),
        '\u{a0}' => out.push_str("\\_"),
        '\u{2028}' => out.push_str("\\L"),
        '\u{2029}' => out.push_str("\\P"),
        c if c < ' ' || c == '\x7f' => out.push_str(&format!("\\x{:02x}", u32::from(c))),
        c if u32::from(c) < 0x10000 => out.push_str(&format!("\\u{:04x}", u32::from(c))),
        c => out.push_str(&format!("\\U{:08x}", u32::from(c))),
    }
}

/// Whether a key must be quoted: it may be taken for something else, or holds what has a meaning.
fn needs_quotes(key: &str) -> bool {
    let last = key.chars().count().saturating_sub(1);
    let plain = |(at, c): (usize, char)| {
        c.is_alphanumeric() || c == '_' || (at > 0 && at < last && matches!(c, '-' | '.' | '/'))
    };
    key.is_empty() || is_ambiguous(key) || !key.chars().enumerate().all(plain)
}

fn is_ambiguous(text: &str) -> bool {
    let lower = text.to_lowercase();
    let word = matches!(lower.as_str(), "null" | "~" | "true" | "y" | "yes" | "on" | "false" | "n" | "no" | "off");
    let special = matches!(lower.as_str(), ".inf" | "-.inf" | "+.inf" | ".nan" | "inf" | "infinity" | "nan");
    let bare = text.replace('_', "");
    let number = values::int64(&bare).is_ok() || bare.parse::<f64>().is_ok();
    word || special || values::boolean(text).is_ok() || number || is_date(text)
}

/// `2001-1-2`, alone or before a time.
fn is_date(text: &str) -> bool {
    let mut parts = text.splitn(3, '-');
    let digits = |part: Option<&str>, range: std::ops::RangeInclusive<usize>| {
        part.is_some_and(|part| range.contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit()))
    };
    let (year, month) = (digits(parts.next(), 4..=4), digits(parts.next(), 1..=2));
    let day = parts.next().map(|rest| rest.split(['T', 't', ' ']).next().unwrap_or_default());
    year && month && digits(day, 1..=2)
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use serde_json::json;

    use super::*;

    #[test]
    fn documents() {
        let value = json!({
            "kind": "ConfigMap", "n": 1, "1": true, "a.b/c-d": null, "-x": [], "list": ["a", 2], "maps": [{"a": 1}, {"b": {}}],
            "text": "a\n b\n", "tail": "x\ny", "quote": "say \"hi\"\u{1}",
        });
        expect![[r#"
            ---
            {
              "-x": [],
              "1": true,
              a.b/c-d: null,
              kind: "ConfigMap",
              list: [
                "a",
                2,
              ],
              maps: [{
                a: 1,
              }, {
                b: {},
              }],
              "n": 1,
              quote: "say \"hi\"\x01",
              tail: "\
                 x\n\
                 y\
                ",
              text: "\
                 a\n\
                \ b\n\
                ",
            }
        "#]]
        .assert_eq(&to_kyaml(&value));
    }
}
