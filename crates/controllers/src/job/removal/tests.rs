use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use super::{failed_last, removed};
use crate::job::indexes::Indexes;
use crate::job::plan::IndexProgress;

fn pod(name: &str, node: bool, phase: &str, ready: Option<&str>, index: Option<&str>) -> Arc<Pod> {
    let mut value = json!({
        "metadata": {"name": name, "uid": name, "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"containers": []},
        "status": {"phase": phase},
    });
    if node {
        value["spec"]["nodeName"] = json!("n");
    }
    if let Some(since) = ready {
        let time = format!("2026-01-01T00:00:{since}Z");
        value["status"]["conditions"] = json!([{"type": "Ready", "status": "True", "lastTransitionTime": time}]);
    }
    if let Some(index) = index {
        value["metadata"]["annotations"] = json!({"batch.kubernetes.io/job-completion-index": index});
    }
    Arc::new(serde_json::from_value(value).unwrap())
}

fn names(pods: &[Arc<Pod>]) -> Vec<&str> {
    pods.iter().filter_map(|pod| pod.metadata.name.as_deref()).collect()
}

#[test]
fn the_least_useful_go_first() {
    let pods = [
        pod("old-ready", true, "Running", Some("10"), None),
        pod("running", true, "Running", None, None),
        pod("new-ready", true, "Running", Some("20"), None),
        pod("waiting", false, "Pending", None, None),
        pod("starting", true, "Pending", None, None),
    ];
    assert_eq!(names(&removed(&pods, 5, None)), ["waiting", "starting", "running", "new-ready", "old-ready"]);
    assert_eq!(names(&removed(&pods, 1, None)), ["waiting"]);
    assert_eq!(names(&removed(&pods, 0, None)), [""; 0]);
}

#[test]
fn an_index_has_one_pod() {
    let progress = IndexProgress {
        completions: 3,
        counted: Indexes::default(),
        succeeded: Indexes::default(),
        failed: None,
        kept: Default::default(),
    };
    let pods = [
        pod("zero", true, "Running", None, Some("0")),
        pod("zero-twice", false, "Pending", None, Some("0")),
        pod("beyond", true, "Running", None, Some("3")),
        pod("none", true, "Running", None, None),
        pod("one", true, "Running", Some("10"), Some("1")),
    ];
    assert_eq!(names(&removed(&pods, 0, Some(&progress))), ["beyond", "none", "zero-twice"]);
    assert_eq!(names(&removed(&pods, 4, Some(&progress))), ["beyond", "none", "zero-twice", "zero"]);
}

#[test]
fn of_two_failed_pods_the_later_one_is_kept() {
    let failed = |failures: &str, second: &str| -> Arc<Pod> {
        let value: Value = json!({"metadata": {
            "annotations": {"batch.kubernetes.io/job-index-failure-count": failures},
            "creationTimestamp": format!("2026-01-01T00:00:{second}Z"),
        }});
        Arc::new(serde_json::from_value(value).unwrap())
    };
    let [first, second, broken] = [failed("0", "10"), failed("1", "20"), failed("x", "30")];
    assert!(Arc::ptr_eq(failed_last(&first, &second), &second));
    assert!(Arc::ptr_eq(failed_last(&second, &first), &second));
    assert!(Arc::ptr_eq(failed_last(&second, &broken), &second));
}
