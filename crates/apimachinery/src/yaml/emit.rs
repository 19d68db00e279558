//! A JSON value to YAML text, to the byte as go-yaml 2 prints it.

use std::cmp::Ordering;

use serde_json::{Map, Value};

use super::scalar::{float_text, is_plain_text};

/// Behind this column lines fold at the next space.
const WIDTH: usize = 80;
/// Longer keys are written with `? `.
const SIMPLE_KEY_MAX: usize = 128;

/// The value as a YAML document, with a line break at the end.
pub fn to_yaml(value: &Value) -> String {
    let mut emitter = Emitter { out: String::new(), column: 0 };
    match value {
        Value::Object(entries) if !entries.is_empty() => emitter.mapping(entries, 0, true),
        Value::Array(items) if !items.is_empty() => emitter.sequence(items, 0, true),
        other => emitter.scalar(other, 2, false),
    }
    emitter.out.push('\n');
    emitter.out
}

struct Emitter {
    out: String,
    /// Characters since the last line break.
    column: usize,
}

impl Emitter {
    fn put(&mut self, c: char) {
        self.out.push(c);
        self.column = if c == '\n' { 0 } else { self.column + 1 };
    }

    fn text(&mut self, text: &str) {
        text.chars().for_each(|c| self.put(c));
    }

    fn line(&mut self, indent: usize) {
        self.put('\n');
        for _ in 0..indent {
            self.put(' ');
        }
    }

    /// A map whose keys start at column `indent`; `inline`: the first one is written where the emitter stands.
    fn mapping(&mut self, entries: &Map<String, Value>, indent: usize, inline: bool) {
        for (at, (key, value)) in sorted(entries.iter().collect()).into_iter().enumerate() {
            if at > 0 || !inline {
                self.line(indent);
            }
            if key.contains(is_break) || key.len() > SIMPLE_KEY_MAX {
                self.text("? ");
                self.string(key, indent + 2, false);
                self.line(indent);
            } else {
                self.string(key, indent + 2, true);
            }
            self.put(':');
            match value {
                Value::Object(entries) if !entries.is_empty() => self.mapping(entries, indent + 2, false),
                Value::Array(items) if !items.is_empty() => self.sequence(items, indent, false),
                other => {
                    self.put(' ');
                    self.scalar(other, indent + 2, false);
                }
            }
        }
    }

    /// A list whose dashes stand at column `indent`.
    fn sequence(&mut self, items: &[Value], indent: usize, inline: bool) {
        for (at, item) in items.iter().enumerate() {
            if at > 0 || !inline {
                self.line(indent);
            }
            self.text("- ");
            match item {
                Value::Object(entries) if !entries.is_empty() => self.mapping(entries, indent + 2, true),
                Value::Array(items) if !items.is_empty() => self.sequence(items, indent + 2, true),
                other => self.scalar(other, indent + 2, false),
            }
        }
    }

    fn scalar(&mut self, value: &Value, indent: usize, key: bool) {
        match value {
            Value::Null => self.text("null"),
            Value::Bool(b) => self.text(if *b { "true" } else { "false" }),
            Value::Number(number) => {
                let text = if number.is_f64() {
                    number.as_f64().map(float_text).unwrap_or_default()
                } else {
                    number.to_string()
                };
                self.text(&text);
            }
            Value::String(text) => self.string(text, indent, key),
            Value::Array(_) => self.text("[]"),
            Value::Object(_) => self.text("{}"),
        }
    }

    /// Text in the style that go-yaml chooses; further lines start at column `indent`.
    fn string(&mut self, text: &str, indent: usize, key: bool) {
        let traits = Traits::of(text);
        if text.contains('\n') && traits.block && !key {
            return self.literal(text, indent);
        }
        if text.contains('\n') || !is_plain_text(text) {
            return self.double_quoted(text, indent, !key);
        }
        match (traits.plain, traits.single_quoted) {
            (true, _) => self.folded(text, indent, !key, false),
            (false, true) => {
                self.put('\'');
                self.folded(text, indent, !key, true);
                self.put('\'');
            }
            (false, false) => self.double_quoted(text, indent, !key),
        }
    }

    /// Plain or single-quoted text of one line.
    fn folded(&mut self, text: &str, indent: usize, breaks: bool, quoted: bool) {
        let mut spaces = false;
        let last = text.len() - 1;
        let mut chars = text.char_indices().peekable();
        while let Some((at, c)) = chars.next() {
            if c != ' ' {
                if c == '\'' && quoted {
                    self.put('\'');
                }
                self.put(c);
                spaces = false;
                continue;
            }
            let inside = !quoted || (at > 0 && at < last);
            let before_space = chars.peek().is_some_and(|(_, next)| *next == ' ');
            if breaks && !spaces && self.column > WIDTH && inside && !before_space {
                self.line(indent);
            } else {
                self.put(c);
            }
            spaces = true;
        }
    }

    fn double_quoted(&mut self, text: &str, indent: usize, breaks: bool) {
        self.put('"');
        let mut spaces = false;
        let last = text.len().saturating_sub(1);
        let mut chars = text.char_indices().peekable();
        while let Some((at, c)) = chars.next() {
            if !is_printable(c) || is_break(c) || matches!(c, '"' | '\\' | '\u{feff}') {
                self.text(&escaped(c));
                spaces = false;
            } else if c == ' ' {
                if breaks && !spaces && self.column > WIDTH && at > 0 && at < last {
                    self.line(indent);
                    if chars.peek().is_some_and(|(_, next)| *next == ' ') {
                        self.put('\\');
                    }
                } else {
                    self.put(c);
                }
                spaces = true;
            } else {
                self.put(c);
                spaces = false;
            }
        }
        self.put('"');
    }

    fn literal(&mut self, text: &str, indent: usize) {
        self.put('|');
        if text.starts_with([' ', '\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']) {
            self.put('2');
        }
        let ends = text.len() - text.trim_end_matches(is_break).len();
        if ends == 0 {
            self.put('-');
        } else if text.chars().rev().nth(1).is_none_or(is_break) {
            self.put('+');
        }
        let body = text.strip_suffix('\n').unwrap_or(text);
        for line in body.split('\n') {
            if line.is_empty() {
                self.put('\n');
            } else {
                self.line(indent);
            }
            self.text(line);
        }
    }
}

fn escaped(c: char) -> String {
    match c {
        '\0' => "\\0".to_owned(),
        '\u{7}' => "\\a".to_owned(),
        '\u{8}' => "\\b".to_owned(),
        '\t' => "\\t".to_owned(),
        '\n' => "\\n".to_owned(),
        '\u{b}' => "\\v".to_owned(),
        '\u{c}' => "\\f".to_owned(),
        '\r' => "\\r".to_owned(),
        '\u{1b}' => "\\e".to_owned(),
        '"' => "\\\"".to_owned(),
        '\\' => "\\\\".to_owned(),
        '\u{85}' => "\\N".to_owned(),
        '\u{a0}' => "\\_".to_owned(),
        '\u{2028}' => "\\L".to_owned(),
        '\u{2029}' => "\\P".to_owned(),
        c => match u32::from(c) {
            n @ 0..=0xff => format!("\\x{n:02X}"),
            n @ 0x100..=0xffff => format!("\\u{n:04X}"),
            n => format!("\\U{n:08X}"),
        },
    }
}

fn is_break(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// What libyaml calls printable; characters above the basic plane are not.
fn is_printable(c: char) -> bool {
    matches!(c, '\n' | ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}')
}

/// Which styles can hold a text (libyaml's `analyze_scalar`, for block context).
struct Traits {
    plain: bool,
    single_quoted: bool,
    block: bool,
}

impl Traits {
    fn of(text: &str) -> Self {
        let chars: Vec<char> = text.chars().collect();
        let blank = |c: Option<&char>| c.is_none_or(|c| matches!(c, ' ' | '\t') || is_break(*c));
        let mut indicators = text.starts_with("---") || text.starts_with("...");
        let (mut special, mut breaks, mut break_space, mut space_break) = (false, false, false, false);
        for (at, c) in chars.iter().enumerate() {
            let followed = at + 1 >= chars.len() || matches!(chars[at + 1], ' ' | '\t');
            let previous = at.checked_sub(1).map(|p| chars[p]);
            indicators |= match (at, *c) {
                (0, '#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@' | '`') => {
                    true
                }
                (0, '?' | ':' | '-') => followed,
                (_, ':') => followed,
                (_, '#') => blank(previous.as_ref()),
                _ => false,
            };
            special |= !is_printable(*c);
            if *c == ' ' {
                break_space |= previous.is_some_and(is_break);
            } else if is_break(*c) {
                breaks = true;
                space_break |= previous == Some(' ');
            }
        }
        let edge = |c: Option<&char>| c.is_some_and(|c| *c == ' ' || is_break(*c));
        let at_edges = edge(chars.first()) || edge(chars.last());
        Self {
            plain: !at_edges && !break_space && !space_break && !special && !breaks && !indicators,
            single_quoted: !break_space && !space_break && !special,
            block: chars.last() != Some(&' ') && !space_break && !special,
        }
    }
}

/// So few keys are sorted by insertion, as Go's sort does.
const INSERTION_MAX: usize = 12;

/// The entries in go-yaml's order. That order is not a total one (`1` < `a` < `_` < `1` may hold), which the standard
/// library's sorts punish with a panic; this one takes any comparison.
fn sorted<'v>(mut entries: Vec<(&'v String, &'v Value)>) -> Vec<(&'v String, &'v Value)> {
    let less = |a: &(&String, &Value), b: &(&String, &Value)| key_order(a.0, b.0) == Ordering::Less;
    if entries.len() <= INSERTION_MAX {
        for i in 1..entries.len() {
            let mut j = i;
            while j > 0 && less(&entries[j], &entries[j - 1]) {
                entries.swap(j, j - 1);
                j -= 1;
            }
        }
        return entries;
    }
    let right = entries.split_off(entries.len() / 2);
    let (mut left, mut right) = (sorted(entries).into_iter().peekable(), sorted(right).into_iter().peekable());
    let mut merged = Vec::with_capacity(left.len() + right.len());
    while let (Some(a), Some(b)) = (left.peek(), right.peek()) {
        let next = if less(b, a) { right.next() } else { left.next() };
        merged.extend(next);
    }
    merged.extend(left);
    merged.extend(right);
    merged
}

/// go-yaml's order of keys: letters behind all else, runs of digits as numbers.
fn key_order(a: &str, b: &str) -> Ordering {
    let (left, right): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let Some(at) = left.iter().zip(&right).position(|(l, r)| l != r) else {
        return left.len().cmp(&right.len());
    };
    match (left[at].is_alphabetic(), right[at].is_alphabetic()) {
        (true, true) => return left[at].cmp(&right[at]),
        (true, false) => return Ordering::Greater,
        (false, true) => return Ordering::Less,
        (false, false) => {}
    }
    let mut seed: i64 = 0;
    if left[at] == '0' || right[at] == '0' {
        let digits = left[..at].iter().rev().take_while(|c| c.is_ascii_digit());
        seed = i64::from(digits.into_iter().any(|c| *c != '0'));
    }
    let run = |chars: &[char]| -> (i64, usize) {
        let digits = chars[at..].iter().map_while(|c| c.to_digit(10));
        let (mut number, mut length) = (seed, 0);
        for digit in digits {
            number = number.wrapping_mul(10).wrapping_add(i64::from(digit));
            length += 1;
        }
        (number, length)
    };
    run(&left).cmp(&run(&right)).then(left[at].cmp(&right[at]))
}
