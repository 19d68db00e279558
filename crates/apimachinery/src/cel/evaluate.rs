//! The value of an expression.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::parse::{Binary, Comprehension, Expression, Literal};
use super::value::Cel;
use super::{Bindings, functions};

/// How many steps an evaluation may take: a step is a node of the tree or an item that a function looks at. At some ten
/// nanoseconds each this is a tenth of a second.
const STEPS_MAX: u64 = 10_000_000;

/// Why there is no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct EvaluateError(pub String);

pub(super) fn fail<T>(text: impl Into<String>) -> Result<T, EvaluateError> {
    Err(EvaluateError(text.into()))
}

struct Evaluator<'a, 'b> {
    bindings: &'b Bindings<'a>,
    /// The variables of macros, the innermost last.
    locals: Vec<(&'a str, Cel<'a>)>,
    steps: u64,
}

pub(super) fn evaluate<'a>(root: &'a Expression, bindings: &Bindings<'a>) -> Result<Cel<'a>, EvaluateError> {
    Evaluator { bindings, locals: Vec::new(), steps: 0 }.value(root)
}

type Evaluated<'a> = Result<Cel<'a>, EvaluateError>;

impl<'a> Evaluator<'a, '_> {
    fn step(&mut self, count: usize) -> Result<(), EvaluateError> {
        self.steps = self.steps.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
        if self.steps > STEPS_MAX {
            return fail("operation cancelled: actual cost limit exceeded");
        }
        Ok(())
    }

    fn value(&mut self, expression: &'a Expression) -> Evaluated<'a> {
        self.step(1)?;
        let value = match expression {
            Expression::Literal(literal) => match literal {
                Literal::Null => Cel::Null,
                Literal::Bool(flag) => Cel::Bool(*flag),
                Literal::Int(number) => Cel::Int(*number),
                Literal::Uint(number) => Cel::Uint(*number),
                Literal::Double(number) => Cel::Double(*number),
                Literal::Text(text) => Cel::Text(Cow::Borrowed(text)),
                Literal::Bytes(bytes) => Cel::Bytes(bytes.as_slice().into()),
            },
            Expression::Variable(name) => self.variable(name)?,
            Expression::List(items) => {
                let items: Result<Vec<_>, _> = items.iter().map(|item| self.value(item)).collect();
                Cel::List(items?.into())
            }
            Expression::Map(entries) => self.map(entries)?,
            Expression::Select(of, field) => {
                let of = self.value(of)?;
                match field_of(&of, field) {
                    Some(value) => value,
                    None if of.keys().is_some() => return fail(format!("no such key: {field}")),
                    None => return fail(format!("no such overload: {}.{field}", of.type_name())),
                }
            }
            Expression::Has(of, field) => {
                let of = self.value(of)?;
                if of.keys().is_none() {
                    return fail("no such overload");
                }
                Cel::Bool(field_of(&of, field).is_some_and(|value| !matches!(value, Cel::Null)))
            }
            Expression::Index(of, index) => {
                let (of, index) = (self.value(of)?, self.value(index)?);
                at(&of, &index)?
            }
            Expression::Not(of) => match self.value(of)? {
                Cel::Bool(flag) => Cel::Bool(!flag),
                _ => return fail("no such overload"),
            },
            Expression::Negate(of) => match self.value(of)? {
                Cel::Int(number) => match number.checked_neg() {
                    Some(number) => Cel::Int(number),
                    None => return fail("integer overflow"),
                },
                Cel::Double(number) => Cel::Double(-number),
                Cel::Duration(duration) => Cel::Duration(-duration),
                _ => return fail("no such overload"),
            },
            Expression::Binary(operator @ (Binary::Or | Binary::And), left, right) => {
                self.logic(*operator == Binary::Or, left, right)?
            }
            Expression::Binary(operator, left, right) => {
                let (left, right) = (self.value(left)?, self.value(right)?);
                self.step(left.size().unwrap_or(0).min(1000) / 10)?;
                binary(*operator, &left, &right)?
            }
            Expression::Conditional(condition, yes, no) => match self.value(condition)? {
                Cel::Bool(true) => self.value(yes)?,
                Cel::Bool(false) => self.value(no)?,
                _ => return fail("no such overload"),
            },
            Expression::Call(name, on, arguments) => {
                let on = on.as_ref().map(|on| self.value(on)).transpose()?;
                let arguments: Result<Vec<_>, _> = arguments.iter().map(|argument| self.value(argument)).collect();
                let arguments = arguments?;
                let sizes = on.iter().chain(&arguments).filter_map(Cel::size).sum::<usize>();
                self.step(sizes)?;
                functions::call(name, on, arguments)?
            }
            Expression::Comprehension { kind, over, variable, filter, body } => {
                self.comprehension(*kind, over, variable, filter.as_deref(), body)?
            }
        };
        match value {
            Cel::Failed(text) => fail(text.as_ref()),
            value => Ok(value),
        }
    }

    fn variable(&mut self, name: &'a str) -> Evaluated<'a> {
        if let Some((_, value)) = self.locals.iter().rev().find(|(local, _)| *local == name) {
            return Ok(value.clone());
        }
        if let Some(value) = self.bindings.get(name) {
            return Ok(value.clone());
        }
        let types = ["bool", "bytes", "double", "int", "list", "map", "null_type", "string", "type", "uint"];
        match types.into_iter().find(|ty| *ty == name) {
            Some(ty) => Ok(Cel::Type(ty)),
            None => fail(format!("no such attribute(s): {name}")),
        }
    }

    fn map(&mut self, entries: &'a [(Expression, Expression)]) -> Evaluated<'a> {
        let mut fields = BTreeMap::new();
        for (key, value) in entries {
            let Some(key) = self.value(key)?.as_key() else { return fail("unsupported key type") };
            if fields.insert(key.clone(), self.value(value)?).is_some() {
                return fail(format!("failed with repeated key: {key}"));
            }
        }
        Ok(Cel::Map(Rc::new(fields)))
    }

    /// One side that decides is enough, whatever the other is.
    fn logic(&mut self, decides: bool, left: &'a Expression, right: &'a Expression) -> Evaluated<'a> {
        let of = |value: Evaluated<'a>| match value {
            Ok(Cel::Bool(flag)) => Ok(flag),
            Ok(_) => fail("no such overload"),
            Err(error) => Err(error),
        };
        let left = of(self.value(left));
        if left == Ok(decides) {
            return Ok(Cel::Bool(decides));
        }
        match (left, of(self.value(right))) {
            (_, Ok(flag)) if flag == decides => Ok(Cel::Bool(decides)),
            (Err(error), _) | (Ok(_), Err(error)) => Err(error),
            (Ok(_), Ok(_)) => Ok(Cel::Bool(!decides)),
        }
    }

    fn comprehension(
        &mut self,
        kind: Comprehension,
        over: &'a Expression,
        variable: &'a str,
        filter: Option<&'a Expression>,
        body: &'a Expression,
    ) -> Evaluated<'a> {
        let over = self.value(over)?;
        let Some(items) = over.items().or_else(|| over.keys()) else { return fail("no such overload") };
        let (mut made, mut count, mut failure) = (Vec::new(), 0, None);
        for item in items {
            self.locals.push((variable, item.clone()));
            let chosen = match filter.map(|filter| self.value(filter)).transpose() {
                Ok(None | Some(Cel::Bool(true))) => true,
                Ok(Some(Cel::Bool(false))) => false,
                Ok(Some(_)) => return fail("no such overload"),
                Err(error) => return Err(error),
            };
            let value = if chosen { Some(self.value(body)) } else { None };
            self.locals.pop();
            match (kind, value) {
                (_, None) => {}
                (Comprehension::Map, Some(value)) => made.push(value?),
                (_, Some(Ok(Cel::Bool(holds)))) => match (kind, holds) {
                    (Comprehension::All, false) => return Ok(Cel::Bool(false)),
                    (Comprehension::Exists, true) => return Ok(Cel::Bool(true)),
                    (Comprehension::ExistsOne, true) => count += 1,
                    (Comprehension::Filter, true) => made.push(item),
                    _ => {}
                },
                (_, Some(Ok(_))) => return fail("no such overload"),
                // Another item may still decide.
                (Comprehension::All | Comprehension::Exists, Some(Err(error))) => failure = Some(error),
                (_, Some(Err(error))) => return Err(error),
            }
        }
        if let Some(error) = failure {
            return Err(error);
        }
        Ok(match kind {
            Comprehension::All => Cel::Bool(true),
            Comprehension::Exists => Cel::Bool(false),
            Comprehension::ExistsOne => Cel::Bool(count == 1),
            Comprehension::Map | Comprehension::Filter => Cel::List(made.into()),
        })
    }
}

/// The field of an object. A name that is no identifier is written with escapes: `self.max__dash__age`.
fn field_of<'a>(of: &Cel<'a>, name: &str) -> Option<Cel<'a>> {
    let escaped = || {
        let keyword = name.strip_prefix("__").and_then(|rest| rest.strip_suffix("__"));
        let plain = match keyword {
            Some(keyword) if !matches!(keyword, "dot" | "dash" | "slash" | "underscores") => keyword.to_owned(),
            _ => name
                .replace("__dot__", ".")
                .replace("__dash__", "-")
                .replace("__slash__", "/")
                .replace("__underscores__", "__"),
        };
        of.get(&plain)
    };
    of.get(name).or_else(|| if name.contains("__") { escaped() } else { None })
}

fn at<'a>(of: &Cel<'a>, index: &Cel<'a>) -> Evaluated<'a> {
    if let Some(items) = of.items() {
        let number = match index {
            Cel::Int(number) => *number,
            Cel::Uint(number) => i64::try_from(*number).unwrap_or(i64::MAX),
            _ => return fail("no such overload"),
        };
        let item = usize::try_from(number).ok().and_then(|at| items.get(at).cloned());
        return item.map_or_else(|| fail(format!("index out of bounds: {number}")), Ok);
    }
    if of.keys().is_none() {
        return fail("no such overload");
    }
    let key = index.as_key().unwrap_or_default();
    of.get(&key).map_or_else(|| fail(format!("no such key: {key}")), Ok)
}

fn binary<'a>(operator: Binary, left: &Cel<'a>, right: &Cel<'a>) -> Evaluated<'a> {
    let ordered = |holds: fn(Ordering) -> bool| match left.compare(right) {
        Some(ordering) => Ok(Cel::Bool(holds(ordering))),
        None if matches!((left, right), (Cel::Double(_), _) | (_, Cel::Double(_))) => Ok(Cel::Bool(false)),
        None => fail("no such overload"),
    };
    match operator {
        Binary::Equal => Ok(Cel::Bool(left.equals(right))),
        Binary::NotEqual => Ok(Cel::Bool(!left.equals(right))),
        Binary::Less => ordered(Ordering::is_lt),
        Binary::LessOrEqual => ordered(Ordering::is_le),
        Binary::Greater => ordered(Ordering::is_gt),
        Binary::GreaterOrEqual => ordered(Ordering::is_ge),
        Binary::In => match (right.items(), right.keys()) {
            (Some(items), _) => Ok(Cel::Bool(items.iter().any(|item| item.equals(left)))),
            (None, Some(_)) => Ok(Cel::Bool(left.as_key().is_some_and(|key| right.get(&key).is_some()))),
            (None, None) => fail("no such overload"),
        },
        _ => arithmetic(operator, left, right),
    }
}

fn arithmetic<'a>(operator: Binary, left: &Cel<'a>, right: &Cel<'a>) -> Evaluated<'a> {
    let overflow = |kind: &str| EvaluateError(format!("{kind} overflow"));
    let zero = |name: &str| EvaluateError(format!("{name} by zero"));
    let name = if operator == Binary::Remainder { "modulus" } else { "division" };
    Ok(match (left, right) {
        (Cel::Int(a), Cel::Int(b)) => {
            let made = match operator {
                Binary::Add => a.checked_add(*b),
                Binary::Subtract => a.checked_sub(*b),
                Binary::Multiply => a.checked_mul(*b),
                _ if *b == 0 => return Err(zero(name)),
                Binary::Divide => a.checked_div(*b),
                _ => a.checked_rem(*b),
            };
            Cel::Int(made.ok_or_else(|| overflow("integer"))?)
        }
        (Cel::Uint(a), Cel::Uint(b)) => {
            let made = match operator {
                Binary::Add => a.checked_add(*b),
                Binary::Subtract => a.checked_sub(*b),
                Binary::Multiply => a.checked_mul(*b),
                _ if *b == 0 => return Err(zero(name)),
                Binary::Divide => a.checked_div(*b),
                _ => a.checked_rem(*b),
            };
            Cel::Uint(made.ok_or_else(|| overflow("unsigned integer"))?)
        }
        (Cel::Double(a), Cel::Double(b)) => Cel::Double(match operator {
            Binary::Add => a + b,
            Binary::Subtract => a - b,
            Binary::Multiply => a * b,
            Binary::Divide => a / b,
            _ => return fail("no such overload"),
        }),
        (Cel::Text(a), Cel::Text(b)) if operator == Binary::Add => Cel::Text(format!("{a}{b}").into()),
        (Cel::Bytes(a), Cel::Bytes(b)) if operator == Binary::Add => {
            Cel::Bytes([a.as_ref(), b.as_ref()].concat().into())
        }
        (Cel::Duration(a), Cel::Duration(b)) => match operator {
            Binary::Add => Cel::Duration(a.checked_add(*b).ok_or_else(|| overflow("duration"))?),
            Binary::Subtract => Cel::Duration(a.checked_sub(*b).ok_or_else(|| overflow("duration"))?),
            _ => return fail("no such overload"),
        },
        (Cel::Timestamp(a), Cel::Duration(b)) if matches!(operator, Binary::Add | Binary::Subtract) => {
            let by = if operator == Binary::Add { *b } else { -*b };
            Cel::Timestamp(a.checked_add(by).map_err(|_| overflow("timestamp"))?)
        }
        (Cel::Duration(a), Cel::Timestamp(b)) if operator == Binary::Add => {
            Cel::Timestamp(b.checked_add(*a).map_err(|_| overflow("timestamp"))?)
        }
        (Cel::Timestamp(a), Cel::Timestamp(b)) if operator == Binary::Subtract => Cel::Duration(a.duration_since(*b)),
        _ => match (operator, left.items(), right.items()) {
            (Binary::Add, Some(a), Some(b)) => Cel::List([a, b].concat().into()),
            _ => return fail("no such overload"),
        },
    })
}
