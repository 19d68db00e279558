use std::time::Duration;

use api::resources::{CRONJOBS, EVENTS, JOBS};
use client::PatchKind;
use cri::fake::{Script, Selector};
use envtest::{Cluster, Options, check};
use serde_json::{Value, json};

/// A CronJob `tick` of every minute with these fields. Clusters begin at midnight.
fn tick(fields: &str) -> String {
    format!(
        "
apiVersion: batch/v1
kind: CronJob
metadata: {{name: tick}}
spec:
  schedule: '* * * * *'
  {fields}
  jobTemplate:
    spec:
      template:
        spec:
          restartPolicy: Never
          containers:
          - {{name: main, image: 'example.org/tick:v1'}}
"
    )
}

fn containers_exit(cluster: &Cluster, seconds: u64, code: i32) {
    for node in cluster.nodes() {
        node.runtime.script(Selector::default(), Script::exits(Duration::from_secs(seconds), code));
    }
}

fn jobs(cluster: &Cluster) -> Vec<String> {
    cluster.list(JOBS, "default").iter().map(|job| job.meta().name.clone()).collect()
}

fn status(cluster: &Cluster) -> Value {
    cluster.get(CRONJOBS, "default", "tick").map_or(Value::Null, |cron| cron.value()["status"].clone())
}

fn has_event(cluster: &Cluster, reason: &str) -> Result<(), String> {
    let mut events = cluster.list(EVENTS, "default").into_iter().map(|event| event.value());
    if events.any(|event| event["reason"] == reason) { Ok(()) } else { Err("there is none".to_owned()) }
}

/// The name of the Job of this minute of the cluster's first day.
fn name(cluster: &Cluster, minute: i64) -> String {
    let day = cluster.now().as_second() / 86_400;
    format!("tick-{}", day * 1440 + minute)
}

#[test]
fn a_job_starts_each_minute_and_the_oldest_are_forgotten() {
    check(&Options::new(1), async |cluster| {
        containers_exit(cluster, 5, 0);
        cluster.apply(&tick("successfulJobsHistoryLimit: 2")).await?;
        let succeeded = || match status(cluster)["lastSuccessfulTime"].as_str() {
            Some(time) if time.starts_with("2026-01-01T00:04:") => Ok(()),
            other => Err(format!("{other:?}")),
        };
        for minute in 1..=3 {
            let started =
                || if jobs(cluster).contains(&name(cluster, minute)) { Ok(()) } else { Err("not yet".to_owned()) };
            cluster.eventually(&format!("the Job of minute {minute}"), started).await?;
        }
        cluster.eventually("the fourth has succeeded", succeeded).await?;
        let kept = || match jobs(cluster) {
            jobs if jobs == [name(cluster, 3), name(cluster, 4)] => Ok(()),
            jobs => Err(format!("{jobs:?}")),
        };
        cluster.eventually("two are kept", kept).await?;
        assert_eq!(status(cluster)["active"], Value::Null);
        for reason in ["SuccessfulCreate", "SawCompletedJob", "SuccessfulDelete"] {
            cluster.eventually(&format!("an Event {reason}"), || has_event(cluster, reason)).await?;
        }
        Ok(())
    });
}

#[test]
fn the_policy_decides_about_jobs_that_still_run() {
    for (seed, policy, count) in [(2, "Allow", 2), (3, "Forbid", 1), (4, "Replace", 1)] {
        check(&Options::new(seed).outages(), async |cluster| {
            cluster.apply(&tick(&format!("concurrencyPolicy: {policy}"))).await?;
            let first = || if jobs(cluster).is_empty() { Err("none".to_owned()) } else { Ok(()) };
            cluster.eventually("the first Job", first).await?;
            let second = || match policy {
                "Forbid" => has_event(cluster, "JobAlreadyActive"),
                _ if jobs(cluster).contains(&name(cluster, 2)) => Ok(()),
                _ => Err(format!("{:?}", jobs(cluster))),
            };
            cluster.eventually("the second time", second).await?;
            let active = || {
                let listed = status(cluster)["active"].as_array().map_or(0, Vec::len);
                let there = jobs(cluster).len();
                if (listed, there) == (count, count) { Ok(()) } else { Err(format!("{listed} of {there} are active")) }
            };
            cluster.eventually(&format!("{count} are active"), active).await
        });
    }
}

#[test]
fn a_suspended_one_starts_nothing_until_it_is_resumed() {
    check(&Options::new(5), async |cluster| {
        cluster.apply(&tick("suspend: true\n  startingDeadlineSeconds: 30")).await?;
        let began = cluster.now();
        let later = || match cluster.now().duration_since(began).as_secs() {
            90.. => Ok(()),
            seconds => Err(format!("{seconds} s have")),
        };
        cluster.eventually("90 seconds have passed", later).await?;
        assert!(jobs(cluster).is_empty());
        let patch = json!({"spec": {"suspend": false}});
        cluster.client().patch(CRONJOBS, "default", "tick", PatchKind::Merge, patch).await?;
        let second = || if jobs(cluster) == [name(cluster, 2)] { Ok(()) } else { Err(format!("{:?}", jobs(cluster))) };
        cluster.eventually("only the Job of the second minute", second).await
    });
}
