//! Which times of its schedule a CronJob has missed, and when the next one is (upstream: `utils.go`).

use std::time::Duration;

use apimachinery::cron::{Schedule, time_zone};
use jiff::tz::TimeZone;
use k8s_openapi::api::batch::v1::CronJob;
use k8s_openapi::jiff::{SignedDuration, Timestamp};

/// Added to every wait, for clocks that differ a little.
const SKEW: SignedDuration = SignedDuration::from_millis(100);
/// Missed times above which something must be wrong.
const MISSED_MAX: i64 = 100;

/// How many times were missed, roughly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missed {
    None,
    Few,
    Many,
}

/// The times up to now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Past {
    /// From where they were looked for: the last one, or the CronJob's creation.
    earliest: Timestamp,
    /// The last one that has not been acted on.
    pub(super) most_recent: Option<Timestamp>,
    pub(super) missed: Missed,
}

/// The schedule, in the CronJob's time zone.
pub(super) fn of(cron: &CronJob) -> Result<Schedule, String> {
    let schedule = &cron.spec.schedule;
    // Objects of former versions may name the zone in the schedule.
    match zone(cron) {
        Some(Ok(zone)) if !schedule.contains("TZ") => Schedule::parse_in(schedule, zone),
        _ => Schedule::parse(schedule),
    }
}

/// The time zone, if one is named.
pub(super) fn zone(cron: &CronJob) -> Option<Result<TimeZone, String>> {
    cron.spec.time_zone.as_deref().map(time_zone)
}

/// What of the schedule is past. Times that are too late to start by `startingDeadlineSeconds` are left out if
/// `with_deadline` says so.
pub(super) fn past(
    cron: &CronJob,
    schedule: &Schedule,
    now: Timestamp,
    with_deadline: bool,
) -> Result<Past, &'static str> {
    let created = cron.metadata.creation_timestamp.as_ref().map_or(now, |at| at.0);
    let last = cron.status.as_ref().and_then(|status| status.last_schedule_time.as_ref());
    let mut earliest = last.map_or(created, |at| at.0);
    let deadline = cron.spec.starting_deadline_seconds.filter(|_| with_deadline);
    if let Some(seconds) = deadline {
        let limit = now.checked_sub(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MIN);
        earliest = earliest.max(limit);
    }
    let none = Past { earliest, most_recent: None, missed: Missed::None };
    let never = "time difference between two schedules is less than 1 second";
    let first = schedule.next(earliest).ok_or(never)?;
    if now < first {
        return Ok(none);
    }
    let second = schedule.next(first).ok_or(never)?;
    if now < second {
        return Ok(Past { most_recent: Some(first), ..none });
    }
    let interval = second.duration_since(first).as_secs().max(1);
    let count = now.duration_since(first).as_secs() / interval + 1;
    // One interval earlier than they would be if all were alike, for they may not be.
    let from = first.saturating_add(SignedDuration::from_secs((count - 2) * interval)).unwrap_or(first);
    let times = std::iter::successors(schedule.next(from), |time| schedule.next(*time));
    let most_recent = times.take_while(|time| *time <= now).last();
    let missed = if count > MISSED_MAX { Missed::Many } else { Missed::Few };
    Ok(Past { earliest, most_recent, missed })
}

/// How long until the next time.
pub(super) fn next_in(cron: &CronJob, schedule: &Schedule, now: Timestamp) -> Duration {
    let from = match past(cron, schedule, now, false) {
        Ok(Past { most_recent: Some(time), .. }) => time,
        Ok(Past { missed: Missed::None, earliest, .. }) => earliest,
        _ => now,
    };
    let left = schedule.next(from).map(|next| next.duration_since(now) + SKEW);
    left.and_then(|left| Duration::try_from(left).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
