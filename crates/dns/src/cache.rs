//! Answers of others, kept for as long as they allow, at most as long as kubeadm's CoreDNS does.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::{RData, Record};
use parking_lot::Mutex;
use tokio::time::Instant;

/// Answers kept; at about 300 bytes each this is 3 MB. CoreDNS' number for each of its two caches.
const ENTRIES_MAX: usize = 9984;
/// No answer is kept longer (`cache 30`).
const LIFETIME_MAX: Duration = Duration::from_secs(30);

/// The cache. What is asked in other words but for case is the same question.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    entries: HashMap<Query, Entry>,
    /// Oldest first. Lifetimes differ little, so the oldest is the one to drop.
    order: VecDeque<(Query, Instant)>,
}

#[derive(Debug)]
struct Entry {
    message: Message,
    stored: Instant,
    expires: Instant,
}

fn key(query: &Query) -> Query {
    let mut key = query.clone();
    key.set_name(query.name().to_lowercase());
    key
}

impl Cache {
    /// The answer, its lifetimes reduced by the time it has been here.
    pub(crate) fn get(&self, query: &Query) -> Option<Message> {
        let now = Instant::now();
        let inner = self.inner.lock();
        let entry = inner.entries.get(&key(query)).filter(|entry| entry.expires > now)?;
        let mut message = entry.message.clone();
        let age = u32::try_from((now - entry.stored).as_secs()).unwrap_or(u32::MAX);
        for record in [&mut message.answers, &mut message.authorities, &mut message.additionals].into_iter().flatten() {
            record.decrement_ttl(age);
        }
        Some(message)
    }

    /// Keeps an answer, if it may be kept.
    pub(crate) fn put(&self, query: &Query, message: &Message) {
        let Some(lifetime) = lifetime(message) else { return };
        let (now, key) = (Instant::now(), key(query));
        let mut inner = self.inner.lock();
        while inner.entries.len() >= ENTRIES_MAX || inner.order.len() >= 2 * ENTRIES_MAX {
            let Some((oldest, stored)) = inner.order.pop_front() else { break };
            // It may have been stored anew since.
            if inner.entries.get(&oldest).is_some_and(|entry| entry.stored == stored) {
                inner.entries.remove(&oldest);
            }
        }
        inner.order.push_back((key.clone(), now));
        inner.entries.insert(key, Entry { message: message.clone(), stored: now, expires: now + lifetime });
    }
}

/// How long an answer holds; `None` for one that must not be kept.
fn lifetime(message: &Message) -> Option<Duration> {
    if message.metadata.truncation {
        return None;
    }
    let least = |records: &[Record]| records.iter().map(|record| record.ttl).min();
    let positive = message.metadata.response_code == ResponseCode::NoError && !message.answers.is_empty();
    let seconds = match message.metadata.response_code {
        ResponseCode::NoError if positive => least(&message.answers)?,
        // RFC 2308: an absence holds as long as the SOA says.
        ResponseCode::NoError | ResponseCode::NXDomain => message
            .authorities
            .iter()
            .filter_map(|record| match &record.data {
                RData::SOA(soa) => Some(record.ttl.min(soa.minimum)),
                _ => None,
            })
            .min()?,
        _ => return None,
    };
    (seconds > 0).then(|| Duration::from_secs(seconds.into()).min(LIFETIME_MAX))
}

#[cfg(test)]
mod tests;
