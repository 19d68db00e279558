//! What a template selects.

use super::JsonPathError;
use super::parse::{Node, Parameter};
use crate::gotext::{self, Any};
use serde_json::{Number, Value};
use std::borrow::Cow;
use std::cmp::Ordering;

/// A value on the way through the nodes of an action.
#[derive(Debug, Clone)]
enum Item<'a> {
    Value(Cow<'a, Value>),
    /// What the body of a range over nothing is tried on, only to find its end.
    Nothing,
}

/// An evaluation that failed.
struct Fault {
    error: JsonPathError,
    /// Upstream hands its input on with some errors; a filter that asks for existence takes that for a find.
    keeps_input: bool,
}

type Items<'a> = Result<Vec<Item<'a>>, Fault>;

/// All results of the template `nodes` on `data`.
pub(super) fn find(nodes: &[Node], data: &Value, allow_missing_keys: bool) -> Result<Vec<Vec<Value>>, JsonPathError> {
    let mut walk = Walk { allow_missing_keys, begun: 0, within: 0, ended: 0, last_end: None };
    let results = walk.template(nodes, 0, Item::Value(Cow::Borrowed(data)));
    let results = results.map_err(|fault| fault.error)?;
    let value = |item: Item<'_>| match item {
        Item::Value(value) => value.into_owned(),
        Item::Nothing => Value::Null,
    };
    Ok(results.into_iter().map(|part| part.into_iter().map(value).collect()).collect())
}

fn fault<T>(text: String, keeps_input: bool) -> Result<T, Fault> {
    Err(Fault { error: JsonPathError(text), keeps_input })
}

/// Where an evaluation is among nested ranges.
struct Walk {
    allow_missing_keys: bool,
    /// Ranges that the present action began.
    begun: usize,
    /// Ranges around the present node.
    within: usize,
    /// Ends that were met.
    ended: usize,
    /// The node where the last range ended.
    last_end: Option<usize>,
}

impl Walk {
    /// The nodes from `first` on, up to the end of the innermost range.
    fn template<'a>(
        &mut self,
        nodes: &'a [Node],
        first: usize,
        current: Item<'a>,
    ) -> Result<Vec<Vec<Item<'a>>>, Fault> {
        let mut all = Vec::new();
        let mut at = first;
        while at < nodes.len() {
            let results = self.node(vec![current.clone()], &nodes[at])?;
            if self.ended > 0 && self.ended <= self.within {
                self.ended -= 1;
                self.last_end = Some(at);
                break;
            }
            if self.begun == 0 {
                all.push(results);
                at += 1;
                continue;
            }
            self.begun -= 1;
            self.within += 1;
            if results.is_empty() {
                self.template(nodes, at + 1, Item::Nothing)?;
            }
            for item in results {
                all.extend(self.template(nodes, at + 1, item)?);
            }
            self.within -= 1;
            at = self.last_end.filter(|end| *end > at).unwrap_or(at) + 1;
        }
        Ok(all)
    }

    fn list<'a>(&mut self, mut items: Vec<Item<'a>>, nodes: &'a [Node]) -> Items<'a> {
        for node in nodes {
            items = self.node(items, node)?;
        }
        Ok(items)
    }

    fn node<'a>(&mut self, items: Vec<Item<'a>>, node: &'a Node) -> Items<'a> {
        let constant = |value: Value| items.iter().map(|_| Item::Value(Cow::Owned(value.clone()))).collect();
        match node {
            Node::Text(text) => Ok(vec![Item::Value(Cow::Owned(Value::String(text.clone())))]),
            Node::List(nodes) => self.list(items, nodes),
            Node::Field(name) => self.field(items, name),
            Node::Identifier(word) => self.identifier(items, word),
            Node::Array(parameters) => array(items, parameters),
            Node::Filter { left, operator, right } => self.filter(items, left, operator, right),
            Node::Int(number) => Ok(constant(Value::from(*number))),
            Node::Float(number) => Ok(constant(Value::from(*number))),
            Node::Bool(b) => Ok(constant(Value::Bool(*b))),
            Node::Wildcard => Ok(items.into_iter().flat_map(children).collect()),
            Node::Recursive => Ok(recursive(items)),
            Node::Union(parts) => {
                let mut all = Vec::new();
                for part in parts {
                    let found = self.list(items.clone(), part);
                    all.extend(found.map_err(|fault| Fault { keeps_input: true, ..fault })?);
                }
                Ok(all)
            }
        }
    }

    fn identifier<'a>(&mut self, items: Vec<Item<'a>>, word: &str) -> Items<'a> {
        match word {
            "range" => {
                self.begun += 1;
                Ok(items)
            }
            "end" if self.within > 0 => {
                self.ended += 1;
                Ok(Vec::new())
            }
            "end" => fault("not in range, nothing to end".into(), false),
            other => fault(format!("unrecognized identifier {other}"), true),
        }
    }

    fn field<'a>(&mut self, items: Vec<Item<'a>>, name: &str) -> Items<'a> {
        if items.is_empty() {
            return Ok(items);
        }
        let found: Vec<_> = items.into_iter().filter_map(|item| member(item, name)).collect();
        if found.is_empty() && !self.allow_missing_keys {
            return fault(format!("{name} is not found"), false);
        }
        Ok(found)
    }

    fn filter<'a>(&mut self, items: Vec<Item<'a>>, left: &'a [Node], operator: &str, right: &'a [Node]) -> Items<'a> {
        let mut passed = Vec::new();
        for item in items {
            let Some(elements) = elements(&item) else {
                let shown = match &item {
                    Item::Nothing => "<invalid reflect.Value>".to_string(),
                    Item::Value(value) => gotext::value(&Any::from_json(value)),
                };
                return fault(format!("{shown} is not array or slice and cannot be filtered"), true);
            };
            for element in elements {
                let found = self.list(vec![element.clone()], left);
                if operator == "exists" {
                    let exists = match found {
                        Ok(found) => !found.is_empty(),
                        Err(fault) => fault.keeps_input,
                    };
                    if exists {
                        passed.push(element);
                    }
                    continue;
                }
                let Some(left) = only(found)? else { continue };
                let Some(right) = only(self.list(vec![element.clone()], right))? else { continue };
                match compare(&left, operator, &right) {
                    Ok(true) => passed.push(element),
                    Ok(false) => {}
                    Err(text) => return fault(text, !passed.is_empty()),
                }
            }
        }
        Ok(passed)
    }
}

/// The one value of a side of a comparison; none where nothing was found.
fn only(found: Items<'_>) -> Result<Option<Value>, Fault> {
    let mut found = found.map_err(|fault| Fault { keeps_input: true, ..fault })?;
    if found.len() > 1 {
        return fault("can only compare one element at a time".into(), true);
    }
    Ok(found.pop().map(|item| match item {
        Item::Value(value) => value.into_owned(),
        Item::Nothing => Value::Null,
    }))
}

fn member<'a>(item: Item<'a>, name: &str) -> Option<Item<'a>> {
    match item {
        Item::Value(Cow::Borrowed(value)) => value.as_object()?.get(name).map(|v| Item::Value(Cow::Borrowed(v))),
        Item::Value(Cow::Owned(value)) => value.as_object()?.get(name).map(|v| Item::Value(Cow::Owned(v.clone()))),
        Item::Nothing => None,
    }
}

fn elements<'a>(item: &Item<'a>) -> Option<Vec<Item<'a>>> {
    match item {
        Item::Value(Cow::Borrowed(value)) => {
            Some(value.as_array()?.iter().map(|v| Item::Value(Cow::Borrowed(v))).collect())
        }
        Item::Value(Cow::Owned(value)) => {
            Some(value.as_array()?.iter().map(|v| Item::Value(Cow::Owned(v.clone()))).collect())
        }
        Item::Nothing => None,
    }
}

/// What is directly within a value: fields in the order of their names, elements, or the bytes of a string.
fn children(item: Item<'_>) -> Vec<Item<'_>> {
    if let Some(elements) = elements(&item) {
        return elements;
    }
    match item {
        Item::Value(Cow::Borrowed(Value::Object(fields))) => {
            let mut sorted: Vec<_> = fields.iter().collect();
            sorted.sort_by_key(|(key, _)| *key);
            sorted.into_iter().map(|(_, value)| Item::Value(Cow::Borrowed(value))).collect()
        }
        Item::Value(value) => match value.as_ref() {
            Value::String(text) => text.bytes().map(|b| Item::Value(Cow::Owned(Value::from(b)))).collect(),
            _ => Vec::new(),
        },
        Item::Nothing => Vec::new(),
    }
}

/// The values themselves and all below them, in depth-first order; scalars but strings are left out.
fn recursive(items: Vec<Item<'_>>) -> Vec<Item<'_>> {
    let mut all = Vec::new();
    for item in items {
        let below = children(item.clone());
        if !below.is_empty() {
            all.push(item);
            all.extend(recursive(below));
        }
    }
    all
}

fn array<'a>(items: Vec<Item<'a>>, parameters: &[Parameter; 3]) -> Items<'a> {
    let mut selected = Vec::new();
    for item in items {
        if matches!(&item, Item::Value(value) if value.is_null()) {
            continue;
        }
        let Some(elements) = elements(&item) else {
            return fault(format!("{} is not array or slice", type_name(&item)), true);
        };
        let length = elements.len() as i64;
        let [start, end, step] = *parameters;
        let mut from = if start.known { start.value } else { 0 };
        if from < 0 {
            from += length;
        }
        let mut to = if end.known { end.value } else { length };
        if to < 0 || (to == 0 && end.derived) {
            to += length;
        }
        if to == from {
            return Ok(selected);
        }
        let bounds = |index| format!("array index out of bounds: index {index}, length {length}");
        if !(0..length).contains(&from) {
            return fault(bounds(from), true);
        }
        if !(0..=length).contains(&to) {
            return fault(bounds(to - 1), true);
        }
        if from > to {
            return fault(format!("starting index {from} is greater than ending index {to}"), true);
        }
        if step.known && step.value <= 0 {
            return fault("step must be > 0".into(), true);
        }
        let step = if step.known { step.value as usize } else { 1 };
        selected.extend(elements.into_iter().take(to as usize).skip(from as usize).step_by(step));
    }
    Ok(selected)
}

/// The type of a decoded value, as Go names it.
fn type_name(item: &Item<'_>) -> &'static str {
    match item {
        Item::Nothing => "<nil>",
        Item::Value(value) => match value.as_ref() {
            Value::Null => "<nil>",
            Value::Bool(_) => "bool",
            Value::Number(n) if n.is_i64() => "int64",
            Value::Number(_) => "float64",
            Value::String(_) => "string",
            Value::Array(_) => "[]interface {}",
            Value::Object(_) => "map[string]interface {}",
        },
    }
}

/// One comparison of a filter. Only scalars of the same kind compare; whole and other numbers are different kinds.
fn compare(left: &Value, operator: &str, right: &Value) -> Result<bool, String> {
    const BAD_TYPE: &str = "invalid type for comparison";
    if !["<", ">", "==", "!=", "<=", ">="].contains(&operator) {
        return Err(format!("unrecognized filter operator {operator}"));
    }
    let is_scalar = |value: &Value| matches!(value, Value::Bool(_) | Value::Number(_) | Value::String(_));
    if !is_scalar(left) || !is_scalar(right) {
        return Err(BAD_TYPE.into());
    }
    let whole = Number::as_i64;
    let order = match (left, right) {
        (Value::Bool(a), Value::Bool(b)) if matches!(operator, "==" | "!=") => Some(a.cmp(b)),
        (Value::Bool(_), Value::Bool(_)) => return Err(BAD_TYPE.into()),
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        (Value::Number(a), Value::Number(b)) => match (whole(a), whole(b)) {
            (Some(a), Some(b)) => Some(a.cmp(&b)),
            (None, None) => a.as_f64().partial_cmp(&b.as_f64()),
            _ => return Err("incompatible types for comparison".into()),
        },
        _ => return Err("incompatible types for comparison".into()),
    };
    Ok(match operator {
        "<" => order == Some(Ordering::Less),
        ">" => order == Some(Ordering::Greater),
        "<=" => matches!(order, Some(Ordering::Less | Ordering::Equal)),
        ">=" => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
        "!=" => order != Some(Ordering::Equal),
        _ => order == Some(Ordering::Equal),
    })
}
