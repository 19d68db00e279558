//! `kubectl events` (upstream: `kubectl/pkg/cmd/events`).

use clap::Args;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::taint::named_type;
use crate::context::Context;
use crate::error::KubectlError;
use crate::flags::values;
use crate::output::columns::{ColumnWriter, escape_terminal};
use crate::output::table::age;
use crate::output::{ObjectPrinter, OutputFlags};
use crate::resource::{ListQuery, Requests};

/// List events, those that were seen last at the end.
#[derive(Debug, Args)]
pub(crate) struct EventsCommand {
    #[command(flatten)]
    output: OutputFlags,
    /// Events of all namespaces
    #[arg(long, short = 'A')]
    all_namespaces: bool,
    /// The most Events of one answer; 0 for all at once
    #[arg(long, value_parser = values::int64, default_value = "500", allow_negative_numbers = true)]
    chunk_size: i64,
    /// Only those about this object: TYPE/NAME
    #[arg(long = "for")]
    about: Option<String>,
    /// No line of headers
    #[arg(long)]
    no_headers: bool,
    /// Only those of these types: Normal, Warning
    #[arg(long)]
    types: Vec<String>,
    /// Go on with those that come
    #[arg(long, short)]
    watch: bool,
}

impl EventsCommand {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), KubectlError> {
        let field_selector = match self.about.as_deref().unwrap_or_default() {
            "" => String::new(),
            about => about_object(context, about).await?,
        };
        let types = values::split_list(&self.types);
        let mut lines = Lines {
            objects: match self.output.output.as_deref() {
                None | Some("") => None,
                Some(_) => Some(self.output.printer("events")?),
            },
            with_namespace: self.all_namespaces,
            header: !self.no_headers,
            writer: ColumnWriter::default(),
        };
        if types.iter().any(|ty| !["normal", "warning"].contains(&ty.to_ascii_lowercase().as_str())) {
            return Err(KubectlError::new("valid --types are Normal or Warning"));
        }
        let is_meant = |event: &Value| {
            let ty = event["type"].as_str().unwrap_or_default();
            types.is_empty() || types.iter().any(|wanted| wanted.eq_ignore_ascii_case(ty))
        };
        let namespace = if self.all_namespaces { "" } else { context.namespace()? };
        let requests = Requests::new(context.client()?);
        let resource = context.resource("events.v1.").await?;
        let limit = u64::try_from(self.chunk_size).unwrap_or_default();
        let mut query = ListQuery { field_selector, limit, ..ListQuery::default() };
        if self.watch {
            let mut changes = requests.watch(&resource, namespace, &query).await?;
            while let Ok(Some((kind, event))) = changes.next().await {
                if matches!(kind.as_str(), "ADDED" | "MODIFIED") && is_meant(&event) {
                    lines.print(context, &event)?;
                }
            }
            return Ok(());
        }
        let mut events = Vec::new();
        loop {
            let mut list = requests.list(&resource, namespace, &query).await?;
            list["metadata"]["continue"].as_str().unwrap_or_default().clone_into(&mut query.continue_token);
            if let Value::Array(items) = list["items"].take() {
                events.extend(items.into_iter().filter(is_meant));
            }
            if query.continue_token.is_empty() {
                break;
            }
        }
        if events.is_empty() {
            let place = if namespace.is_empty() { String::new() } else { format!(" in {namespace} namespace") };
            context.printer.err_line(format!("No events found{place}."));
            return Ok(());
        }
        for event in &mut events {
            // The server leaves out of a list's items what the list says.
            event["apiVersion"] = json!("v1");
            event["kind"] = json!("Event");
        }
        events.sort_by_key(seen);
        let list = json!({"apiVersion": "v1", "kind": "EventList", "metadata": {}, "items": events});
        lines.print(context, &list)
    }
}

/// The field selector of the Events about `TYPE/NAME`.
async fn about_object(context: &Context, text: &str) -> Result<String, KubectlError> {
    let (ty, name) = match text.split('/').collect::<Vec<_>>()[..] {
        [_] => return Err(KubectlError::new("--for must be in resource/name form")),
        [ty, name] => (ty, name),
        _ => return Err(KubectlError::new("arguments in resource/name form may not have more than one slash")),
    };
    let resource = named_type(context, &ty.to_lowercase()).await?;
    if name.is_empty() {
        return Ok(String::new());
    }
    let (kind, version) = (&resource.kind, resource.api_version());
    Ok(format!("involvedObject.kind={kind},involvedObject.apiVersion={version},involvedObject.name={name}"))
}

fn time(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

/// When an Event was seen last.
fn seen(event: &Value) -> Option<Timestamp> {
    if event["series"].is_object() {
        return time(&event["series"]["lastObservedTime"]);
    }
    time(&event["lastTimestamp"]).or_else(|| time(&event["eventTime"]))
}

/// How long ago that was, and how often it was seen before.
fn interval(event: &Value, now: Timestamp) -> String {
    let ago = |value: &Value| match time(value) {
        Some(time) => age(now.duration_since(time).as_secs()),
        None => "<unknown>".to_owned(),
    };
    let first = if event["eventTime"].is_string() { ago(&event["eventTime"]) } else { ago(&event["firstTimestamp"]) };
    let count = event["count"].as_i64().unwrap_or_default();
    let series = &event["series"];
    if series.is_object() {
        let count = series["count"].as_i64().unwrap_or_default();
        return format!("{} (x{count} over {first})", ago(&series["lastObservedTime"]));
    }
    if count > 1 { format!("{} (x{count} over {first})", ago(&event["lastTimestamp"])) } else { first }
}

/// Prints Events as lines of one table, or as `-o` says.
struct Lines {
    objects: Option<ObjectPrinter>,
    with_namespace: bool,
    header: bool,
    writer: ColumnWriter,
}

impl Lines {
    /// Prints an Event or a list of them.
    fn print(&mut self, context: &Context, events: &Value) -> Result<(), KubectlError> {
        if let Some(objects) = &self.objects {
            return objects.print(&context.printer, events);
        }
        if std::mem::take(&mut self.header) {
            let header = ["LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"].map(str::to_owned);
            let namespace = self.with_namespace.then(|| "NAMESPACE".to_owned());
            self.writer.row(namespace.into_iter().chain(header).collect());
        }
        let now = context.clock.now();
        match events["items"].as_array() {
            Some(items) => items.iter().for_each(|event| self.writer.row(cells(event, self.with_namespace, now))),
            None => self.writer.row(cells(events, self.with_namespace, now)),
        }
        context.printer.out(self.writer.flush())
    }
}

fn cells(event: &Value, with_namespace: bool, now: Timestamp) -> Vec<String> {
    let text = |value: &Value| escape_terminal(value.as_str().unwrap_or_default().trim());
    let about = &event["involvedObject"];
    let namespace = with_namespace.then(|| text(&event["metadata"]["namespace"]));
    let cells = [
        interval(event, now),
        text(&event["type"]),
        text(&event["reason"]),
        format!("{}/{}", text(&about["kind"]), text(&about["name"])),
        text(&event["message"]),
    ];
    namespace.into_iter().chain(cells).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals() {
        let now = "2026-01-01T01:00:00Z".parse().unwrap();
        let first = "2026-01-01T00:58:00Z";
        for (event, expected) in [
            (json!({"firstTimestamp": first, "lastTimestamp": first, "count": 1}), "2m"),
            (json!({"firstTimestamp": first, "lastTimestamp": "2026-01-01T00:59:55Z", "count": 4}), "5s (x4 over 2m)"),
            (json!({"eventTime": "2026-01-01T00:59:00.123456Z"}), "59s"),
            (
                json!({"eventTime": first, "series": {"count": 3, "lastObservedTime": "2026-01-01T00:59:00.000000Z"}}),
                "60s (x3 over 2m)",
            ),
            (json!({}), "<unknown>"),
        ] {
            assert_eq!(interval(&event, now), expected);
        }
    }

    #[test]
    fn the_last_one_seen_counts() {
        let mut events = [
            json!({"reason": "c", "lastTimestamp": "2026-01-01T00:03:00Z", "eventTime": null}),
            json!({"reason": "a", "eventTime": "2026-01-01T00:01:00.000001Z"}),
            json!({"reason": "b", "series": {"lastObservedTime": "2026-01-01T00:02:00.5Z"}, "lastTimestamp": "2026-01-01T00:09:00Z"}),
        ];
        events.sort_by_key(seen);
        assert_eq!(events.each_ref().map(|event| event["reason"].as_str().unwrap()), ["a", "b", "c"]);
    }
}
