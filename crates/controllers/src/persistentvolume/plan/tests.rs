use std::sync::Arc;

use apimachinery::Object;
use apimachinery::patch::apply_merge_patch;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use serde_json::{Value, json};

use super::{Plan, Side, claim, volume};

const COMPLETED: &str = "pv.kubernetes.io/bind-completed";
const BY_CONTROLLER: &str = "pv.kubernetes.io/bound-by-controller";
const MADE_BY: &str = "pv.kubernetes.io/provisioned-by";

fn merged(mut value: Value, more: Value) -> Value {
    apply_merge_patch(&mut value, more).unwrap();
    value
}

fn a_claim(more: Value) -> PersistentVolumeClaim {
    let base = json!({
        "metadata": {"name": "data", "namespace": "default", "uid": "u1", "resourceVersion": "7"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
        "status": {"phase": "Pending"},
    });
    serde_json::from_value(merged(base, more)).unwrap()
}

fn a_volume(more: Value) -> Arc<PersistentVolume> {
    let base = json!({
        "metadata": {"name": "v"},
        "spec": {
            "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "2Gi"}, "hostPath": {"path": "/data"},
            "persistentVolumeReclaimPolicy": "Retain",
        },
        "status": {"phase": "Available"},
    });
    Arc::new(serde_json::from_value(merged(base, more)).unwrap())
}

fn class(name: &str, provisioner: &str, mode: &str, is_default: bool) -> Arc<Object> {
    Arc::new(
        Object::from_value(&json!({
            "metadata": {
                "name": name,
                "annotations": {"storageclass.kubernetes.io/is-default-class": is_default.to_string()},
            },
            "provisioner": provisioner, "volumeBindingMode": mode,
        }))
        .unwrap(),
    )
}

fn classes() -> Vec<Arc<Object>> {
    vec![
        class("later", "example.org/disk", "WaitForFirstConsumer", false),
        class("now", "example.org/disk", "Immediate", false),
        class("by-hand", "kubernetes.io/no-provisioner", "Immediate", false),
    ]
}

fn of_claim(claim: &PersistentVolumeClaim, volumes: &[Arc<PersistentVolume>], waiting: &[&str]) -> Plan {
    let waiting: Vec<String> = waiting.iter().map(|name| (*name).to_owned()).collect();
    claim::plan(&claim::Observed { claim, volumes, classes: &classes(), waiting: &waiting })
}

fn of_volume(volume: &PersistentVolume, claim: Option<&PersistentVolumeClaim>) -> Plan {
    volume::plan(&volume::Observed { volume, claim })
}

/// `Claim.status {"phase":"Bound"}`, one line a write, then `Normal REASON on Claim: TEXT`.
fn lines(plan: &Plan) -> Vec<String> {
    let writes = plan.writes.iter().map(|write| {
        let of = if write.status { &write.change["status"] } else { &write.change };
        format!("{:?}{} {of}", write.side, if write.status { ".status" } else { "" })
    });
    let said = plan
        .said
        .iter()
        .map(|(side, said)| format!("{} {} on {side:?}: {}", said.event_type.as_str(), said.reason, said.message));
    writes.chain(said).collect()
}

#[test]
fn a_claim_and_a_volume_are_bound_to_each_other() {
    let (claim, volume) = (a_claim(json!({})), a_volume(json!({})));
    let plan = of_claim(&claim, std::slice::from_ref(&volume), &[]);
    assert_eq!(plan.volume.as_deref(), Some("v"));
    let reference = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "name": "data", "namespace": "default",
        "resourceVersion": "7", "uid": "u1",
    });
    let changes: Vec<(Side, bool, Value)> =
        plan.writes.iter().map(|write| (write.side, write.status, write.change.clone())).collect();
    let annotated = json!({"annotations": {BY_CONTROLLER: "yes"}});
    let completed = json!({"annotations": {BY_CONTROLLER: "yes", COMPLETED: "yes"}});
    let status = json!({"phase": "Bound", "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "2Gi"}});
    assert_eq!(
        changes,
        [
            (Side::Volume, false, json!({"metadata": annotated, "spec": {"claimRef": reference}})),
            (Side::Volume, true, json!({"status": {"phase": "Bound", "message": null}})),
            (Side::Claim, false, json!({"metadata": completed, "spec": {"volumeName": "v"}})),
            (Side::Claim, true, json!({"status": status})),
        ]
    );
    // When all of that is done there is nothing left to do.
    let (mut claim, mut volume) = (json!(claim), json!(*volume));
    for write in plan.writes {
        apply_merge_patch(if write.side == Side::Claim { &mut claim } else { &mut volume }, write.change).unwrap();
    }
    let claim: PersistentVolumeClaim = serde_json::from_value(claim).unwrap();
    let volume: PersistentVolume = serde_json::from_value(volume).unwrap();
    assert_eq!(lines(&of_volume(&volume, Some(&claim))), [""; 0]);
    assert_eq!(lines(&of_claim(&claim, &[Arc::new(volume)], &[])), [""; 0]);
}

#[test]
fn what_a_claim_waits_for_is_said() {
    let of_class = |class: &str| a_claim(json!({"spec": {"storageClassName": class}}));
    let on_node = json!({"metadata": {"annotations": {"volume.kubernetes.io/selected-node": "n"}},
        "spec": {"storageClassName": "later"}});
    let external = "Normal ExternalProvisioning on Claim: Waiting for a volume to be created either by the external \
        provisioner 'example.org/disk' or manually by the system administrator. If volume creation is delayed, please \
        verify that the provisioner is running and correctly registered.";
    let asks = "Claim {\"metadata\":{\"annotations\":{\"volume.beta.kubernetes.io/storage-provisioner\":\
        \"example.org/disk\",\"volume.kubernetes.io/storage-provisioner\":\"example.org/disk\"}}}";
    let none: &[&str] = &[];
    for (claim, waiting, wanted) in [
        (
            a_claim(json!({})),
            none,
            vec![
                "Normal FailedBinding on Claim: no persistent volumes available for this claim and no storage class is set",
            ],
        ),
        (
            of_class("later"),
            none,
            vec!["Normal WaitForFirstConsumer on Claim: waiting for first consumer to be created before binding"],
        ),
        (of_class("later"), &["p"], vec!["Normal WaitForPodScheduled on Claim: waiting for pod p to be scheduled"]),
        (
            of_class("later"),
            &["p", "q"],
            vec!["Normal WaitForPodScheduled on Claim: waiting for pods p,q to be scheduled"],
        ),
        (a_claim(on_node), none, vec![asks, external]),
        (of_class("now"), none, vec![asks, external]),
        (
            of_class("by-hand"),
            none,
            vec!["Warning ProvisioningFailed on Claim: no volume plugin matched name: kubernetes.io/no-provisioner"],
        ),
        (
            of_class("nobodys"),
            none,
            vec!["Warning ProvisioningFailed on Claim: storageclass.storage.k8s.io \"nobodys\" not found"],
        ),
    ] {
        assert_eq!(lines(&of_claim(&claim, &[], waiting)), wanted);
    }
}

#[test]
fn a_claim_without_a_class_gets_the_default_one_later() {
    let mut classes = classes();
    classes.push(class("standard", "example.org/disk", "Immediate", true));
    let plan = |claim: &PersistentVolumeClaim, volumes: &[Arc<PersistentVolume>]| {
        lines(&claim::plan(&claim::Observed { claim, volumes, classes: &classes, waiting: &[] }))
    };
    assert_eq!(plan(&a_claim(json!({})), &[]), ["Claim {\"spec\":{\"storageClassName\":\"standard\"}}"]);
    assert_eq!(plan(&a_claim(json!({})), &[a_volume(json!({}))]).len(), 4, "a volume without a class comes first");
    let none = a_claim(json!({"spec": {"storageClassName": ""}}));
    assert!(plan(&none, &[])[0].contains("no storage class is set"), "who wants none gets none");
}

#[test]
fn a_claim_that_names_a_volume_gets_that_or_none() {
    let claim = a_claim(json!({"spec": {"volumeName": "v"}}));
    let mismatch = |more: Value| lines(&of_claim(&claim, &[a_volume(more)], &[]));
    let why =
        |text: &str| vec![format!("Warning VolumeMismatch on Claim: Cannot bind to requested volume \"v\": {text}")];
    assert_eq!(mismatch(json!({"spec": {"capacity": {"storage": "1Mi"}}})), why("requested PV is too small"));
    assert_eq!(mismatch(json!({"spec": {"storageClassName": "x"}})), why("storageClassName does not match"));
    assert_eq!(mismatch(json!({"spec": {"volumeMode": "Block"}})), why("incompatible volumeMode"));
    assert_eq!(mismatch(json!({"spec": {"accessModes": ["ReadOnlyMany"]}})), why("incompatible accessMode"));
    assert_eq!(
        mismatch(json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}})),
        why("the volume is marked for deletion \"v\"")
    );
    assert_eq!(
        mismatch(json!({"spec": {"claimRef": {"name": "other", "namespace": "default"}}})),
        ["Warning FailedBinding on Claim: volume \"v\" already bound to a different claim."]
    );
    assert_eq!(lines(&of_claim(&claim, &[], &[])), [""; 0], "it waits for the volume to appear");
    let bound = of_claim(&claim, &[a_volume(json!({}))], &[]);
    let annotations = &bound.writes[2].change["metadata"]["annotations"];
    assert_eq!(*annotations, json!({COMPLETED: "yes"}), "the user chose, not the controller");
}

#[test]
fn fewer_modes_than_size_decide() {
    let all = |name: &str, size: &str, modes: Value| {
        a_volume(json!({"metadata": {"name": name}, "spec": {"accessModes": modes, "capacity": {"storage": size}}}))
    };
    let volumes = [
        all("many", "1Gi", json!(["ReadWriteOnce", "ReadOnlyMany"])),
        all("big", "9Gi", json!(["ReadWriteOnce"])),
        all("other", "1Gi", json!(["ReadWriteMany"])),
    ];
    assert_eq!(of_claim(&a_claim(json!({})), &volumes, &[]).volume.as_deref(), Some("big"));
}

#[test]
fn a_bound_claim_that_loses_its_volume_is_lost() {
    let bound = |more: Value| {
        let base = json!({"metadata": {"annotations": {COMPLETED: "yes"}}, "status": {"phase": "Bound",
            "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "2Gi"}}});
        a_claim(merged(base, more))
    };
    let lost = "Claim.status {\"accessModes\":null,\"capacity\":null,\"phase\":\"Lost\"}";
    let named = bound(json!({"spec": {"volumeName": "v"}}));
    for (claim, volumes, wanted) in [
        (
            bound(json!({})),
            vec![],
            "Warning ClaimLost on Claim: Bound claim has lost reference to PersistentVolume. Data on the volume is lost!",
        ),
        (
            named.clone(),
            vec![],
            "Warning ClaimLost on Claim: Bound claim has lost its PersistentVolume. Data on the volume is lost!",
        ),
        (
            named,
            vec![a_volume(json!({"spec": {"claimRef": {"name": "data", "namespace": "default", "uid": "u2"}}}))],
            "Warning ClaimMisbound on Claim: Two claims are bound to the same volume, this one is bound incorrectly",
        ),
    ] {
        assert_eq!(lines(&of_claim(&claim, &volumes, &[])), [lost, wanted]);
    }
    let before =
        json!({"spec": {"volumeName": "v"}, "status": {"phase": "Lost", "accessModes": null, "capacity": null}});
    assert_eq!(lines(&of_claim(&bound(before), &[], &[])), [""; 0], "it is said once");
}

#[test]
fn a_volume_whose_claim_is_gone_is_released_and_more_by_its_policy() {
    let of = |policy: &str, more: Value| {
        let base = json!({"spec": {"claimRef": {"name": "data", "namespace": "default", "uid": "u1"},
            "persistentVolumeReclaimPolicy": policy}, "status": {"phase": "Bound"}});
        lines(&of_volume(&a_volume(merged(base, more)), None))
    };
    let released = "Volume.status {\"message\":null,\"phase\":\"Released\"}";
    assert_eq!(of("Retain", json!({})), [released]);
    assert_eq!(of("Delete", json!({"metadata": {"annotations": {MADE_BY: "example.org/disk"}}})), [released]);
    assert_eq!(
        of("Recycle", json!({})),
        [
            released,
            "Volume.status {\"message\":\"No recycler plugin found for the volume!\",\"phase\":\"Failed\"}",
            "Warning VolumeFailedRecycle on Volume: No recycler plugin found for the volume!",
        ]
    );
    let told = of("Delete", json!({}));
    assert_eq!(
        told.last().map(String::as_str),
        Some(
            "Warning VolumeFailedDelete on Volume: error getting deleter volume plugin for volume \"v\": no deletable \
             volume plugin matched"
        )
    );
    assert_eq!(of("Delete", json!({"status": {"phase": "Failed"}})), [""; 0], "a failure stays to be seen");
}

#[test]
fn a_volume_of_a_claim_that_is_bound_elsewhere_is_given_back() {
    let elsewhere = a_claim(json!({"spec": {"volumeName": "other"}}));
    let of = |more: Value| {
        let base = json!({"spec": {"claimRef": {"name": "data", "namespace": "default", "uid": "u1"}},
            "status": {"phase": "Bound"}});
        lines(&of_volume(&a_volume(merged(base, more)), Some(&elsewhere)))
    };
    let available = "Volume.status {\"message\":null,\"phase\":\"Available\"}";
    assert_eq!(of(json!({})), ["Volume {\"spec\":{\"claimRef\":{\"uid\":null}}}", available]);
    let by_controller = json!({"metadata": {"annotations": {BY_CONTROLLER: "yes"}}});
    let back = "Volume {\"metadata\":{\"annotations\":null},\"spec\":{\"claimRef\":null}}";
    assert_eq!(of(by_controller), [back, available]);
    let made = json!({"metadata": {"annotations": {MADE_BY: "example.org/disk"}},
        "spec": {"persistentVolumeReclaimPolicy": "Delete"}});
    assert_eq!(of(made), ["Volume.status {\"message\":null,\"phase\":\"Released\"}"]);
}

#[test]
fn a_volume_waits_for_its_claim_to_be_bound() {
    let reference = |uid: &str| {
        json!({"spec": {"claimRef": {"name": "data", "namespace": "default", "uid": uid}},
        "status": {"phase": "Pending"}})
    };
    let available = ["Volume.status {\"message\":null,\"phase\":\"Available\"}"];
    assert_eq!(lines(&of_volume(&a_volume(json!({"status": {"phase": "Pending"}})), None)), available);
    assert_eq!(lines(&of_volume(&a_volume(reference("")), None)), available);
    let plan = of_volume(&a_volume(reference("u1")), Some(&a_claim(json!({}))));
    assert_eq!((plan.then_claim, lines(&plan).len()), (true, 0));
    let device = a_claim(json!({"spec": {"volumeMode": "Block"}}));
    assert_eq!(
        lines(&of_volume(&a_volume(reference("u1")), Some(&device))),
        [
            "Warning VolumeMismatch on Volume: Cannot bind PersistentVolume to requested PersistentVolumeClaim \"data\" \
             due to incompatible volumeMode.",
            "Warning VolumeMismatch on Claim: Cannot bind PersistentVolume \"v\" to requested PersistentVolumeClaim due \
             to incompatible volumeMode.",
        ]
    );
}
