//! From a template's text to its nodes.

use super::JsonPathError;
use crate::gotext::{is_printable, unquote_char};

/// One node of a template. An action is a [`Node::List`].
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    Text(String),
    List(Vec<Node>),
    Field(String),
    /// `range`, `end`, or a word that is an error when it is evaluated.
    Identifier(String),
    Array([Parameter; 3]),
    Filter {
        left: Vec<Node>,
        operator: String,
        right: Vec<Node>,
    },
    Int(i64),
    Float(f64),
    Bool(bool),
    Wildcard,
    Recursive,
    Union(Vec<Vec<Node>>),
}

/// Start, end or step of an index in brackets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Parameter {
    pub(super) value: i64,
    /// Written down; else the array's bound is meant.
    pub(super) known: bool,
    /// The end that a lone index implies.
    pub(super) derived: bool,
}

/// Parses a whole template.
pub(super) fn parse(template: &str) -> Result<Vec<Node>, JsonPathError> {
    let mut parser = Parser { input: template, at: 0, start: 0 };
    let mut nodes = Vec::new();
    while let Some(length) = parser.input[parser.at..].find('{') {
        parser.at += length;
        if length > 0 {
            nodes.push(Node::Text(parser.consume().to_string()));
        }
        parser.at += 1;
        parser.consume();
        nodes.push(Node::List(parser.action()?));
    }
    parser.at = template.len();
    if parser.at > parser.start {
        nodes.push(Node::Text(parser.consume().to_string()));
    }
    Ok(nodes)
}

/// The nodes of the first action in `{text}`.
fn parse_action(text: &str) -> Result<Vec<Node>, JsonPathError> {
    match parse(&format!("{{{text}}}"))?.into_iter().next() {
        Some(Node::List(nodes)) => Ok(nodes),
        _ => Ok(Vec::new()),
    }
}

fn fault<T>(text: impl Into<String>) -> Result<T, JsonPathError> {
    Err(JsonPathError(text.into()))
}

struct Parser<'a> {
    input: &'a str,
    /// The next character.
    at: usize,
    /// Where the text that is not yet consumed begins.
    start: usize,
}

impl<'a> Parser<'a> {
    fn consume(&mut self) -> &'a str {
        let text = &self.input[self.start..self.at];
        self.start = self.at;
        text
    }

    fn peek(&self) -> Option<char> {
        self.input[self.at..].chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        Some(next)
    }

    /// The nodes up to and with the closing brace.
    fn action(&mut self) -> Result<Vec<Node>, JsonPathError> {
        let mut nodes = Vec::new();
        loop {
            let rest = &self.input[self.at..];
            if rest.starts_with('}') {
                self.at += 1;
                self.consume();
                return Ok(nodes);
            }
            if rest.starts_with("[?(") {
                nodes.push(self.filter()?);
                continue;
            }
            if rest.starts_with("..") {
                if nodes.last() == Some(&Node::Recursive) {
                    return fault("invalid multiple recursive descent");
                }
                self.at += 2;
                self.consume();
                nodes.push(Node::Recursive);
                if self.peek().is_some_and(is_alphanumeric) {
                    nodes.push(self.field());
                }
                continue;
            }
            match self.next() {
                None | Some('\r' | '\n') => return fault("unclosed action"),
                // `@` and `$` are the current object, which is where evaluation is anyway.
                Some(' ' | '@' | '$') => {
                    self.consume();
                }
                Some('[') => self.array(&mut nodes)?,
                Some(mark @ ('"' | '\'')) => nodes.push(self.quoted(mark)?),
                Some('.') => nodes.push(self.field()),
                Some(c) if c == '+' || c == '-' || c.is_ascii_digit() => nodes.push(self.number()?),
                Some(c) if is_alphanumeric(c) => nodes.push(self.identifier()),
                Some(c) => {
                    let shown = if is_printable(c) { format!(" '{c}'") } else { String::new() };
                    return fault(format!("unrecognized character in action: U+{:04X}{shown}", u32::from(c)));
                }
            }
        }
    }

    fn identifier(&mut self) -> Node {
        while self.peek().is_some_and(|c| !is_terminator(c)) {
            self.next();
        }
        match self.consume() {
            "true" => Node::Bool(true),
            "false" => Node::Bool(false),
            word => Node::Identifier(word.into()),
        }
    }

    fn number(&mut self) -> Result<Node, JsonPathError> {
        while self.peek().is_some_and(|c| c == '.' || c.is_ascii_digit()) {
            self.next();
        }
        let text = self.consume();
        if let Ok(whole) = text.parse() {
            return Ok(Node::Int(whole));
        }
        match text.parse() {
            Ok(number) => Ok(Node::Float(number)),
            Err(_) => fault(format!("cannot parse number {text}")),
        }
    }

    /// A field's name; `\` takes the next character as it is.
    fn field(&mut self) -> Node {
        self.consume();
        while let Some(c) = self.peek().filter(|c| !is_terminator(*c)) {
            self.next();
            if c == '\\' {
                self.next();
            }
        }
        match self.consume() {
            "*" => Node::Wildcard,
            name => Node::Field(name.replace('\\', "")),
        }
    }

    fn quoted(&mut self, mark: char) -> Result<Node, JsonPathError> {
        loop {
            match self.next() {
                None | Some('\n') => return fault("unterminated quoted string"),
                Some(c) if c == mark && self.input.as_bytes()[self.at - 2] != b'\\' => break,
                Some(_) => {}
            }
        }
        let literal = self.consume();
        match unquote_extended(literal) {
            Some(text) => Ok(Node::Text(text)),
            None => fault(format!("unquote string {literal} error invalid syntax")),
        }
    }

    /// What stands in brackets: a union, a quoted name, an index or a slice.
    fn array(&mut self, nodes: &mut Vec<Node>) -> Result<(), JsonPathError> {
        loop {
            match self.next() {
                None | Some('\n') => return fault("unterminated array"),
                Some(']') => break,
                Some(_) => {}
            }
        }
        let text = self.consume();
        let text = match &text[1..text.len() - 1] {
            "*" => ":",
            text => text,
        };
        if text.contains(',') {
            let parts = text.split(',').map(|part| parse_action(&format!("[{}]", part.trim_matches(' '))));
            nodes.push(Node::Union(parts.collect::<Result<_, _>>()?));
            return Ok(());
        }
        if let Some(name) = text.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''))
            && !name.contains('\'')
        {
            nodes.extend(parse_action(&format!(".{name}"))?);
            return Ok(());
        }
        nodes.push(Node::Array(parameters(text)?));
        Ok(())
    }

    fn filter(&mut self) -> Result<Node, JsonPathError> {
        self.at += "[?(".len();
        self.consume();
        let mut opened = None;
        let mut closed = false;
        loop {
            match self.next() {
                None | Some('\n') => return fault("unterminated filter"),
                Some(mark @ ('"' | '\'')) => match opened {
                    None => opened = Some(mark),
                    Some(opening) => {
                        closed |= self.input.as_bytes()[self.at - 2] != b'\\' && opening == mark;
                    }
                },
                // A parenthesis in quotes belongs to the text.
                Some(')') if opened.is_some() == closed => break,
                Some(_) => {}
            }
        }
        if self.next() != Some(']') {
            return fault("unclosed array expect ]");
        }
        let text = self.consume();
        let text = &text[..text.len() - 2];
        match split_comparison(text) {
            None => Ok(Node::Filter { left: parse_action(text)?, operator: "exists".into(), right: Vec::new() }),
            Some((left, operator, right)) => {
                Ok(Node::Filter { left: parse_action(left)?, operator: operator.into(), right: parse_action(right)? })
            }
        }
    }
}

/// Left side, run of operator characters, right side; none of them empty.
fn split_comparison(text: &str) -> Option<(&str, &str, &str)> {
    const OPERATORS: [char; 4] = ['!', '<', '>', '='];
    let begin = text.find(OPERATORS).filter(|at| *at > 0)?;
    let run = text[begin..].find(|c| !OPERATORS.contains(&c)).unwrap_or(text.len() - begin);
    // The right side takes the last operator character where nothing else is left for it.
    let end = if begin + run == text.len() { begin + run - 1 } else { begin + run };
    (end > begin).then(|| (&text[..begin], &text[begin..end], &text[end..]))
}

/// `start:end:step`, each of which may be left out.
fn parameters(text: &str) -> Result<[Parameter; 3], JsonPathError> {
    let parts: Vec<&str> = text.split(':').collect();
    let fits = |part: &&str| part.strip_prefix('-').unwrap_or(part).bytes().all(|b| b.is_ascii_digit());
    if parts.len() > 3 || !parts.iter().all(fits) {
        return fault(format!("invalid array index {text}"));
    }
    let mut parameters = [Parameter::default(); 3];
    for (at, part) in parts.iter().enumerate().filter(|(_, part)| !part.is_empty()) {
        let Ok(value) = part.parse() else {
            return fault(format!("array index {part} is not a number"));
        };
        parameters[at] = Parameter { value, known: true, derived: false };
    }
    if parts.len() == 1 {
        parameters[1] = Parameter { value: parameters[0].value.saturating_add(1), known: true, derived: true };
    }
    Ok(parameters)
}

/// Text in single or double quotes with Go's escapes.
fn unquote_extended(literal: &str) -> Option<String> {
    let mark = literal.chars().next()?;
    let inner = literal.strip_prefix(mark)?.strip_suffix(mark)?;
    if !inner.contains(['\\', mark]) {
        return Some(inner.into());
    }
    let mut bytes = Vec::with_capacity(inner.len());
    let mut rest = inner;
    while !rest.is_empty() {
        let (character, after) = unquote_char(rest, mark)?;
        bytes.extend(character);
        rest = after;
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// What may follow a name.
fn is_terminator(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n' | '.' | ',' | '[' | ']' | '$' | '@' | '{' | '}')
}

fn is_alphanumeric(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}
