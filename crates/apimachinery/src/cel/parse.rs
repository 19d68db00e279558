//! From text to a tree: the grammar of cel-spec, with names and functions checked.

use std::borrow::Cow;

use super::{CompileError, functions};

/// The deepest nesting that is read: each level takes a few frames of the stack.
const DEPTH_MAX: usize = 100;

/// A literal.
#[derive(Debug, Clone)]
pub(super) enum Literal {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(String),
    Bytes(Vec<u8>),
}

/// A macro over a list or map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comprehension {
    All,
    Exists,
    ExistsOne,
    Map,
    Filter,
}

/// Two operands and what is done with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub(super) enum Binary {
    Or,
    And,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

/// An expression.
#[derive(Debug, Clone)]
pub(super) enum Expression {
    Literal(Literal),
    Variable(String),
    List(Vec<Expression>),
    Map(Vec<(Expression, Expression)>),
    /// A field that must be there.
    Select(Box<Expression>, String),
    /// Whether a field is there.
    Has(Box<Expression>, String),
    Index(Box<Expression>, Box<Expression>),
    Not(Box<Expression>),
    Negate(Box<Expression>),
    Binary(Binary, Box<Expression>, Box<Expression>),
    Conditional(Box<Expression>, Box<Expression>, Box<Expression>),
    /// A function's name, what it is called on, its arguments.
    Call(String, Option<Box<Expression>>, Vec<Expression>),
    Comprehension {
        kind: Comprehension,
        over: Box<Expression>,
        variable: String,
        /// `map` may choose first.
        filter: Option<Box<Expression>>,
        body: Box<Expression>,
    },
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Word(String),
    Int(i64),
    /// `9223372036854775808`, which is only a number behind a minus.
    IntMin,
    Uint(u64),
    Double(f64),
    Text(String),
    Bytes(Vec<u8>),
    Sign(&'static str),
    End,
}

const SIGNS: [&str; 29] = [
    "||", "&&", "==", "!=", "<=", ">=", "<", ">", "+", "-", "*", "/", "%", "!", "?", ":", ",", ".", "(", ")", "[", "]",
    "{", "}", "=", "&", "|", ";", "@",
];
/// Words that name nothing.
const RESERVED: [&str; 18] = [
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
    "in",
];
const TYPES: [&str; 10] = ["bool", "bytes", "double", "int", "list", "map", "null_type", "string", "type", "uint"];

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<(Token, usize)>,
    at: usize,
    variables: Vec<Cow<'a, str>>,
    depth: usize,
}

pub(super) fn parse(text: &str, variables: &[&str]) -> Result<Expression, CompileError> {
    let tokens = lex(text)?;
    let variables = variables.iter().map(|name| Cow::Owned((*name).to_owned())).collect();
    let mut parser = Parser { text, tokens, at: 0, variables, depth: 0 };
    let root = parser.expression()?;
    match parser.peek() {
        Token::End => Ok(root),
        other => Err(parser.unexpected(&other.clone())),
    }
}

fn error(text: &str, offset: usize, what: String) -> CompileError {
    let before = &text[..offset.min(text.len())];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    CompileError { line, column, what }
}

fn lex(text: &str) -> Result<Vec<(Token, usize)>, CompileError> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let rest = &text[at..];
        if c.is_whitespace() {
            at += c.len_utf8();
        } else if rest.starts_with("//") {
            at += rest.find('\n').unwrap_or(rest.len());
        } else if let Some((token, length)) = quoted(rest).map_err(|what| error(text, at, what))? {
            tokens.push((token, at));
            at += length;
        } else if c.is_ascii_digit() || (c == '.' && rest[1..].starts_with(|d: char| d.is_ascii_digit())) {
            let (token, length) = number(rest).map_err(|what| error(text, at, what))?;
            tokens.push((token, at));
            at += length;
        } else if c.is_ascii_alphabetic() || c == '_' {
            let length = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
            tokens.push((Token::Word(rest[..length].to_owned()), at));
            at += length;
        } else if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
            tokens.push((Token::Sign(sign), at));
            at += sign.len();
        } else {
            return Err(error(text, at, format!("Syntax error: token recognition error at: '{c}'")));
        }
    }
    tokens.push((Token::End, text.len()));
    Ok(tokens)
}

fn number(text: &str) -> Result<(Token, usize), String> {
    let bad = |shown: &str| format!("Syntax error: invalid number {shown:?}");
    if let Some(hex) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        let length = hex.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(hex.len());
        let digits = &hex[..length];
        if hex[length..].starts_with(['u', 'U']) {
            return u64::from_str_radix(digits, 16).map(|n| (Token::Uint(n), length + 3)).map_err(|_| bad(digits));
        }
        return i64::from_str_radix(digits, 16).map(|n| (Token::Int(n), length + 2)).map_err(|_| bad(digits));
    }
    let bytes = text.as_bytes();
    let digits = |from: usize| bytes[from..].iter().take_while(|b| b.is_ascii_digit()).count();
    let mut length = digits(0);
    let mut real = false;
    if bytes.get(length) == Some(&b'.') && bytes.get(length + 1).is_some_and(u8::is_ascii_digit) {
        real = true;
        length += 1 + digits(length + 1);
    }
    if matches!(bytes.get(length), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(length + 1), Some(b'+' | b'-')));
        if digits(length + 1 + sign) > 0 {
            real = true;
            length += 1 + sign + digits(length + 1 + sign);
        }
    }
    let shown = &text[..length];
    if real {
        return shown.parse().map(|n| (Token::Double(n), length)).map_err(|_| bad(shown));
    }
    if matches!(bytes.get(length), Some(b'u' | b'U')) {
        return shown.parse().map(|n| (Token::Uint(n), length + 1)).map_err(|_| bad(shown));
    }
    match shown.parse::<i64>() {
        Ok(number) => Ok((Token::Int(number), length)),
        Err(_) if shown == "9223372036854775808" => Ok((Token::IntMin, length)),
        Err(_) => Err(bad(shown)),
    }
}

/// A string or bytes literal, if one begins here.
fn quoted(text: &str) -> Result<Option<(Token, usize)>, String> {
    let prefix = text.find(['"', '\'']).filter(|at| *at <= 2).map_or("", |at| &text[..at]);
    let (mut raw, mut bytes) = (false, false);
    for c in prefix.chars() {
        match c {
            'r' | 'R' if !raw => raw = true,
            'b' | 'B' if !bytes => bytes = true,
            _ => return Ok(None),
        }
    }
    let rest = &text[prefix.len()..];
    let Some(mark) = ["\"\"\"", "'''", "\"", "'"].into_iter().find(|mark| rest.starts_with(mark)) else {
        return Ok(None);
    };
    let mut out: Vec<u8> = Vec::new();
    let mut at = mark.len();
    loop {
        let here = &rest[at..];
        if here.starts_with(mark) {
            at += mark.len();
            break;
        }
        let Some(c) = here.chars().next() else { return Err("Syntax error: unterminated string".to_owned()) };
        if mark.len() == 1 && c == '\n' {
            return Err("Syntax error: unterminated string".to_owned());
        }
        if c == '\\' && !raw {
            at += escape(here, bytes, &mut out)?;
        } else {
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            at += c.len_utf8();
        }
    }
    let length = prefix.len() + at;
    if bytes {
        return Ok(Some((Token::Bytes(out), length)));
    }
    let text = String::from_utf8(out).map_err(|_| "Syntax error: a string holds bytes that are no text".to_owned())?;
    Ok(Some((Token::Text(text), length)))
}

/// An escape sequence; gives its length.
fn escape(text: &str, bytes: bool, out: &mut Vec<u8>) -> Result<usize, String> {
    let bad = || "Syntax error: invalid escape sequence".to_owned();
    let kind = text[1..].chars().next().ok_or_else(bad)?;
    let simple = match kind {
        'a' => 7,
        'b' => 8,
        'f' => 12,
        'n' => 10,
        'r' => 13,
        't' => 9,
        'v' => 11,
        '\\' | '?' | '"' | '\'' | '`' => u8::try_from(u32::from(kind)).map_err(|_| bad())?,
        _ => 0,
    };
    if simple > 0 {
        out.push(simple);
        return Ok(2);
    }
    let (from, count, radix) = match kind {
        'x' | 'X' => (2, 2, 16),
        'u' => (2, 4, 16),
        'U' => (2, 8, 16),
        '0'..='3' => (1, 3, 8),
        _ => return Err(bad()),
    };
    let digits = text.get(from..from + count).ok_or_else(bad)?;
    let code = u32::from_str_radix(digits, radix).map_err(|_| bad())?;
    if bytes && !matches!(kind, 'u' | 'U') {
        out.push(u8::try_from(code).map_err(|_| bad())?);
    } else {
        let c = char::from_u32(code).ok_or_else(bad)?;
        out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    }
    Ok(from + count)
}

impl Parser<'_> {
    fn peek(&self) -> &Token {
        &self.tokens[self.at].0
    }

    fn next(&mut self) -> Token {
        let token = self.tokens[self.at].0.clone();
        self.at = (self.at + 1).min(self.tokens.len() - 1);
        token
    }

    fn takes(&mut self, sign: &str) -> bool {
        let found = matches!(self.peek(), Token::Sign(s) if *s == sign);
        if found {
            self.next();
        }
        found
    }

    fn expect(&mut self, sign: &str) -> Result<(), CompileError> {
        let found = self.peek().clone();
        if self.takes(sign) { Ok(()) } else { Err(self.unexpected(&found)) }
    }

    fn fail(&self, what: impl Into<String>) -> CompileError {
        error(self.text, self.tokens[self.at].1, what.into())
    }

    fn unexpected(&self, token: &Token) -> CompileError {
        let shown = match token {
            Token::End => "<EOF>".to_owned(),
            Token::Word(word) => word.clone(),
            Token::Sign(sign) => (*sign).to_owned(),
            Token::Text(text) => format!("{text:?}"),
            Token::Int(number) => number.to_string(),
            other => format!("{other:?}"),
        };
        self.fail(format!("Syntax error: mismatched input '{shown}'"))
    }

    fn expression(&mut self) -> Result<Expression, CompileError> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(self.fail("expression recursion limit exceeded"));
        }
        let condition = self.binary(0)?;
        let whole = if self.takes("?") {
            let yes = self.binary(0)?;
            self.expect(":")?;
            let no = self.expression()?;
            Expression::Conditional(Box::new(condition), Box::new(yes), Box::new(no))
        } else {
            condition
        };
        self.depth -= 1;
        Ok(whole)
    }

    /// The operators by how tightly they bind: `||`, `&&`, relations, sums, products.
    fn binary(&mut self, level: usize) -> Result<Expression, CompileError> {
        const LEVELS: [&[(&str, Binary)]; 5] = [
            &[("||", Binary::Or)],
            &[("&&", Binary::And)],
            &[
                ("==", Binary::Equal),
                ("!=", Binary::NotEqual),
                ("<=", Binary::LessOrEqual),
                (">=", Binary::GreaterOrEqual),
                ("<", Binary::Less),
                (">", Binary::Greater),
            ],
            &[("+", Binary::Add), ("-", Binary::Subtract)],
            &[("*", Binary::Multiply), ("/", Binary::Divide), ("%", Binary::Remainder)],
        ];
        let Some(operators) = LEVELS.get(level) else { return self.unary() };
        let mut left = self.binary(level + 1)?;
        loop {
            let found = match self.peek() {
                Token::Sign(sign) => operators.iter().find(|(s, _)| s == sign).map(|(_, operator)| *operator),
                Token::Word(word) if word == "in" && level == 2 => Some(Binary::In),
                _ => None,
            };
            let Some(operator) = found else { return Ok(left) };
            self.next();
            let right = self.binary(level + 1)?;
            left = Expression::Binary(operator, Box::new(left), Box::new(right));
        }
    }

    fn unary(&mut self) -> Result<Expression, CompileError> {
        let mut signs = Vec::new();
        while signs.len() < DEPTH_MAX {
            match self.peek() {
                Token::Sign(sign @ ("!" | "-")) => signs.push(*sign),
                _ => break,
            }
            self.next();
        }
        let mut value = if signs.last() == Some(&"-") && *self.peek() == Token::IntMin {
            self.next();
            signs.pop();
            Expression::Literal(Literal::Int(i64::MIN))
        } else {
            self.member()?
        };
        for sign in signs.into_iter().rev() {
            value = match (sign, value) {
                ("-", Expression::Literal(Literal::Int(number))) => Expression::Literal(Literal::Int(-number)),
                ("-", Expression::Literal(Literal::Double(number))) => Expression::Literal(Literal::Double(-number)),
                ("-", value) => Expression::Negate(Box::new(value)),
                (_, value) => Expression::Not(Box::new(value)),
            };
        }
        Ok(value)
    }

    fn member(&mut self) -> Result<Expression, CompileError> {
        let mut value = self.primary()?;
        loop {
            if self.takes(".") {
                let name = match self.next() {
                    Token::Word(word) if word != "in" => word,
                    Token::Sign("?") => return Err(self.fail("unsupported syntax '.?'")),
                    other => return Err(self.unexpected(&other)),
                };
                value = if self.takes("(") {
                    self.method(value, &name)?
                } else {
                    Expression::Select(Box::new(value), name)
                };
            } else if self.takes("[") {
                let index = self.expression()?;
                self.expect("]")?;
                value = Expression::Index(Box::new(value), Box::new(index));
            } else {
                return Ok(value);
            }
        }
    }

    fn arguments(&mut self, end: &str) -> Result<Vec<Expression>, CompileError> {
        let mut all = Vec::new();
        while !self.takes(end) {
            all.push(self.expression()?);
            if !self.takes(",") {
                self.expect(end)?;
                break;
            }
        }
        Ok(all)
    }

    fn primary(&mut self) -> Result<Expression, CompileError> {
        let before = self.at;
        Ok(match self.next() {
            Token::Int(number) => Expression::Literal(Literal::Int(number)),
            Token::Uint(number) => Expression::Literal(Literal::Uint(number)),
            Token::Double(number) => Expression::Literal(Literal::Double(number)),
            Token::Text(text) => Expression::Literal(Literal::Text(text)),
            Token::Bytes(bytes) => Expression::Literal(Literal::Bytes(bytes)),
            Token::Sign("(") => {
                let inner = self.expression()?;
                self.expect(")")?;
                inner
            }
            Token::Sign("[") => Expression::List(self.arguments("]")?),
            Token::Sign("{") => Expression::Map(self.entries()?),
            Token::Sign(".") => return self.primary(),
            Token::Word(word) => match word.as_str() {
                "true" => Expression::Literal(Literal::Bool(true)),
                "false" => Expression::Literal(Literal::Bool(false)),
                "null" => Expression::Literal(Literal::Null),
                _ => {
                    self.at = before;
                    return self.word();
                }
            },
            other => {
                self.at = before;
                return Err(self.unexpected(&other));
            }
        })
    }

    fn entries(&mut self) -> Result<Vec<(Expression, Expression)>, CompileError> {
        let mut all = Vec::new();
        while !self.takes("}") {
            let key = self.expression()?;
            self.expect(":")?;
            all.push((key, self.expression()?));
            if !self.takes(",") {
                self.expect("}")?;
                break;
            }
        }
        Ok(all)
    }

    /// A variable, a function, a namespaced function such as `sets.contains`, or a message such as `Object.spec{…}`.
    fn word(&mut self) -> Result<Expression, CompileError> {
        let start = self.at;
        let Token::Word(word) = self.next() else { return Err(self.fail("Syntax error")) };
        if RESERVED.contains(&word.as_str()) {
            self.at = start;
            return Err(self.fail(format!("reserved identifier: {word}")));
        }
        if let Some(message) = self.message(&word)? {
            return Ok(message);
        }
        if self.takes("(") {
            if word == "has" {
                return self.has();
            }
            let arguments = self.arguments(")")?;
            if !functions::is_function(&word) {
                self.at = start;
                return Err(self.fail(format!("undeclared reference to '{word}' (in container '')")));
            }
            return Ok(Expression::Call(word, None, arguments));
        }
        if let (Token::Sign("."), Some((Token::Word(name), _)), Some((Token::Sign("("), _))) =
            (self.peek(), self.tokens.get(self.at + 1), self.tokens.get(self.at + 2))
        {
            let full = format!("{word}.{name}");
            if functions::is_function(&full) && !self.variables.iter().any(|v| *v == word) {
                self.at += 3;
                return Ok(Expression::Call(full, None, self.arguments(")")?));
            }
        }
        if self.variables.iter().any(|variable| *variable == word) || TYPES.contains(&word.as_str()) {
            return Ok(Expression::Variable(word));
        }
        self.at = start;
        Err(self.fail(format!("undeclared reference to '{word}' (in container '')")))
    }

    /// `Object{…}`, `Object.spec{…}`, `JSONPatch{…}`: the messages that mutations are made of.
    fn message(&mut self, word: &str) -> Result<Option<Expression>, CompileError> {
        if !matches!(word, "Object" | "JSONPatch") || self.variables.iter().any(|v| *v == word) {
            return Ok(None);
        }
        let mut ahead = self.at;
        while let (Token::Sign("."), Some((Token::Word(_), _))) = (&self.tokens[ahead].0, self.tokens.get(ahead + 1)) {
            ahead += 2;
        }
        if self.tokens[ahead].0 != Token::Sign("{") {
            return Ok(None);
        }
        self.at = ahead + 1;
        let mut fields = Vec::new();
        while !self.takes("}") {
            let name = match self.next() {
                Token::Word(name) => name,
                other => return Err(self.unexpected(&other)),
            };
            self.expect(":")?;
            fields.push((Expression::Literal(Literal::Text(name)), self.expression()?));
            if !self.takes(",") {
                self.expect("}")?;
                break;
            }
        }
        Ok(Some(Expression::Map(fields)))
    }

    fn has(&mut self) -> Result<Expression, CompileError> {
        let argument = self.expression()?;
        self.expect(")")?;
        match argument {
            Expression::Select(of, field) => Ok(Expression::Has(of, field)),
            _ => Err(self.fail("invalid argument to has() macro")),
        }
    }

    fn method(&mut self, on: Expression, name: &str) -> Result<Expression, CompileError> {
        let kind = match name {
            "all" => Comprehension::All,
            "exists" => Comprehension::Exists,
            "exists_one" | "existsOne" => Comprehension::ExistsOne,
            "map" => Comprehension::Map,
            "filter" => Comprehension::Filter,
            _ => {
                let here = self.at;
                let arguments = self.arguments(")")?;
                if !functions::is_method(name) {
                    self.at = here;
                    return Err(self.fail(format!("undeclared reference to '{name}' (in container '')")));
                }
                return Ok(Expression::Call(name.to_owned(), Some(Box::new(on)), arguments));
            }
        };
        let Token::Word(variable) = self.next() else {
            return Err(self.fail("argument must be a simple name"));
        };
        self.expect(",")?;
        self.variables.push(Cow::Owned(variable.clone()));
        let first = self.expression()?;
        let (filter, body) = match kind == Comprehension::Map && self.takes(",") {
            true => (Some(Box::new(first)), self.expression()?),
            false => (None, first),
        };
        self.variables.pop();
        self.expect(")")?;
        Ok(Expression::Comprehension { kind, over: Box::new(on), variable, filter, body: Box::new(body) })
    }
}
