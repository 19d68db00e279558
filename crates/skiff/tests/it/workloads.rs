//! Jobs, CronJobs, StatefulSets and DaemonSets on real containers.

use crate::cluster::Cluster;
use crate::{image, names, rows, text};

#[test]
fn a_job_runs_to_its_end_and_is_made_of_a_cron_job() {
    let cluster = Cluster::start();
    let image = format!("--image={}", image::V1);
    let made = cluster.kubectl(&["create", "job", "hello", &image, "--", "/app", "echo", "hello job"]).ok();
    assert_eq!(made, "job.batch/hello created\n");
    let waited = cluster.kubectl(&["wait", "--for=condition=complete", "job/hello", "--timeout=60s"]).ok();
    assert_eq!(waited, "job.batch/hello condition met\n");
    assert_eq!(cluster.kubectl(&["logs", "job/hello"]).ok(), "hello job\n");
    let table = cluster.kubectl(&["get", "job", "hello"]).ok();
    assert_eq!(rows(&table)[0][..3], ["hello", "Complete", "1/1"], "{table}");

    let words = ["create", "cronjob", "nightly", &image, "--schedule=0 3 * * *", "--", "/app", "echo", "nightly job"];
    assert_eq!(cluster.kubectl(&words).ok(), "cronjob.batch/nightly created\n");
    cluster.kubectl(&["create", "job", "now", "--from=cronjob/nightly"]).ok();
    cluster.kubectl(&["wait", "--for=condition=complete", "job/now", "--timeout=60s"]).ok();
    assert_eq!(cluster.kubectl(&["logs", "job/now"]).ok(), "nightly job\n");
    cluster.kubectl(&["delete", "job", "hello", "now"]).ok();
    cluster.eventually("its Pods go with a Job", || {
        let pods = cluster.get(&["pods"]);
        pods["items"].as_array().is_some_and(Vec::is_empty).then_some(())
    });
}

const SETS: &str = "
apiVersion: v1
kind: Service
metadata: {name: db}
spec: {clusterIP: None, selector: {app: db}, ports: [{port: 8080}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  serviceName: db
  replicas: 2
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - {name: db, image: 'gcr.io/google-samples/kubernetes-bootcamp:v1', readinessProbe: {httpGet: {port: 8080}, periodSeconds: 1}}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}}
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{name: agent, image: 'gcr.io/google-samples/kubernetes-bootcamp:v1'}]
";

#[test]
fn a_stateful_set_keeps_names_and_a_daemon_set_is_everywhere() {
    let cluster = Cluster::start();
    cluster.kubectl_reading(&["apply", "-f", "-"], SETS).ok();
    cluster.kubectl(&["rollout", "status", "statefulset/db", "--timeout=60s"]).ok();
    cluster.kubectl(&["rollout", "status", "daemonset/agent", "--timeout=60s"]).ok();
    let pods = cluster.pods("app=db");
    assert_eq!(names(&pods), ["db-0", "db-1"]);
    let made = |name: &str| {
        let pod = pods.iter().find(|pod| text(pod, "/metadata/name") == name);
        pod.map(|pod| text(pod, "/metadata/creationTimestamp").to_owned())
    };
    assert!(made("db-0") <= made("db-1"), "in their order");
    let asked = ["exec", "db-1", "--", "/app", "get", "db-0.db:8080"];
    assert!(cluster.kubectl(&asked).ok().contains("Running on: db-0"), "by its own name");
    assert_eq!(cluster.pods("app=agent").len(), 1);

    let uid = |name: &str| text(&cluster.get(&["pod", name]), "/metadata/uid").to_owned();
    let before = uid("db-0");
    cluster.kubectl(&["delete", "pod", "db-0"]).ok();
    cluster.eventually("db-0 comes again under its name", || {
        let pod = cluster.kubectl(&["get", "pod", "db-0", "-o", "jsonpath={.metadata.uid}"]);
        (pod.code == 0 && pod.stdout != before && !pod.stdout.is_empty()).then_some(())
    });
    cluster.kubectl(&["scale", "statefulset/db", "--replicas=1"]).ok();
    cluster.kubectl(&["wait", "--for=delete", "pod/db-1", "--timeout=60s"]);
    cluster.eventually("only the first is left", || (names(&cluster.pods("app=db")) == ["db-0"]).then_some(()));
}
