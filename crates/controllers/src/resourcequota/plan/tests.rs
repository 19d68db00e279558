use std::sync::Arc;

use api::resources::{CONFIGMAPS, PODS};
use apimachinery::Object;
use client::Change;
use jiff::Timestamp;
use registry::quota::Evaluator;
use registry::resource_list;
use serde_json::{Value, json};

use super::{frees, status};

fn object(mut value: Value) -> Arc<Object> {
    value["metadata"] = json!({"name": "x", "namespace": "default"});
    Arc::new(Object::from_value(&value).expect("an object"))
}

#[test]
fn the_status_says_what_is_allowed_and_used() {
    let hard = json!({"pods": "2", "example.com/unknown": "1"});
    let with = |status: Value| json!({"spec": {"hard": hard}, "status": status});
    let counted = || resource_list::read(&json!({"pods": "1"}));
    let written = json!({"hard": hard, "used": {"pods": "1"}});
    assert_eq!(status(&with(json!({})), counted()), Some(written.clone()));
    assert_eq!(status(&with(written), counted()), None);
    // Equal amounts may be written in different ways.
    let same = json!({"hard": {"pods": "2000m", "example.com/unknown": "1"}, "used": {"pods": "1000m"}});
    assert_eq!(status(&with(same), counted()), None);
    let stale = json!({"hard": {"pods": "3"}, "used": {"pods": "1", "secrets": "4", "example.com/unknown": "1"}});
    assert_eq!(
        status(&with(stale), counted()),
        Some(json!({"hard": hard, "used": {"pods": "1", "example.com/unknown": "1"}}))
    );
}

#[test]
fn only_what_may_free_something_is_counted_again() {
    let now = Timestamp::UNIX_EPOCH;
    let quota = json!({"status": {"hard": {"pods": "1"}}});
    let pods = Evaluator::of(PODS).expect("pods are counted");
    let updated =
        |before: Value, after: Value| frees(&pods, &quota, &Change::Updated(object(before), object(after)), now);
    let phase = |phase: &str| json!({"status": {"phase": phase}});
    assert!(!frees(&pods, &quota, &Change::Added(object(json!({}))), now));
    assert!(frees(&pods, &quota, &Change::Deleted(object(json!({}))), now));
    assert!(updated(phase("Running"), phase("Succeeded")));
    assert!(!updated(phase("Pending"), phase("Running")));
    let runs_with =
        |cpu: &str| json!({"status": {"containerStatuses": [{"name": "c", "resources": {"requests": {"cpu": cpu}}}]}});
    assert!(updated(runs_with("2"), runs_with("1")));
    let maps = Evaluator::of(CONFIGMAPS).expect("they are counted");
    assert!(!frees(&maps, &quota, &Change::Deleted(object(json!({}))), now), "the quota counts no ConfigMaps");
}
