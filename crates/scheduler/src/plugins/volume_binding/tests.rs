//! What the three plugins for volumes say of Pods in a small cluster.

use std::sync::Arc;

use component_base::Random;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Value, json};

use super::super::volume_restrictions::VolumeRestrictions;
use super::super::volume_zone::VolumeZone;
use super::{VolumeBinding, reservable};
use crate::framework::{FilterPlugin, ScorePlugin};
use crate::pod_info::PodInfo;
use crate::schedule::Framework;
use crate::snapshot::Snapshot;
use crate::volumes::Volumes;

fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            from.into_iter().for_each(|(key, value)| merge(into.entry(key).or_insert(Value::Null), value));
        }
        (into, from) => *into = from,
    }
}

fn merged(mut into: Value, from: Value) -> Value {
    merge(&mut into, from);
    into
}

fn class(name: &str, other: Value) -> Value {
    let own = json!({"metadata": {"name": name}, "provisioner": "example.com/disks",
        "volumeBindingMode": "WaitForFirstConsumer"});
    merged(own, other)
}

fn claim(name: &str, other: Value) -> Value {
    let own = json!({
        "metadata": {"name": name, "namespace": "default", "uid": name, "resourceVersion": "1"},
        "spec": {"storageClassName": "slow", "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Gi"}}},
        "status": {"phase": "Pending"},
    });
    merged(own, other)
}

fn bound_to(volume: &str) -> Value {
    json!({"metadata": {"annotations": {"pv.kubernetes.io/bind-completed": "yes"}}, "spec": {"volumeName": volume},
        "status": {"phase": "Bound"}})
}

fn volume(name: &str, node: &str, other: Value) -> Value {
    let here = json!({"key": "kubernetes.io/hostname", "operator": "In", "values": [node]});
    let own = json!({
        "metadata": {"name": name, "resourceVersion": "1"},
        "spec": {"storageClassName": "slow", "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [here]}]}}},
        "status": {"phase": "Available"},
    });
    merged(own, other)
}

fn pod(name: &str, volumes: Value) -> PodInfo {
    let value = json!({"metadata": {"name": name, "namespace": "default", "uid": name},
        "spec": {"containers": [{"name": "c"}], "volumes": volumes}});
    PodInfo::new(Arc::new(serde_json::from_value::<Pod>(value).unwrap()))
}

fn with_claims(claims: &[&str]) -> PodInfo {
    let volume = |claim: &&str| json!({"name": *claim, "persistentVolumeClaim": {"claimName": claim}});
    pod("p", claims.iter().map(volume).collect())
}

fn volumes(classes: &[Value], claims: &[Value], volumes: &[Value]) -> Volumes {
    let mut all = Volumes::default();
    classes.iter().for_each(|class| all.set_class(serde_json::from_value(class.clone()).unwrap()));
    claims.iter().for_each(|claim| all.set_claim(serde_json::from_value(claim.clone()).unwrap()));
    volumes.iter().for_each(|volume| all.set_volume(serde_json::from_value(volume.clone()).unwrap()));
    all
}

/// Two nodes, `a` in zone `west` and `b` in zone `east`.
fn cluster(volumes: Volumes, placed: Vec<(&str, PodInfo)>) -> Snapshot {
    let node = |name: &str, zone: &str| {
        let labels = json!({"kubernetes.io/hostname": name, "topology.kubernetes.io/zone": zone});
        let status = json!({"allocatable": {"cpu": "2", "memory": "4Gi", "pods": "9"}});
        Arc::new(
            serde_json::from_value(json!({"metadata": {"name": name, "labels": labels}, "status": status})).unwrap(),
        )
    };
    let nodes = vec![node("a", "west"), node("b", "east")];
    let mut snapshot = Snapshot::new(nodes, placed.into_iter().map(|(node, pod)| (node.to_owned(), pod)));
    snapshot.volumes = Arc::new(volumes);
    snapshot
}

fn schedule(pod: &PodInfo, snapshot: &Snapshot) -> String {
    match Framework::default().schedule(pod, snapshot, 0, &Random::from_seed(1)) {
        Ok(decision) => decision.node,
        Err(error) => error.to_string(),
    }
}

fn check(pod: &PodInfo, all: Volumes, expected: &str) {
    assert_eq!(schedule(pod, &cluster(all, vec![])), expected);
}

#[test]
fn what_is_wrong_with_a_claim_is_nothing_about_nodes() {
    let of = |claim: Value| volumes(&[class("slow", json!({}))], &[claim], &[]);
    let data = with_claims(&["data"]);
    check(&data, of(claim("other", json!({}))), "0/2 nodes are available: persistentvolumeclaim \"data\" not found.");
    check(
        &data,
        of(claim("data", json!({"spec": {"storageClassName": "none"}}))),
        "0/2 nodes are available: pod has unbound immediate PersistentVolumeClaims.",
    );
    check(
        &data,
        of(claim("data", json!({"spec": {"volumeName": "v"}}))),
        "0/2 nodes are available: pod has unbound immediate PersistentVolumeClaims.",
    );
    check(
        &data,
        of(claim("data", json!({"status": {"phase": "Lost"}, "spec": {"volumeName": "v"}}))),
        "0/2 nodes are available: persistentvolumeclaim \"data\" bound to non-existent persistentvolume \"v\".",
    );
    check(
        &data,
        of(claim("data", json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}))),
        "0/2 nodes are available: persistentvolumeclaim \"data\" is being deleted.",
    );
    check(&data, of(claim("data", bound_to("gone"))), "0/2 nodes are available: persistentvolume \"gone\" not found.");
    let own = pod("p", json!([{"name": "scratch", "ephemeral": {"volumeClaimTemplate": {"spec": {}}}}]));
    check(
        &own,
        of(claim("data", json!({}))),
        "0/2 nodes are available: waiting for ephemeral volume controller to create the persistentvolumeclaim \
         \"p-scratch\".",
    );
    check(
        &own,
        of(claim("p-scratch", json!({}))),
        "0/2 nodes are available: PVC default/p-scratch was not created for pod default/p (pod is not owner).",
    );
    let owner = json!({"metadata": {"ownerReferences":
        [{"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "p", "controller": true}]}});
    let made = reservable(&own, &of(claim("p-scratch", owner)), &cluster(Volumes::default(), vec![]).nodes[0].node);
    assert_eq!(made.map(|found| found.provisions.len()), Some(1));
}

#[test]
fn a_pod_goes_where_its_volumes_are() {
    let by_hand = class("slow", json!({"provisioner": "kubernetes.io/no-provisioner"}));
    let small = || claim("small", json!({}));
    let of = |claims: &[Value], all: &[Value]| volumes(std::slice::from_ref(&by_hand), claims, all);
    check(&with_claims(&["small"]), of(&[claim("small", bound_to("v"))], &[volume("v", "b", json!({}))]), "b");
    check(
        &with_claims(&["small"]),
        of(&[claim("small", bound_to("v"))], &[volume("v", "c", json!({}))]),
        "0/2 nodes are available: 2 node(s) didn't match PersistentVolume's node affinity.",
    );
    check(&with_claims(&["small"]), of(&[small()], &[volume("v", "b", json!({}))]), "b");
    check(
        &with_claims(&["small"]),
        of(&[small()], &[]),
        "0/2 nodes are available: 2 node(s) didn't find available persistent volumes to bind.",
    );
    let large = claim("large", json!({"spec": {"resources": {"requests": {"storage": "2Gi"}}}}));
    let two = || json!({"spec": {"capacity": {"storage": "2Gi"}}});
    let all = [volume("one", "a", two()), volume("two", "b", two()), volume("three", "b", json!({}))];
    // Each claim gets a volume of its own, the small one the small volume.
    let of_both = of(&[large, small()], &all);
    check(&with_claims(&["large", "small"]), of_both.clone(), "b");
    let node = &cluster(Volumes::default(), vec![]).nodes[1].node;
    let found = reservable(&with_claims(&["large", "small"]), &of_both, node).unwrap();
    let pairs: Vec<_> =
        found.bindings.iter().map(|(c, v)| (c.metadata.name.clone(), v.metadata.name.clone())).collect();
    let pair = |claim: &str, volume: &str| (Some(claim.to_owned()), Some(volume.to_owned()));
    assert_eq!(pairs, [pair("small", "three"), pair("large", "two")]);
}

#[test]
fn a_volume_is_made_where_the_class_allows_it_and_was_chosen() {
    let east = json!({"allowedTopologies": [{"matchLabelExpressions":
        [{"key": "topology.kubernetes.io/zone", "values": ["east"]}]}]});
    let data = with_claims(&["data"]);
    check(&data, volumes(&[class("slow", east)], &[claim("data", json!({}))], &[]), "b");
    let chosen = json!({"metadata": {"annotations": {"volume.kubernetes.io/selected-node": "a"}}});
    check(&data, volumes(&[class("slow", json!({}))], &[claim("data", chosen)], &[]), "a");
    let gone = json!({"metadata": {"annotations": {"volume.kubernetes.io/selected-node": "c"}}});
    check(
        &data,
        volumes(&[class("slow", json!({}))], &[claim("data", gone)], &[]),
        "0/2 nodes are available: 2 node(s) didn't find available persistent volumes to bind.",
    );
}

#[test]
fn large_volumes_are_kept_for_large_claims() {
    let of = |size: &str| json!({"spec": {"capacity": {"storage": size}}});
    let all = [volume("huge", "a", of("9Gi")), volume("fits", "b", of("1Gi"))];
    let all = volumes(&[class("slow", json!({}))], &[claim("data", json!({}))], &all);
    // Upstream's shape: the less is used of a volume, the more points.
    check(&with_claims(&["data"]), all, "a");
}

#[test]
fn zones_of_volumes_count() {
    let zones = |value: &str| {
        merged(
            volume("v", "a", json!({"metadata": {"labels": {"failure-domain.beta.kubernetes.io/zone": value}}})),
            json!({"spec": {"nodeAffinity": null}}),
        )
    };
    let of = |value: &str| volumes(&[], &[claim("data", bound_to("v"))], &[zones(value)]);
    check(&with_claims(&["data"]), of("north__east"), "b");
    check(&with_claims(&["data"]), of("north"), "0/2 nodes are available: 2 node(s) had no available volume zone.");
}

#[test]
fn what_only_one_pod_may_use_is_used_by_one() {
    let alone = merged(bound_to("v"), json!({"spec": {"accessModes": ["ReadWriteOncePod"]}}));
    let anywhere = merged(volume("v", "a", json!({})), json!({"spec": {"nodeAffinity": null}}));
    let all = volumes(&[], &[claim("data", alone)], &[anywhere]);
    assert_eq!(
        schedule(&with_claims(&["data"]), &cluster(all, vec![("b", with_claims(&["data"]))])),
        "0/2 nodes are available: 2 node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode \
         already in-use by another pod."
    );
    let disk = |read_only: bool| {
        let source =
            json!({"iqn": "iqn.2026-01.com.example:disk", "targetPortal": "x", "lun": 0, "readOnly": read_only});
        pod("q", json!([{"name": "disk", "iscsi": source}]))
    };
    let beside = |one: bool, other: bool| {
        schedule(&disk(one), &cluster(Volumes::default(), vec![("a", disk(other)), ("b", disk(true))]))
    };
    assert_eq!(beside(true, false), "b");
    assert_eq!(beside(false, false), "0/2 nodes are available: 2 node(s) had no available disk.");
}

/// Clusters made by chance, with what upstream says of a Pod in them (`xtask/golden/scheduler`).
#[test]
fn upstream_would_say_the_same() {
    for (number, line) in include_str!("../../../golden/volumes.jsonl").lines().enumerate() {
        let case: Value = serde_json::from_str(line).expect("a case");
        let all = |key: &str| case[key].as_array().cloned().unwrap_or_default();
        let of = |value: &Value| PodInfo::new(Arc::new(serde_json::from_value::<Pod>(value.clone()).expect("a Pod")));
        let mut nodes = all("nodes");
        nodes.iter_mut().for_each(|node| node["status"] = json!({"allocatable": {"pods": "10"}}));
        let nodes = nodes.into_iter().map(|node| Arc::new(serde_json::from_value(node).expect("a node")));
        let placed = all("pods")
            .iter()
            .map(|pod| (pod["spec"]["nodeName"].as_str().unwrap_or("").to_owned(), of(pod)))
            .collect::<Vec<_>>();
        let mut snapshot = Snapshot::new(nodes.collect(), placed);
        snapshot.volumes = Arc::new(volumes(&all("classes"), &all("claims"), &all("volumes")));
        let wants = of(&case["pod"]);
        let decided = Framework::default().schedule(&wants, &snapshot, 0, &Random::from_seed(1));
        let error = decided.err();
        assert_eq!(json!(error.as_ref().and_then(|error| error.refusal.as_ref())), case["refusal"], "case {number}");
        if !case["refusal"].is_null() {
            continue;
        }
        let filters: Vec<_> = [&VolumeRestrictions as &dyn FilterPlugin, &VolumeBinding, &VolumeZone]
            .into_iter()
            .filter_map(|plugin| plugin.filter(&wants, &snapshot))
            .collect();
        let score = VolumeBinding.score(&wants, &snapshot);
        for node in &snapshot.nodes {
            let (name, refused) = (node.name(), filters.iter().find_map(|filter| filter(node).err()));
            let reasons = refused.as_ref().map(|status| &status.reasons);
            assert_eq!(json!(reasons), case["refusals"][name], "case {number}: {name}");
            if refused.is_some() {
                continue;
            }
            let found = reservable(&wants, &snapshot.volumes, &node.node).unwrap_or_default();
            let called = |meta: &ObjectMeta| meta.name.clone().unwrap_or_default();
            let bindings = found.bindings.iter();
            let mut names: Vec<String> = bindings
                .map(|(claim, volume)| format!("{}={}", called(&claim.metadata), called(&volume.metadata)))
                .collect();
            names.extend(found.provisions.iter().map(|claim| called(&claim.metadata)));
            names.sort();
            assert_eq!(json!(names), case["found"][name], "case {number}: {name}");
            let score = score.as_ref().map_or(0, |score| score(node));
            assert_eq!(json!(score), case["scores"][name], "case {number}: {name}");
        }
    }
}
