use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use serde_json::{Value, json};

use super::find_match;

fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            from.into_iter().for_each(|(key, value)| merge(into.entry(key).or_insert(Value::Null), value));
        }
        (into, from) => *into = from,
    }
}

fn volume(name: &str, size: &str, other: Value) -> Arc<PersistentVolume> {
    let mut value = json!({
        "metadata": {"name": name},
        "spec": {"capacity": {"storage": size}, "accessModes": ["ReadWriteOnce"], "storageClassName": "slow"},
        "status": {"phase": "Available"},
    });
    merge(&mut value, other);
    Arc::new(serde_json::from_value(value).unwrap())
}

fn claim(size: &str, other: Value) -> PersistentVolumeClaim {
    let mut value = json!({
        "metadata": {"name": "data", "namespace": "default", "uid": "1"},
        "spec": {"resources": {"requests": {"storage": size}}, "accessModes": ["ReadWriteOnce"],
            "storageClassName": "slow"},
    });
    merge(&mut value, other);
    serde_json::from_value(value).unwrap()
}

fn on(zone: &str) -> Value {
    let expression = json!({"key": "zone", "operator": "In", "values": [zone]});
    json!({"spec": {"nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}}}})
}

#[test]
fn the_volume_that_is_meant_for_a_claim_or_else_the_smallest_that_suits() {
    let meant = |uid: &str| json!({"spec": {"claimRef": {"name": "data", "namespace": "default", "uid": uid}}});
    let volumes = [
        volume("tiny", "1Gi", json!({})),
        volume("large", "9Gi", json!({})),
        volume("small", "3Gi", json!({})),
        volume("block", "2Gi", json!({"spec": {"volumeMode": "Block"}})),
        volume("fast", "2Gi", json!({"spec": {"storageClassName": "fast"}})),
        volume("released", "2Gi", json!({"status": {"phase": "Released"}})),
        volume("leaves", "2Gi", json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}})),
        volume("of-another", "2Gi", meant("2")),
        volume("far", "2Gi", on("b")),
        volume("labelled", "5Gi", json!({"metadata": {"labels": {"disk": "ssd"}}})),
    ];
    let zone = BTreeMap::from([("zone".to_owned(), "a".to_owned())]);
    let check = |claim: Value, node: bool, more: &[Arc<PersistentVolume>], expected: Option<&str>| {
        let size = claim["size"].as_str().unwrap_or("2Gi").to_owned();
        let claim = self::claim(&size, json!({"spec": claim.get("spec").cloned().unwrap_or(json!({}))}));
        let labels = node.then_some(&zone);
        let found = find_match(&claim, volumes.iter().chain(more), labels, &BTreeSet::new(), true);
        assert_eq!(found.and_then(|volume| volume.metadata.name.as_deref()), expected, "{claim:?}");
    };
    check(json!({}), true, &[], Some("small"));
    check(json!({"size": "4Gi"}), true, &[], Some("labelled"));
    check(json!({"size": "10Gi"}), true, &[], None);
    check(json!({"spec": {"selector": {"matchLabels": {"disk": "ssd"}}}}), true, &[], Some("labelled"));
    check(json!({"spec": {"volumeMode": "Block"}}), true, &[], Some("block"));
    check(json!({"spec": {"storageClassName": "fast"}}), true, &[], Some("fast"));
    check(json!({"spec": {"accessModes": ["ReadWriteMany"]}}), true, &[], None);
    check(json!({}), true, &[volume("own", "8Gi", meant("1"))], Some("own"));
    check(json!({}), true, &[volume("own", "8Gi", meant(""))], Some("own"));
    let mut elsewhere = on("b");
    merge(&mut elsewhere, meant("1"));
    check(json!({}), true, &[volume("own", "8Gi", elsewhere)], None);
    check(json!({}), false, &[], None);
    check(json!({}), false, &[volume("own", "8Gi", meant("1"))], Some("own"));
}
