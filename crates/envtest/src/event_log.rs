//! What happened in a run, in order: every commit of the datastore, and notes of what the simulator did to the cluster.
//! Two runs are equal if their logs are; as text it is made to be read and compared line by line.
//!
//! Who writes: the datastore at each commit, whoever injects a fault. Who reads: the scenario's end.

mod difference;

use std::fmt::Write as _;

use apimachinery::Resource;
use datastore::Committed;
use jiff::Timestamp;
use parking_lot::Mutex;
use serde_json::Value;

use difference::differences;

/// Below which all keys lie.
const ROOT: &str = "/registry/";

/// One line of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// When, in virtual time.
    pub at: Timestamp,
    /// What.
    pub what: Happening,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happening {
    /// A write of the datastore.
    Commit(Committed),
    /// What the simulator did.
    Note(String),
}

/// The log of a run.
#[derive(Debug, Default)]
pub struct EventLog {
    entries: Mutex<Vec<Entry>>,
}

impl EventLog {
    pub(crate) fn commit(&self, at: Timestamp, committed: Committed) {
        self.entries.lock().push(Entry { at, what: Happening::Commit(committed) });
    }

    pub(crate) fn note(&self, at: Timestamp, text: String) {
        self.entries.lock().push(Entry { at, what: Happening::Note(text) });
    }

    /// The number of entries.
    pub fn len(&self) -> usize {
        self.entries.lock().len()
    }

    /// Whether nothing has happened.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What the values of `key` were that were committed from entry number `from` on.
    pub fn history(&self, key: &str, from: usize) -> Vec<Value> {
        let entries = self.entries.lock();
        let commits = entries.iter().skip(from).filter_map(|entry| match &entry.what {
            Happening::Commit(committed) => committed.kv.as_ref().filter(|kv| *kv.key == *key),
            Happening::Note(_) => None,
        });
        commits.filter_map(|kv| serde_json::from_slice(&kv.value).ok()).collect()
    }

    /// The keys that were deleted from entry number `from` on, in order.
    pub fn deleted(&self, from: usize) -> Vec<String> {
        let entries = self.entries.lock();
        let gone = entries.iter().skip(from).filter_map(|entry| match &entry.what {
            Happening::Commit(Committed { kv: None, prev: Some(prev), .. }) => Some(prev.key.to_string()),
            _ => None,
        });
        gone.collect()
    }

    /// Where the log differs from `other`: the number of the first entry that is not the same, and both texts of it.
    pub fn first_difference(&self, other: &Self) -> Option<(usize, String, String)> {
        let (ours, theirs) = (self.entries.lock(), other.entries.lock());
        let at = (0..ours.len().max(theirs.len())).find(|at| ours.get(*at) != theirs.get(*at))?;
        let text = |entry: Option<&Entry>| entry.map_or_else(|| "(the end)".to_owned(), line);
        Some((at, text(ours.get(at)), text(theirs.get(at))))
    }

    /// The whole log as text, one line an entry.
    pub fn text(&self) -> String {
        self.tail(usize::MAX)
    }

    /// The last `lines` lines.
    pub fn tail(&self, lines: usize) -> String {
        let entries = self.entries.lock();
        let from = entries.len().saturating_sub(lines);
        entries[from..].iter().fold(String::new(), |mut out, entry| {
            out.push_str(&line(entry));
            out.push('\n');
            out
        })
    }
}

/// `2026-01-01T00:00:02.017Z 341 MODIFIED Pod default/web-5d8f4: spec.nodeName: "node-2"`
fn line(entry: &Entry) -> String {
    let mut out = entry.at.strftime("%Y-%m-%dT%H:%M:%S%.6fZ ").to_string();
    match &entry.what {
        Happening::Note(text) => {
            let _ = write!(out, "      -- {text}");
        }
        Happening::Commit(committed) => {
            let _ = write!(out, "{:5} {}", committed.revision, describe(committed));
        }
    }
    out
}

fn describe(committed: &Committed) -> String {
    let kv = committed.kv.as_ref().or(committed.prev.as_ref());
    let Some(kv) = kv else { return "(nothing)".to_owned() };
    let parse = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap_or_default();
    let now = committed.kv.as_ref().map(|kv| parse(&kv.value));
    let before = committed.prev.as_ref().map(|kv| parse(&kv.value));
    let (kind, name) = kind_and_name(&kv.key);
    match (before, now) {
        (None, Some(now)) if kind == "Event" => format!("EVENT    {}", event(&now)),
        (Some(_), Some(now)) if kind == "Event" => format!("EVENT    {} (x{})", event(&now), now["count"]),
        (None, _) => format!("ADDED    {kind} {name}"),
        (_, None) => format!("DELETED  {kind} {name}"),
        (Some(before), Some(now)) => format!("MODIFIED {kind} {name}: {}", differences(&before, &now)),
    }
}

fn event(event: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let about = &event["involvedObject"];
    format!(
        "{} {} {} {}: {}",
        text(&event["type"]),
        text(&event["reason"]),
        text(&about["kind"]),
        text(&about["name"]),
        text(&event["message"])
    )
}

/// `/registry/deployments/default/web` → `Deployment` and `default/web`.
fn kind_and_name(key: &str) -> (&'static str, &str) {
    let rest = key.strip_prefix(ROOT).unwrap_or(key);
    let of = |resource: &&Resource| {
        let prefix = api::storage_prefix(resource);
        rest.strip_prefix(prefix.as_str()).is_some_and(|rest| rest.starts_with('/'))
    };
    match api::RESOURCES.iter().filter(|resource| resource.stored()).find(of) {
        Some(resource) => (resource.kind, &rest[api::storage_prefix(resource).len() + 1..]),
        None => ("?", rest),
    }
}

#[cfg(test)]
mod tests;
