use std::collections::BTreeMap;

use super::{FieldSelector, Selector};

fn labels(text: &str) -> BTreeMap<String, String> {
    text.split(',').filter_map(|p| p.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
}

#[test]
fn selectors_match_as_kubectl_users_expect() {
    for (selector, set, expected) in [
        ("", "a=b", true),
        ("a=b", "a=b,c=d", true),
        ("a==b", "a=c", false),
        ("a!=b", "c=d", true),
        ("a in (x, y)", "a=y", true),
        ("a notin (x,y),b", "a=z,b=1", true),
        ("a notin (x,y),b", "a=z", false),
        ("!a", "b=1", true),
        ("!a", "a=1", false),
        ("a", "a=", true),
        ("a=", "a=", true),
        ("n>3", "n=4", true),
        ("n<3", "n=4", false),
        ("app.kubernetes.io/name=web,tier in (front)", "app.kubernetes.io/name=web,tier=front", true),
    ] {
        assert_eq!(Selector::parse(selector).unwrap().matches(&labels(set)), expected, "{selector:?} on {set:?}");
    }
}

#[test]
fn a_malformed_selector_is_refused() {
    for selector in ["a in", "a in (x", "=b", "a,,b", "-a=b", "a=b c", "a=$"] {
        assert!(Selector::parse(selector).is_err(), "{selector:?}");
    }
}

#[test]
fn a_label_selector_object_that_is_absent_matches_nothing() {
    let set = labels("a=b");
    assert!(!Selector::from_label_selector(&serde_json::Value::Null).unwrap().matches(&set));
    assert!(Selector::from_label_selector(&serde_json::json!({})).unwrap().matches(&set));
    let both =
        serde_json::json!({"matchLabels": {"a": "b"}, "matchExpressions": [{"key": "c", "operator": "DoesNotExist"}]});
    assert!(Selector::from_label_selector(&both).unwrap().matches(&set));
}

#[test]
fn field_selectors_take_three_operators_and_escapes() {
    let selector = FieldSelector::parse("metadata.name=a,status.phase!=Running,x==1\\,2").unwrap();
    assert_eq!(selector.required("metadata.name"), Some("a"));
    assert!(selector.matches(|f| match f {
        "metadata.name" => Some("a".into()),
        "x" => Some("1,2".into()),
        _ => Some("Pending".into()),
    }));
    assert!(FieldSelector::parse("nonsense").is_err());
}
