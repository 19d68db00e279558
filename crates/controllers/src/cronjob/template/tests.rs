use jiff::tz::TimeZone;
use serde_json::json;

use super::{job, shown};
use crate::cronjob::plan::Start;

#[test]
fn a_job_is_what_the_template_says() {
    let cron = json!({
        "apiVersion": "batch/v1", "kind": "CronJob",
        "metadata": {"name": "tick", "namespace": "ns", "uid": "u"},
        "spec": {
            "schedule": "* * * * *", "timeZone": "Europe/Berlin",
            "jobTemplate": {
                "metadata": {"labels": {"a": "b"}, "annotations": {"c": "d"}},
                "spec": {"completions": 2},
            },
        },
    });
    let cron = apimachinery::Object::from_value(&cron).unwrap();
    let start = Start { at: "2026-11-25T10:00:00Z".parse().unwrap(), name: "tick-1".to_owned(), replaces: Vec::new() };
    let expected = json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {
            "name": "tick-1", "namespace": "ns", "labels": {"a": "b"},
            "annotations": {"c": "d", "batch.kubernetes.io/cronjob-scheduled-timestamp": "2026-11-25T11:00:00+01:00"},
            "ownerReferences": [{
                "apiVersion": "batch/v1", "kind": "CronJob", "name": "tick", "uid": "u",
                "controller": true, "blockOwnerDeletion": true,
            }],
        },
        "spec": {"completions": 2},
    });
    assert_eq!(job(&cron, &start), expected);
    assert_eq!(shown(start.at, TimeZone::UTC), "2026-11-25T10:00:00Z");
}
