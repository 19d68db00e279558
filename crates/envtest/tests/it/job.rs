use std::time::Duration;

use api::resources::{EVENTS, JOBS, PODS};
use client::{DeleteOptions, PatchKind, Propagation};
use cri::fake::{Script, Selector};
use envtest::{Cluster, Failure, Faults, Options, check};
use serde_json::{Value, json};

/// A Job `work` whose fields these are, in YAML's flow style.
fn work(fields: &str, policy: &str) -> String {
    format!(
        "
apiVersion: batch/v1
kind: Job
metadata: {{name: work}}
spec:
  {fields}
  template:
    spec:
      restartPolicy: {policy}
      containers:
      - {{name: main, image: 'example.org/work:v1'}}
"
    )
}

/// All containers run for these seconds and exit with this code.
fn containers_exit(cluster: &Cluster, seconds: u64, code: i32) {
    for node in cluster.nodes() {
        node.runtime.script(Selector::default(), Script::exits(Duration::from_secs(seconds), code));
    }
}

fn status_of(cluster: &Cluster) -> Value {
    cluster.get(JOBS, "default", "work").map_or(Value::Null, |job| job.value()["status"].clone())
}

async fn becomes(cluster: &Cluster, condition: &str) -> Result<Value, Failure> {
    let is_true = |status: &Value| {
        let mut all = status["conditions"].as_array().into_iter().flatten();
        all.any(|c| c["type"] == condition && c["status"] == "True")
    };
    let look = || {
        let status = status_of(cluster);
        if is_true(&status) { Ok(status) } else { Err(status.to_string()) }
    };
    cluster.eventually(&format!("work is {condition}"), look).await
}

/// The conditions that are true and their reasons, in the order in which they came.
fn conditions(status: &Value) -> Vec<String> {
    let all = status["conditions"].as_array().into_iter().flatten();
    all.map(|c| format!("{} {}", c["type"].as_str().unwrap_or(""), c["reason"].as_str().unwrap_or(""))).collect()
}

/// Reasons of the Events about the Job.
fn reasons(cluster: &Cluster) -> Vec<String> {
    let events = cluster.list(EVENTS, "default").into_iter().map(|event| event.value());
    let of_job = events.filter(|event| event["involvedObject"]["kind"] == "Job");
    let mut reasons: Vec<String> = of_job.map(|event| event["reason"].as_str().unwrap_or("").to_owned()).collect();
    reasons.sort();
    reasons.dedup();
    reasons
}

#[test]
fn a_job_runs_to_completion() {
    check(&Options::new(1), async |cluster| {
        containers_exit(cluster, 5, 0);
        cluster.apply(&work("completions: 4\n  parallelism: 2", "Never")).await?;
        let status = becomes(cluster, "Complete").await?;
        assert_eq!(conditions(&status), ["SuccessCriteriaMet CompletionsReached", "Complete CompletionsReached"]);
        assert_eq!((&status["succeeded"], &status["failed"]), (&json!(4), &Value::Null));
        assert_eq!((&status["active"], &status["ready"], &status["terminating"]), (&Value::Null, &json!(0), &json!(0)));
        assert_eq!(status["uncountedTerminatedPods"], json!({}));
        let pods = cluster.list(PODS, "default");
        assert_eq!(pods.len(), 4);
        assert!(pods.iter().all(|pod| pod.meta().finalizers.is_empty()), "a finalizer was left");
        let told = || match reasons(cluster) {
            reasons if reasons == ["Completed", "SuccessfulCreate"] => Ok(()),
            reasons => Err(format!("{reasons:?}")),
        };
        cluster.eventually("both Events", told).await?;
        Ok(())
    });
}

#[test]
fn failed_pods_are_replaced_with_growing_pauses_until_the_limit() {
    check(&Options::new(2), async |cluster| {
        containers_exit(cluster, 1, 3);
        let began = cluster.now();
        cluster.apply(&work("completions: 1\n  backoffLimit: 2", "Never")).await?;
        let status = becomes(cluster, "Failed").await?;
        assert_eq!(conditions(&status), ["FailureTarget BackoffLimitExceeded", "Failed BackoffLimitExceeded"]);
        assert_eq!(status["failed"], 3);
        // 10 s after the first failure and 20 s after the second.
        let took = cluster.now().duration_since(began).as_secs();
        assert!((33..45).contains(&took), "{took} s");
        Ok(())
    });
}

#[test]
fn a_container_that_is_started_again_counts_too() {
    check(&Options::new(3), async |cluster| {
        containers_exit(cluster, 1, 3);
        cluster.apply(&work("completions: 1\n  backoffLimit: 2", "OnFailure")).await?;
        let status = becomes(cluster, "Failed").await?;
        assert_eq!(conditions(&status), ["FailureTarget BackoffLimitExceeded", "Failed BackoffLimitExceeded"]);
        Ok(())
    });
}

#[test]
fn every_index_is_done_once() {
    check(&Options::new(4).outages(), async |cluster| {
        containers_exit(cluster, 5, 0);
        cluster.apply(&work("completions: 5\n  parallelism: 2\n  completionMode: Indexed", "Never")).await?;
        let status = becomes(cluster, "Complete").await?;
        assert_eq!((&status["completedIndexes"], &status["succeeded"]), (&json!("0-4"), &json!(5)));
        let mut pods: Vec<Value> = cluster.list(PODS, "default").iter().map(|pod| pod.value()).collect();
        pods.sort_by_key(|pod| pod["spec"]["hostname"].to_string());
        let hostnames: Vec<_> = pods.iter().map(|pod| pod["spec"]["hostname"].clone()).collect();
        assert_eq!(hostnames, ["work-0", "work-1", "work-2", "work-3", "work-4"]);
        let label = &pods[3]["metadata"]["labels"]["batch.kubernetes.io/job-completion-index"];
        assert_eq!(label, "3");
        Ok(())
    });
}

#[test]
fn the_deadline_ends_a_job() {
    check(&Options::new(5), async |cluster| {
        cluster.apply(&work("activeDeadlineSeconds: 30", "Never")).await?;
        let status = becomes(cluster, "Failed").await?;
        assert_eq!(conditions(&status), ["FailureTarget DeadlineExceeded", "Failed DeadlineExceeded"]);
        assert_eq!((&status["failed"], &status["active"]), (&json!(1), &Value::Null));
        Ok(())
    });
}

#[test]
fn a_suspended_job_waits() {
    check(&Options::new(6), async |cluster| {
        containers_exit(cluster, 60, 0);
        cluster.apply(&work("suspend: true", "Never")).await?;
        let status = becomes(cluster, "Suspended").await?;
        assert_eq!(status["startTime"], Value::Null);
        assert!(cluster.pods().is_empty());
        let suspend = async |suspend: bool| {
            let patch = json!({"spec": {"suspend": suspend}});
            cluster.client().patch(JOBS, "default", "work", PatchKind::Merge, patch).await.map(|_| ())
        };
        suspend(false).await?;
        let active = || if number(cluster, "ready") == 1 { Ok(()) } else { Err(status_of(cluster).to_string()) };
        cluster.eventually("the Pod is ready", active).await?;
        assert_eq!(conditions(&status_of(cluster)), ["Suspended JobResumed"]);
        suspend(true).await?;
        let gone = || {
            let left = cluster.list(PODS, "default").len();
            if left == 0 { Ok(()) } else { Err(format!("{left} Pods")) }
        };
        cluster.eventually("the Pod is gone", gone).await?;
        suspend(false).await?;
        let status = becomes(cluster, "Complete").await?;
        assert_eq!((&status["succeeded"], &status["failed"]), (&json!(1), &Value::Null));
        Ok(())
    });
}

fn number(cluster: &Cluster, key: &str) -> i64 {
    status_of(cluster)[key].as_i64().unwrap_or(0)
}

#[test]
fn a_deleted_job_leaves_nothing() {
    for (seed, propagation) in [(7, Propagation::Background), (8, Propagation::Foreground)] {
        check(&Options::new(seed).outages(), async |cluster| {
            cluster.apply(&work("completions: 3\n  parallelism: 3", "Never")).await?;
            let ready = || if number(cluster, "ready") == 3 { Ok(()) } else { Err(status_of(cluster).to_string()) };
            cluster.eventually("three Pods are ready", ready).await?;
            let options = DeleteOptions { propagation: Some(propagation), ..DeleteOptions::default() };
            cluster.client().delete(JOBS, "default", "work", &options).await?;
            let left = || match (cluster.list(JOBS, "default").len(), cluster.list(PODS, "default").len()) {
                (0, 0) => Ok(()),
                left => Err(format!("{left:?} Jobs and Pods")),
            };
            cluster.eventually("all is gone", left).await
        });
    }
}

#[test]
fn a_pod_that_was_let_go_is_taken_again() {
    check(&Options::new(9), async |cluster| {
        cluster.apply(&work("completions: 1", "Never")).await?;
        let ready = || if number(cluster, "ready") == 1 { Ok(()) } else { Err(status_of(cluster).to_string()) };
        cluster.eventually("the Pod is ready", ready).await?;
        let name = cluster.pods()[0]["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let patch = json!({"metadata": {"ownerReferences": null}});
        cluster.client().patch(PODS, "default", &name, PatchKind::Merge, patch).await?;
        let adopted = || {
            let pod = cluster.get(PODS, "default", &name).ok_or("gone")?;
            let [owned, kept] = [pod.meta().controller().is_some(), !pod.meta().finalizers.is_empty()];
            if owned && kept { Ok(()) } else { Err(format!("owned: {owned}, kept: {kept}")) }
        };
        cluster.eventually("the Pod is the Job's again", adopted).await
    });
}

#[test]
fn a_job_that_has_ended_goes_after_its_time() {
    check(&Options::new(10), async |cluster| {
        containers_exit(cluster, 5, 0);
        cluster.apply(&work("ttlSecondsAfterFinished: 60", "Never")).await?;
        becomes(cluster, "Complete").await?;
        let ended = cluster.now();
        let left = || match (cluster.list(JOBS, "default").len(), cluster.list(PODS, "default").len()) {
            (0, 0) => Ok(()),
            left => Err(format!("{left:?} Jobs and Pods")),
        };
        cluster.eventually("the Job and its Pod are gone", left).await?;
        let took = cluster.now().duration_since(ended).as_secs();
        assert!((59..65).contains(&took), "{took} s");
        Ok(())
    });
}

/// Each fault alone: a Pod is counted once, and none keeps its finalizer.
#[test]
fn a_job_counts_right_with_any_one_fault() {
    let none = Faults::jitter();
    let faults = [
        Faults { refused: 0.2, ..none.clone() },
        Faults { conflicts: 0.5, ..none.clone() },
        Faults { lost_watches: 0.3, ..none.clone() },
        Faults { expired_watches: 0.2, ..none.clone() },
        Faults { crashes: Some(Duration::from_millis(2500)), ..none },
    ];
    for (seed, faults) in (20..).zip(faults) {
        for mode in ["NonIndexed", "Indexed"] {
            let options = Options::new(seed).outages().faults(faults.clone()).patience(Duration::from_secs(900));
            check(&options, async |cluster| {
                containers_exit(cluster, 3, 0);
                cluster
                    .apply(&work(&format!("completions: 6\n  parallelism: 3\n  completionMode: {mode}"), "Never"))
                    .await?;
                let status = becomes(cluster, "Complete").await?;
                assert_eq!(status["succeeded"], 6);
                assert_eq!((&status["failed"], &status["uncountedTerminatedPods"]), (&Value::Null, &json!({})));
                let pods = cluster.list(PODS, "default");
                assert!(pods.iter().all(|pod| pod.meta().finalizers.is_empty()), "a finalizer was left");
                Ok(())
            });
        }
    }
}
