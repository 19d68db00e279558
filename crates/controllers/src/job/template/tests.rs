use serde_json::json;

use super::{finish, prefix};
use crate::job::plan::NewPod;
use crate::job::removal::IndexFailures;

#[test]
fn a_pod_of_no_index_has_only_the_finalizer() {
    for (finalizers, expected) in [
        (json!(null), json!(["batch.kubernetes.io/job-tracking"])),
        (json!(["a/b"]), json!(["a/b", "batch.kubernetes.io/job-tracking"])),
        (json!(["batch.kubernetes.io/job-tracking"]), json!(["batch.kubernetes.io/job-tracking"])),
    ] {
        let pod = json!({"metadata": {"generateName": "work-", "finalizers": finalizers}, "spec": {"containers": []}});
        let mut wanted = pod.clone();
        wanted["metadata"]["finalizers"] = expected;
        assert_eq!(finish(pod, "work", NewPod { index: None, failures: None }), wanted);
    }
}

#[test]
fn a_pod_of_an_index_knows_it() {
    let pod = json!({
        "metadata": {"generateName": "work-", "labels": {"app": "work"}},
        "spec": {
            "initContainers": [{"name": "setup"}],
            "containers": [{"name": "main", "env": [{"name": "JOB_COMPLETION_INDEX", "value": "own"}]}],
        },
    });
    let failures = Some(IndexFailures { counted: 2, ignored: 1 });
    let expected = json!({
        "metadata": {
            "generateName": "work-3-",
            "finalizers": ["batch.kubernetes.io/job-tracking"],
            "labels": {"app": "work", "batch.kubernetes.io/job-completion-index": "3"},
            "annotations": {
                "batch.kubernetes.io/job-completion-index": "3",
                "batch.kubernetes.io/job-index-failure-count": "2",
                "batch.kubernetes.io/job-index-ignored-failure-count": "1",
            },
        },
        "spec": {
            "hostname": "work-3",
            "initContainers": [{"name": "setup", "env": [{
                "name": "JOB_COMPLETION_INDEX",
                "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['batch.kubernetes.io/job-completion-index']"}},
            }]}],
            "containers": [{"name": "main", "env": [{"name": "JOB_COMPLETION_INDEX", "value": "own"}]}],
        },
    });
    assert_eq!(finish(pod, "work", NewPod { index: Some(3), failures }), expected);
}

#[test]
fn a_long_name_is_cut_so_that_the_index_stays() {
    assert_eq!(prefix("work", 12), "work-12-");
    let long = "a".repeat(63);
    assert_eq!(prefix(&long, 12), format!("{}-12-", "a".repeat(54)));
}
