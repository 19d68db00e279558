//! From tokens to the tree. What is looked ahead, and so which line an error names, is as in Go's `text/template/parse`.

use super::TemplateError;
use super::functions;
use super::lex::{Kind, Lexer, Token};
use super::node::{Branch, Command, Node, Number, Pipe, Term, TermKind};
use apimachinery::gotext::{quote, unquote, unquote_char};
use std::collections::BTreeMap;

/// Deeper nesting is refused, so that evaluation cannot exhaust the stack. Go allows 10,000.
const EXPRESSION_DEPTH_MAX: usize = 100;

/// Templates by name.
pub(super) type Trees = BTreeMap<String, Vec<Node>>;

/// Parses the template `name`, and those that it defines.
pub(super) fn parse(name: &str, text: &str) -> Result<Trees, TemplateError> {
    let mut parser = Parser {
        name,
        lexer: Lexer::new(text),
        tokens: Default::default(),
        peeked: 0,
        variables: vec!["$".into()],
        action_line: 0,
        range_depth: 0,
        depth: 0,
        trees: Trees::new(),
    };
    let root = parser.top()?;
    parser.add(name.into(), root)?;
    // A template whose text is empty exists nevertheless.
    parser.trees.entry(name.into()).or_default();
    Ok(parser.trees)
}

/// What ends a list of nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    End,
    Else,
}

/// A node, or the end of the list that it would stand in.
enum Parsed {
    Node(Node),
    Ending(Ending),
}

impl Ending {
    fn shown(self) -> &'static str {
        match self {
            Ending::End => "{{end}}",
            Ending::Else => "{{else}}",
        }
    }
}

type Fallible<T> = Result<T, TemplateError>;

struct Parser<'a> {
    name: &'a str,
    lexer: Lexer<'a>,
    /// The last token read, then those that were put back; see `peeked`.
    tokens: [Option<Token>; 3],
    peeked: usize,
    variables: Vec<String>,
    /// Where the present action began; 0 outside.
    action_line: usize,
    range_depth: usize,
    depth: usize,
    trees: Trees,
}

impl Parser<'_> {
    fn next(&mut self) -> Token {
        if self.peeked > 0 {
            self.peeked -= 1;
        } else {
            self.tokens[0] = Some(self.lexer.next_token());
        }
        self.tokens[self.peeked].clone().expect("every slot below `peeked` was filled")
    }

    fn peek(&mut self) -> Token {
        let token = self.next();
        self.peeked += 1;
        token
    }

    fn next_non_space(&mut self) -> Token {
        loop {
            let token = self.next();
            if token.kind != Kind::Space {
                return token;
            }
        }
    }

    fn peek_non_space(&mut self) -> Token {
        let token = self.next_non_space();
        self.peeked += 1;
        token
    }

    fn error<T>(&self, text: impl AsRef<str>) -> Fallible<T> {
        let line = self.tokens[0].as_ref().map_or(0, |token| token.line);
        Err(TemplateError(format!("template: {}:{line}: {}", self.name, text.as_ref())))
    }

    fn unexpected<T>(&self, token: &Token, context: &str) -> Fallible<T> {
        if token.kind != Kind::Error {
            return self.error(format!("unexpected {} in {context}", token.shown()));
        }
        let mut extra = String::new();
        if self.action_line != 0 && self.action_line != token.line {
            let action = if token.text.ends_with(" action") { "" } else { " in action" };
            extra = format!("{action} started at {}:{}", self.name, self.action_line);
        }
        self.error(format!("{}{extra}", token.text))
    }

    fn expect(&mut self, kinds: &[Kind], context: &str) -> Fallible<Token> {
        let token = self.next_non_space();
        if kinds.contains(&token.kind) { Ok(token) } else { self.unexpected(&token, context) }
    }

    /// Keeps a tree; an empty one gives way to another of its name.
    fn add(&mut self, name: String, tree: Vec<Node>) -> Fallible<()> {
        let taken = self.trees.get(&name).is_some_and(|there| !is_empty(there));
        if !taken {
            self.trees.insert(name, tree);
        } else if !is_empty(&tree) {
            return self.error(format!("template: multiple definition of template {}", quote(&name)));
        }
        Ok(())
    }

    fn top(&mut self) -> Fallible<Vec<Node>> {
        let mut root = Vec::new();
        while self.peek().kind != Kind::Eof {
            if self.peek().kind == Kind::LeftDelim {
                let delimiter = self.next();
                if self.next_non_space().kind == Kind::Define {
                    self.definition()?;
                    continue;
                }
                self.tokens[1] = Some(delimiter);
                self.peeked = 2;
            }
            match self.text_or_action()? {
                Parsed::Node(node) => root.push(node),
                Parsed::Ending(ending) => return self.error(format!("unexpected {}", ending.shown())),
            }
        }
        Ok(root)
    }

    fn definition(&mut self) -> Fallible<()> {
        const CONTEXT: &str = "define clause";
        let name = self.expect(&[Kind::String, Kind::RawString], CONTEXT)?;
        let name = self.unquoted(&name.text)?;
        self.expect(&[Kind::RightDelim], CONTEXT)?;
        let tree = self.body(CONTEXT)?;
        self.add(name, tree)
    }

    /// The list of a definition or block, which sees no variables of what is around it.
    fn body(&mut self, context: &str) -> Fallible<Vec<Node>> {
        let variables = std::mem::replace(&mut self.variables, vec!["$".into()]);
        let range_depth = std::mem::take(&mut self.range_depth);
        let action_line = std::mem::take(&mut self.action_line);
        let (tree, ending) = self.list()?;
        if ending != Ending::End {
            return self.error(format!("unexpected {} in {context}", ending.shown()));
        }
        self.variables = variables;
        self.range_depth = range_depth;
        self.action_line = action_line;
        Ok(tree)
    }

    fn unquoted(&self, literal: &str) -> Fallible<String> {
        match unquote(literal) {
            Some(text) => Ok(text),
            None => self.error("invalid syntax"),
        }
    }

    fn list(&mut self) -> Fallible<(Vec<Node>, Ending)> {
        let mut list = Vec::new();
        while self.peek_non_space().kind != Kind::Eof {
            match self.text_or_action()? {
                Parsed::Node(node) => list.push(node),
                Parsed::Ending(ending) => return Ok((list, ending)),
            }
        }
        self.error("unexpected EOF")
    }

    fn text_or_action(&mut self) -> Fallible<Parsed> {
        let token = self.next_non_space();
        match token.kind {
            Kind::Text => Ok(Parsed::Node(Node::Text(token.text))),
            Kind::LeftDelim => {
                self.action_line = token.line;
                let parsed = self.action();
                if parsed.is_ok() {
                    self.action_line = 0;
                }
                parsed
            }
            _ => self.unexpected(&token, "input"),
        }
    }

    fn action(&mut self) -> Fallible<Parsed> {
        let token = self.next_non_space();
        let node = match token.kind {
            Kind::Block => self.block()?,
            Kind::Break => {
                self.loop_word("{{break}}")?;
                Node::Break
            }
            Kind::Continue => {
                self.loop_word("{{continue}}")?;
                Node::Continue
            }
            Kind::Else => {
                // `else if` and `else with` are read on by the one that the else belongs to.
                if !matches!(self.peek_non_space().kind, Kind::If | Kind::With) {
                    self.expect(&[Kind::RightDelim], "else")?;
                }
                return Ok(Parsed::Ending(Ending::Else));
            }
            Kind::End => {
                self.expect(&[Kind::RightDelim], "end")?;
                return Ok(Parsed::Ending(Ending::End));
            }
            Kind::If => Node::If(self.branch("if")?),
            Kind::Range => Node::Range(self.branch("range")?),
            Kind::With => Node::With(self.branch("with")?),
            Kind::Template => {
                const CONTEXT: &str = "template clause";
                let token = self.next_non_space();
                let name = self.template_name(&token, CONTEXT)?;
                let pipe = match self.next_non_space().kind {
                    Kind::RightDelim => None,
                    _ => {
                        self.peeked += 1;
                        Some(self.pipeline(CONTEXT, Kind::RightDelim)?)
                    }
                };
                Node::Template { at: token.at, name, pipe }
            }
            _ => {
                self.peeked += 1;
                Node::Action(self.pipeline("command", Kind::RightDelim)?)
            }
        };
        Ok(Parsed::Node(node))
    }

    fn loop_word(&mut self, word: &str) -> Fallible<()> {
        let token = self.next_non_space();
        if token.kind != Kind::RightDelim {
            return self.unexpected(&token, word);
        }
        if self.range_depth == 0 {
            return self.error(format!("{word} outside {{{{range}}}}"));
        }
        Ok(())
    }

    fn block(&mut self) -> Fallible<Node> {
        const CONTEXT: &str = "block clause";
        let token = self.next_non_space();
        let name = self.template_name(&token, CONTEXT)?;
        let pipe = self.pipeline(CONTEXT, Kind::RightDelim)?;
        let tree = self.body(CONTEXT)?;
        self.add(name.clone(), tree)?;
        Ok(Node::Template { at: token.at, name, pipe: Some(pipe) })
    }

    fn template_name(&mut self, token: &Token, context: &str) -> Fallible<String> {
        match token.kind {
            Kind::String | Kind::RawString => self.unquoted(&token.text),
            _ => self.unexpected(token, context),
        }
    }

    fn branch(&mut self, word: &'static str) -> Fallible<Branch> {
        let variables = self.variables.len();
        let pipe = self.pipeline(word, Kind::RightDelim)?;
        let is_range = word == "range";
        self.range_depth += usize::from(is_range);
        let (list, ending) = self.list()?;
        self.range_depth -= usize::from(is_range);
        let else_list = match ending {
            Ending::End => None,
            Ending::Else => Some(self.else_list(word)?),
        };
        self.variables.truncate(variables);
        Ok(Branch { pipe, list, else_list })
    }

    fn else_list(&mut self, word: &'static str) -> Fallible<Vec<Node>> {
        match (word, self.peek().kind) {
            ("if", Kind::If) => {
                self.next();
                return Ok(vec![Node::If(self.branch("if")?)]);
            }
            ("with", Kind::With) => {
                self.next();
                return Ok(vec![Node::With(self.branch("with")?)]);
            }
            _ => {}
        }
        let (list, ending) = self.list()?;
        if ending != Ending::End {
            return self.error(format!("expected end; found {}", ending.shown()));
        }
        Ok(list)
    }

    fn pipeline(&mut self, context: &str, end: Kind) -> Fallible<Pipe> {
        let at = self.peek_non_space().at;
        let mut pipe = Pipe { at, variables: Vec::new(), assigns: false, commands: Vec::new() };
        self.declarations(&mut pipe, context)?;
        loop {
            let token = self.next_non_space();
            match token.kind {
                kind if kind == end => break,
                Kind::Bool
                | Kind::CharConstant
                | Kind::Complex
                | Kind::Dot
                | Kind::Field
                | Kind::Identifier
                | Kind::Number
                | Kind::Nil
                | Kind::RawString
                | Kind::String
                | Kind::Variable
                | Kind::LeftParen => {
                    self.peeked += 1;
                    let command = self.command()?;
                    pipe.commands.push(command);
                }
                _ => return self.unexpected(&token, context),
            }
        }
        if pipe.commands.is_empty() {
            return self.error(format!("missing value for {context}"));
        }
        for (stage, command) in pipe.commands.iter().enumerate().skip(1) {
            use TermKind::{Bool, Dot, Nil, Number, Text};
            if matches!(command.terms[0].kind, Bool(_) | Dot | Nil | Number { .. } | Text { .. }) {
                return self.error(format!("non executable command in pipeline stage {}", stage + 1));
            }
        }
        Ok(pipe)
    }

    /// `$x :=`, `$x =`, and for a range `$i, $x :=`.
    fn declarations(&mut self, pipe: &mut Pipe, context: &str) -> Fallible<()> {
        loop {
            let variable = self.peek_non_space();
            if variable.kind != Kind::Variable {
                return Ok(());
            }
            self.next();
            // A space has to be remembered: `$x 1` is a command, not a declaration.
            let after = self.peek();
            let next = self.peek_non_space();
            match next.kind {
                Kind::Assign | Kind::Declare => {
                    pipe.assigns = next.kind == Kind::Assign;
                    self.next_non_space();
                    pipe.variables.push(variable.text.clone());
                    self.variables.push(variable.text);
                    return Ok(());
                }
                Kind::Char if next.text == "," => {
                    self.next_non_space();
                    pipe.variables.push(variable.text.clone());
                    self.variables.push(variable.text);
                    if context != "range" || pipe.variables.len() >= 2 {
                        return self.error(format!("too many declarations in {context}"));
                    }
                    if !matches!(self.peek_non_space().kind, Kind::Variable | Kind::RightDelim | Kind::RightParen) {
                        return self.error("range can only initialize variables");
                    }
                }
                _ if after.kind == Kind::Space => {
                    self.tokens[1] = Some(after);
                    self.tokens[2] = Some(variable);
                    self.peeked = 3;
                    return Ok(());
                }
                _ => {
                    self.tokens[1] = Some(variable);
                    self.peeked = 2;
                    return Ok(());
                }
            }
        }
    }

    fn command(&mut self) -> Fallible<Command> {
        let mut command = Command { at: self.peek_non_space().at, terms: Vec::new() };
        loop {
            self.peek_non_space();
            command.terms.extend(self.operand()?);
            let token = self.next();
            match token.kind {
                Kind::Space => continue,
                Kind::RightDelim | Kind::RightParen => self.peeked += 1,
                Kind::Pipe => {}
                _ => return self.unexpected(&token, "operand"),
            }
            break;
        }
        if command.terms.is_empty() {
            return self.error("empty command");
        }
        Ok(command)
    }

    /// A term with the fields behind it.
    fn operand(&mut self) -> Fallible<Option<Term>> {
        let Some(term) = self.term()? else {
            return Ok(None);
        };
        let first = self.peek();
        if first.kind != Kind::Field {
            return Ok(Some(term));
        }
        let mut fields = Vec::new();
        while self.peek().kind == Kind::Field {
            fields.push(self.next().text[1..].to_string());
        }
        let kind = match term.kind {
            TermKind::Field(mut names) => {
                names.extend(fields);
                TermKind::Field(names)
            }
            TermKind::Variable(mut names) => {
                names.extend(fields);
                TermKind::Variable(names)
            }
            TermKind::Bool(_) | TermKind::Text { .. } | TermKind::Number { .. } | TermKind::Nil | TermKind::Dot => {
                return self.error(format!("unexpected . after term {}", quote(&term.to_string())));
            }
            _ => TermKind::Chain { of: Box::new(term), fields },
        };
        Ok(Some(Term { at: first.at, kind }))
    }

    fn term(&mut self) -> Fallible<Option<Term>> {
        let token = self.next_non_space();
        let at = token.at;
        let kind = match token.kind {
            Kind::Identifier => {
                if !functions::exists(&token.text) {
                    return self.error(format!("function {} not defined", quote(&token.text)));
                }
                TermKind::Function(token.text)
            }
            Kind::Dot => TermKind::Dot,
            Kind::Nil => TermKind::Nil,
            Kind::Variable => {
                if !self.variables.contains(&token.text) {
                    return self.error(format!("undefined variable {}", quote(&token.text)));
                }
                TermKind::Variable(vec![token.text])
            }
            Kind::Field => TermKind::Field(vec![token.text[1..].to_string()]),
            Kind::Bool => TermKind::Bool(token.text == "true"),
            Kind::CharConstant | Kind::Complex | Kind::Number => match number(&token) {
                Ok(number) => TermKind::Number { text: token.text, number },
                Err(text) => return self.error(text),
            },
            Kind::LeftParen => {
                if self.depth >= EXPRESSION_DEPTH_MAX {
                    return self.error("max expression depth exceeded");
                }
                self.depth += 1;
                let pipe = self.pipeline("parenthesized pipeline", Kind::RightParen)?;
                self.depth -= 1;
                return Ok(Some(Term { at: pipe.at, kind: TermKind::Pipe(Box::new(pipe)) }));
            }
            Kind::String | Kind::RawString => {
                let text = self.unquoted(&token.text)?;
                TermKind::Text { quoted: token.text, text }
            }
            _ => {
                self.peeked += 1;
                return Ok(None);
            }
        };
        Ok(Some(Term { at, kind }))
    }
}

/// Whether a tree holds nothing but white space.
fn is_empty(tree: &[Node]) -> bool {
    tree.iter().all(|node| matches!(node, Node::Text(text) if text.trim().is_empty()))
}

/// A constant's value. Complex numbers, which no object holds, are refused.
fn number(token: &Token) -> Result<Number, String> {
    let text = &token.text;
    let illegal = || format!("illegal number syntax: {}", quote(text));
    if token.kind == Kind::CharConstant {
        let (character, tail) = unquote_char(&text[1..], '\'').ok_or("invalid syntax")?;
        if tail != "'" {
            return Err(format!("malformed character constant: {text}"));
        }
        let code = match std::str::from_utf8(&character).ok().and_then(|text| text.chars().next()) {
            Some(character) => u32::from(character),
            None => u32::from(character[0]),
        };
        return Ok(Number::Int(i64::from(code)));
    }
    if token.kind == Kind::Complex || text.ends_with('i') {
        return Err(illegal());
    }
    let plain = text.replace('_', "");
    let unsigned = plain.trim_start_matches(['+', '-']);
    let lower = unsigned.to_ascii_lowercase();
    let (digits, radix) = match lower.get(..2) {
        Some("0x") => (&lower[2..], 16),
        Some("0o") => (&lower[2..], 8),
        Some("0b") => (&lower[2..], 2),
        Some(_) if lower.starts_with('0') => (&lower[1..], 8),
        _ => (&lower[..], 10),
    };
    if let Ok(size) = i128::from_str_radix(digits, radix) {
        let signed = if plain.starts_with('-') { -size } else { size };
        return match i64::try_from(signed) {
            Ok(whole) => Ok(Number::Int(whole)),
            Err(_) if u64::try_from(signed).is_ok() => Ok(Number::Overflow),
            Err(_) => Err(format!("integer overflow: {}", quote(text))),
        };
    }
    match plain.parse::<f64>() {
        Ok(_) if !text.contains(['.', 'e', 'E', 'p', 'P']) => Err(format!("integer overflow: {}", quote(text))),
        Ok(number) if number.is_finite() => Ok(Number::Float(number)),
        _ => Err(illegal()),
    }
}
