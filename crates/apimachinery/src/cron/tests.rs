use jiff::Timestamp;

use super::{Schedule, time_zone};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[test]
fn the_next_times_are_upstreams() {
    // From the tests of upstream's parser, and of its CronJob controller.
    for (schedule, after, next) in [
        ("0/15 * * * *", "2012-07-09T14:45:00Z", "2012-07-09T15:00:00Z"),
        ("0/15 * * * *", "2012-07-09T14:59:59Z", "2012-07-09T15:00:00Z"),
        ("20-35/15 * * * *", "2012-07-09T15:45:00Z", "2012-07-09T16:20:00Z"),
        ("*/15 * * * *", "2012-07-09T23:46:00Z", "2012-07-10T00:00:00Z"),
        ("20-35/15 * * * *", "2012-07-09T23:45:00Z", "2012-07-10T00:20:00Z"),
        ("20-35/15 1/2 * * *", "2012-07-09T23:45:00Z", "2012-07-10T01:20:00Z"),
        ("20-35/15 10-12 * * *", "2012-07-09T23:45:00Z", "2012-07-10T10:20:00Z"),
        ("20-35/15 1/2 */2 * *", "2012-07-09T23:45:00Z", "2012-07-11T01:20:00Z"),
        ("20-35/15 * 9-20 Jul *", "2012-07-09T23:45:00Z", "2012-07-10T00:20:00Z"),
        ("0 0 9 Apr-Oct ?", "2012-07-09T23:35:00Z", "2012-08-09T00:00:00Z"),
        ("0 0 */5 Apr,Aug,Oct Mon", "2012-07-09T23:35:00Z", "2012-08-01T00:00:00Z"),
        ("0 0 */5 Oct Mon", "2012-07-09T23:35:00Z", "2012-10-01T00:00:00Z"),
        ("0 0 * Feb Mon/2", "2012-07-09T23:35:00Z", "2013-02-01T00:00:00Z"),
        ("0 0 29 Feb ?", "2012-07-09T23:35:00Z", "2016-02-29T00:00:00Z"),
        ("30 6-16/4 * * 1-5", "2016-05-19T15:00:00Z", "2016-05-20T06:30:00Z"),
        ("0 0 1,15 * 0", "2026-11-02T00:00:00Z", "2026-11-08T00:00:00Z"),
        ("@hourly", "2026-11-02T00:00:00Z", "2026-11-02T01:00:00Z"),
        ("@daily", "2026-11-02T00:00:00Z", "2026-11-03T00:00:00Z"),
        ("@midnight", "2026-11-02T10:00:00Z", "2026-11-03T00:00:00Z"),
        ("@weekly", "2026-11-02T00:00:00Z", "2026-11-08T00:00:00Z"),
        ("@monthly", "2026-11-02T00:00:00Z", "2026-12-01T00:00:00Z"),
        ("@yearly", "2026-11-02T00:00:00Z", "2027-01-01T00:00:00Z"),
        ("@every 1h30m", "2026-11-02T00:00:05.5Z", "2026-11-02T01:30:05Z"),
        ("@every 10ms", "2026-11-02T00:00:00Z", "2026-11-02T00:00:01Z"),
        // Clocks go forward at 2 in New York, and 2:30 is left out; they go back at 2, and 1:30 comes twice.
        ("TZ=America/New_York 30 2 * * *", "2012-03-10T08:00:00Z", "2012-03-12T06:30:00Z"),
        ("TZ=America/New_York 0 3 * * *", "2012-03-11T05:00:00Z", "2012-03-11T07:00:00Z"),
        ("TZ=America/New_York 30 1 * * *", "2012-11-04T04:00:00Z", "2012-11-04T05:30:00Z"),
        ("TZ=America/New_York 30 1 * * *", "2012-11-04T05:30:00Z", "2012-11-04T06:30:00Z"),
        ("CRON_TZ=Asia/Tokyo 0 9 * * *", "2026-11-02T00:00:00Z", "2026-11-03T00:00:00Z"),
        // There is no midnight on this day in São Paulo.
        ("TZ=America/Sao_Paulo 0 0 * * *", "2018-11-03T12:00:00Z", "2018-11-05T02:00:00Z"),
        ("TZ=America/Sao_Paulo 0 9 4 * *", "2018-11-03T12:00:00Z", "2018-11-04T11:00:00Z"),
    ] {
        assert_eq!(Schedule::parse(schedule).unwrap().next(at(after)), Some(at(next)), "{schedule} after {after}");
    }
}

#[test]
fn a_schedule_may_have_no_time() {
    for schedule in ["59 23 31 2 *", "0 0 30 Feb ?", "0 0 31 Apr ?", ", * * * *"] {
        assert_eq!(Schedule::parse(schedule).unwrap().next(at("2026-11-02T00:00:00Z")), None, "{schedule}");
    }
}

#[test]
fn what_is_wrong_is_told_in_upstreams_words() {
    for (schedule, error) in [
        ("", "empty spec string"),
        ("* * * *", "expected exactly 5 fields, found 4: [* * * *]"),
        ("error", "expected exactly 5 fields, found 1: [error]"),
        ("0 * * * * *", "expected exactly 5 fields, found 6: [0 * * * * *]"),
        ("5 j * * *", "failed to parse int from j: strconv.Atoi: parsing \"j\": invalid syntax"),
        ("-5 * * * *", "failed to parse int from : strconv.Atoi: parsing \"\": invalid syntax"),
        (
            "99999999999999999999 * * * *",
            "failed to parse int from 99999999999999999999: strconv.Atoi: parsing \"99999999999999999999\": value out of range",
        ),
        ("60 * * * *", "end of range (60) above maximum (59): 60"),
        ("* * 0 * *", "beginning of range (0) below minimum (1): 0"),
        ("5-3 * * * *", "beginning of range (5) beyond end of range (3): 5-3"),
        ("1-2-3 * * * *", "too many hyphens: 1-2-3"),
        ("1/2/3 * * * *", "too many slashes: 1/2/3"),
        ("*/0 * * * *", "step of range should be a positive number: */0"),
        ("@never", "unrecognized descriptor: @never"),
        ("@every 5", "failed to parse duration @every 5: time: missing unit in duration \"5\""),
        (
            "@every 5 days",
            "failed to parse duration @every 5 days: time: unknown unit \" days\" in duration \"5 days\"",
        ),
        ("TZ=0", "invalid schedule format: runtime error: slice bounds out of range [:-1]"),
        ("TZ=Nowhere * * * * *", "provided bad location Nowhere: unknown time zone Nowhere"),
    ] {
        assert_eq!(Schedule::parse(schedule), Err(error.to_owned()), "{schedule}");
    }
}

#[test]
fn time_zones_have_exact_names() {
    assert!(
        ["", "UTC", "Etc/GMT+5", "Europe/Berlin", "America/Argentina/Buenos_Aires"]
            .iter()
            .all(|n| time_zone(n).is_ok())
    );
    for name in ["europe/berlin", "Nowhere", "../etc/passwd"] {
        assert_eq!(time_zone(name).unwrap_err(), format!("unknown time zone {name}"));
    }
}
