//! YAML text to a JSON value.

use std::collections::HashMap;

use base64::Engine as _;
use granit_parser::{ErrorKind, Event, Parser, ScalarStyle, ScanError, Span, StructureStyle};
use serde_json::{Map, Value};

use super::YamlError;
use super::scalar::{Scalar, float_value, resolve};

/// Most values that aliases may add to one document.
const ALIASED_VALUES_MAX: usize = 100_000;

/// A document.
#[derive(Debug, Clone, PartialEq)]
pub struct Parsed {
    /// What it says; null if it is empty.
    pub value: Value,
    /// Keys that occur twice in one map (the last one counts), in the words of upstream's strict decoder: `line 4: key
    /// "a" already set in map`.
    pub duplicates: Vec<String>,
}

/// Reads the first document in `text`.
pub fn parse(text: &str) -> Result<Parsed, YamlError> {
    let options = granit_parser::options! { emit_unresolved_aliases: true };
    let mut reader = Reader {
        parser: Parser::new_from_str_with_options(text, options),
        anchors: HashMap::new(),
        aliased_values: 0,
        duplicates: Vec::new(),
        brackets: Vec::new(),
        line_breaks: text.matches('\n').count(),
    };
    let mut value = Value::Null;
    while let Some((event, _)) = reader.next()? {
        match event {
            Event::StreamStart | Event::DocumentStart(..) => {}
            Event::StreamEnd | Event::DocumentEnd => break,
            event => value = reader.value(event)?,
        }
    }
    Ok(Parsed { value, duplicates: reader.duplicates })
}

struct Reader<'a> {
    parser: Parser<'a, granit_parser::StrInput<'a>>,
    anchors: HashMap<usize, Value>,
    aliased_values: usize,
    duplicates: Vec<String>,
    /// The brackets that are open, innermost last; block collections do not count.
    brackets: Vec<char>,
    /// Line breaks in the whole text.
    line_breaks: usize,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<Option<(Event<'a>, Span)>, YamlError> {
        loop {
            match self.parser.next_event() {
                None => return Ok(None),
                Some(Err(error)) => {
                    let mut fault = scan_error(&error, self.brackets.last().copied());
                    if matches!(error.kind(), ErrorKind::UnclosedQuotedScalar) {
                        // Go finds out at the end of the text.
                        fault.line = Some(self.line_breaks + 1);
                    }
                    return Err(fault);
                }
                Some(Ok((Event::Comment(..) | Event::Anchor(..), _))) => {}
                Some(Ok(next)) => return Ok(Some(next)),
            }
        }
    }

    fn value(&mut self, event: Event<'a>) -> Result<Value, YamlError> {
        match event {
            Event::UnresolvedAlias(name) => Err(unplaced(&format!("unknown anchor '{name}' referenced"))),
            Event::Alias(id) => {
                let Some(value) = self.anchors.get(&id).cloned() else {
                    return Err(unplaced("anchor contains itself"));
                };
                self.aliased_values += count(&value);
                if self.aliased_values > ALIASED_VALUES_MAX {
                    return Err(unplaced("document contains excessive aliasing"));
                }
                Ok(value)
            }
            Event::Scalar(text, style, anchor, tag) => {
                let tag = tag.as_ref().map(|t| t.parts()).filter(|(handle, _)| *handle == "tag:yaml.org,2002:");
                let value = scalar(&text, style, tag.map(|(_, suffix)| suffix)).map_err(|what| unplaced(&what))?;
                self.remember(anchor, &value);
                Ok(value)
            }
            Event::SequenceStart(style, anchor, _) => {
                let depth = self.brackets.len();
                self.brackets.extend((style == StructureStyle::Flow).then_some('['));
                let mut items = Vec::new();
                while let Some((event, _)) = self.next()? {
                    if event == Event::SequenceEnd {
                        break;
                    }
                    items.push(self.value(event)?);
                }
                self.brackets.truncate(depth);
                let value = Value::Array(items);
                self.remember(anchor, &value);
                Ok(value)
            }
            Event::MappingStart(style, anchor, _) => {
                let depth = self.brackets.len();
                self.brackets.extend((style == StructureStyle::Flow).then_some('{'));
                let value = Value::Object(self.mapping()?);
                self.brackets.truncate(depth);
                self.remember(anchor, &value);
                Ok(value)
            }
            _ => Err(unplaced("did not find expected node content")),
        }
    }

    fn mapping(&mut self) -> Result<Map<String, Value>, YamlError> {
        let mut entries = Map::new();
        let mut merged = Map::new();
        while let Some((event, span)) = self.next()? {
            if event == Event::MappingEnd {
                break;
            }
            let line = span.start.line();
            let merges = matches!(&event, Event::Scalar(text, ScalarStyle::Plain, ..) if text == "<<");
            let key = self.value(event)?;
            let Some((event, _)) = self.next()? else {
                break;
            };
            let value = self.value(event)?;
            if merges {
                merge(&mut merged, value)?;
                continue;
            }
            let key = key_text(key)?;
            if entries.insert(key.clone(), value).is_some() {
                self.duplicates.push(format!("line {line}: key {key:?} already set in map"));
            }
        }
        for (key, value) in merged {
            entries.entry(key).or_insert(value);
        }
        Ok(entries)
    }

    fn remember(&mut self, anchor: usize, value: &Value) {
        if anchor > 0 {
            self.anchors.insert(anchor, value.clone());
        }
    }
}

/// Takes over the entries of `<<`: of a map, or of the maps in a list, where earlier ones win.
fn merge(merged: &mut Map<String, Value>, value: Value) -> Result<(), YamlError> {
    let maps = match value {
        Value::Array(items) => items,
        one => vec![one],
    };
    for map in maps {
        let Value::Object(entries) = map else {
            return Err(unplaced("map merge requires map or sequence of maps as the value"));
        };
        for (key, value) in entries {
            merged.entry(key).or_insert(value);
        }
    }
    Ok(())
}

fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(entries) => entries.values().map(count).sum(),
        _ => 0,
    }
}

fn scalar(text: &str, style: ScalarStyle, tag: Option<&str>) -> Result<Value, String> {
    let plain = matches!(style, ScalarStyle::Plain);
    let resolved = match (tag, plain) {
        (Some("str"), _) | (None, false) => Scalar::Text,
        (Some("binary"), _) => {
            let bytes = base64::engine::general_purpose::STANDARD
                .decode(text.replace(['\n', ' '], ""))
                .map_err(|_| "!!binary value contains invalid base64 data")?;
            return String::from_utf8(bytes).map(Value::from).map_err(|_| "!!binary value is no text".to_owned());
        }
        _ => resolve(text),
    };
    let cannot = |as_what: &str| format!("cannot decode !!str `{text}` as a !!{as_what}");
    match (tag, resolved) {
        (Some("float"), Scalar::Int(number)) => number.as_f64().and_then(float_value).ok_or_else(|| cannot("float")),
        (Some(tag @ ("int" | "float" | "bool" | "null")), Scalar::Text | Scalar::Timestamp) => Err(cannot(tag)),
        (_, Scalar::Null) => Ok(Value::Null),
        (_, Scalar::Bool(b)) => Ok(Value::Bool(b)),
        (_, Scalar::Int(number)) => Ok(Value::Number(number)),
        (_, Scalar::Float(float)) => float_value(float).ok_or_else(|| format!("json: unsupported value: {text}")),
        (_, Scalar::Text | Scalar::Timestamp) => Ok(Value::from(text)),
    }
}

fn key_text(key: Value) -> Result<String, YamlError> {
    match key {
        Value::String(text) => Ok(text),
        Value::Bool(b) => Ok(b.to_string()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Null => Err(unplaced("unsupported map key of type: %!s(<nil>), key: <nil>")),
        other => Err(unplaced(&format!("invalid map key: {other}"))),
    }
}

/// A fault that go-yaml shows without a line.
fn unplaced(what: &str) -> YamlError {
    YamlError { line: None, what: what.to_owned() }
}

/// A syntax fault in go-yaml's words. Its parser, unlike its scanner, counts lines from 0, and neither tells of a fault
/// in the first line where it is.
fn scan_error(error: &ScanError, bracket: Option<char>) -> YamlError {
    let line = error.marker().line();
    let scanner = |what: &str| YamlError { line: Some(line).filter(|n| *n > 1), what: what.to_owned() };
    let parser =
        |what: &str| YamlError { line: Some(line.saturating_sub(1)).filter(|n| *n > 0), what: what.to_owned() };
    let unclosed = |bracket: char| match bracket {
        '{' => parser("did not find expected ',' or '}'"),
        _ => parser("did not find expected ',' or ']'"),
    };
    match error.kind() {
        ErrorKind::MappingValueNotAllowed
        | ErrorKind::InvalidColonPlacement
        | ErrorKind::FlowMappingValueAdjacentCollection
        | ErrorKind::InvalidMappingValueWhitespace
        | ErrorKind::InvalidFlowScalarIndent
        | ErrorKind::InvalidIndentation
            if bracket.is_some() =>
        {
            unclosed(bracket.unwrap_or('['))
        }
        ErrorKind::MappingValueNotAllowed
        | ErrorKind::InvalidColonPlacement
        | ErrorKind::FlowMappingValueAdjacentCollection
        | ErrorKind::InvalidMappingValueWhitespace => scanner("mapping values are not allowed in this context"),
        ErrorKind::MappingKeyNotAllowed => scanner("mapping keys are not allowed in this context"),
        ErrorKind::BlockSequenceEntryNotAllowed | ErrorKind::InvalidBlockEntryWhitespace => {
            scanner("block sequence entries are not allowed in this context")
        }
        ErrorKind::SimpleKeyExpected | ErrorKind::InvalidSimpleKey => {
            // Go finds out when the next line starts.
            YamlError { line: Some(line + 1), what: "could not find expected ':'".to_owned() }
        }
        ErrorKind::TabNotAllowed
        | ErrorKind::TabInBlockIndentation
        | ErrorKind::TabInIndentation
        | ErrorKind::UnexpectedCharacter { .. } => scanner("found character that cannot start any token"),
        ErrorKind::TabInPlainScalar | ErrorKind::TabAtBlockScalarStart => {
            scanner("found a tab character that violates indentation")
        }
        ErrorKind::UnclosedQuotedScalar => scanner("found unexpected end of stream"),
        ErrorKind::UnknownQuotedScalarEscape => scanner("found unknown escape character"),
        ErrorKind::UnknownAnchor => unplaced("unknown anchor referenced"),
        ErrorKind::ExpectedNodeContent => parser("did not find expected node content"),
        ErrorKind::ExpectedBlockMappingKey
        | ErrorKind::InvalidIndentation
        | ErrorKind::InvalidTrailingSingleQuotedScalar
        | ErrorKind::InvalidTrailingDoubleQuotedScalar
        | ErrorKind::UnexpectedEofBlockMapping => parser("did not find expected key"),
        ErrorKind::ExpectedBlockSequenceEntry | ErrorKind::UnexpectedEofBlockSequence => {
            parser("did not find expected '-' indicator")
        }
        ErrorKind::ExpectedFlowMappingSeparator
        | ErrorKind::UnexpectedEofFlowMapping
        | ErrorKind::UnexpectedEofImplicitFlowMapping => unclosed('{'),
        ErrorKind::UnclosedFlowCollection { open } => unclosed(*open),
        ErrorKind::ExpectedFlowSequenceSeparator | ErrorKind::UnexpectedEofFlowSequence => unclosed('['),
        ErrorKind::ExpectedDocumentStart => parser("did not find expected <document start>"),
        ErrorKind::RecursionLimitExceeded => scanner("exceeded max depth"),
        _ => scanner(&error.info()),
    }
}
