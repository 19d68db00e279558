use jiff::Timestamp;

use super::{Correlator, EventType, ObjectReference, Recorded};

fn recorded(name: &str, message: &str, second: i64) -> Recorded {
    Recorded {
        about: ObjectReference { kind: "Pod".into(), name: name.into(), ..ObjectReference::default() },
        event_type: EventType::Warning,
        reason: "BackOff".into(),
        message: message.into(),
        at: Timestamp::from_second(second).unwrap(),
    }
}

#[test]
fn the_same_event_is_counted_on_the_object_that_was_written() {
    let mut correlator = Correlator::default();
    let first = correlator.step(&recorded("a", "m", 0)).unwrap();
    assert_eq!((first.existing, first.count), (None, 1));
    correlator.written(&first.key, "a.1".into());
    let second = correlator.step(&recorded("a", "m", 5)).unwrap();
    assert_eq!((second.existing.as_deref(), second.count), (Some("a.1"), 2));
}

#[test]
fn ten_similar_ones_are_combined() {
    let mut correlator = Correlator::default();
    let messages: Vec<String> =
        (0..11).map(|i| correlator.step(&recorded("a", &format!("m{i}"), i)).unwrap().message).collect();
    assert_eq!(messages[8], "m8");
    assert_eq!(messages[9], "(combined from similar events): m9");
    assert_eq!(messages[10], "(combined from similar events): m10");
}

#[test]
fn a_chatty_source_is_cut_off_and_may_go_on_after_five_minutes() {
    let mut correlator = Correlator::default();
    let admitted = (0..40).filter(|_| correlator.step(&recorded("a", "m", 0)).is_some()).count();
    assert_eq!(admitted, 25);
    assert!(correlator.step(&recorded("b", "m", 0)).is_some(), "another object has its own allowance");
    assert!(correlator.step(&recorded("a", "m", 301)).is_some());
    assert!(correlator.step(&recorded("a", "m", 302)).is_none());
}
