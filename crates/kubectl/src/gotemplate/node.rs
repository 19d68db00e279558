//! The tree of a template, and its text as error messages show it.

use apimachinery::gotext::quote;
use std::fmt::{self, Display};

/// What stands in a list.
#[derive(Debug, Clone)]
pub(super) enum Node {
    Text(String),
    Action(Pipe),
    Break,
    Continue,
    If(Branch),
    Range(Branch),
    With(Branch),
    Template { at: usize, name: String, pipe: Option<Pipe> },
}

/// `if`, `range` or `with`: its condition and what it leads to.
#[derive(Debug, Clone)]
pub(super) struct Branch {
    pub(super) pipe: Pipe,
    pub(super) list: Vec<Node>,
    pub(super) else_list: Option<Vec<Node>>,
}

/// Commands, each of which gets the result of the one before as its last argument.
#[derive(Debug, Clone)]
pub(super) struct Pipe {
    pub(super) at: usize,
    /// The variables that get the result, and whether they are there already (`=`).
    pub(super) variables: Vec<String>,
    pub(super) assigns: bool,
    pub(super) commands: Vec<Command>,
}

/// A function or value, and its arguments.
#[derive(Debug, Clone)]
pub(super) struct Command {
    pub(super) at: usize,
    /// At least one.
    pub(super) terms: Vec<Term>,
}

/// One operand and where it begins.
#[derive(Debug, Clone)]
pub(super) struct Term {
    pub(super) at: usize,
    pub(super) kind: TermKind,
}

#[derive(Debug, Clone)]
pub(super) enum TermKind {
    Bool(bool),
    Dot,
    Nil,
    Number {
        text: String,
        number: Number,
    },
    Text {
        quoted: String,
        text: String,
    },
    Field(Vec<String>),
    /// A variable's name with its `$`, and fields.
    Variable(Vec<String>),
    Function(String),
    Chain {
        of: Box<Term>,
        fields: Vec<String>,
    },
    Pipe(Box<Pipe>),
}

/// A constant. Go's are of the type that their use asks for; here only these uses are possible.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Number {
    Int(i64),
    Float(f64),
    /// Too large for an `int`.
    Overflow,
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Node::Text(text) => f.write_str(text),
            Node::Action(pipe) => write!(f, "{{{{{pipe}}}}}"),
            Node::Break => f.write_str("{{break}}"),
            Node::Continue => f.write_str("{{continue}}"),
            Node::If(branch) => branch.show("if", f),
            Node::Range(branch) => branch.show("range", f),
            Node::With(branch) => branch.show("with", f),
            Node::Template { name, pipe: None, .. } => write!(f, "{{{{template {}}}}}", quote(name)),
            Node::Template { name, pipe: Some(pipe), .. } => write!(f, "{{{{template {} {pipe}}}}}", quote(name)),
        }
    }
}

impl Branch {
    fn show(&self, word: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{{{word} {}}}}}", self.pipe)?;
        self.list.iter().try_for_each(|node| node.fmt(f))?;
        if let Some(else_list) = &self.else_list {
            f.write_str("{{else}}")?;
            else_list.iter().try_for_each(|node| node.fmt(f))?;
        }
        f.write_str("{{end}}")
    }
}

impl fmt::Display for Pipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.variables.is_empty() {
            let sign = if self.assigns { "=" } else { ":=" };
            write!(f, "{} {sign} ", self.variables.join(", "))?;
        }
        for (at, command) in self.commands.iter().enumerate() {
            if at > 0 {
                f.write_str(" | ")?;
            }
            command.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, term) in self.terms.iter().enumerate() {
            if at > 0 {
                f.write_str(" ")?;
            }
            term.fmt_nested(f)?;
        }
        Ok(())
    }
}

impl Term {
    fn fmt_nested(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            TermKind::Pipe(pipe) => write!(f, "({pipe})"),
            _ => fmt::Display::fmt(self, f),
        }
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            TermKind::Bool(b) => write!(f, "{b}"),
            TermKind::Dot => f.write_str("."),
            TermKind::Nil => f.write_str("nil"),
            TermKind::Number { text, .. } => f.write_str(text),
            TermKind::Text { quoted, .. } => f.write_str(quoted),
            TermKind::Field(names) => write!(f, ".{}", names.join(".")),
            TermKind::Variable(names) => f.write_str(&names.join(".")),
            TermKind::Function(name) => f.write_str(name),
            TermKind::Chain { of, fields } => {
                of.fmt_nested(f)?;
                write!(f, ".{}", fields.join("."))
            }
            TermKind::Pipe(pipe) => pipe.fmt(f),
        }
    }
}
