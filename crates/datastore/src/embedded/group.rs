//! What a group of requests does to the keys. Pure: nothing is changed here.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;

use crate::{CommitError, Committed, Event, Expect, KeyValue, Op, Revision, history::Keys, log::Record};

/// The answers to a group, in its order, and the events it makes.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) answers: Vec<Result<Committed, CommitError>>,
    pub(super) events: Vec<Arc<Event>>,
}

/// Decides a group of requests one after the other, each seeing what those before it did.
pub(super) fn plan(keys: &Keys, revision: Revision, ops: &[Op]) -> Plan {
    let mut touched: HashMap<&str, Option<Arc<KeyValue>>> = HashMap::with_capacity(ops.len());
    let mut plan = Plan { answers: Vec::with_capacity(ops.len()), events: Vec::with_capacity(ops.len()) };
    let mut revision = revision;
    for op in ops {
        let key = op.key();
        let prev = touched.get(&**key).cloned().unwrap_or_else(|| keys.get(&**key).cloned());
        let answer = check(op, prev.as_ref()).map(|()| {
            revision = revision.next();
            let value = match op {
                Op::Put { value, .. } => Some(value.clone()),
                Op::Delete { .. } => None,
            };
            let event = event(revision, key.clone(), value, prev);
            touched.insert(key, event.kv.clone());
            let committed = Committed { revision, kv: event.kv.clone(), prev: event.prev.clone() };
            plan.events.push(Arc::new(event));
            committed
        });
        plan.answers.push(answer);
    }
    plan
}

fn check(op: &Op, found: Option<&Arc<KeyValue>>) -> Result<(), CommitError> {
    let (Op::Put { key, expect, .. } | Op::Delete { key, expect }) = op;
    if matches!(op, Op::Delete { .. }) && found.is_none() {
        return Err(CommitError::NotFound { key: key.clone() });
    }
    let holds = match expect {
        Expect::Any => true,
        Expect::Absent => found.is_none(),
        Expect::ModRevision(revision) => found.is_some_and(|kv| kv.mod_revision == *revision),
    };
    if holds { Ok(()) } else { Err(CommitError::Conflict { key: key.clone(), found: found.cloned() }) }
}

/// The event of a write, with the bookkeeping that follows from the key's past.
fn event(revision: Revision, key: Arc<str>, value: Option<Bytes>, prev: Option<Arc<KeyValue>>) -> Event {
    let kv = value.map(|value| {
        // A key keeps one copy of its name for life.
        let (key, create_revision, version) = match &prev {
            Some(prev) => (prev.key.clone(), prev.create_revision, prev.version + 1),
            None => (key.clone(), revision, 1),
        };
        Arc::new(KeyValue { key, value, create_revision, mod_revision: revision, version })
    });
    let key = kv.as_ref().or(prev.as_ref()).map_or(key, |kv| kv.key.clone());
    Event { revision, key, kv, prev }
}

/// The event of a record read from the log.
pub(super) fn replay(keys: &Keys, revision: Revision, record: Record<'_>) -> Result<Event, String> {
    match record {
        Record::Put { key, value } => {
            Ok(event(revision, key.into(), Some(Bytes::copy_from_slice(value)), keys.get(key).cloned()))
        }
        Record::Delete { key } => match keys.get(key) {
            Some(prev) => Ok(event(revision, prev.key.clone(), None, Some(prev.clone()))),
            None => Err(format!("revision {revision} deletes the key {key:?}, which does not exist")),
        },
    }
}

/// The bytes a request adds to its frame, at most.
pub(super) fn record_bytes(op: &Op) -> usize {
    const OVERHEAD: usize = 7;
    match op {
        Op::Put { key, value, .. } => OVERHEAD + key.len() + value.len(),
        Op::Delete { key, .. } => OVERHEAD + key.len(),
    }
}

#[cfg(test)]
mod tests;
