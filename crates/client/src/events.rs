//! The recorder of Events: the same event on the same object is counted instead of written again, many similar ones are
//! combined, and a chatty source is cut off (upstream: `client-go/tools/record`, `events_cache.go`).

use std::collections::BTreeMap;
use std::sync::Arc;

use api::resources::EVENTS;
use apimachinery::{Object, Reason, Resource, metav1_time};
use component_base::{Clock, Supervisor};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::client::Client;
use crate::transport::PatchKind;

/// Events that wait to be written; further ones are dropped and counted in the log.
const QUEUE_MAX: usize = 1000;
/// Similar events within [`AGGREGATION_SECONDS`] before they are combined.
const AGGREGATION_MAX: usize = 10;
/// The window for combining.
const AGGREGATION_SECONDS: i64 = 600;
/// Events that one source may write about one object at once.
const BURST: f64 = 25.0;
/// Seconds until one more is allowed.
const REFILL_SECONDS: f64 = 300.0;
/// Names that are tried for one Event.
const NAMES_MAX: usize = 10;
/// Correlated series that are remembered; the oldest are forgotten.
const CACHE_MAX: usize = 4096;

/// The two types of Event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventType {
    /// Nothing is wrong.
    Normal,
    /// Somebody should look.
    Warning,
}

impl EventType {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "Normal",
            Self::Warning => "Warning",
        }
    }
}

/// What an Event is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
#[allow(missing_docs, reason = "the fields are v1.ObjectReference's")]
pub struct ObjectReference {
    pub api_version: String,
    pub kind: String,
    pub namespace: String,
    pub name: String,
    pub uid: String,
    pub resource_version: String,
    pub field_path: String,
}

impl ObjectReference {
    /// A reference to `object`, which is of `resource`.
    pub fn to(resource: &Resource, object: &Object) -> Self {
        let meta = object.meta();
        Self {
            api_version: resource.api_version(),
            kind: resource.kind.to_owned(),
            namespace: meta.namespace.clone(),
            name: meta.name.clone(),
            uid: meta.uid.clone(),
            resource_version: if meta.resource_version == 0 {
                String::new()
            } else {
                meta.resource_version.to_string()
            },
            field_path: String::new(),
        }
    }

    /// The same object, but a part of it: `spec.containers{web}`.
    #[must_use]
    pub fn field(mut self, path: impl Into<String>) -> Self {
        self.field_path = path.into();
        self
    }

    fn value(&self) -> Value {
        let mut out = serde_json::Map::new();
        for (key, text) in [
            ("apiVersion", &self.api_version),
            ("kind", &self.kind),
            ("namespace", &self.namespace),
            ("name", &self.name),
            ("uid", &self.uid),
            ("resourceVersion", &self.resource_version),
            ("fieldPath", &self.field_path),
        ] {
            if !text.is_empty() {
                out.insert(key.to_owned(), json!(text));
            }
        }
        Value::Object(out)
    }
}

#[derive(Debug)]
struct Recorded {
    about: ObjectReference,
    event_type: EventType,
    reason: String,
    message: String,
    at: Timestamp,
}

/// Records Events as one component. Cheap to clone; recording never blocks.
#[derive(Debug, Clone)]
pub struct EventRecorder {
    sender: mpsc::Sender<Recorded>,
    clock: Arc<dyn Clock>,
}

impl EventRecorder {
    /// A recorder for `component` (on node `host`, or empty) that writes through `client`.
    pub fn start(
        client: Client,
        supervisor: &Supervisor,
        clock: Arc<dyn Clock>,
        component: &'static str,
        host: &str,
    ) -> Self {
        let (sender, receiver) = mpsc::channel(QUEUE_MAX);
        let writer = Writer { client, component, host: host.to_owned(), correlator: Correlator::default(), named: 0 };
        supervisor.spawn_until_shutdown(format!("events-{component}"), writer.run(receiver));
        Self { sender, clock }
    }

    /// Records that `reason` happened to `about`.
    pub fn event(&self, about: ObjectReference, event_type: EventType, reason: &str, message: impl Into<String>) {
        let recorded =
            Recorded { about, event_type, reason: reason.to_owned(), message: message.into(), at: self.clock.now() };
        if self.sender.try_send(recorded).is_err() {
            tracing::warn!(reason, "event queue is full, dropping an Event");
        }
    }
}

struct Writer {
    client: Client,
    component: &'static str,
    host: String,
    correlator: Correlator,
    /// What the newest name ends with.
    named: i128,
}

impl Writer {
    async fn run(mut self, mut receiver: mpsc::Receiver<Recorded>) {
        while let Some(recorded) = receiver.recv().await {
            if let Some(step) = self.correlator.step(&recorded) {
                self.write(&recorded, step).await;
            }
        }
    }

    async fn write(&mut self, recorded: &Recorded, step: Step) {
        let namespace = if recorded.about.namespace.is_empty() { "default" } else { recorded.about.namespace.as_str() };
        if let Some(name) = &step.existing {
            let patch = json!({
                "count": step.count, "lastTimestamp": metav1_time(recorded.at), "message": step.message,
            });
            match self.client.patch(EVENTS, namespace, name, PatchKind::Strategic, patch).await {
                Ok(_) => return,
                Err(error) if error.code == 404 => {}
                Err(error) => {
                    tracing::debug!(error = %error, "failed to count an Event");
                    return;
                }
            }
        }
        let mut source = json!({"component": self.component});
        if !self.host.is_empty() {
            source["host"] = json!(self.host);
        }
        let mut event = json!({
            "apiVersion": "v1", "kind": "Event", "metadata": {"namespace": namespace},
            "involvedObject": recorded.about.value(),
            "reason": recorded.reason, "message": step.message, "type": recorded.event_type.as_str(),
            "source": source, "reportingComponent": self.component, "reportingInstance": self.host,
            "firstTimestamp": metav1_time(step.first), "lastTimestamp": metav1_time(recorded.at), "count": step.count,
        });
        // Two of one instant are two, and another component may have found the same name.
        for _ in 0..NAMES_MAX {
            self.named = recorded.at.as_nanosecond().max(self.named + 1);
            let name = format!("{}.{:x}", recorded.about.name, self.named);
            event["metadata"]["name"] = json!(name);
            match self.client.create(EVENTS, namespace, event.clone()).await {
                Ok(_) => return self.correlator.written(&step.key, name),
                Err(error) if error.reason == Reason::AlreadyExists => {}
                Err(error) => return tracing::debug!(error = %error, "failed to write an Event"),
            }
        }
        tracing::debug!(reason = recorded.reason, "found no name for an Event");
    }
}

/// What to do with an Event.
#[derive(Debug, PartialEq)]
struct Step {
    key: Vec<String>,
    /// The Event object that counts this series already.
    existing: Option<String>,
    message: String,
    count: u32,
    first: Timestamp,
}

#[derive(Debug, Default)]
struct Correlator {
    /// Series of equal events.
    series: BTreeMap<Vec<String>, Series>,
    /// Events that differ in the message only.
    similar: BTreeMap<Vec<String>, Similar>,
    /// Token buckets by object.
    buckets: BTreeMap<ObjectReference, (f64, Timestamp)>,
}

#[derive(Debug)]
struct Series {
    name: Option<String>,
    count: u32,
    first: Timestamp,
    last: Timestamp,
}

#[derive(Debug)]
struct Similar {
    messages: std::collections::BTreeSet<String>,
    last: Timestamp,
}

impl Correlator {
    /// Counts `recorded`; `None` if its source is too chatty.
    fn step(&mut self, recorded: &Recorded) -> Option<Step> {
        if !self.admit(recorded) {
            return None;
        }
        let about = &recorded.about;
        let mut key = vec![
            about.kind.clone(),
            about.namespace.clone(),
            about.name.clone(),
            about.uid.clone(),
            about.field_path.clone(),
            recorded.event_type.as_str().to_owned(),
            recorded.reason.clone(),
        ];
        let message = if self.aggregate(&key, recorded) {
            key.push(String::new());
            format!("(combined from similar events): {}", recorded.message)
        } else {
            key.push(recorded.message.clone());
            recorded.message.clone()
        };
        let series = self.series.entry(key.clone()).or_insert_with(|| Series {
            name: None,
            count: 0,
            first: recorded.at,
            last: recorded.at,
        });
        series.count += 1;
        series.last = recorded.at;
        let step = Step { key, existing: series.name.clone(), message, count: series.count, first: series.first };
        if self.series.len() > CACHE_MAX
            && let Some(oldest) = self.series.iter().min_by_key(|(_, s)| s.last).map(|(k, _)| k.clone())
        {
            self.series.remove(&oldest);
        }
        Some(step)
    }

    /// Remembers the object that a series was written to.
    fn written(&mut self, key: &[String], name: String) {
        if let Some(series) = self.series.get_mut(key) {
            series.name = Some(name);
        }
    }

    fn admit(&mut self, recorded: &Recorded) -> bool {
        let mut about = recorded.about.clone();
        about.resource_version.clear();
        about.field_path.clear();
        if self.buckets.len() >= CACHE_MAX
            && let Some(oldest) = self.buckets.iter().min_by_key(|(_, (_, at))| *at).map(|(k, _)| k.clone())
        {
            self.buckets.remove(&oldest);
        }
        let (tokens, last) = self.buckets.entry(about).or_insert((BURST, recorded.at));
        let elapsed = recorded.at.duration_since(*last).as_secs_f64().max(0.0);
        *tokens = (*tokens + elapsed / REFILL_SECONDS).min(BURST);
        *last = recorded.at;
        if *tokens < 1.0 {
            return false;
        }
        *tokens -= 1.0;
        true
    }

    fn aggregate(&mut self, key: &[String], recorded: &Recorded) -> bool {
        if self.similar.len() > CACHE_MAX
            && let Some(oldest) = self.similar.iter().min_by_key(|(_, s)| s.last).map(|(k, _)| k.clone())
        {
            self.similar.remove(&oldest);
        }
        let similar = self
            .similar
            .entry(key.to_vec())
            .or_insert_with(|| Similar { messages: std::collections::BTreeSet::new(), last: recorded.at });
        if recorded.at.duration_since(similar.last).as_secs() > AGGREGATION_SECONDS {
            similar.messages.clear();
        }
        similar.last = recorded.at;
        if similar.messages.len() < AGGREGATION_MAX {
            similar.messages.insert(recorded.message.clone());
        }
        similar.messages.len() >= AGGREGATION_MAX
    }
}

#[cfg(test)]
mod tests;
