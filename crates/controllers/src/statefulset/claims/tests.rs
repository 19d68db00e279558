use std::sync::Arc;

use apimachinery::Object;
use serde_json::{Value, json};

use super::{Claims, Holder};

fn reference(kind: &str, uid: &str) -> Value {
    let (version, name) = if kind == "Pod" { ("v1", "db-1") } else { ("apps/v1", "db") };
    json!({"apiVersion": version, "kind": kind, "name": name, "uid": uid, "controller": true, "blockOwnerDeletion": true})
}

/// The kinds of the owners that the claim of `db-1` should get; `None` if it stays as it is.
fn owners(deleted: &str, scaled: &str, condemned: bool, owners: &[Value]) -> Option<Vec<String>> {
    let set = json!({"metadata": {"name": "db", "namespace": "default", "uid": "set"}});
    let set = Object::from_value(&set).unwrap();
    let spec = json!({
        "persistentVolumeClaimRetentionPolicy": {"whenDeleted": deleted, "whenScaled": scaled},
        "volumeClaimTemplates": [{"metadata": {"name": "data"}}],
    });
    let claim = json!({"metadata": {"name": "data-db-1", "ownerReferences": owners}});
    let existing = [("data-db-1".to_owned(), Arc::new(Object::from_value(&claim).unwrap()))];
    let claims = Claims { set: set.meta(), spec: &spec, existing: existing.into() };
    let holder = Holder { name: "db-1", uid: "pod", ordinal: 1, condemned };
    let references = claims.owners(holder).into_iter().find_map(|owners| owners.references)?;
    Some(references.into_iter().map(|owner| owner.kind).collect())
}

#[test]
fn the_policy_says_with_whom_a_claim_goes() {
    let (set, pod) = (reference("StatefulSet", "set"), reference("Pod", "pod"));
    let (set, pod) = (std::slice::from_ref(&set), std::slice::from_ref(&pod));
    let to = |kinds: &[&str]| Some(kinds.iter().map(|kind| (*kind).to_owned()).collect::<Vec<_>>());
    for (deleted, scaled, condemned, given, wanted) in [
        ("Retain", "Retain", false, &[][..], None),
        ("Retain", "Retain", false, set, to(&[])),
        ("Retain", "Retain", true, pod, to(&[])),
        ("Delete", "Retain", false, &[], to(&["StatefulSet"])),
        ("Delete", "Retain", true, set, None),
        ("Retain", "Delete", false, &[], None),
        ("Retain", "Delete", false, pod, to(&[])),
        ("Retain", "Delete", true, &[], to(&["Pod"])),
        ("Delete", "Delete", false, set, None),
        ("Delete", "Delete", true, set, to(&["Pod"])),
        ("Delete", "Delete", false, pod, to(&["StatefulSet"])),
    ] {
        let got = owners(deleted, scaled, condemned, given);
        assert_eq!(got, wanted, "{deleted} {scaled} condemned: {condemned}, owned by {given:?}");
    }
}

#[test]
fn what_others_own_is_left_to_them() {
    let other = json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "c", "uid": "c", "controller": true});
    assert_eq!(owners("Delete", "Retain", false, std::slice::from_ref(&other)), None);
    let both = [other, reference("StatefulSet", "set")];
    assert_eq!(owners("Delete", "Retain", false, &both), Some(vec!["ConfigMap".to_owned()]));
    // Of an earlier set of this name: the garbage collector decides.
    assert_eq!(owners("Delete", "Retain", false, &[reference("StatefulSet", "earlier")]), None);
    let mut plain = reference("StatefulSet", "set");
    plain["controller"] = json!(false);
    assert_eq!(owners("Delete", "Retain", false, &[plain]), Some(vec!["StatefulSet".to_owned()]));
}
