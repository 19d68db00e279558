use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use super::{Cleanup, Observed, Plan, plan};

fn now() -> Timestamp {
    "2026-06-01T12:00:00Z".parse().expect("a time")
}

fn definition(plural: &str, kind: &str) -> Value {
    json!({
        "metadata": {"name": format!("{plural}.example.com")},
        "spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": {"plural": plural, "singular": "boat", "kind": kind, "listKind": format!("{kind}List")},
            "versions": [{"name": "v1", "served": true, "storage": true}],
        },
    })
}

fn decide(definition: &Value, others: &[Value]) -> Plan {
    plan(&Observed { definition, others, now: now() })
}

fn conditions(status: &Value) -> Vec<String> {
    let all = status["conditions"].as_array().expect("a list").iter();
    all.map(|c| format!("{}={} {}", c["type"], c["status"], c["reason"]).replace('"', "")).collect()
}

#[test]
fn a_definition_without_conflicts_is_established_at_once_and_then_stays() {
    let mut boats = definition("boats", "Boat");
    let status = decide(&boats, &[]).status;
    assert_eq!(conditions(&status), ["NamesAccepted=True NoConflicts", "Established=True InitialNamesAccepted"]);
    assert_eq!(status["acceptedNames"], boats["spec"]["names"]);
    boats["status"] = status.clone();
    assert_eq!(decide(&boats, &[]).status, status, "nothing is left to do");
}

#[test]
fn a_name_that_another_definition_has_is_not_given_twice() {
    let mut boats = definition("boats", "Boat");
    boats["status"] = decide(&boats, &[]).status;
    let ships = definition("ships", "Ship");
    let status = decide(&ships, &[boats.clone()]).status;
    assert_eq!(conditions(&status), ["NamesAccepted=False SingularConflict", "Established=False NotAccepted"]);
    assert_eq!(status["conditions"][0]["message"], "\"boat\" is already in use");
    let mut elsewhere = boats;
    elsewhere["spec"]["group"] = json!("other.example.com");
    assert_eq!(conditions(&decide(&ships, &[elsewhere]).status)[0], "NamesAccepted=True NoConflicts");
}

#[test]
fn a_definition_goes_when_its_objects_are_gone() {
    let mut boats = definition("boats", "Boat");
    boats["metadata"]["deletionTimestamp"] = json!("2026-06-01T11:59:00Z");
    boats["metadata"]["finalizers"] = json!(["mine", super::CLEANUP]);
    let never = decide(&boats, &[]).cleanup.expect("it is being deleted");
    assert!(never.resource.is_none());
    boats["status"] = json!({"conditions": [{"type": "Established", "status": "True"}]});
    let planned = decide(&boats, &[]);
    assert_eq!(planned.cleanup.and_then(|c| c.resource).map(|r| r.plural), Some("boats"));
    assert_eq!(conditions(&planned.status)[1], "Terminating=True InstanceDeletionInProgress");
    let gone = Cleanup::finished(boats, true, now());
    assert_eq!(gone["metadata"]["finalizers"], json!(["mine"]));
    assert_eq!(conditions(&gone["status"])[1], "Terminating=False InstanceDeletionCompleted");
}
