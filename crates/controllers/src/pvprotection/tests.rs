use apimachinery::Meta;

use super::{FINALIZER, plan};

#[test]
fn a_volume_that_a_claim_has_stays() {
    let meta = |deleted: bool, finalizers: &[&str]| Meta {
        deletion_timestamp: deleted.then(|| "2026-01-01T00:00:00Z".parse().unwrap()),
        finalizers: finalizers.iter().map(|finalizer| (*finalizer).to_owned()).collect(),
        ..Meta::default()
    };
    let some = |finalizers: &[&str]| Some(finalizers.iter().map(|finalizer| (*finalizer).to_owned()).collect());
    for (what, meta, phase, wanted) in [
        ("a new one", meta(false, &["x/y"]), None, some(&["x/y", FINALIZER])),
        ("protected", meta(false, &[FINALIZER]), Some("Bound"), None),
        ("deleted and bound", meta(true, &[FINALIZER]), Some("Bound"), None),
        ("deleted and released", meta(true, &[FINALIZER, "x/y"]), Some("Released"), some(&["x/y"])),
        ("deleted, others keep it", meta(true, &["x/y"]), Some("Released"), None),
    ] {
        assert_eq!(plan(&meta, phase), wanted, "{what}");
    }
}
