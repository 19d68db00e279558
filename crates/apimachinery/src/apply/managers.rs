//! `metadata.managedFields`: who owns which fields (upstream: `apimachinery/pkg/util/managedfields`).

use jiff::Timestamp;
use serde_json::{Value, json};

use super::merge::Conflict;
use super::set::{FieldSet, PathElement};
use super::walk::Comparison;

/// The most entries of writers that do not apply; older ones are put together.
const UPDATERS_MAX: usize = 10;
/// The manager of what was written longest ago.
const ANCIENT: &str = "ancient-changes";
/// Metadata that is the server's own, or that names the object.
const NOBODYS: [&str; 9] = [
    "name",
    "namespace",
    "creationTimestamp",
    "selfLink",
    "uid",
    "clusterName",
    "generation",
    "managedFields",
    "resourceVersion",
];

/// How a manager came to its fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// By applying a configuration.
    Apply,
    /// By any other write.
    Update,
}

/// One owner of fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manager {
    /// The name.
    pub name: String,
    /// How it came to its fields.
    pub operation: Operation,
    /// The version in which it wrote.
    pub api_version: String,
    /// The subresource through which it wrote; empty for the object itself.
    pub subresource: String,
    /// When it last came to or lost a field.
    pub time: Option<Timestamp>,
    /// The fields.
    pub fields: FieldSet,
}

/// All owners of an object's fields.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Managers(Vec<Manager>);

/// The fields that somebody can own.
pub(super) fn without_nobodys(set: &mut FieldSet) {
    let mut nobodys = FieldSet::default();
    let mut meta = FieldSet::default();
    NOBODYS.iter().for_each(|name| meta.insert(PathElement::Field((*name).to_owned())));
    for name in ["apiVersion", "kind"] {
        nobodys.insert(PathElement::Field(name.to_owned()));
    }
    nobodys.insert_below(PathElement::Field("metadata".to_owned()), meta);
    set.subtract_whole(&nobodys);
    let mut metadata = FieldSet::default();
    metadata.insert(PathElement::Field("metadata".to_owned()));
    set.subtract(&metadata);
}

impl Managers {
    /// Reads `metadata.managedFields`.
    pub fn from_json(list: &Value) -> Self {
        let text = |entry: &Value, key: &str| entry[key].as_str().unwrap_or_default().to_owned();
        let read = |entry: &Value| {
            let operation = if entry["operation"] == "Apply" { Operation::Apply } else { Operation::Update };
            Manager {
                name: text(entry, "manager"),
                operation,
                api_version: text(entry, "apiVersion"),
                subresource: text(entry, "subresource"),
                time: entry["time"].as_str().and_then(|time| time.parse().ok()),
                fields: FieldSet::from_json(&entry["fieldsV1"]),
            }
        };
        Self(list.as_array().into_iter().flatten().map(read).filter(|manager| !manager.fields.is_empty()).collect())
    }

    /// As `metadata.managedFields`.
    pub fn to_json(&self) -> Value {
        let mut sorted: Vec<&Manager> = self.0.iter().collect();
        sorted.sort_by(|a, b| {
            let key = |m: &Manager| (m.operation, m.time, m.name.clone(), m.api_version.clone(), m.subresource.clone());
            key(a).cmp(&key(b))
        });
        let write = |manager: &Manager| {
            let operation = if manager.operation == Operation::Apply { "Apply" } else { "Update" };
            let mut entry = json!({
                "manager": manager.name, "operation": operation, "apiVersion": manager.api_version,
                "fieldsType": "FieldsV1", "fieldsV1": manager.fields.to_json(),
            });
            if let Some(time) = manager.time {
                entry["time"] = json!(crate::metav1_time(time));
            }
            if !manager.subresource.is_empty() {
                entry["subresource"] = json!(manager.subresource);
            }
            entry
        };
        Value::Array(sorted.into_iter().map(write).collect())
    }

    /// Whether nobody owns anything.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The entry of a writer.
    pub fn find(&self, like: &Manager) -> Option<&Manager> {
        self.0.iter().find(|manager| same(manager, like))
    }

    /// What all but `one` own.
    pub(super) fn of_others(&self, one: &Manager) -> FieldSet {
        let mut all = FieldSet::default();
        self.0.iter().filter(|manager| !same(manager, one)).for_each(|manager| all.add(&manager.fields));
        all
    }

    /// Gives `writer` the fields in `writer.fields`, in place of what it had. Its time stays if nothing changed.
    pub(super) fn set(&mut self, mut writer: Manager) {
        match self.0.iter().position(|manager| same(manager, &writer)) {
            Some(at) => {
                if self.0[at].fields == writer.fields {
                    writer.time = self.0[at].time;
                }
                self.0[at] = writer;
            }
            None => self.0.push(writer),
        }
        self.0.retain(|manager| !manager.fields.is_empty());
    }

    /// Fields of others that `writer` has changed.
    pub(super) fn conflicts(&self, writer: &Manager, comparison: &Comparison) -> Vec<Conflict> {
        let mut changed = comparison.modified.clone();
        changed.add(&comparison.added);
        let others = self.0.iter().filter(|manager| !same(manager, writer));
        let conflict = |manager: &Manager| {
            let fields = manager.fields.intersection(&changed);
            (!fields.is_empty()).then(|| Conflict { manager: manager.clone(), fields })
        };
        others.filter_map(conflict).collect()
    }

    /// Takes from the others what `writer` has changed, and from everybody what is gone.
    pub(super) fn take(&mut self, writer: &Manager, comparison: &Comparison) {
        let mut changed = comparison.modified.clone();
        changed.add(&comparison.added);
        for manager in &mut self.0 {
            if !same(manager, writer) {
                manager.fields.subtract(&changed);
            }
            manager.fields.subtract(&comparison.removed);
        }
        self.0.retain(|manager| !manager.fields.is_empty());
    }

    /// Takes over a write of `writer` that is no apply: what it changed is its own now.
    pub fn update(&mut self, mut writer: Manager, comparison: &Comparison) {
        let mut comparison = comparison.clone();
        for set in [&mut comparison.added, &mut comparison.modified, &mut comparison.removed] {
            without_nobodys(set);
        }
        self.take(&writer, &comparison);
        let mut fields = self.find(&writer).map(|own| own.fields.clone()).unwrap_or_default();
        fields.add(&comparison.added);
        fields.add(&comparison.modified);
        writer.fields = fields;
        self.set(writer);
        self.cap();
    }

    /// Puts the oldest entries of writers together, where there are too many.
    fn cap(&mut self) {
        loop {
            let mut updaters: Vec<usize> =
                (0..self.0.len()).filter(|at| self.0[*at].operation == Operation::Update).collect();
            if updaters.len() <= UPDATERS_MAX {
                return;
            }
            updaters.sort_by_key(|at| (self.0[*at].name != ANCIENT, self.0[*at].time));
            let (kept, gone) = (updaters[0], updaters[1]);
            let fields = self.0[gone].fields.clone();
            let oldest = &mut self.0[kept];
            ANCIENT.clone_into(&mut oldest.name);
            oldest.subresource.clear();
            oldest.fields.add(&fields);
            self.0.remove(gone);
        }
    }
}

/// Whether two entries are of one writer.
fn same(a: &Manager, b: &Manager) -> bool {
    (&a.name, a.operation, &a.subresource) == (&b.name, b.operation, &b.subresource)
        && (a.operation == Operation::Apply || a.api_version == b.api_version)
}
