use super::*;

const ABSENT: Option<&str> = None;

fn planned(wanted: Option<ManagedBy>, label: Option<&str>, [settled, there_at_start]: [bool; 2]) -> Action {
    let spec = json!({"group": "a", "version": "v1", "versionPriority": 2});
    let current = label.map(|label| {
        json!({"metadata": {"labels": {AUTOMANAGED: label}}, "spec": {"group": "a", "version": "v1", "versionPriority": 1}})
    });
    let wanted = wanted.map(|managed| (managed, &spec));
    plan(&Observed { wanted, current: current.as_ref(), settled, there_at_start })
}

#[test]
fn the_table_is_upstreams() {
    use Action::{Create, Delete, Nothing, Update};
    const FIRST: [bool; 2] = [false, true];
    const LATER: [bool; 2] = [true, true];
    const NEW: [bool; 2] = [false, false];
    let (start, always) = (Some(ManagedBy::Start), Some(ManagedBy::Always));
    for (wanted, label, when, action) in [
        (None, ABSENT, FIRST, Nothing),
        (start, ABSENT, NEW, Create),
        (start, ABSENT, LATER, Nothing),
        (always, ABSENT, NEW, Create),
        (always, ABSENT, LATER, Create),
        (None, Some(""), FIRST, Nothing),
        (start, Some(""), FIRST, Nothing),
        (always, Some(""), LATER, Nothing),
        (None, Some("onstart"), NEW, Nothing),
        (None, Some("onstart"), FIRST, Delete),
        (None, Some("onstart"), LATER, Nothing),
        (start, Some("onstart"), NEW, Nothing),
        (start, Some("onstart"), FIRST, Update),
        (start, Some("onstart"), LATER, Nothing),
        (always, Some("onstart"), FIRST, Update),
        (None, Some("true"), LATER, Delete),
        (start, Some("true"), FIRST, Update),
        (start, Some("true"), LATER, Nothing),
        (always, Some("true"), LATER, Update),
    ] {
        assert_eq!(planned(wanted, label, when), action, "{wanted:?} {label:?} {when:?}");
    }
}

#[test]
fn a_version_is_wanted_as_long_as_a_definition_serves_it() {
    let definition = |served: bool| json!({"spec": {"group": "example.com", "versions": [{"name": "v1", "served": served}, {"name": "v2", "served": true}]}});
    let made = of_definitions("v1.example.com", &[definition(false), definition(true)]).expect("it is served");
    assert_eq!(made["metadata"]["name"], "v1.example.com");
    let spec = json!({"group": "example.com", "version": "v1", "groupPriorityMinimum": 1000, "versionPriority": 100});
    assert_eq!(made["spec"], spec);
    assert_eq!(of_definitions("v1.example.com", &[definition(false)]), None);
    assert_eq!(of_definitions("v1.example.org", &[definition(true)]), None);
}
