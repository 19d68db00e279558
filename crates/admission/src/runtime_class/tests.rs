use api::resources::{PODS, RUNTIMECLASSES};
use apimachinery::{Admission, Operation};
use serde_json::{Value, json};

use super::RuntimeClass;
use crate::tests::{World, request};

/// The Pod's spec as it is admitted, or why it is not.
fn create(class: &Value, spec: Value) -> Result<Value, String> {
    let mut class = class.clone();
    class["metadata"] = json!({"name": "sandboxed"});
    let (world, mut warnings) = (World::of(&[(RUNTIMECLASSES, &[class])]), Vec::new());
    let mut object = json!({"metadata": {"name": "web"}, "spec": spec});
    let mut request = request(Operation::Create, PODS, "dev", "web", &mut object, &mut warnings);
    let admitted = RuntimeClass.admit(&mut request, &world).and_then(|()| RuntimeClass.validate(&mut request, &world));
    match admitted {
        Ok(()) => Ok(object["spec"].clone()),
        Err(error) => Err(error.message.replace("pods \"web\" is forbidden: ", "")),
    }
}

#[test]
fn a_class_gives_its_overhead_and_must_exist() {
    let class = json!({"overhead": {"podFixed": {"cpu": "250m"}}});
    let name = "sandboxed";
    let spec = create(&class, json!({"runtimeClassName": name})).unwrap();
    assert_eq!(spec["overhead"], json!({"cpu": "250m"}));
    assert!(create(&class, json!({"runtimeClassName": name, "overhead": {"cpu": "0.25"}})).is_ok());
    let refused = |spec: Value| create(&class, spec).unwrap_err();
    assert_eq!(
        refused(json!({"runtimeClassName": name, "overhead": {"cpu": "1"}})),
        "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead"
    );
    assert_eq!(refused(json!({"runtimeClassName": "ghost"})), "pod rejected: RuntimeClass \"ghost\" not found");
    assert_eq!(
        refused(json!({"overhead": {"cpu": "1"}})),
        "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead"
    );
    assert_eq!(create(&class, json!({})), Ok(json!({})));
}

#[test]
fn a_class_says_where_its_pods_run() {
    let tolerate =
        |key: &str, operator: &str| json!({"key": key, "operator": operator, "value": "", "effect": "NoSchedule"});
    let class =
        json!({"scheduling": {"nodeSelector": {"sandbox": "yes"}, "tolerations": [tolerate("sandbox", "Exists")]}});
    let spec = create(
        &class,
        json!({"runtimeClassName": "sandboxed", "nodeSelector": {"disk": "fast"}, "tolerations": [
            tolerate("other", "Exists"), tolerate("sandbox", "Equal"),
        ]}),
    );
    let spec = spec.unwrap();
    assert_eq!(spec["nodeSelector"], json!({"disk": "fast", "sandbox": "yes"}));
    assert_eq!(spec["tolerations"], json!([tolerate("other", "Exists"), tolerate("sandbox", "Exists")]));
    assert_eq!(
        create(&class, json!({"runtimeClassName": "sandboxed", "nodeSelector": {"sandbox": "no"}})).unwrap_err(),
        "conflict: runtimeClass.scheduling.nodeSelector[sandbox] = yes; pod.spec.nodeSelector[sandbox] = no"
    );
}
