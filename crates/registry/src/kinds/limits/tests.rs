use serde_json::{Value, json};

use super::quota;

fn faults(scopes: Value, selector: Value, hard: &str) -> Vec<String> {
    let mut spec = json!({"hard": {hard: "1"}, "scopes": scopes});
    if !selector.is_null() {
        spec["scopeSelector"] = json!({"matchExpressions": selector});
    }
    quota(&spec).iter().map(|fault| fault.to_string()).collect()
}

fn has(faults: &[String], text: &str) -> bool {
    faults.iter().any(|fault| fault.contains(text))
}

#[test]
fn scopes_go_with_some_resources_only() {
    for (scope, hard, fits) in [
        ("BestEffort", "pods", true),
        ("BestEffort", "cpu", false),
        ("NotBestEffort", "requests.memory", true),
        ("Terminating", "limits.ephemeral-storage", false),
        ("PriorityClass", "services", false),
        ("Terminating", "count/deployments.apps", true),
        ("VolumeAttributesClass", "requests.storage", true),
        ("VolumeAttributesClass", "pods", false),
    ] {
        let plain = faults(json!([scope]), Value::Null, hard);
        let selected = faults(json!([]), json!([{"scopeName": scope, "operator": "Exists"}]), hard);
        for found in [plain, selected] {
            assert_eq!(found.is_empty(), fits, "{scope} {hard} {found:?}");
            assert!(fits || has(&found, "unsupported scope applied to resource"), "{found:?}");
        }
    }
}

#[test]
fn a_selectors_operator_goes_with_scope_and_values() {
    let one = |scope: &str, operator: &str, values: Value| {
        faults(json!([]), json!([{"scopeName": scope, "operator": operator, "values": values}]), "pods")
    };
    assert!(one("PriorityClass", "In", json!(["high"])).is_empty());
    assert!(has(&one("PriorityClass", "In", json!([])), "must be at least one value when `operator` is 'In'"));
    assert!(has(&one("PriorityClass", "Exists", json!(["x"])), "must be no value when `operator` is 'Exist'"));
    assert!(has(&one("PriorityClass", "Like", json!([])), "not a valid selector operator"));
    assert!(has(&one("Terminating", "In", json!(["x"])), "must be 'Exists' when scope is any of"));
    assert!(has(&one("Sometimes", "Exists", json!([])), "unsupported scope"));
    let both = json!([{"scopeName": "Terminating", "operator": "Exists"}, {"scopeName": "NotTerminating", "operator": "Exists"}]);
    assert!(has(&faults(json!([]), both, "pods"), "conflicting scopes"));
}
