//! The table of Events at the end of a description.

use super::Case;
use super::fields::Fields;
use super::page::{Page, age, line};
use jiff::Timestamp;

/// Writes the Events, the oldest first; nothing where they are not shown.
pub(super) fn events(case: &Case<'_>, page: &mut Page) {
    let Some(events) = &case.related.events else {
        return;
    };
    if events.is_empty() {
        line!(page, 0, "Events:\t<none>");
        return;
    }
    page.flush();
    let mut sorted: Vec<_> = events.iter().collect();
    sorted.sort_by_key(|event| event.text("lastTimestamp").parse::<Timestamp>().unwrap_or(Timestamp::MIN));
    line!(page, 0, "Events:\n  Type\tReason\tAge\tFrom\tMessage");
    line!(page, 1, "----\t------\t----\t----\t-------");
    for event in sorted {
        let age = |path: &str| age(event.at(path), case.now);
        let first = if event.has("eventTime") { age("eventTime") } else { age("firstTimestamp") };
        let interval = if event.has("series") {
            format!("{} (x{} over {first})", age("series/lastObservedTime"), event.int("series/count"))
        } else if event.int("count") > 1 {
            format!("{} (x{} over {first})", age("lastTimestamp"), event.int("count"))
        } else {
            first
        };
        let source = match event.text("source/component") {
            "" => event.text("reportingComponent"),
            component => component,
        };
        let path = match event.text("involvedObject/fieldPath") {
            "" => String::new(),
            path => format!("{path}: "),
        };
        let message = event.text("message").trim();
        line!(page, 1, "{}\t{}\t{interval}\t{source}\t{path}{message}", event.text("type"), event.text("reason"));
    }
}
