use k8s_openapi::api::core::v1::{Node, PersistentVolume, PersistentVolumeClaim};
use serde_json::{Value, json};

use super::{Seeker, default_class, find_matching};
use apimachinery::Object;
use std::sync::Arc;

fn volume(name: &str, size: &str, more: Value) -> PersistentVolume {
    let mut value = json!({
        "metadata": {"name": name},
        "spec": {"capacity": {"storage": size}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/data"}},
        "status": {"phase": "Available"},
    });
    apimachinery::patch::apply_merge_patch(&mut value, more).unwrap();
    serde_json::from_value(value).unwrap()
}

fn claim(more: Value) -> PersistentVolumeClaim {
    let mut value = json!({
        "metadata": {"name": "data", "namespace": "default", "uid": "u1"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "5Gi"}}},
    });
    apimachinery::patch::apply_merge_patch(&mut value, more).unwrap();
    serde_json::from_value(value).unwrap()
}

fn found(claim: &PersistentVolumeClaim, volumes: &[PersistentVolume], seeker: Seeker<'_>) -> String {
    let found = find_matching(claim, volumes, seeker);
    found.and_then(|volume| volume.metadata.name.clone()).unwrap_or_else(|| "(none)".to_owned())
}

#[test]
fn the_smallest_that_fits_is_chosen_and_the_one_that_is_meant_before_it() {
    let reference = |uid: &str| json!({"name": "data", "namespace": "default", "uid": uid});
    let sizes = || vec![volume("big", "20Gi", json!({})), volume("fits", "6Gi", json!({}))];
    let with = |more: PersistentVolume| sizes().into_iter().chain([more]).collect::<Vec<_>>();
    let binder = Seeker::Binder { waits: false };
    for (what, volumes, given, wanted) in [
        ("the smallest", with(volume("small", "1Gi", json!({}))), claim(json!({})), "fits"),
        (
            "meant",
            with(volume("meant", "30Gi", json!({"spec": {"claimRef": reference("")}}))),
            claim(json!({})),
            "meant",
        ),
        (
            "meant, and too small",
            with(volume("meant", "1Gi", json!({"spec": {"claimRef": reference("u1")}}))),
            claim(json!({})),
            "fits",
        ),
        (
            "of a claim with this name from before",
            with(volume("old", "5Gi", json!({"spec": {"claimRef": reference("u0")}}))),
            claim(json!({})),
            "fits",
        ),
        (
            "released",
            with(volume("released", "5Gi", json!({"status": {"phase": "Released"}}))),
            claim(json!({})),
            "fits",
        ),
        ("a device", with(volume("device", "5Gi", json!({"spec": {"volumeMode": "Block"}}))), claim(json!({})), "fits"),
        (
            "going away",
            with(volume("going", "5Gi", json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}))),
            claim(json!({})),
            "fits",
        ),
        (
            "by class",
            with(volume("slow", "30Gi", json!({"spec": {"storageClassName": "slow"}}))),
            claim(json!({"spec": {"storageClassName": "slow"}})),
            "slow",
        ),
        (
            "by label",
            with(volume("labelled", "30Gi", json!({"metadata": {"labels": {"tier": "gold"}}}))),
            claim(json!({"spec": {"selector": {"matchLabels": {"tier": "gold"}}}})),
            "labelled",
        ),
        ("none", sizes(), claim(json!({"spec": {"resources": {"requests": {"storage": "1Ti"}}}})), "(none)"),
    ] {
        assert_eq!(found(&given, &volumes, binder), wanted, "{what}");
    }
    let meant = with(volume("meant", "30Gi", json!({"spec": {"claimRef": reference("")}})));
    assert_eq!(found(&claim(json!({})), &meant, Seeker::Binder { waits: true }), "meant");
    assert_eq!(found(&claim(json!({})), &sizes(), Seeker::Binder { waits: true }), "(none)");
}

#[test]
fn the_scheduler_looks_from_a_node() {
    let node: Node = serde_json::from_value(json!({"metadata": {"name": "a", "labels": {"zone": "1"}}})).unwrap();
    let on = |name: &str, zone: &str| {
        let term = json!({"matchExpressions": [{"key": "zone", "operator": "In", "values": [zone]}]});
        volume(name, "5Gi", json!({"spec": {"nodeAffinity": {"required": {"nodeSelectorTerms": [term]}}}}))
    };
    let volumes = [on("far", "2"), on("near", "1")];
    assert_eq!(found(&claim(json!({})), &volumes, Seeker::Scheduler(&node)), "near");
    let many = claim(json!({"spec": {"accessModes": ["ReadWriteMany"]}}));
    assert_eq!(found(&many, &volumes, Seeker::Scheduler(&node)), "(none)");
}

#[test]
fn the_newest_default_class_counts() {
    let class = |name: &str, default: &str, made: &str| {
        let meta = json!({"name": name, "creationTimestamp": made,
            "annotations": {"storageclass.kubernetes.io/is-default-class": default}});
        Arc::new(Object::from_value(&json!({"metadata": meta})).unwrap())
    };
    let (early, late) = ("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z");
    let classes =
        [class("b", "true", late), class("c", "false", late), class("a", "true", late), class("d", "true", early)];
    assert_eq!(default_class(&classes).map(|class| class.meta().name.as_str()), Some("a"));
    assert_eq!(default_class(&classes[1..2]).map(|class| class.meta().name.as_str()), None);
}
