use apimachinery::patch::apply_merge_patch;
use k8s_openapi::api::core::v1::{Node, PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::StorageClass;
use serde_json::{Value, json};

use super::{ClaimStep, FINALIZER, Observed, Place, VolumeStep, claim, persistent_volume, volume};

const UID: &str = "0a1b2c3d-0000-4000-8000-000000000001";

fn merged<T: serde::de::DeserializeOwned>(mut value: Value, more: Value) -> T {
    apply_merge_patch(&mut value, more).unwrap();
    serde_json::from_value(value).unwrap()
}

fn a_claim(more: Value) -> PersistentVolumeClaim {
    let base = json!({
        "metadata": {"name": "data", "namespace": "default", "uid": UID, "annotations": {
            "volume.kubernetes.io/storage-provisioner": "skiff/local-path",
            "volume.kubernetes.io/selected-node": "a",
        }},
        "spec": {
            "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}},
            "storageClassName": "standard", "volumeMode": "Filesystem",
        },
    });
    merged(base, more)
}

fn class(more: Value) -> StorageClass {
    let base = json!({"metadata": {"name": "standard"}, "provisioner": "skiff/local-path", "reclaimPolicy": "Delete",
        "volumeBindingMode": "WaitForFirstConsumer"});
    merged(base, more)
}

fn node() -> Node {
    serde_json::from_value(json!({"metadata": {"name": "a", "labels": {"kubernetes.io/hostname": "a.example"}}}))
        .unwrap()
}

fn place() -> Place {
    Place { node: "a".to_owned(), hostname: "a.example".to_owned(), directory: format!("pvc-{UID}") }
}

fn step(claim_: &PersistentVolumeClaim, class: &StorageClass, node: Option<&Node>) -> ClaimStep {
    claim(&Observed { claim: claim_, class: Some(class), node, exists: false })
}

#[test]
fn a_claim_gets_a_volume_when_its_node_is_chosen() {
    let (plain, node) = (class(json!({})), node());
    let annotation = |name: &str, value: Value| json!({"metadata": {"annotations": {name: value}}});
    let selected = "volume.kubernetes.io/selected-node";
    let asked = "volume.kubernetes.io/storage-provisioner";
    for (what, claim, wanted) in [
        ("chosen", a_claim(json!({})), ClaimStep::Provision(place())),
        ("not chosen", a_claim(annotation(selected, json!(null))), ClaimStep::None),
        ("not asked", a_claim(annotation(asked, json!(null))), ClaimStep::None),
        ("another one is asked", a_claim(annotation(asked, json!("example.org/disk"))), ClaimStep::None),
        ("it has a volume", a_claim(json!({"spec": {"volumeName": "v"}})), ClaimStep::None),
        ("it goes", a_claim(json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}})), ClaimStep::None),
        (
            "a name that leads elsewhere",
            a_claim(json!({"metadata": {"uid": "../x"}})),
            ClaimStep::Refuse("\"pvc-../x\" can't be the name of a directory".to_owned()),
        ),
    ] {
        assert_eq!(step(&claim, &plain, Some(&node)), wanted, "{what}");
    }
    let gone = ClaimStep::Reschedule("node \"a\" not found".to_owned());
    assert_eq!(step(&a_claim(json!({})), &plain, None), gone);
    let made = Observed { claim: &a_claim(json!({})), class: Some(&plain), node: Some(&node), exists: true };
    assert_eq!(claim(&made), ClaimStep::None);
}

#[test]
fn what_a_directory_can_not_be_is_refused() {
    let plain = class(json!({}));
    let source = json!({"kind": "PersistentVolumeClaim", "name": "other"});
    for (spec, wanted) in [
        (json!({"volumeMode": "Block"}), "skiff/local-path does not support block volume provisioning"),
        (json!({"selector": {}}), "claim Selector is not supported"),
        (json!({"dataSource": source}), "skiff/local-path makes empty volumes, and none from a data source"),
        (
            json!({"volumeAttributesClassName": "gold"}),
            "skiff/local-path knows no attributes of volumes, and the claim asks for \"gold\"",
        ),
    ] {
        let claim = a_claim(json!({"spec": spec}));
        assert_eq!(step(&claim, &plain, Some(&node())), ClaimStep::Refuse(wanted.to_owned()));
    }
    for (more, wanted) in [
        (
            json!({"mountOptions": ["ro", "noexec"]}),
            "Mount options are not supported by the provisioner but StorageClass \"standard\" has mount options [ro noexec]",
        ),
        (
            json!({"parameters": {"nodePath": "/etc"}}),
            "skiff/local-path has no parameters, and StorageClass \"standard\" names \"nodePath\"",
        ),
    ] {
        let refused = ClaimStep::Refuse(wanted.to_owned());
        assert_eq!(step(&a_claim(json!({})), &class(more), Some(&node())), refused);
    }
    let at_once = class(json!({"volumeBindingMode": "Immediate"}));
    let wanted = "skiff/local-path has to know the Pod's node: StorageClass \"standard\" needs the volumeBindingMode \
        WaitForFirstConsumer";
    assert_eq!(step(&a_claim(json!({})), &at_once, Some(&node())), ClaimStep::Refuse(wanted.to_owned()));
}

#[test]
fn the_volume_is_the_claims_and_stays_on_its_node() {
    let made = persistent_volume(&a_claim(json!({})), Some(&class(json!({}))), &place(), "/volumes/x");
    let spec = &made["spec"];
    assert_eq!(made["metadata"]["finalizers"], json!([FINALIZER]));
    assert_eq!(spec["capacity"], json!({"storage": "1Gi"}));
    assert_eq!(spec["claimRef"]["uid"], UID);
    assert_eq!((&spec["local"]["path"], &spec["storageClassName"]), (&json!("/volumes/x"), &json!("standard")));
    let expression = &spec["nodeAffinity"]["required"]["nodeSelectorTerms"][0]["matchExpressions"][0];
    assert_eq!(*expression, json!({"key": "kubernetes.io/hostname", "operator": "In", "values": ["a.example"]}));
    let kept = class(json!({"reclaimPolicy": "Retain"}));
    let made = persistent_volume(&a_claim(json!({})), Some(&kept), &place(), "/volumes/x");
    assert_eq!(
        (&made["metadata"]["finalizers"], &made["spec"]["persistentVolumeReclaimPolicy"]),
        (&json!([]), &json!("Retain"))
    );
}

#[test]
fn a_released_volume_loses_its_directory() {
    let made = persistent_volume(&a_claim(json!({})), Some(&class(json!({}))), &place(), "/volumes/x");
    let of = |more: Value| -> VolumeStep { volume(&merged::<PersistentVolume>(made.clone(), more)) };
    let released = |more: Value| {
        let mut change = json!({"status": {"phase": "Released"}});
        apply_merge_patch(&mut change, more).unwrap();
        of(change)
    };
    let directory = format!("pvc-{UID}");
    let there = Place { node: "a.example".to_owned(), hostname: "a.example".to_owned(), directory };
    let deleted = json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}});
    assert_eq!(of(json!({"status": {"phase": "Bound"}})), VolumeStep::None);
    assert_eq!(released(json!({})), VolumeStep::Delete(there.clone()));
    assert_eq!(released(deleted.clone()), VolumeStep::Delete(there));
    let mut done = deleted;
    apply_merge_patch(&mut done, json!({"metadata": {"finalizers": ["kubernetes.io/pv-protection"]}})).unwrap();
    assert_eq!(released(done), VolumeStep::None, "the directory is removed already");
    assert_eq!(
        released(json!({"metadata": {"annotations": {"pv.kubernetes.io/provisioned-by": "x/y"}}})),
        VolumeStep::None
    );
    assert_eq!(released(json!({"metadata": {"name": "pvc-..", "finalizers": [FINALIZER]}})), VolumeStep::None);
    let retained = json!({"spec": {"persistentVolumeReclaimPolicy": "Retain"}});
    assert_eq!(released(retained), VolumeStep::Finalizers(vec![]));
    let unprotected = json!({"metadata": {"finalizers": null}, "status": {"phase": "Bound"}});
    assert_eq!(of(unprotected), VolumeStep::Finalizers(vec![FINALIZER.to_owned()]));
}
