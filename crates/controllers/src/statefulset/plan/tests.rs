use std::collections::BTreeMap;
use std::sync::Arc;

use apimachinery::Object;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use super::super::claims::Claims;
use super::{Change, Observed, Plan, Version, plan};

const NOW: &str = "2026-01-01T01:00:00Z";

/// A set of three with the revisions `db-old` and `db-new`, and what `spec` says otherwise.
fn set(spec: Value) -> Value {
    let mut set = json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet",
        "metadata": {"name": "db", "namespace": "default", "uid": "u", "generation": 4},
        "spec": {
            "replicas": 3, "serviceName": "db", "selector": {"matchLabels": {"app": "db"}},
            "template": {"metadata": {"labels": {"app": "db"}}, "spec": {"containers": []}},
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
        },
    });
    for (field, value) in spec.as_object().unwrap() {
        set["spec"][field] = value.clone();
    }
    set
}

/// A Pod from `name revision phase [readiness [leaving]]` words, as `db-0 new Running ready`.
fn pod(words: &str) -> Arc<Pod> {
    let word = |at: usize| words.split(' ').nth(at).unwrap_or_default();
    let ready = if word(3) == "ready" { "True" } else { "False" };
    let mut pod = json!({
        "metadata": {"namespace": "default", "name": word(0), "uid": format!("uid-{}", word(0)),
                     "labels": {"controller-revision-hash": format!("db-{}", word(1)),
                                "statefulset.kubernetes.io/pod-name": word(0)}},
        "spec": {"containers": []},
        "status": {"phase": word(2), "conditions": [
            {"type": "Ready", "status": ready, "lastTransitionTime": "2026-01-01T00:59:50Z"}]},
    });
    if word(4) == "leaving" {
        pod["metadata"]["deletionTimestamp"] = json!(NOW);
    }
    Arc::new(serde_json::from_value(pod).unwrap())
}

fn look(set: &Value, pods: &[&str], claims: &[Value]) -> Plan {
    let object = Object::from_value(set).unwrap();
    let typed: StatefulSet = serde_json::from_value(set.clone()).unwrap();
    let version = |name: &str| Version { name: name.to_owned(), pod: json!({"metadata": {}, "spec": {"of": name}}) };
    let pods: Vec<Arc<Pod>> = pods.iter().map(|words| pod(words)).collect();
    let existing: BTreeMap<String, Arc<Object>> = claims
        .iter()
        .map(|claim| {
            (claim["metadata"]["name"].as_str().unwrap().to_owned(), Arc::new(Object::from_value(claim).unwrap()))
        })
        .collect();
    plan(&Observed {
        set: &typed,
        current: &version("db-old"),
        update: &version("db-new"),
        collisions: 0,
        pods: &pods,
        claims: Claims { set: object.meta(), spec: &set["spec"], existing },
        now: NOW.parse::<Timestamp>().unwrap(),
    })
}

/// What becomes of which Pod, as text.
fn shown(plan: &Plan) -> String {
    let action = |action: &super::Action| match &action.change {
        Change::None => format!("claims of {}", action.pod),
        Change::Create(pod) => format!("+{} of {}", action.pod, pod["spec"]["of"].as_str().unwrap()),
        Change::Update(_) => format!("~{}", action.pod),
        Change::Delete(_) => format!("-{}", action.pod),
    };
    plan.actions.iter().map(action).collect::<Vec<_>>().join(" ")
}

#[test]
fn pods_are_made_and_deleted_in_their_order() {
    let (all, small) = (set(json!({})), set(json!({"replicas": 1})));
    let (late, patient) = (set(json!({"ordinals": {"start": 5}})), set(json!({"minReadySeconds": 15})));
    let first = "db-0 new Running ready";
    for (what, set, pods, wanted) in [
        ("none is there", &all, vec![], "+db-0 of db-new"),
        ("ordinals begin at 5", &late, vec![], "+db-5 of db-new"),
        ("the first is not ready", &all, vec!["db-0 new Running"], ""),
        ("the first is ready", &all, vec![first], "+db-1 of db-new"),
        ("but not for long enough", &patient, vec![first], ""),
        ("the first leaves", &all, vec!["db-0 new Running ready leaving"], ""),
        ("the first has failed", &all, vec!["db-0 new Failed", "db-1 new Running ready"], "-db-0"),
        ("the first has succeeded", &all, vec!["db-0 new Succeeded"], "-db-0"),
        ("a gap", &all, vec![first, "db-2 new Running ready"], "+db-1 of db-new"),
        ("two are too many", &small, vec![first, "db-1 new Running ready", "db-2 new Running ready"], "-db-2"),
        ("the last one leaves", &small, vec![first, "db-1 new Running ready", "db-2 new Running no leaving"], ""),
        ("another is broken", &small, vec![first, "db-1 new Running", "db-2 new Running"], ""),
        ("the last is broken", &small, vec![first, "db-1 new Running ready", "db-2 new Running"], "-db-2"),
        ("a replica is broken", &small, vec!["db-0 new Running", "db-1 new Running ready"], ""),
        ("one that has no number", &small, vec![first, "db-x new Running ready"], ""),
    ] {
        assert_eq!(shown(&look(set, &pods, &[])), wanted, "{what}");
    }
}

#[test]
fn a_parallel_set_waits_for_nothing() {
    let parallel = |spec: Value| {
        let mut set = set(spec);
        set["spec"]["podManagementPolicy"] = json!("Parallel");
        set
    };
    let new = "+db-0 of db-new +db-1 of db-new +db-2 of db-new";
    assert_eq!(shown(&look(&parallel(json!({})), &[], &[])), new);
    let broken = ["db-0 new Running", "db-1 new Running", "db-2 new Running ready"];
    assert_eq!(shown(&look(&parallel(json!({"replicas": 0})), &broken, &[])), "-db-2 -db-1 -db-0");
    // In an update what is broken goes at once, and does not keep others from going.
    let old = ["db-0 old Running", "db-1 old Running ready", "db-2 old Running ready"];
    let two = json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 0, "maxUnavailable": 2}});
    for (strategy, wanted) in [(set(json!({}))["spec"]["updateStrategy"].clone(), "-db-0"), (two, "-db-0 -db-2")] {
        assert_eq!(shown(&look(&parallel(json!({"updateStrategy": strategy})), &old, &[])), wanted);
    }
}

#[test]
fn an_update_goes_down_to_the_partition() {
    let all = |revisions: [&str; 3]| {
        revisions.iter().enumerate().map(|(at, of)| format!("db-{at} {of} Running ready")).collect::<Vec<_>>()
    };
    let rolling = |rolling: Value| set(json!({"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": rolling}}));
    let on_delete = set(json!({"updateStrategy": {"type": "OnDelete"}}));
    for (what, set, pods, wanted) in [
        ("all are old", rolling(json!({"partition": 0})), all(["old", "old", "old"]), "-db-2"),
        ("one is new", rolling(json!({"partition": 0})), all(["old", "old", "new"]), "-db-1"),
        ("the rest is below", rolling(json!({"partition": 2})), all(["old", "old", "new"]), ""),
        ("two at once", rolling(json!({"maxUnavailable": 2})), all(["old", "old", "old"]), "-db-2 -db-1"),
        ("at least one", rolling(json!({"maxUnavailable": "10%"})), all(["old", "old", "old"]), "-db-2"),
        ("all are new", rolling(json!({"partition": 0})), all(["new", "new", "new"]), ""),
        ("the user does it", on_delete, all(["old", "old", "old"]), ""),
    ] {
        let pods: Vec<&str> = pods.iter().map(String::as_str).collect();
        assert_eq!(shown(&look(&set, &pods, &[])), wanted, "{what}");
    }
}

#[test]
fn below_the_partition_pods_are_made_as_they_were() {
    let partition = set(json!({"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 1}}}));
    assert_eq!(shown(&look(&partition, &[], &[])), "+db-0 of db-old");
    assert_eq!(shown(&look(&partition, &["db-0 old Running ready"], &[])), "+db-1 of db-new");
}

#[test]
fn a_set_that_is_deleted_only_counts() {
    let mut leaving = set(json!({}));
    leaving["metadata"]["deletionTimestamp"] = json!(NOW);
    let plan = look(&leaving, &["db-0 old Running ready"], &[]);
    assert_eq!((shown(&plan).as_str(), plan.status.replicas), ("", 1));
}

#[test]
fn the_status_counts_and_an_update_ends() {
    let pods = ["db-0 old Running ready", "db-1 new Running", "db-2 new Running ready leaving", "db-7 old Pending"];
    assert_eq!(
        serde_json::to_value(look(&set(json!({})), &pods, &[]).status).unwrap(),
        json!({"observedGeneration": 4, "replicas": 4, "readyReplicas": 2, "availableReplicas": 2,
               "currentReplicas": 2, "updatedReplicas": 1, "currentRevision": "db-old",
               "updateRevision": "db-new", "collisionCount": 0})
    );
    let pods = ["db-0 new Running ready", "db-1 new Running ready", "db-2 new Running ready"];
    let status = look(&set(json!({})), &pods, &[]).status;
    assert_eq!((status.current_revision.as_deref(), status.current_replicas), (Some("db-new"), Some(3)));
    // A Pod that is deleted for the update is not counted any more.
    let pods = ["db-0 old Running ready", "db-1 old Running ready", "db-2 old Running ready"];
    assert_eq!(look(&set(json!({})), &pods, &[]).status.current_replicas, Some(2));
}

#[test]
fn a_pod_has_its_name_and_its_claims() {
    let templates = json!([{"metadata": {"name": "data"}, "spec": {}}]);
    let set = set(json!({"volumeClaimTemplates": templates}));
    let plan = look(&set, &[], &[]);
    let Change::Create(pod) = &plan.actions[0].change else { panic!("{plan:?}") };
    assert_eq!(
        *pod,
        json!({
            "metadata": {"name": "db-0", "labels": {
                "statefulset.kubernetes.io/pod-name": "db-0", "apps.kubernetes.io/pod-index": "0",
                "controller-revision-hash": "db-new"}},
            "spec": {"of": "db-new", "hostname": "db-0", "subdomain": "db",
                     "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data-db-0"}}]},
        })
    );
    assert_eq!(
        plan.actions[0].claims,
        [json!({"metadata": {"name": "data-db-0", "namespace": "default", "labels": {"app": "db"}}, "spec": {}})]
    );
    // A Pod without its label and volume, as one that was adopted, is put right when it is its turn.
    let plan = look(&set, &["db-0 new Running ready"], &[json!({"metadata": {"name": "data-db-0"}})]);
    assert_eq!(shown(&plan), "~db-0 +db-1 of db-new");
}

#[test]
fn a_claim_that_is_being_deleted_is_waited_for() {
    let set = set(json!({"volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {}}]}));
    let claim = json!({"metadata": {"name": "data-db-0", "deletionTimestamp": NOW}});
    let plan = look(&set, &[], &[claim]);
    assert_eq!(plan.actions[0].blocked.as_deref(), Some("pvc data-db-0 is being deleted"));
}
