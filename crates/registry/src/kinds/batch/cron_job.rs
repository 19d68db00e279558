//! The fields of a CronJob's spec.

use apimachinery::cron::{Schedule, time_zone};
use apimachinery::{FieldError, FieldPath};
use serde_json::Value;

use super::job;
use crate::check::{not_negative, one_of, selector_text};
use crate::value::{flag, has, text};

/// Faults of a CronJob's spec. `old` is the spec before an update.
pub(super) fn spec(spec: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let path = FieldPath::new("spec");
    let mut faults = Vec::new();
    let schedule = text(spec, "schedule");
    let schedule_path = path.child("schedule");
    if schedule.is_empty() {
        faults.push(FieldError::required(&schedule_path, ""));
    } else {
        if let Err(error) = Schedule::parse(schedule) {
            faults.push(FieldError::invalid(&schedule_path, schedule, error));
        }
        let had_zone = old.is_some_and(|old| text(old, "schedule").contains("TZ"));
        let detail = match (schedule.contains("TZ"), had_zone) {
            (true, false) => Some("cannot use TZ or CRON_TZ in schedule, use timeZone field instead"),
            (true, true) if has(spec, "timeZone") => {
                Some("cannot use both timeZone field and TZ or CRON_TZ in schedule")
            }
            _ => None,
        };
        faults.extend(detail.map(|detail| FieldError::invalid(&schedule_path, schedule, detail)));
    }
    faults.extend(not_negative(&path, spec, "startingDeadlineSeconds"));
    if has(spec, "timeZone") && old.is_none_or(|old| old["timeZone"] != spec["timeZone"]) {
        faults.extend(zone(&path.child("timeZone"), text(spec, "timeZone")));
    }
    let policy = text(spec, "concurrencyPolicy");
    if policy.is_empty() {
        faults.push(FieldError::required(&path.child("concurrencyPolicy"), ""));
    } else {
        faults.extend(one_of(&path.child("concurrencyPolicy"), policy, &["Allow", "Forbid", "Replace"]));
    }
    let job_path = path.child("jobTemplate").child("spec");
    let job = &spec["jobTemplate"]["spec"];
    faults.extend(job::fields(&job_path, job));
    if has(job, "selector") {
        let shown = selector_text(&job["selector"]);
        faults.push(FieldError::invalid(&job_path.child("selector"), shown, "`selector` will be auto-generated"));
    }
    if flag(job, "manualSelector") {
        faults.push(FieldError::not_supported(&job_path.child("manualSelector"), true, &["nil", "false"]));
    }
    faults.extend(not_negative(&path, spec, "successfulJobsHistoryLimit"));
    faults.extend(not_negative(&path, spec, "failedJobsHistoryLimit"));
    faults
}

/// Faults of a time zone's name.
fn zone(path: &FieldPath, name: &str) -> Vec<FieldError> {
    if name.is_empty() {
        return vec![FieldError::invalid(path, name, "timeZone must be nil or non-empty string")];
    }
    let other = |byte: u8| byte.is_ascii_alphanumeric() || b".-_+".contains(&byte);
    let is_part = |part: &str| {
        !matches!(part, "." | "..")
            && !part.starts_with('-')
            && (1..=14).contains(&part.len())
            && part.bytes().all(other)
    };
    if !name.split('/').all(is_part) {
        return vec![FieldError::invalid(path, name, format!("unknown time zone {name}"))];
    }
    let mut faults = Vec::new();
    let is_local = name.eq_ignore_ascii_case("Local");
    if is_local {
        let detail = "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones";
        faults.push(FieldError::invalid(path, name, detail));
    }
    // Go knows `Local`, in this spelling.
    if let Err(error) = time_zone(name)
        && name != "Local"
    {
        faults.push(FieldError::invalid(path, name, error));
    }
    faults
}
