//! Evaluates a tree. What is current when an error happens decides the position that it names, as in Go's `exec.go`.

use super::TemplateError;
use super::functions::{self, Parameter};
use super::node::{Branch, Command, Node, Number, Pipe, Term, TermKind};
use super::parse::Trees;
use apimachinery::gotext::{Any, quote, value};

/// Deeper recursion of templates is refused, before the stack of a thread (2 MiB) is full. Go, whose stacks grow, allows
/// 100,000.
const TEMPLATE_DEPTH_MAX: usize = 100;

/// A value within a template, as Go's `reflect.Value` sees it.
#[derive(Debug, Clone)]
pub(super) struct Operand {
    /// None for what is missing: neither value nor nil.
    any: Option<Any>,
    /// It comes out of a map or list and still is an `interface {}`; errors name that type.
    boxed: bool,
}

impl Operand {
    const MISSING: Operand = Operand { any: None, boxed: false };

    /// A value of its own type. Nil has none, so it counts as missing.
    pub(super) fn of(any: Any) -> Operand {
        Operand { any: Some(any).filter(|any| !matches!(any, Any::Nil)), boxed: false }
    }

    /// An element of a list or map.
    pub(super) fn boxed(any: Any) -> Operand {
        Operand { any: Some(any), boxed: true }
    }

    pub(super) fn any(&self) -> Option<&Any> {
        self.any.as_ref()
    }

    fn unboxed(self) -> Operand {
        self.any.map_or(Operand::MISSING, Operand::of)
    }

    /// Whether a condition holds for it: it is not empty, zero, false or nil.
    pub(super) fn is_true(&self) -> bool {
        match &self.any {
            None | Some(Any::Nil) => false,
            Some(Any::Bool(b)) => *b,
            Some(Any::Int(number) | Any::Int64(number)) => *number != 0,
            Some(Any::Byte(number)) => *number != 0,
            Some(Any::Float(number)) => *number != 0.0,
            Some(Any::Text(text)) => !text.is_empty(),
            Some(Any::List(items)) => !items.is_empty(),
            Some(Any::Map(fields)) => !fields.is_empty(),
        }
    }

    fn type_name(&self) -> &'static str {
        match &self.any {
            _ if self.boxed => "interface {}",
            None => "<nil>",
            Some(any) => any.type_name(),
        }
    }
}

/// A template to be executed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Program<'a> {
    pub(super) trees: &'a Trees,
    /// The name of the template to begin with, which is also the name of the file in errors.
    pub(super) name: &'a str,
    /// The text that all trees were parsed from.
    pub(super) source: &'a str,
    /// Whether a missing key gives `<no value>` instead of an error.
    pub(super) allow_missing_keys: bool,
}

impl<'a> Program<'a> {
    /// Executes the template over `data`; what it prints before an error stays in `out`.
    pub(super) fn execute(self, data: Any, out: &mut String) -> Fallible<()> {
        let data = Operand::of(data);
        let tree = self.trees.get(self.name).map(Vec::as_slice).unwrap_or_default();
        let mut state = State {
            program: self,
            template: self.name,
            variables: vec![("$", data.clone())],
            current: None,
            depth: 0,
            out,
        };
        state.list(&data, tree).map(drop)
    }
}

type Fallible<T> = Result<T, TemplateError>;

/// What an error is about: where it begins, and what to show.
#[derive(Clone, Copy)]
enum Current<'a> {
    Template(usize, &'a Node),
    Pipe(&'a Pipe),
    Command(&'a Command),
    Term(&'a Term),
}

/// How a list ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flow {
    Done,
    Break,
    Continue,
}

struct State<'a, 'o> {
    program: Program<'a>,
    /// The template that is executed.
    template: &'a str,
    variables: Vec<(&'a str, Operand)>,
    current: Option<Current<'a>>,
    depth: usize,
    out: &'o mut String,
}

impl<'a> State<'a, '_> {
    fn error<T>(&self, text: impl AsRef<str>) -> Fallible<T> {
        let (at, context) = match self.current {
            None => (0, String::new()),
            Some(Current::Template(at, node)) => (at, node.to_string()),
            Some(Current::Pipe(pipe)) => (pipe.at, pipe.to_string()),
            Some(Current::Command(command)) => (command.at, command.to_string()),
            Some(Current::Term(term)) => (term.at, term.to_string()),
        };
        let before = &self.program.source[..at];
        let line = 1 + before.matches('\n').count();
        let column = at - before.rfind('\n').map_or(0, |end| end + 1);
        Err(TemplateError(format!(
            "template: {}:{line}:{column}: executing {} at <{context}>: {}",
            self.program.name,
            quote(self.template),
            text.as_ref()
        )))
    }

    fn list(&mut self, dot: &Operand, nodes: &'a [Node]) -> Fallible<Flow> {
        for node in nodes {
            let flow = self.node(dot, node)?;
            if flow != Flow::Done {
                return Ok(flow);
            }
        }
        Ok(Flow::Done)
    }

    fn node(&mut self, dot: &Operand, node: &'a Node) -> Fallible<Flow> {
        match node {
            Node::Text(text) => self.out.push_str(text),
            Node::Action(pipe) => {
                let result = self.pipeline(dot, pipe)?;
                if pipe.variables.is_empty() {
                    let text = result.any().map_or_else(|| "<no value>".to_string(), value);
                    self.out.push_str(&text);
                }
            }
            Node::Break => return Ok(Flow::Break),
            Node::Continue => return Ok(Flow::Continue),
            Node::If(branch) => return self.branch(dot, branch, false),
            Node::With(branch) => return self.branch(dot, branch, true),
            Node::Range(branch) => return self.range(dot, branch),
            Node::Template { at, name, pipe } => self.template(dot, node, *at, name, pipe.as_ref())?,
        }
        Ok(Flow::Done)
    }

    /// `if`, or `with`, which makes the value the new dot.
    fn branch(&mut self, dot: &Operand, branch: &'a Branch, is_with: bool) -> Fallible<Flow> {
        let mark = self.variables.len();
        let result = self.pipeline(dot, &branch.pipe)?;
        let flow = match (result.is_true(), &branch.else_list) {
            (true, _) => self.list(if is_with { &result } else { dot }, &branch.list)?,
            (false, Some(else_list)) => self.list(dot, else_list)?,
            (false, None) => Flow::Done,
        };
        self.variables.truncate(mark);
        Ok(flow)
    }

    fn range(&mut self, dot: &Operand, range: &'a Branch) -> Fallible<Flow> {
        let outer = self.variables.len();
        let result = self.pipeline(dot, &range.pipe)?;
        let steps: Vec<(Operand, Operand)> = match result.any() {
            None | Some(Any::Nil) => Vec::new(),
            Some(Any::List(items)) => {
                let step = |(at, item): (usize, &Any)| (Operand::of(Any::Int(at as i64)), Operand::boxed(item.clone()));
                items.iter().enumerate().map(step).collect()
            }
            Some(Any::Map(fields)) => {
                let step = |(key, field): (&std::rc::Rc<str>, &Any)| {
                    (Operand::of(Any::Text(key.clone())), Operand::boxed(field.clone()))
                };
                fields.iter().map(step).collect()
            }
            Some(Any::Int(count) | Any::Int64(count)) => return self.count(dot, range, *count, outer),
            Some(Any::Byte(count)) => return self.count(dot, range, i64::from(*count), outer),
            Some(other) => return self.error(format!("range can't iterate over {}", value(other))),
        };
        if steps.is_empty() {
            return self.range_else(dot, range, outer);
        }
        for (index, element) in steps {
            if self.step(range, index, element)? == Flow::Break {
                break;
            }
        }
        self.variables.truncate(outer);
        Ok(Flow::Done)
    }

    /// A range over a number counts from 0.
    fn count(&mut self, dot: &Operand, range: &'a Branch, count: i64, outer: usize) -> Fallible<Flow> {
        if range.pipe.variables.len() > 1 {
            return self.error(format!("can't use {count} to iterate over more than one variable"));
        }
        if count <= 0 {
            return self.range_else(dot, range, outer);
        }
        for number in 0..count {
            if self.step(range, Operand::MISSING, Operand::of(Any::Int(number)))? == Flow::Break {
                break;
            }
        }
        self.variables.truncate(outer);
        Ok(Flow::Done)
    }

    fn range_else(&mut self, dot: &Operand, range: &'a Branch, outer: usize) -> Fallible<Flow> {
        let flow = match &range.else_list {
            Some(else_list) => self.list(dot, else_list)?,
            None => Flow::Done,
        };
        self.variables.truncate(outer);
        Ok(flow)
    }

    /// One round of a range.
    fn step(&mut self, range: &'a Branch, index: Operand, element: Operand) -> Fallible<Flow> {
        let mark = self.variables.len();
        let pipe = &range.pipe;
        match pipe.variables.as_slice() {
            [] => {}
            [only] if pipe.assigns => self.set(only, element.clone())?,
            [first, second, ..] if pipe.assigns => {
                self.set(first, index)?;
                self.set(second, element.clone())?;
            }
            [_] => self.variables[mark - 1].1 = element.clone(),
            _ => {
                self.variables[mark - 1].1 = element.clone();
                self.variables[mark - 2].1 = index;
            }
        }
        let flow = self.list(&element, &range.list)?;
        self.variables.truncate(mark);
        Ok(flow)
    }

    fn template(
        &mut self,
        dot: &Operand,
        node: &'a Node,
        at: usize,
        name: &'a str,
        pipe: Option<&'a Pipe>,
    ) -> Fallible<()> {
        self.current = Some(Current::Template(at, node));
        let Some((name, tree)) = self.program.trees.get_key_value(name) else {
            return self.error(format!("template {} not defined", quote(name)));
        };
        if self.depth == TEMPLATE_DEPTH_MAX {
            return self.error(format!("exceeded maximum template depth ({TEMPLATE_DEPTH_MAX})"));
        }
        let dot = match pipe {
            Some(pipe) => self.pipeline(dot, pipe)?,
            None => Operand::MISSING,
        };
        let mut inner = State {
            program: self.program,
            template: name,
            variables: vec![("$", dot.clone())],
            current: self.current,
            depth: self.depth + 1,
            out: self.out,
        };
        inner.list(&dot, tree).map(drop)
    }

    fn set(&mut self, name: &str, operand: Operand) -> Fallible<()> {
        match self.variables.iter_mut().rev().find(|(variable, _)| *variable == name) {
            Some((_, there)) => *there = operand,
            None => return self.error(format!("undefined variable: {name}")),
        }
        Ok(())
    }

    fn pipeline(&mut self, dot: &Operand, pipe: &'a Pipe) -> Fallible<Operand> {
        self.current = Some(Current::Pipe(pipe));
        let mut result = None;
        for command in &pipe.commands {
            result = Some(self.command(dot, command, result)?.unboxed());
        }
        let result = result.unwrap_or(Operand::MISSING);
        for variable in &pipe.variables {
            if pipe.assigns {
                self.set(variable, result.clone())?;
            } else {
                self.variables.push((variable, result.clone()));
            }
        }
        Ok(result)
    }

    /// One command; `last` is the result of the one before.
    fn command(&mut self, dot: &Operand, command: &'a Command, last: Option<Operand>) -> Fallible<Operand> {
        let first = &command.terms[0];
        let arguments = &command.terms[1..];
        match &first.kind {
            TermKind::Function(name) => {
                self.current = Some(Current::Term(first));
                return self.call(dot, Current::Command(command), name, arguments, last);
            }
            TermKind::Pipe(pipe) => {
                self.no_arguments(first, arguments, &last)?;
                return self.pipeline(dot, pipe);
            }
            TermKind::Field(_) | TermKind::Chain { .. } | TermKind::Variable(_) => {
                return self.path(dot, first, arguments, &last);
            }
            _ => {}
        }
        self.current = Some(Current::Term(first));
        self.no_arguments(first, arguments, &last)?;
        match &first.kind {
            TermKind::Nil => self.error("nil is not a command"),
            _ => self.constant(dot, first),
        }
    }

    fn no_arguments(&self, first: &Term, arguments: &[Term], last: &Option<Operand>) -> Fallible<()> {
        if arguments.is_empty() && last.is_none() {
            return Ok(());
        }
        let shown = match &first.kind {
            TermKind::Pipe(pipe) => pipe.to_string(),
            _ => first.to_string(),
        };
        self.error(format!("can't give argument to non-function {shown}"))
    }

    fn constant(&mut self, dot: &Operand, term: &'a Term) -> Fallible<Operand> {
        self.current = Some(Current::Term(term));
        match &term.kind {
            TermKind::Bool(b) => Ok(Operand::of(Any::Bool(*b))),
            TermKind::Text { text, .. } => Ok(Operand::of(text.as_str().into())),
            TermKind::Number { number: Number::Int(whole), .. } => Ok(Operand::of(Any::Int(*whole))),
            TermKind::Number { number: Number::Float(float), .. } => Ok(Operand::of(Any::Float(*float))),
            TermKind::Number { text, number: Number::Overflow } => self.error(format!("{text} overflows int")),
            _ => Ok(dot.clone()),
        }
    }

    /// A field, a chain of fields behind something, or a variable.
    fn path(&mut self, dot: &Operand, term: &'a Term, arguments: &[Term], last: &Option<Operand>) -> Fallible<Operand> {
        self.current = Some(Current::Term(term));
        let (start, names) = match &term.kind {
            TermKind::Field(names) => (dot.clone(), names.as_slice()),
            TermKind::Variable(names) => {
                let found = self.variables.iter().rev().find(|(name, _)| *name == names[0]);
                let Some((_, value)) = found else {
                    return self.error(format!("undefined variable: {}", names[0]));
                };
                let value = value.clone();
                if names.len() == 1 {
                    self.no_arguments(term, arguments, last)?;
                    return Ok(value);
                }
                (value, &names[1..])
            }
            TermKind::Chain { of, fields } => {
                if matches!(of.kind, TermKind::Nil) {
                    return self.error(format!("indirection through explicit nil in {term}"));
                }
                (self.argument(dot, Parameter::Any, of)?, fields.as_slice())
            }
            _ => (dot.clone(), [].as_slice()),
        };
        let mut receiver = start;
        for (at, name) in names.iter().enumerate() {
            let has_arguments = at + 1 == names.len() && !(arguments.is_empty() && last.is_none());
            receiver = self.field(receiver, name, has_arguments)?;
        }
        Ok(receiver)
    }

    fn field(&mut self, receiver: Operand, name: &str, has_arguments: bool) -> Fallible<Operand> {
        match receiver.any() {
            None if self.program.allow_missing_keys => Ok(Operand::MISSING),
            None => self.error(format!("nil data; no entry for key {}", quote(name))),
            Some(Any::Nil) => self.error(format!("nil pointer evaluating interface {{}}.{name}")),
            Some(Any::Map(_)) if has_arguments => self.error(format!("{name} is not a method but has arguments")),
            Some(Any::Map(fields)) => match fields.get(name) {
                Some(field) => Ok(Operand::boxed(field.clone())),
                None if self.program.allow_missing_keys => Ok(Operand::MISSING),
                None => self.error(format!("map has no entry for key {}", quote(name))),
            },
            Some(_) => self.error(format!("can't evaluate field {name} in type {}", receiver.type_name())),
        }
    }

    /// Calls a function. `node` is what an error within it is about.
    fn call(
        &mut self,
        dot: &Operand,
        node: Current<'a>,
        name: &str,
        arguments: &'a [Term],
        last: Option<Operand>,
    ) -> Fallible<Operand> {
        let Some((fixed, repeated)) = functions::signature(name) else {
            return self.error(format!("{} is not a defined function", quote(name)));
        };
        let given = arguments.len() + usize::from(last.is_some());
        if repeated.is_some() && given < fixed.len() {
            let count = arguments.len();
            return self.error(format!("wrong number of args for {name}: want at least {} got {count}", fixed.len()));
        }
        if repeated.is_none() && given != fixed.len() {
            return self.error(format!("wrong number of args for {name}: want {} got {given}", fixed.len()));
        }
        if matches!(name, "and" | "or") {
            return self.and_or(dot, name == "or", arguments, last);
        }
        let parameter = |at: usize| fixed.get(at).copied().or(repeated).unwrap_or(Parameter::Any);
        let mut values = Vec::with_capacity(given);
        for (at, term) in arguments.iter().enumerate() {
            values.push(self.argument(dot, parameter(at), term)?);
        }
        if let Some(last) = last {
            values.push(self.fitting(last, parameter(arguments.len()))?);
        }
        let result = match (name, arguments.first()) {
            ("call", first) => Err(no_function(first, &values[0])),
            _ => functions::call(name, &values),
        };
        result.or_else(|text| {
            self.current = Some(node);
            self.error(format!("error calling {name}: {text}"))
        })
    }

    /// `and` and `or` evaluate only as many arguments as they need.
    fn and_or(
        &mut self,
        dot: &Operand,
        until: bool,
        arguments: &'a [Term],
        last: Option<Operand>,
    ) -> Fallible<Operand> {
        let mut value = Operand::MISSING;
        for term in arguments {
            value = self.argument(dot, Parameter::Operand, term)?;
            if value.is_true() == until {
                return Ok(value);
            }
        }
        Ok(last.unwrap_or(value))
    }

    /// One argument, as the parameter wants it.
    fn argument(&mut self, dot: &Operand, parameter: Parameter, term: &'a Term) -> Fallible<Operand> {
        self.current = Some(Current::Term(term));
        let value = match &term.kind {
            TermKind::Dot => dot.clone(),
            TermKind::Nil if parameter == Parameter::Text => return self.error("cannot assign nil to string"),
            TermKind::Nil => return Ok(Operand::MISSING),
            TermKind::Field(_) | TermKind::Variable(_) | TermKind::Chain { .. } => self.path(dot, term, &[], &None)?,
            TermKind::Pipe(pipe) => self.pipeline(dot, pipe)?,
            TermKind::Function(name) => self.call(dot, Current::Term(term), name, &[], None)?,
            TermKind::Bool(_) | TermKind::Number { .. } if parameter == Parameter::Text => {
                return self.error(format!("expected string; found {term}"));
            }
            _ => return self.constant(dot, term),
        };
        self.fitting(value, parameter)
    }

    fn fitting(&mut self, value: Operand, parameter: Parameter) -> Fallible<Operand> {
        if parameter != Parameter::Text {
            return Ok(value);
        }
        match value.any() {
            Some(Any::Text(_)) => Ok(value),
            None => self.error("invalid value; expected string"),
            Some(Any::Nil) => self.error("wrong type for value; expected string; got interface {}"),
            Some(other) => self.error(format!("wrong type for value; expected string; got {}", other.type_name())),
        }
    }
}

/// Why `call` fails: no object holds a function.
fn no_function(first: Option<&Term>, value: &Operand) -> String {
    match value.any() {
        None | Some(Any::Nil) => "call of nil".into(),
        Some(any) => {
            let name = match (first, any) {
                (Some(term), _) => term.to_string(),
                (None, Any::Text(text)) => text.to_string(),
                (None, other) => format!("<{} Value>", other.type_name()),
            };
            format!("non-function {name} of type {}", any.type_name())
        }
    }
}
