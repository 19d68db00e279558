use api::resources::{PERSISTENTVOLUMECLAIMS, STORAGECLASSES};
use apimachinery::{Admission, Operation};
use serde_json::{Value, json};

use super::PersistentVolumeClaimResize;
use crate::tests::{World, request};

fn claim(class: &str, size: &str, phase: &str) -> Value {
    json!({"spec": {"storageClassName": class, "resources": {"requests": {"storage": size}}}, "status": {"phase": phase}})
}

fn verdict(old: &Value, mut new: Value) -> String {
    let classes = [
        json!({"metadata": {"name": "grows"}, "allowVolumeExpansion": true}),
        json!({"metadata": {"name": "standard"}}),
    ];
    let (world, mut warnings) = (World::of(&[(STORAGECLASSES, &classes)]), Vec::new());
    let mut request = request(Operation::Update, PERSISTENTVOLUMECLAIMS, "dev", "data", &mut new, &mut warnings);
    request.old = Some(old);
    PersistentVolumeClaimResize.validate(&mut request, &world).map_or_else(|error| error.message, |()| "yes".to_owned())
}

#[test]
fn a_claim_grows_if_its_class_says_so() {
    let no = "persistentvolumeclaims \"data\" is forbidden: ";
    let only = format!(
        "{no}only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc \
        must support resize"
    );
    for (old, new, wanted) in [
        (claim("grows", "1Gi", "Bound"), claim("grows", "2Gi", "Bound"), "yes".to_owned()),
        (claim("standard", "1Gi", "Bound"), claim("standard", "1024Mi", "Bound"), "yes".to_owned()),
        (claim("standard", "1Gi", "Bound"), claim("standard", "2Gi", "Bound"), only.clone()),
        (claim("", "1Gi", "Bound"), claim("", "2Gi", "Bound"), only),
        (
            claim("grows", "1Gi", "Pending"),
            claim("grows", "2Gi", "Pending"),
            format!("{no}Only bound persistent volume claims can be expanded"),
        ),
    ] {
        assert_eq!(verdict(&old, new), wanted);
    }
}
