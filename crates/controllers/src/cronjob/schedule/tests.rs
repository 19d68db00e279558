use apimachinery::cron::Schedule;
use k8s_openapi::api::batch::v1::CronJob;
use k8s_openapi::jiff::Timestamp;
use serde_json::json;

use super::{Missed, next_in, of, past};

fn at(text: &str) -> Timestamp {
    format!("2026-05-19T{text}Z").parse().unwrap()
}

fn cron(created: &str, last: Option<&str>, deadline: Option<i64>) -> CronJob {
    serde_json::from_value(json!({
        "metadata": {"name": "c", "creationTimestamp": at(created)},
        "spec": {"schedule": "0 * * * *", "startingDeadlineSeconds": deadline, "jobTemplate": {}},
        "status": {"lastScheduleTime": last.map(at)},
    }))
    .unwrap()
}

#[test]
fn the_most_recent_time_is_found() {
    let hourly = Schedule::parse("0 * * * *").unwrap();
    let minutely = Schedule::parse("* * * * *").unwrap();
    let uneven = Schedule::parse("30 6-16/4 * * 1-5").unwrap();
    for (schedule, created, last, deadline, now, most_recent, missed) in [
        (&hourly, "09:30:00", None, None, "09:40:00", None, Missed::None),
        (&hourly, "09:30:00", None, None, "10:00:00", Some("10:00:00"), Missed::None),
        (&hourly, "09:30:00", None, None, "10:59:59", Some("10:00:00"), Missed::None),
        (&hourly, "09:30:00", None, None, "13:10:00", Some("13:00:00"), Missed::Few),
        (&hourly, "09:30:00", Some("13:00:00"), None, "13:10:00", None, Missed::None),
        (&hourly, "09:30:00", Some("10:00:00"), Some(600), "13:09:00", Some("13:00:00"), Missed::None),
        (&hourly, "09:30:00", Some("10:00:00"), Some(600), "13:11:00", None, Missed::None),
        (&minutely, "09:30:00", None, None, "11:10:30", Some("11:10:00"), Missed::Few),
        (&minutely, "09:30:00", None, None, "11:12:00", Some("11:12:00"), Missed::Many),
        (&uneven, "05:00:00", None, None, "15:00:00", Some("14:30:00"), Missed::Few),
        // So it is upstream: as if times went on evenly.
        (&uneven, "05:00:00", None, None, "20:00:00", None, Missed::Few),
    ] {
        let found = past(&cron(created, last, deadline), schedule, at(now), true).unwrap();
        assert_eq!((found.most_recent, found.missed), (most_recent.map(at), missed), "{created} {last:?} {now}");
    }
}

#[test]
fn a_schedule_without_times_is_told() {
    let never = Schedule::parse("59 23 31 2 *").unwrap();
    let error = "time difference between two schedules is less than 1 second";
    assert_eq!(past(&cron("09:30:00", None, None), &never, at("10:00:00"), true), Err(error));
}

#[test]
fn the_next_time_counts_from_the_last_one() {
    let hourly = Schedule::parse("0 * * * *").unwrap();
    for (last, now, millis) in [
        (None, "09:40:00", 20 * 60_000 + 100),
        (Some("10:00:00"), "10:00:00", 60 * 60_000 + 100),
        (None, "10:30:00", 30 * 60_000 + 100),
        (None, "13:30:00", 30 * 60_000 + 100),
    ] {
        let wait = next_in(&cron("09:30:00", last, None), &hourly, at(now));
        assert_eq!(wait.as_millis(), millis, "{last:?} {now}");
    }
}

#[test]
fn the_time_zone_moves_the_schedule() {
    let mut cron = cron("09:30:00", None, None);
    cron.spec.schedule = "0 12 * * *".to_owned();
    cron.spec.time_zone = Some("Asia/Kolkata".to_owned());
    assert_eq!(of(&cron).unwrap().next(at("00:00:00")), Some(at("06:30:00")));
}
