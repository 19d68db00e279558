use std::sync::Arc;

use apimachinery::Object;
use serde_json::json;

use super::default;

#[test]
fn the_newest_default_class_counts() {
    let class = |name: &str, is_default: &str, made: &str| {
        let annotations = json!({"storageclass.kubernetes.io/is-default-class": is_default});
        let meta = json!({"name": name, "creationTimestamp": made, "annotations": annotations});
        Arc::new(Object::from_value(&json!({"metadata": meta})).unwrap())
    };
    let (early, late) = ("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z");
    let all =
        [class("b", "true", late), class("c", "false", late), class("a", "true", late), class("d", "true", early)];
    let name = |classes: &[Arc<Object>]| default(classes).map(|class| class.meta().name.clone());
    assert_eq!(name(&all).as_deref(), Some("a"));
    assert_eq!(name(&all[1..2]), None);
}
