//! Sets of fields, as trees, and their form in `fieldsV1` (upstream: `structured-merge-diff/fieldpath`).

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Map, Value};

/// One step of a path into an object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum PathElement {
    /// A field of an object or a key of a map.
    Field(String),
    /// The item of a list whose key fields are these, as JSON.
    Key(String),
    /// The item of a set that equals this, as JSON.
    Value(String),
    /// The item at a place.
    Index(usize),
}

impl PathElement {
    fn parse(text: &str) -> Option<Self> {
        let (kind, rest) = text.split_once(':')?;
        // Written anew, so that one key is always written in one way.
        let json = || serde_json::from_str::<Value>(rest).ok().map(|value| value.to_string());
        Some(match kind {
            "f" => Self::Field(rest.to_owned()),
            "k" => Self::Key(json()?),
            "v" => Self::Value(json()?),
            "i" => Self::Index(rest.parse().ok()?),
            _ => return None,
        })
    }

    fn text(&self) -> String {
        match self {
            Self::Field(name) => format!("f:{name}"),
            Self::Key(key) => format!("k:{key}"),
            Self::Value(value) => format!("v:{value}"),
            Self::Index(at) => format!("i:{at}"),
        }
    }
}

/// As conflicts show it: `.spec.containers[name="web"].image`.
impl fmt::Display for PathElement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(name) => write!(f, ".{name}"),
            Self::Key(key) => {
                let fields: Map<String, Value> = serde_json::from_str(key).unwrap_or_default();
                let shown: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
                write!(f, "[{}]", shown.join(","))
            }
            Self::Value(value) => write!(f, "[={value}]"),
            Self::Index(at) => write!(f, "[{at}]"),
        }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Node {
    /// Whether the place itself is in the set.
    member: bool,
    below: FieldSet,
}

/// A set of places in an object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldSet(BTreeMap<PathElement, Node>);

impl FieldSet {
    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the place one step below is in it.
    pub fn has(&self, step: &PathElement) -> bool {
        self.0.get(step).is_some_and(|node| node.member)
    }

    /// What is in it below a step.
    pub fn below(&self, step: &PathElement) -> Option<&FieldSet> {
        self.0.get(step).map(|node| &node.below)
    }

    /// All first steps.
    pub fn steps(&self) -> impl Iterator<Item = &PathElement> {
        self.0.keys()
    }

    /// Puts a place into it.
    pub fn insert(&mut self, step: PathElement) {
        self.0.entry(step).or_default().member = true;
    }

    /// Puts all places of `other` into it, below a step.
    pub fn insert_below(&mut self, step: PathElement, other: FieldSet) {
        if !other.is_empty() {
            self.0.entry(step).or_default().below.add(&other);
        }
    }

    /// Puts all places of `other` into it.
    pub fn add(&mut self, other: &FieldSet) {
        for (step, node) in &other.0 {
            let own = self.0.entry(step.clone()).or_default();
            own.member |= node.member;
            own.below.add(&node.below);
        }
    }

    /// Takes all places of `other` out of it.
    pub fn subtract(&mut self, other: &FieldSet) {
        self.0.retain(|step, own| {
            if let Some(node) = other.0.get(step) {
                own.member &= !node.member;
                own.below.subtract(&node.below);
            }
            own.member || !own.below.is_empty()
        });
    }

    /// Takes all places of `other` out of it, and what is below them.
    pub fn subtract_whole(&mut self, other: &FieldSet) {
        self.0.retain(|step, own| match other.0.get(step) {
            Some(node) if node.member => false,
            Some(node) => {
                own.below.subtract_whole(&node.below);
                own.member || !own.below.is_empty()
            }
            None => true,
        });
    }

    /// The places that are in both.
    pub fn intersection(&self, other: &FieldSet) -> FieldSet {
        let both = self.0.iter().filter_map(|(step, own)| {
            let node = other.0.get(step)?;
            let both = Node { member: own.member && node.member, below: own.below.intersection(&node.below) };
            (both.member || !both.below.is_empty()).then(|| (step.clone(), both))
        });
        Self(both.collect())
    }

    /// All places as texts, in order.
    pub fn paths(&self) -> Vec<String> {
        let mut all = Vec::new();
        self.collect("", &mut all);
        all
    }

    fn collect(&self, before: &str, all: &mut Vec<String>) {
        for (step, node) in &self.0 {
            let here = format!("{before}{step}");
            if node.member {
                all.push(here.clone());
            }
            node.below.collect(&here, all);
        }
    }

    /// Reads `fieldsV1`; what is no path is left out.
    pub fn from_json(json: &Value) -> Self {
        let mut set = Self::default();
        for (key, value) in json.as_object().into_iter().flatten() {
            let Some(step) = PathElement::parse(key) else { continue };
            let below = Self::from_json(value);
            let member = below.is_empty() || value.get(".").is_some();
            set.0.insert(step, Node { member, below });
        }
        set
    }

    /// As `fieldsV1`.
    pub fn to_json(&self) -> Value {
        let entries = self.0.iter().map(|(step, node)| {
            let mut below = node.below.to_json();
            if node.member && !node.below.is_empty() {
                below["."] = Value::Object(Map::new());
            }
            (step.text(), below)
        });
        Value::Object(entries.collect())
    }
}
