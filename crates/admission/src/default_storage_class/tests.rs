use api::resources::{PERSISTENTVOLUMECLAIMS, STORAGECLASSES};
use apimachinery::{Admission, Operation};
use serde_json::{Value, json};

use super::DefaultStorageClass;
use crate::tests::{World, request};

fn class_of(claim: Value) -> Value {
    let default = json!({"storageclass.kubernetes.io/is-default-class": "true"});
    let classes =
        [json!({"metadata": {"name": "standard", "annotations": default}}), json!({"metadata": {"name": "slow"}})];
    let (world, mut object, mut warnings) = (World::of(&[(STORAGECLASSES, &classes)]), claim, Vec::new());
    let mut request = request(Operation::Create, PERSISTENTVOLUMECLAIMS, "dev", "data", &mut object, &mut warnings);
    DefaultStorageClass.admit(&mut request, &world).unwrap();
    object["spec"]["storageClassName"].clone()
}

#[test]
fn only_a_claim_that_names_no_class_gets_the_default_one() {
    assert_eq!(class_of(json!({"spec": {}})), "standard");
    assert_eq!(class_of(json!({"spec": {"storageClassName": "slow"}})), "slow");
    assert_eq!(class_of(json!({"spec": {"storageClassName": ""}})), "");
    let annotations = json!({"volume.beta.kubernetes.io/storage-class": "slow"});
    assert_eq!(class_of(json!({"metadata": {"annotations": annotations}, "spec": {}})), Value::Null);
}
