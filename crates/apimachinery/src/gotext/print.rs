//! `fmt.Sprint`, `Sprintln` and `Sprintf` over [`Any`].

use super::quote::{is_printable, quote_with};
use super::{Any, float_with};

/// Flags, width and precision of one verb.
#[derive(Debug, Clone, Copy, Default)]
struct Verbs {
    plus: bool,
    minus: bool,
    sharp: bool,
    space: bool,
    zero: bool,
    /// `%#v`
    go_syntax: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

/// Go refuses larger widths and precisions.
const WIDTH_MAX: usize = 1_000_000;

/// `fmt.Sprint`: operands one after the other, with a space where neither is a string.
pub fn sprint(operands: &[Any]) -> String {
    let mut out = String::new();
    for (at, operand) in operands.iter().enumerate() {
        let is_text = |any: &Any| matches!(any, Any::Text(_));
        if at > 0 && !is_text(operand) && !is_text(&operands[at - 1]) {
            out.push(' ');
        }
        out.push_str(&value(operand));
    }
    out
}

/// `fmt.Sprintln`: operands with spaces between, and a line end.
pub fn sprintln(operands: &[Any]) -> String {
    let mut out = operands.iter().map(value).collect::<Vec<_>>().join(" ");
    out.push('\n');
    out
}

/// `%v`
pub fn value(any: &Any) -> String {
    let mut out = String::new();
    Verbs::default().print(any, 'v', &mut out);
    out
}

/// `fmt.Sprintf`
pub fn sprintf(format: &str, operands: &[Any]) -> String {
    Format { text: format, at: 0, operand: 0, operands, reordered: false, good_index: true }.run()
}

struct Format<'a> {
    text: &'a str,
    /// The next byte of `text`.
    at: usize,
    /// The next operand.
    operand: usize,
    operands: &'a [Any],
    /// An index such as `%[2]d` was seen: operands that are left over are then not complained about.
    reordered: bool,
    /// The index of the present verb is one that exists.
    good_index: bool,
}

impl Format<'_> {
    fn run(mut self) -> String {
        let mut out = String::new();
        while self.at < self.text.len() {
            self.good_index = true;
            let rest = &self.text[self.at..];
            let plain = rest.find('%').unwrap_or(rest.len());
            out.push_str(&rest[..plain]);
            self.at += plain;
            if self.at >= self.text.len() {
                break;
            }
            self.at += 1;
            if !self.verb(&mut out) {
                break;
            }
        }
        if !self.reordered && self.operand < self.operands.len() {
            let extra: Vec<_> = self.operands[self.operand..]
                .iter()
                .map(|operand| match operand {
                    Any::Nil => "<nil>".to_string(),
                    other => format!("{}={}", other.type_name(), value(other)),
                })
                .collect();
            out.push_str(&format!("%!(EXTRA {})", extra.join(", ")));
        }
        out
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// One verb behind its `%`; false at the end of the format.
    fn verb(&mut self, out: &mut String) -> bool {
        let mut verbs = Verbs::default();
        while let Some(flag) = self.peek() {
            match flag {
                b'#' => verbs.sharp = true,
                b'0' => verbs.zero = true,
                b'+' => verbs.plus = true,
                b'-' => verbs.minus = true,
                b' ' => verbs.space = true,
                _ => break,
            }
            self.at += 1;
        }
        let mut after_index = self.index();
        if self.peek() == Some(b'*') {
            self.at += 1;
            match self.operand_number() {
                Some(width) => {
                    verbs.width = Some(width.unsigned_abs() as usize);
                    if width < 0 {
                        verbs.minus = true;
                        verbs.zero = false;
                    }
                }
                None => out.push_str("%!(BADWIDTH)"),
            }
            after_index = false;
        } else {
            verbs.width = self.number();
            if after_index && verbs.width.is_some() {
                self.good_index = false;
            }
        }
        if self.peek() == Some(b'.') && self.at + 1 < self.text.len() {
            self.at += 1;
            if after_index {
                self.good_index = false;
            }
            after_index = self.index();
            if self.peek() == Some(b'*') {
                self.at += 1;
                match self.operand_number() {
                    Some(precision) => verbs.precision = usize::try_from(precision).ok(),
                    None => out.push_str("%!(BADPREC)"),
                }
                after_index = false;
            } else {
                verbs.precision = Some(self.number().unwrap_or(0));
            }
        }
        if !after_index {
            self.index();
        }
        let Some(verb) = self.text[self.at..].chars().next() else {
            out.push_str("%!(NOVERB)");
            return false;
        };
        self.at += verb.len_utf8();
        match self.operands.get(self.operand) {
            _ if verb == '%' => out.push('%'),
            _ if !self.good_index => out.push_str(&format!("%!{verb}(BADINDEX)")),
            None => out.push_str(&format!("%!{verb}(MISSING)")),
            Some(operand) => {
                if verb == 'v' {
                    verbs.go_syntax = std::mem::take(&mut verbs.sharp);
                    verbs.plus = false;
                }
                verbs.print(operand, verb, out);
                self.operand += 1;
            }
        }
        true
    }

    /// An index `[n]`; whether there was one.
    fn index(&mut self) -> bool {
        if self.peek() != Some(b'[') {
            return false;
        }
        self.reordered = true;
        let Some(length) = self.text[self.at..].find(']') else {
            self.good_index = false;
            self.at += 1;
            return false;
        };
        let number = self.text[self.at + 1..self.at + length].parse::<usize>();
        self.at += length + 1;
        match number {
            Ok(number) if (1..=self.operands.len()).contains(&number) => {
                self.operand = number - 1;
                true
            }
            other => {
                self.good_index = false;
                other.is_ok()
            }
        }
    }

    fn number(&mut self) -> Option<usize> {
        let rest = &self.text[self.at..];
        let length = rest.bytes().take_while(u8::is_ascii_digit).count();
        self.at += length;
        rest[..length].parse().ok().filter(|number| *number <= WIDTH_MAX)
    }

    /// The next operand as a width or precision.
    fn operand_number(&mut self) -> Option<i64> {
        let number = match self.operands.get(self.operand)? {
            Any::Int(number) | Any::Int64(number) => Some(*number),
            Any::Byte(number) => Some(i64::from(*number)),
            _ => None,
        };
        self.operand += 1;
        number.filter(|number| number.unsigned_abs() as usize <= WIDTH_MAX)
    }
}

impl Verbs {
    /// Prints one operand.
    fn print(self, operand: &Any, verb: char, out: &mut String) {
        match (operand, verb) {
            (Any::Nil, 'v' | 'T') => self.pad("<nil>", out),
            (Any::Nil, _) => out.push_str(&format!("%!{verb}(<nil>)")),
            (_, 'T') => self.text(operand.type_name(), out),
            _ => self.nested(operand, verb, out),
        }
    }

    /// Prints an operand or a part of one.
    fn nested(self, operand: &Any, verb: char, out: &mut String) {
        match operand {
            Any::Nil if self.go_syntax => out.push_str("interface {}(nil)"),
            Any::Nil => out.push_str("<nil>"),
            Any::Bool(b) if matches!(verb, 't' | 'v') => self.pad(if *b { "true" } else { "false" }, out),
            Any::Int(number) | Any::Int64(number) => self.integer(operand, *number, verb, out),
            Any::Byte(number) if self.go_syntax && verb == 'v' => out.push_str(&format!("{number:#x}")),
            Any::Byte(number) => self.integer(operand, i64::from(*number), verb, out),
            Any::Float(number) => self.float(operand, *number, verb, out),
            Any::Text(text) => self.string(operand, text, verb, out),
            Any::List(items) if self.go_syntax => {
                out.push_str("[]interface {}{");
                self.separated(items.iter(), ", ", out, |item, out| self.nested(item, verb, out));
                out.push('}');
            }
            Any::List(items) => {
                out.push('[');
                self.separated(items.iter(), " ", out, |item, out| self.nested(item, verb, out));
                out.push(']');
            }
            Any::Map(fields) => {
                let (open, separator, close) =
                    if self.go_syntax { ("map[string]interface {}{", ", ", "}") } else { ("map[", " ", "]") };
                out.push_str(open);
                self.separated(fields.iter(), separator, out, |(key, field), out| {
                    self.nested(&Any::Text(key.clone()), verb, out);
                    out.push(':');
                    self.nested(field, verb, out);
                });
                out.push_str(close);
            }
            Any::Bool(_) => self.bad_verb(operand, verb, out),
        }
    }

    /// What Go prints for a verb that does not fit the operand: the flags still count.
    fn bad_verb(self, operand: &Any, verb: char, out: &mut String) {
        out.push_str(&format!("%!{verb}({}=", operand.type_name()));
        self.nested(operand, 'v', out);
        out.push(')');
    }

    fn separated<T>(
        self,
        items: impl Iterator<Item = T>,
        separator: &str,
        out: &mut String,
        mut print: impl FnMut(T, &mut String),
    ) {
        for (at, item) in items.enumerate() {
            if at > 0 {
                out.push_str(separator);
            }
            print(item, out);
        }
    }

    /// Pads to the width with spaces, or with zeros on the left where asked for.
    fn pad(self, text: &str, out: &mut String) {
        let missing = self.width.unwrap_or(0).saturating_sub(text.chars().count());
        let filler = if self.zero && !self.minus { "0" } else { " " };
        if self.minus {
            out.push_str(text);
        }
        out.push_str(&filler.repeat(missing));
        if !self.minus {
            out.push_str(text);
        }
    }

    fn text(self, text: &str, out: &mut String) {
        self.pad(&self.truncated(text), out);
    }

    fn truncated(self, text: &str) -> String {
        match self.precision {
            Some(length) => text.chars().take(length).collect(),
            None => text.to_string(),
        }
    }

    fn string(self, operand: &Any, text: &str, verb: char, out: &mut String) {
        match verb {
            'v' if self.go_syntax => self.pad(&quote_with(text, '"', false), out),
            'v' | 's' => self.text(text, out),
            'q' => {
                let text = self.truncated(text);
                if self.sharp && !text.contains('`') && text.chars().all(|c| c == '\t' || is_printable(c)) {
                    self.pad(&format!("`{text}`"), out);
                } else {
                    self.pad(&quote_with(&text, '"', self.plus), out);
                }
            }
            'x' | 'X' => {
                let prefix = match (self.sharp, verb) {
                    (false, _) => "",
                    (true, 'x') => "0x",
                    (true, _) => "0X",
                };
                let bytes = text.bytes().take(self.precision.unwrap_or(usize::MAX));
                let digits = bytes.map(|b| if verb == 'x' { format!("{b:02x}") } else { format!("{b:02X}") });
                let digits: Vec<_> = digits.collect();
                let joined = match (digits.is_empty(), self.space) {
                    (true, _) => String::new(),
                    (false, true) => digits.iter().map(|d| format!("{prefix}{d}")).collect::<Vec<_>>().join(" "),
                    (false, false) => format!("{prefix}{}", digits.concat()),
                };
                self.pad(&joined, out);
            }
            _ => self.bad_verb(operand, verb, out),
        }
    }

    fn float(self, operand: &Any, number: f64, verb: char, out: &mut String) {
        let precision = self.precision;
        let text = match verb {
            'v' | 'g' | 'G' => float_with(number, if verb == 'G' { 'G' } else { 'g' }, precision),
            'e' | 'E' | 'f' | 'F' => float_with(number, verb, precision.or(Some(6))),
            _ => return self.bad_verb(operand, verb, out),
        };
        let (sign, digits) = match text.strip_prefix('-') {
            Some(digits) => ("-", digits.to_string()),
            None if self.plus || text.starts_with('+') => ("+", text.trim_start_matches('+').to_string()),
            None if self.space => (" ", text),
            None => ("", text),
        };
        let digits = if self.sharp { with_point(&digits, verb, precision) } else { digits };
        self.signed(sign, &digits, number.is_finite(), out);
    }

    /// Zeros that fill up the width go between sign and digits.
    fn signed(self, sign: &str, digits: &str, is_number: bool, out: &mut String) {
        if self.zero && !self.minus && is_number {
            let width = self.width.unwrap_or(0).saturating_sub(sign.len() + digits.len());
            out.push_str(&format!("{sign}{}{digits}", "0".repeat(width)));
        } else {
            Verbs { zero: false, ..self }.pad(&format!("{sign}{digits}"), out);
        }
    }

    fn integer(self, operand: &Any, number: i64, verb: char, out: &mut String) {
        let size = number.unsigned_abs();
        let character = u32::try_from(number).ok().and_then(char::from_u32).unwrap_or('\u{fffd}');
        let (digits, prefix) = match verb {
            'v' | 'd' => (size.to_string(), ""),
            'b' => (format!("{size:b}"), if self.sharp { "0b" } else { "" }),
            'o' => (format!("{size:o}"), if self.sharp { "0" } else { "" }),
            'O' => (format!("{size:o}"), "0o"),
            'x' => (format!("{size:x}"), if self.sharp { "0x" } else { "" }),
            'X' => (format!("{size:X}"), if self.sharp { "0X" } else { "" }),
            'c' => return self.pad(&character.to_string(), out),
            'q' => return self.pad(&quote_with(&character.to_string(), '\'', self.plus), out),
            'U' => {
                let width = self.precision.unwrap_or(0).max(4);
                let mut text = format!("U+{:0width$X}", number as u64);
                if self.sharp && is_printable(character) {
                    text.push_str(&format!(" '{character}'"));
                }
                return Verbs { zero: false, ..self }.pad(&text, out);
            }
            _ => return self.bad_verb(operand, verb, out),
        };
        let sign = match (number < 0, self.plus, self.space) {
            (true, ..) => "-",
            (false, true, _) => "+",
            (false, false, true) => " ",
            _ => "",
        };
        let digits_min = match self.precision {
            // Go prints nothing but padding here.
            Some(0) if size == 0 => return Verbs { zero: false, ..self }.pad("", out),
            Some(precision) => precision,
            None if self.zero && !self.minus => self.width.unwrap_or(0).saturating_sub(sign.len()),
            None => 0,
        };
        let digits = format!("{digits:0>digits_min$}");
        let prefix = if prefix == "0" && digits.starts_with('0') { "" } else { prefix };
        Verbs { zero: false, ..self }.pad(&format!("{sign}{prefix}{digits}"), out);
    }
}

/// The `#` flag: always a point, and trailing zeros up to the precision for `%g`.
fn with_point(digits: &str, verb: char, precision: Option<usize>) -> String {
    let at = digits.find(['e', 'E']).unwrap_or(digits.len());
    let (mantissa, tail) = digits.split_at(at);
    let mut text = mantissa.to_string();
    if !text.contains('.') {
        text.push('.');
    }
    if matches!(verb, 'v' | 'g' | 'G') {
        let significant = mantissa.trim_start_matches(['0', '.']).bytes().filter(u8::is_ascii_digit).count();
        let shown = if mantissa == "0" { 1 } else { significant };
        text.push_str(&"0".repeat(precision.unwrap_or(6).saturating_sub(shown)));
    }
    text + tail
}
