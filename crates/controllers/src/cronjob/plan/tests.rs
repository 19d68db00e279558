use std::collections::BTreeSet;
use std::sync::Arc;

use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use super::{Observed, Plan, plan};

fn at(text: &str) -> Timestamp {
    format!("2026-05-19T{text}Z").parse().unwrap()
}

/// An hourly CronJob that was made at 9:30, with these fields and this status.
fn cron(spec: &Value, status: &Value) -> CronJob {
    let mut all = json!({"schedule": "0 * * * *", "concurrencyPolicy": "Allow", "jobTemplate": {}});
    all.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    let metadata = json!({"name": "tick", "namespace": "ns", "creationTimestamp": at("09:30:00")});
    serde_json::from_value(json!({"metadata": metadata, "spec": all, "status": status})).unwrap()
}

/// A Job that started at `start` and ended so.
fn job(name: &str, start: &str, condition: &str) -> Arc<Job> {
    let mut status = json!({"startTime": at(start)});
    if !condition.is_empty() {
        status["conditions"] = json!([{"type": condition, "status": "True"}]);
    }
    if condition == "Complete" {
        status["completionTime"] = json!(at(start));
    }
    let value = json!({"metadata": {"name": name, "namespace": "ns", "uid": name}, "status": status});
    Arc::new(serde_json::from_value(value).unwrap())
}

fn active(names: &[&str]) -> Value {
    let listed: Vec<Value> = names.iter().map(|name| json!({"name": name, "namespace": "ns", "uid": name})).collect();
    json!({"active": listed, "lastScheduleTime": at("10:00:00")})
}

fn made(spec: Value, status: &Value, jobs: &[Arc<Job>], gone: &[&str], now: &str) -> Plan {
    let gone: BTreeSet<String> = gone.iter().map(|uid| (*uid).to_owned()).collect();
    plan(&Observed { cron: &cron(&spec, status), jobs, gone: &gone, now: at(now) })
}

/// The Job that is started, what is said, and the seconds until the next step.
fn words(plan: &Plan) -> String {
    let mut words = plan.start.as_ref().map_or("-".to_owned(), |start| start.name.clone());
    for said in &plan.said {
        words += &format!(" {}", said.reason);
    }
    words + &plan.requeue_after.map_or(String::new(), |after| format!(" after {}", after.as_secs()))
}

#[test]
fn a_job_starts_when_it_is_time() {
    let check = |spec: Value, status: Value, now: &str, expected: &str| {
        assert_eq!(words(&made(spec.clone(), &status, &[], &[], now)), expected, "{spec} {status} {now}");
    };
    let ten = at("10:00:00").as_second() / 60;
    let at_ten = format!("tick-{ten}");
    check(json!({}), json!({}), "09:40:00", "- after 1200");
    check(json!({}), json!({}), "10:00:00", &format!("{at_ten} after 3600"));
    check(json!({}), json!({}), "10:30:00", &format!("{at_ten} after 1800"));
    check(json!({}), json!({"lastScheduleTime": at("10:00:00")}), "10:30:00", "- after 1800");
    check(json!({"startingDeadlineSeconds": 1801}), json!({}), "10:30:00", &format!("{at_ten} after 1800"));
    check(json!({"startingDeadlineSeconds": 1800}), json!({}), "10:30:00", "- after 1800");
    check(json!({"suspend": true}), json!({}), "10:30:00", "-");
    check(json!({"timeZone": "Nowhere"}), json!({}), "10:30:00", "- UnknownTimeZone");
    check(json!({"schedule": "61 * * * *"}), json!({}), "10:30:00", "- UnparseableSchedule");
    check(json!({"schedule": "59 23 31 2 *"}), json!({}), "10:30:00", "- InvalidSchedule");
    let noon = at("12:00:00").as_second() / 60;
    let many = format!("tick-{noon} TooManyMissedTimes after 60");
    check(json!({"schedule": "* * * * *"}), json!({}), "12:00:00", &many);
    check(json!({"schedule": "TZ=UTC 0 * * * *"}), json!({}), "09:40:00", "- UnsupportedSchedule after 1200");
}

#[test]
fn the_policy_says_what_becomes_of_a_job_that_still_runs() {
    let running = [job("first", "10:00:00", "")];
    let eleven = format!("tick-{}", at("11:00:00").as_second() / 60);
    for (policy, expected, replaced) in [
        ("Allow", format!("{eleven} after 3600"), 0),
        ("Forbid", "- JobAlreadyActive after 3600".to_owned(), 0),
        ("Replace", format!("{eleven} after 3600"), 1),
    ] {
        let plan = made(json!({"concurrencyPolicy": policy}), &active(&["first"]), &running, &[], "11:00:00");
        assert_eq!(words(&plan), expected, "{policy}");
        assert_eq!(plan.start.map_or(0, |start| start.replaces.len()), replaced, "{policy}");
    }
}

#[test]
fn the_list_of_active_jobs_follows_the_jobs() {
    let jobs = [
        job("done", "10:00:00", "Complete"),
        job("lost", "10:05:00", "Failed"),
        job("running", "10:10:00", ""),
        job("strange", "10:15:00", ""),
    ];
    let listed = active(&["done", "lost", "running", "gone", "unseen"]);
    let plan = made(json!({}), &listed, &jobs, &["gone"], "10:30:00");
    let left: Vec<_> = plan.status.active.iter().flatten().filter_map(|listed| listed.name.as_deref()).collect();
    assert_eq!(left, ["running", "unseen"]);
    assert_eq!(plan.status.last_successful_time.map(|time| time.0), Some(at("10:00:00")));
    let said: Vec<_> = plan.said.iter().map(|said| said.message.as_str()).collect();
    assert_eq!(
        said,
        [
            "Saw completed job: done, condition: Complete",
            "Saw completed job: lost, condition: Failed",
            "Saw a job that the controller did not create or forgot: strange",
            "Active job went missing: gone",
        ]
    );
}

#[test]
fn the_history_keeps_the_newest() {
    let jobs = [
        job("c", "12:00:00", "Complete"),
        job("a", "10:00:00", "Complete"),
        job("b", "11:00:00", "Complete"),
        job("y", "11:00:00", "Failed"),
        job("x", "10:00:00", "Failed"),
        job("r", "09:00:00", ""),
    ];
    for (limits, forgotten) in [
        (json!({"successfulJobsHistoryLimit": 1, "failedJobsHistoryLimit": 1}), &["a", "b", "x"][..]),
        (json!({"successfulJobsHistoryLimit": 3, "failedJobsHistoryLimit": 0}), &["x", "y"]),
        (json!({}), &[]),
    ] {
        let plan = made(limits, &json!({}), &jobs, &[], "09:40:00");
        let names: Vec<_> = plan.forget.iter().filter_map(|job| job.metadata.name.as_deref()).collect();
        assert_eq!(names, forgotten);
    }
}
