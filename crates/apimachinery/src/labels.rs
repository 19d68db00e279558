//! Label selectors, as text in a query and as a `LabelSelector` object (upstream: `apimachinery/pkg/labels`), and field
//! selectors (`apimachinery/pkg/fields`).

use std::collections::BTreeMap;

use serde_json::Value;

/// One requirement of a label selector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Requirement {
    /// The label has one of the values.
    In(String, Vec<String>),
    /// The label is absent or has none of the values.
    NotIn(String, Vec<String>),
    /// The label is there.
    Exists(String),
    /// The label is absent.
    DoesNotExist(String),
    /// The label is a number above this one.
    GreaterThan(String, i64),
    /// The label is a number below this one.
    LessThan(String, i64),
}

impl Requirement {
    /// The requirement of a node selector, whose operators are words; `None` if no node can satisfy it.
    pub fn of_node(key: &str, operator: &str, values: &[String]) -> Option<Self> {
        let number = || values.first().and_then(|value| value.parse().ok());
        let key = key.to_owned();
        Some(match operator {
            "In" => Self::In(key, values.to_vec()),
            "NotIn" => Self::NotIn(key, values.to_vec()),
            "Exists" => Self::Exists(key),
            "DoesNotExist" => Self::DoesNotExist(key),
            "Gt" => Self::GreaterThan(key, number()?),
            "Lt" => Self::LessThan(key, number()?),
            _ => return None,
        })
    }

    /// Whether `labels` satisfy it.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        let number = |key: &str| labels.get(key).and_then(|v| v.parse::<i64>().ok());
        match self {
            Self::In(key, values) => labels.get(key).is_some_and(|v| values.contains(v)),
            Self::NotIn(key, values) => labels.get(key).is_none_or(|v| !values.contains(v)),
            Self::Exists(key) => labels.contains_key(key),
            Self::DoesNotExist(key) => !labels.contains_key(key),
            Self::GreaterThan(key, bound) => number(key).is_some_and(|n| n > *bound),
            Self::LessThan(key, bound) => number(key).is_some_and(|n| n < *bound),
        }
    }
}

/// A conjunction of requirements. The empty one matches everything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selector {
    /// All must hold.
    pub requirements: Vec<Requirement>,
    nothing: bool,
}

/// Why a selector can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SelectorError(pub String);

impl Selector {
    /// Matches everything.
    pub fn everything() -> Self {
        Self::default()
    }

    /// Matches nothing.
    pub fn nothing() -> Self {
        Self { requirements: Vec::new(), nothing: true }
    }

    /// Matches objects that have all these labels.
    pub fn from_set<'a>(set: impl IntoIterator<Item = (&'a String, &'a String)>) -> Self {
        let requirements = set.into_iter().map(|(k, v)| Requirement::In(k.clone(), vec![v.clone()])).collect();
        Self { requirements, nothing: false }
    }

    /// Whether it matches everything.
    pub fn is_everything(&self) -> bool {
        self.requirements.is_empty() && !self.nothing
    }

    /// Whether `labels` satisfy all requirements.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        !self.nothing && self.requirements.iter().all(|r| r.matches(labels))
    }

    /// Reads a `LabelSelector` object (`matchLabels`, `matchExpressions`). An absent one matches nothing, an empty one
    /// everything, as upstream's `LabelSelectorAsSelector` has it.
    pub fn from_label_selector(selector: &Value) -> Result<Self, SelectorError> {
        if selector.is_null() {
            return Ok(Self::nothing());
        }
        let mut requirements = Vec::new();
        for (key, value) in selector["matchLabels"].as_object().into_iter().flatten() {
            requirements.push(Requirement::In(key.clone(), vec![value.as_str().unwrap_or_default().to_owned()]));
        }
        for expression in selector["matchExpressions"].as_array().into_iter().flatten() {
            let key = expression["key"].as_str().unwrap_or_default().to_owned();
            let values = || -> Vec<String> {
                let values = expression["values"].as_array();
                values.into_iter().flatten().filter_map(|v| v.as_str().map(str::to_owned)).collect()
            };
            requirements.push(match expression["operator"].as_str().unwrap_or_default() {
                "In" => Requirement::In(key, values()),
                "NotIn" => Requirement::NotIn(key, values()),
                "Exists" => Requirement::Exists(key),
                "DoesNotExist" => Requirement::DoesNotExist(key),
                other => return Err(SelectorError(format!("{other:?} is not a valid label selector operator"))),
            });
        }
        Ok(Self { requirements, nothing: false })
    }

    /// Reads the text of a `labelSelector` query parameter: `a=b,c!=d,e in (f,g),h,!i`.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        let mut lexer = Lexer { rest: text };
        let mut requirements = Vec::new();
        loop {
            match lexer.next()? {
                Token::End if requirements.is_empty() => return Ok(Self::everything()),
                Token::Not => {
                    let Token::Word(key) = lexer.next()? else {
                        return Err(lexer.expected("identifier"));
                    };
                    requirements.push(Requirement::DoesNotExist(checked_key(&key)?));
                }
                Token::Word(key) => {
                    let key = checked_key(&key)?;
                    if let Some(requirement) = lexer.requirement(key)? {
                        requirements.push(requirement);
                    }
                }
                _ => return Err(lexer.expected("!, identifier, or 'end of string'")),
            }
            match lexer.next()? {
                Token::Comma => {}
                Token::End => return Ok(Self { requirements, nothing: false }),
                _ => return Err(lexer.expected("',' or 'end of string'")),
            }
        }
    }
}

fn checked_key(key: &str) -> Result<String, SelectorError> {
    let faults = crate::names::qualified_name(key);
    if faults.is_empty() {
        Ok(key.to_owned())
    } else {
        Err(SelectorError(format!("key: Invalid value: {key:?}: {}", faults.join("; "))))
    }
}

fn checked_value(key: &str, value: &str) -> Result<String, SelectorError> {
    let faults = crate::names::label_value(value);
    if faults.is_empty() {
        Ok(value.to_owned())
    } else {
        Err(SelectorError(format!("values[0][{key}]: Invalid value: {value:?}: {}", faults.join("; "))))
    }
}

#[derive(Debug, PartialEq)]
enum Token {
    Word(String),
    Comma,
    Open,
    Close,
    Not,
    Equal,
    NotEqual,
    Greater,
    Less,
    End,
}

struct Lexer<'a> {
    rest: &'a str,
}

impl Lexer<'_> {
    fn next(&mut self) -> Result<Token, SelectorError> {
        self.rest = self.rest.trim_start();
        for (text, token) in [
            ("!=", Token::NotEqual),
            ("==", Token::Equal),
            ("=", Token::Equal),
            ("!", Token::Not),
            (",", Token::Comma),
            ("(", Token::Open),
            (")", Token::Close),
            (">", Token::Greater),
            ("<", Token::Less),
        ] {
            if let Some(rest) = self.rest.strip_prefix(text) {
                self.rest = rest;
                return Ok(token);
            }
        }
        if self.rest.is_empty() {
            return Ok(Token::End);
        }
        let end = self.rest.find(|c: char| c.is_whitespace() || "!=,()<>".contains(c)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        Ok(Token::Word(word.to_owned()))
    }

    fn peek(&mut self) -> Result<Token, SelectorError> {
        let at = self.rest;
        let token = self.next();
        self.rest = at;
        token
    }

    fn expected(&self, what: &str) -> SelectorError {
        SelectorError(format!("unable to parse requirement: found '{}', expected: {what}", self.rest))
    }

    /// What follows a key.
    fn requirement(&mut self, key: String) -> Result<Option<Requirement>, SelectorError> {
        match self.peek()? {
            Token::Comma | Token::End => return Ok(Some(Requirement::Exists(key))),
            _ => {}
        }
        match self.next()? {
            Token::Equal => {
                let value = self.exact_value(&key)?;
                Ok(Some(Requirement::In(key, vec![value])))
            }
            Token::NotEqual => {
                let value = self.exact_value(&key)?;
                Ok(Some(Requirement::NotIn(key, vec![value])))
            }
            Token::Greater => Ok(Some(Requirement::GreaterThan(key, self.number()?))),
            Token::Less => Ok(Some(Requirement::LessThan(key, self.number()?))),
            Token::Word(word) if word == "in" => {
                let values = self.values(&key)?;
                Ok(Some(Requirement::In(key, values)))
            }
            Token::Word(word) if word == "notin" => {
                let values = self.values(&key)?;
                Ok(Some(Requirement::NotIn(key, values)))
            }
            _ => Err(self.expected("in, notin, =, ==, !=, gt, lt")),
        }
    }

    fn exact_value(&mut self, key: &str) -> Result<String, SelectorError> {
        match self.peek()? {
            Token::Word(word) => {
                let _ = self.next();
                checked_value(key, &word)
            }
            _ => Ok(String::new()),
        }
    }

    fn number(&mut self) -> Result<i64, SelectorError> {
        match self.next()? {
            Token::Word(word) => word.parse().map_err(|_| {
                SelectorError(format!(
                    "values[0]: Invalid value: {word:?}: for 'Gt', 'Lt' operators, the value must be an integer"
                ))
            }),
            _ => Err(self.expected("identifier")),
        }
    }

    fn values(&mut self, key: &str) -> Result<Vec<String>, SelectorError> {
        if self.next()? != Token::Open {
            return Err(self.expected("'('"));
        }
        let mut values = Vec::new();
        loop {
            match self.next()? {
                Token::Word(word) => {
                    values.push(checked_value(key, &word)?);
                    match self.next()? {
                        Token::Comma => {}
                        Token::Close => return Ok(values),
                        _ => return Err(self.expected("',' or ')'")),
                    }
                }
                Token::Comma => values.push(String::new()),
                Token::Close => {
                    values.push(String::new());
                    return Ok(values);
                }
                _ => return Err(self.expected("',', ')' or identifier")),
            }
        }
    }
}

/// A field selector: `metadata.name=x,status.phase!=Running`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FieldSelector {
    /// Field, whether it must be equal, value.
    pub terms: Vec<(String, bool, String)>,
}

impl FieldSelector {
    /// Reads the text of a `fieldSelector` query parameter.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        let mut terms = Vec::new();
        for term in split_unescaped(text) {
            if term.is_empty() {
                continue;
            }
            let split = [("!=", false), ("==", true), ("=", true)]
                .into_iter()
                .filter_map(|(operator, equal)| term.find(operator).map(|at| (at, operator, equal)))
                .min_by_key(|(at, operator, _)| (*at, std::cmp::Reverse(operator.len())));
            let Some((at, operator, equal)) = split else {
                return Err(SelectorError(format!("invalid selector: '{text}'; can't understand '{term}'")));
            };
            let value = term[at + operator.len()..].replace("\\,", ",").replace("\\=", "=").replace("\\\\", "\\");
            terms.push((term[..at].to_owned(), equal, value));
        }
        Ok(Self { terms })
    }

    /// Whether every term holds for the value that `field` gives.
    pub fn matches<'a>(&self, field: impl Fn(&str) -> Option<std::borrow::Cow<'a, str>>) -> bool {
        self.terms.iter().all(|(name, equal, value)| (field(name).as_deref().unwrap_or_default() == value) == *equal)
    }

    /// The value that `name` must be equal to, if the selector says so.
    pub fn required(&self, name: &str) -> Option<&str> {
        self.terms.iter().find(|(field, equal, _)| field == name && *equal).map(|(_, _, value)| value.as_str())
    }
}

fn split_unescaped(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut escaped) = (Vec::new(), 0, false);
    for (i, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ',' => {
                parts.push(&text[start..i]);
                start = i + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

#[cfg(test)]
mod tests;
