//! The Jobs that a CronJob starts.

use api::resources::CRONJOBS;
use apimachinery::Object;
use apimachinery::cron::time_zone;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::plan::Start;
use crate::owner;

/// The time of the schedule at which the Job should have started, in the CronJob's zone.
const SCHEDULED: &str = "batch.kubernetes.io/cronjob-scheduled-timestamp";

/// The Job that `start` asks for, of the template of `cron`.
pub(super) fn job(cron: &Object, start: &Start) -> Value {
    let mut spec = cron.value()["spec"].take();
    let zone = spec["timeZone"].as_str().map_or(Ok(TimeZone::UTC), time_zone).unwrap_or(TimeZone::UTC);
    let mut template = spec["jobTemplate"].take();
    let mut metadata = json!({
        "name": start.name,
        "namespace": cron.meta().namespace,
        "annotations": template["metadata"]["annotations"].take(),
        "ownerReferences": [owner::reference(CRONJOBS, cron)],
    });
    metadata["annotations"][SCHEDULED] = json!(shown(start.at, zone));
    let labels = template["metadata"]["labels"].take();
    if !labels.is_null() {
        metadata["labels"] = labels;
    }
    json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": template["spec"].take()})
}

/// RFC 3339 in `zone`.
fn shown(at: Timestamp, zone: TimeZone) -> String {
    let at = at.to_zoned(zone);
    let offset = if at.offset().is_zero() { "Z" } else { "%:z" };
    at.strftime(&format!("%Y-%m-%dT%H:%M:%S{offset}")).to_string()
}

#[cfg(test)]
mod tests;
