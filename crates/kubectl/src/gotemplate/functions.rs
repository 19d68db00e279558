//! The functions that a template may call: Go's own, and kubectl's `exists` and `base64decode`.

use super::compare;
use super::execute::Operand;
use apimachinery::gotext::{self, Any, is_printable};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// What a parameter takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Parameter {
    /// Anything, also what is missing (`reflect.Value`).
    Operand,
    /// Anything; what is missing is nil (`any`).
    Any,
    /// `string`
    Text,
}

/// The parameters of a function: fixed ones, and the one that may be repeated.
pub(super) type Signature = (&'static [Parameter], Option<Parameter>);

/// The signature of a function; none where there is no such function.
pub(super) fn signature(name: &str) -> Option<Signature> {
    use Parameter::{Any, Operand, Text};
    Some(match name {
        "and" | "or" | "call" | "index" | "slice" | "eq" => (&[Operand], Some(Operand)),
        "len" | "not" => (&[Operand], None),
        "ne" | "lt" | "le" | "gt" | "ge" => (&[Operand, Operand], None),
        "html" | "js" | "urlquery" | "print" | "println" => (&[], Some(Any)),
        "printf" => (&[Text], Some(Any)),
        "exists" => (&[Any], Some(Any)),
        "base64decode" => (&[Text], None),
        _ => return None,
    })
}

/// Whether there is such a function.
pub(super) fn exists(name: &str) -> bool {
    signature(name).is_some()
}

/// Calls a function but `and`, `or` and `call`, whose arguments are not all evaluated first or have names.
pub(super) fn call(name: &str, arguments: &[Operand]) -> Result<Operand, String> {
    let truth = |b: bool| Ok(Operand::of(Any::Bool(b)));
    let text = |text: String| Ok(Operand::of(Any::Text(text.into())));
    let anys = || arguments.iter().map(|operand| operand.any().cloned().unwrap_or(Any::Nil)).collect::<Vec<_>>();
    match name {
        "index" => index(&arguments[0], &arguments[1..]),
        "slice" => slice(&arguments[0], &arguments[1..]),
        "len" => length(&arguments[0]),
        "not" => truth(!arguments[0].is_true()),
        "eq" => truth(compare::equal(&arguments[0], &arguments[1..])?),
        "ne" => truth(!compare::equal(&arguments[0], &arguments[1..])?),
        "lt" => truth(compare::less(&arguments[0], &arguments[1])?),
        "ge" => truth(!compare::less(&arguments[0], &arguments[1])?),
        "le" => truth(compare::less_or_equal(&arguments[0], &arguments[1])?),
        "gt" => truth(!compare::less_or_equal(&arguments[0], &arguments[1])?),
        "print" => text(gotext::sprint(&anys())),
        "println" => text(gotext::sprintln(&anys())),
        "printf" => {
            let anys = anys();
            let Some((Any::Text(format), rest)) = anys.split_first() else {
                return Err("printf needs a format".into());
            };
            text(gotext::sprintf(format, rest))
        }
        "html" => text(escape_html(&joined(&anys()))),
        "js" => text(escape_js(&joined(&anys()))),
        "urlquery" => text(escape_query(&joined(&anys()))),
        "exists" => truth(is_there(&arguments[0], &arguments[1..])),
        "base64decode" => {
            let encoded = match arguments[0].any() {
                Some(Any::Text(encoded)) => encoded.clone(),
                _ => return Err("base64decode needs a string".into()),
            };
            // Go's decoder skips line ends.
            let encoded: String = encoded.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
            match STANDARD.decode(&encoded) {
                Ok(bytes) => text(String::from_utf8_lossy(&bytes).into_owned()),
                Err(_) => {
                    Err(format!("base64 decode failed: illegal base64 data at input byte {}", first_illegal(&encoded)))
                }
            }
        }
        _ => Err(format!("{} is not a defined function", gotext::quote(name))),
    }
}

/// Where Go's decoder says that Base64 text goes wrong.
fn first_illegal(encoded: &str) -> usize {
    let bytes = encoded.as_bytes();
    let is_digit = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/');
    let digits = bytes.iter().take_while(|b| is_digit(b)).count();
    match bytes.get(digits) {
        // The text ends within a group of four: the group's begin is named.
        None => digits - digits % 4,
        Some(b'=') if digits % 4 == 2 && bytes.get(digits + 1) == Some(&b'=') => digits + 2,
        Some(b'=') if digits % 4 == 3 => digits + 1,
        Some(b'=') if digits % 4 == 2 && bytes.len() == digits + 1 => digits + 1,
        Some(_) => digits,
    }
}

/// A position in a list or string of `capacity` elements.
fn position(operand: &Operand, capacity: usize) -> Result<usize, String> {
    let number = match operand.any() {
        Some(Any::Int(number) | Any::Int64(number)) => *number,
        Some(Any::Byte(number)) => i64::from(*number),
        None | Some(Any::Nil) => return Err("cannot index slice/array with nil".into()),
        Some(other) => return Err(format!("cannot index slice/array with type {}", other.type_name())),
    };
    usize::try_from(number).ok().filter(|at| *at <= capacity).ok_or_else(|| format!("index out of range: {number}"))
}

fn index(item: &Operand, indexes: &[Operand]) -> Result<Operand, String> {
    let mut item = item.clone();
    if matches!(item.any(), None | Some(Any::Nil)) {
        return Err("index of untyped nil".into());
    }
    for index in indexes {
        item = match item.any() {
            Some(Any::List(items)) => {
                let at = position(index, items.len())?;
                let element = items.get(at).ok_or("reflect: slice index out of range")?;
                Operand::boxed(element.clone())
            }
            Some(Any::Text(text)) => {
                let at = position(index, text.len())?;
                let byte = text.as_bytes().get(at).ok_or("reflect: string index out of range")?;
                Operand::of(Any::Byte(*byte))
            }
            Some(Any::Map(fields)) => match index.any() {
                Some(Any::Text(key)) => Operand::boxed(fields.get(key).cloned().unwrap_or(Any::Nil)),
                None | Some(Any::Nil) => return Err("value is nil; should be of type string".into()),
                Some(other) => return Err(format!("value has type {}; should be string", other.type_name())),
            },
            None | Some(Any::Nil) => return Err("index of nil pointer".into()),
            Some(other) => return Err(format!("can't index item of type {}", other.type_name())),
        };
    }
    Ok(item)
}

fn slice(item: &Operand, indexes: &[Operand]) -> Result<Operand, String> {
    let Some(any) = item.any().filter(|any| !matches!(any, Any::Nil)) else {
        return Err("slice of untyped nil".into());
    };
    if indexes.len() > 3 {
        return Err(format!("too many slice indexes: {}", indexes.len()));
    }
    let capacity = match any {
        Any::Text(_) if indexes.len() == 3 => return Err("cannot 3-index slice a string".into()),
        Any::Text(text) => text.len(),
        Any::List(items) => items.len(),
        other => return Err(format!("can't slice item of type {}", other.type_name())),
    };
    let mut bounds = [0, capacity, capacity];
    for (at, index) in indexes.iter().enumerate() {
        bounds[at] = position(index, capacity)?;
    }
    for pair in bounds.windows(2) {
        if pair[0] > pair[1] {
            return Err(format!("invalid slice index: {} > {}", pair[0], pair[1]));
        }
    }
    let range = bounds[0]..bounds[1];
    Ok(Operand::of(match any {
        Any::Text(text) => Any::Text(String::from_utf8_lossy(&text.as_bytes()[range]).as_ref().into()),
        Any::List(items) => Any::List(items[range].into()),
        other => other.clone(),
    }))
}

fn length(item: &Operand) -> Result<Operand, String> {
    let length = match item.any() {
        Some(Any::List(items)) => items.len(),
        Some(Any::Text(text)) => text.len(),
        Some(Any::Map(fields)) => fields.len(),
        Some(Any::Nil) => return Err("len of nil pointer".into()),
        Some(other) => return Err(format!("len of type {}", other.type_name())),
        None => return Err("reflect: call of reflect.Value.Type on zero Value".into()),
    };
    Ok(Operand::of(Any::Int(length as i64)))
}

/// kubectl's `exists`: whether `index` with the same arguments would find something.
fn is_there(item: &Operand, indexes: &[Operand]) -> bool {
    let mut item = item.any().cloned().unwrap_or(Any::Nil);
    if indexes.is_empty() {
        // Upstream finds what is missing as long as nothing is looked for in it.
        return true;
    }
    for index in indexes {
        let at = match index.any() {
            Some(Any::Int(number) | Any::Int64(number)) => usize::try_from(*number).ok(),
            Some(Any::Byte(number)) => Some(usize::from(*number)),
            _ => None,
        };
        let next = match (&item, index.any()) {
            (Any::List(items), _) => at.and_then(|at| items.get(at).cloned()),
            (Any::Text(text), _) => at.and_then(|at| text.as_bytes().get(at).map(|byte| Any::Byte(*byte))),
            (Any::Map(fields), Some(Any::Text(key))) => fields.get(key).cloned(),
            _ => None,
        };
        match next {
            Some(next) => item = next,
            None => return false,
        }
    }
    item != Any::Nil
}

/// The text that an escaping function escapes.
fn joined(arguments: &[Any]) -> String {
    if let [Any::Text(text)] = arguments {
        return text.to_string();
    }
    let shown = arguments.iter().map(|any| match any {
        Any::Nil => "<no value>".into(),
        other => other.clone(),
    });
    gotext::sprint(&shown.collect::<Vec<_>>())
}

fn escape_html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\0' => out.push('\u{fffd}'),
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            c => out.push(c),
        }
    }
    out
}

fn escape_js(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' | '\'' | '"' => {
                out.push('\\');
                out.push(c);
            }
            '<' | '>' | '&' | '=' => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c if c < ' ' => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c if !c.is_ascii() && !is_printable(c) => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out
}

fn escape_query(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' ' => out.push('+'),
            b'-' | b'_' | b'.' | b'~' => out.push(byte.into()),
            byte if byte.is_ascii_alphanumeric() => out.push(byte.into()),
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}
