use client::EventType;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use serde_json::{Value, json};

use super::plan;

#[test]
fn a_claim_that_is_larger_than_its_volume_waits_for_others() {
    let claim = |size: &str| -> PersistentVolumeClaim {
        serde_json::from_value(json!({
            "metadata": {"name": "data", "uid": "u"},
            "spec": {"volumeName": "v", "resources": {"requests": {"storage": size}}},
            "status": {"phase": "Bound", "capacity": {"storage": "1Gi"}},
        }))
        .unwrap()
    };
    let volume = |uid: &str, source: Value| -> PersistentVolume {
        let mut spec = json!({"claimRef": {"name": "data", "uid": uid}});
        apimachinery::patch::apply_merge_patch(&mut spec, source).unwrap();
        serde_json::from_value(json!({"metadata": {"name": "v"}, "spec": spec})).unwrap()
    };
    let local = json!({"local": {"path": "/x"}});
    let driver = json!({"csi": {"driver": "example.org", "volumeHandle": "h"}});
    let event = |size: &str, uid: &str, source: &Value| {
        plan(&claim(size), &volume(uid, source.clone())).map(|said| (said.event_type, said.reason))
    };
    let reason = "ExternalExpanding".to_owned();
    assert_eq!(event("2Gi", "u", &local), Some((EventType::Warning, reason.clone())));
    assert_eq!(event("2Gi", "u", &driver), Some((EventType::Normal, reason)));
    assert_eq!(event("1Gi", "u", &local), None);
    assert_eq!(event("2Gi", "other", &local), None);
}
