//! Tokens of a template. The rules are those of Go's `text/template/parse`.

use apimachinery::gotext::{is_printable, quote};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Error,
    Bool,
    Char,
    CharConstant,
    Complex,
    Assign,
    Declare,
    Eof,
    Field,
    Identifier,
    LeftDelim,
    LeftParen,
    Number,
    Pipe,
    RawString,
    RightDelim,
    RightParen,
    Space,
    String,
    Text,
    Variable,
    Block,
    Break,
    Continue,
    Dot,
    Define,
    Else,
    End,
    If,
    Nil,
    Range,
    Template,
    With,
}

/// A token: what it is, where it begins (byte and line), and its text or the error's.
#[derive(Debug, Clone)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) at: usize,
    pub(super) text: String,
    pub(super) line: usize,
}

impl Token {
    /// As error messages name it.
    pub(super) fn shown(&self) -> String {
        let is_keyword = keyword(&self.text).is_some_and(|kind| kind == self.kind);
        match self.kind {
            Kind::Eof => "EOF".into(),
            Kind::Error => self.text.clone(),
            _ if is_keyword => format!("<{}>", self.text),
            _ if self.text.len() > 10 => format!("{}...", quote(&self.text.chars().take(10).collect::<String>())),
            _ => quote(&self.text),
        }
    }
}

fn keyword(word: &str) -> Option<Kind> {
    Some(match word {
        "." => Kind::Dot,
        "block" => Kind::Block,
        "break" => Kind::Break,
        "continue" => Kind::Continue,
        "define" => Kind::Define,
        "else" => Kind::Else,
        "end" => Kind::End,
        "if" => Kind::If,
        "nil" => Kind::Nil,
        "range" => Kind::Range,
        "template" => Kind::Template,
        "with" => Kind::With,
        _ => return None,
    })
}

const LEFT: &str = "{{";
const RIGHT: &str = "}}";
const SPACES: [char; 4] = [' ', '\t', '\r', '\n'];

/// Reads tokens one by one.
#[derive(Debug)]
pub(super) struct Lexer<'a> {
    input: &'a str,
    /// The next character, and where the present token begins.
    at: usize,
    start: usize,
    /// The line of `start`.
    line: usize,
    inside_action: bool,
    paren_depth: usize,
    failed: bool,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(input: &'a str) -> Lexer<'a> {
        Lexer { input, at: 0, start: 0, line: 1, inside_action: false, paren_depth: 0, failed: false }
    }

    /// The next token; the last one again and again at the end.
    pub(super) fn next_token(&mut self) -> Token {
        if self.failed {
            return Token { kind: Kind::Eof, at: self.at, text: "EOF".into(), line: self.line };
        }
        if self.inside_action { self.action() } else { self.text() }
    }

    fn rest(&self) -> &'a str {
        &self.input[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        Some(next)
    }

    fn emit(&mut self, kind: Kind) -> Token {
        let token = Token { kind, at: self.start, text: self.input[self.start..self.at].into(), line: self.line };
        self.ignore();
        token
    }

    fn ignore(&mut self) {
        self.line += self.input[self.start..self.at].matches('\n').count();
        self.start = self.at;
    }

    fn error(&mut self, text: String) -> Token {
        self.failed = true;
        Token { kind: Kind::Error, at: self.start, text, line: self.line }
    }

    fn text(&mut self) -> Token {
        loop {
            let Some(length) = self.rest().find(LEFT) else {
                self.at = self.input.len();
                let kind = if self.at > self.start { Kind::Text } else { Kind::Eof };
                let mut token = self.emit(kind);
                if kind == Kind::Eof {
                    token.text = "EOF".into();
                }
                return token;
            };
            if length > 0 {
                let delimiter = self.at + length;
                let text = &self.input[self.at..delimiter];
                let kept = if has_left_trim(&self.input[delimiter + LEFT.len()..]) {
                    text.trim_end_matches(SPACES).len()
                } else {
                    length
                };
                self.at += kept;
                let token = self.emit(Kind::Text);
                self.at = delimiter;
                self.ignore();
                if !token.text.is_empty() {
                    return token;
                }
            }
            match self.left_delimiter() {
                Some(token) => return token,
                // A comment: the text goes on behind it.
                None => continue,
            }
        }
    }

    fn left_delimiter(&mut self) -> Option<Token> {
        self.at += LEFT.len();
        let marker = if has_left_trim(self.rest()) { 2 } else { 0 };
        if self.input[self.at + marker..].starts_with("/*") {
            self.at += marker;
            self.ignore();
            return self.comment();
        }
        let token = self.emit(Kind::LeftDelim);
        self.inside_action = true;
        self.at += marker;
        self.ignore();
        self.paren_depth = 0;
        Some(token)
    }

    /// Skips a comment; a token only where it is malformed.
    fn comment(&mut self) -> Option<Token> {
        self.at += 2;
        let Some(length) = self.rest().find("*/") else {
            return Some(self.error("unclosed comment".into()));
        };
        self.at += length + 2;
        let (delimiter, trims) = self.at_right_delimiter();
        if !delimiter {
            return Some(self.error("comment ends before closing delimiter".into()));
        }
        self.at += RIGHT.len() + if trims { 2 } else { 0 };
        if trims {
            self.skip_spaces();
        }
        self.ignore();
        None
    }

    fn skip_spaces(&mut self) {
        self.at = self.input.len() - self.rest().trim_start_matches(SPACES).len();
    }

    /// Whether the action ends here, and whether it trims what follows.
    fn at_right_delimiter(&self) -> (bool, bool) {
        let trims = has_right_trim(self.rest()) && self.rest()[2..].starts_with(RIGHT);
        (trims || self.rest().starts_with(RIGHT), trims)
    }

    fn right_delimiter(&mut self) -> Token {
        let (_, trims) = self.at_right_delimiter();
        if trims {
            self.at += 2;
            self.ignore();
        }
        self.at += RIGHT.len();
        let token = self.emit(Kind::RightDelim);
        if trims {
            self.skip_spaces();
            self.ignore();
        }
        self.inside_action = false;
        token
    }

    fn action(&mut self) -> Token {
        if self.at_right_delimiter().0 {
            if self.paren_depth == 0 {
                return self.right_delimiter();
            }
            return self.error("unclosed left paren".into());
        }
        let Some(c) = self.next() else {
            return self.error("unclosed action".into());
        };
        match c {
            c if SPACES.contains(&c) => self.spaces(),
            '=' => self.emit(Kind::Assign),
            ':' if self.next() == Some('=') => self.emit(Kind::Declare),
            ':' => self.error("expected :=".into()),
            '|' => self.emit(Kind::Pipe),
            '"' => self.quoted('"', Kind::String, "unterminated quoted string"),
            '`' => self.raw_string(),
            '$' => self.field_or_variable(Kind::Variable),
            '\'' => self.quoted('\'', Kind::CharConstant, "unterminated character constant"),
            '.' if self.peek().is_some_and(|c| !c.is_ascii_digit()) => self.field_or_variable(Kind::Field),
            c if matches!(c, '.' | '+' | '-') || c.is_ascii_digit() => {
                self.at -= c.len_utf8();
                self.number()
            }
            c if is_alphanumeric(c) => self.identifier(),
            '(' => {
                self.paren_depth += 1;
                self.emit(Kind::LeftParen)
            }
            ')' if self.paren_depth == 0 => self.error("unexpected right paren".into()),
            ')' => {
                self.paren_depth -= 1;
                self.emit(Kind::RightParen)
            }
            c if c.is_ascii() && is_printable(c) => self.emit(Kind::Char),
            c => self.error(format!("unrecognized character in action: {}", unicode(Some(c)))),
        }
    }

    fn spaces(&mut self) -> Token {
        let mut last = self.at - 1;
        while self.peek().is_some_and(|c| SPACES.contains(&c)) {
            last = self.at;
            self.next();
        }
        let from_last = &self.input[last..];
        if has_right_trim(from_last) && from_last[2..].starts_with(RIGHT) {
            self.at = last;
            if last == self.start {
                return self.right_delimiter();
            }
        }
        self.emit(Kind::Space)
    }

    fn quoted(&mut self, mark: char, kind: Kind, unterminated: &str) -> Token {
        loop {
            match self.next() {
                Some('\\') if self.next().is_some_and(|c| c != '\n') => {}
                None | Some('\n' | '\\') => return self.error(unterminated.into()),
                Some(c) if c == mark => return self.emit(kind),
                Some(_) => {}
            }
        }
    }

    fn raw_string(&mut self) -> Token {
        match self.rest().find('`') {
            Some(length) => {
                self.at += length + 1;
                self.emit(Kind::RawString)
            }
            None => self.error("unterminated raw quoted string".into()),
        }
    }

    fn word(&mut self) {
        while self.peek().is_some_and(is_alphanumeric) {
            self.next();
        }
    }

    fn identifier(&mut self) -> Token {
        self.word();
        if !self.at_terminator() {
            return self.error(format!("bad character {}", unicode(self.peek())));
        }
        match &self.input[self.start..self.at] {
            "true" | "false" => self.emit(Kind::Bool),
            word => self.emit(keyword(word).unwrap_or(Kind::Identifier)),
        }
    }

    fn field_or_variable(&mut self, kind: Kind) -> Token {
        if self.at_terminator() {
            return self.emit(if kind == Kind::Field { Kind::Dot } else { kind });
        }
        self.word();
        if !self.at_terminator() {
            return self.error(format!("bad character {}", unicode(self.peek())));
        }
        self.emit(kind)
    }

    fn at_terminator(&self) -> bool {
        match self.peek() {
            None | Some(' ' | '\t' | '\r' | '\n' | '.' | ',' | '|' | ':' | ')' | '(') => true,
            Some(_) => self.rest().starts_with(RIGHT),
        }
    }

    fn number(&mut self) -> Token {
        let bad = |lexer: &mut Lexer<'a>| {
            let text = format!("bad number syntax: {}", quote(&lexer.input[lexer.start..lexer.at]));
            lexer.error(text)
        };
        if !self.scan_number() {
            return bad(self);
        }
        if matches!(self.peek(), Some('+' | '-')) {
            if !self.scan_number() || !self.input[..self.at].ends_with('i') {
                return bad(self);
            }
            return self.emit(Kind::Complex);
        }
        self.emit(Kind::Number)
    }

    fn scan_number(&mut self) -> bool {
        self.accept("+-");
        let mut digits = "0123456789_";
        if self.accept("0") {
            if self.accept("xX") {
                digits = "0123456789abcdefABCDEF_";
            } else if self.accept("oO") {
                digits = "01234567_";
            } else if self.accept("bB") {
                digits = "01_";
            }
        }
        self.accept_run(digits);
        if self.accept(".") {
            self.accept_run(digits);
        }
        let exponent = match digits.len() {
            11 => "eE",
            23 => "pP",
            _ => "",
        };
        if self.accept(exponent) {
            self.accept("+-");
            self.accept_run("0123456789_");
        }
        self.accept("i");
        if self.peek().is_some_and(is_alphanumeric) {
            self.next();
            return false;
        }
        true
    }

    fn accept(&mut self, valid: &str) -> bool {
        let fits = self.peek().is_some_and(|c| valid.contains(c));
        if fits {
            self.next();
        }
        fits
    }

    fn accept_run(&mut self, valid: &str) {
        while self.accept(valid) {}
    }
}

fn has_left_trim(text: &str) -> bool {
    text.strip_prefix('-').is_some_and(|rest| rest.starts_with(SPACES))
}

fn has_right_trim(text: &str) -> bool {
    text.strip_prefix(SPACES).is_some_and(|rest| rest.starts_with('-'))
}

fn is_alphanumeric(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

/// `%#U` of a character; the end of the input counts as -1.
fn unicode(c: Option<char>) -> String {
    match c {
        None => "U+FFFFFFFFFFFFFFFF".into(),
        Some(c) if is_printable(c) => format!("U+{:04X} '{c}'", u32::from(c)),
        Some(c) => format!("U+{:04X}", u32::from(c)),
    }
}
