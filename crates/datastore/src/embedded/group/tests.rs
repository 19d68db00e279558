//! Expectations, one row a case.

use std::sync::Arc;

use super::plan;
use crate::{Expect, Op, Revision, history::Keys};

fn show(ops: &[Op]) -> String {
    let first = plan(&Keys::new(), Revision(1), &[put("/old", Expect::Any)]);
    let kv = first.events[0].kv.clone().expect("a put");
    let keys = Keys::from_iter([(kv.key.clone(), kv)]);
    let plan = plan(&keys, Revision(2), ops);
    let answers: Vec<_> = plan
        .answers
        .iter()
        .map(|answer| match answer {
            Ok(committed) => {
                let version = committed.kv.as_ref().map_or(0, |kv| kv.version);
                format!("{} v{version}", committed.revision)
            }
            Err(error) => error.to_string(),
        })
        .collect();
    answers.join("; ")
}

fn put(key: &str, expect: Expect) -> Op {
    Op::Put { key: Arc::from(key), value: "v".into(), expect }
}

fn delete(key: &str, expect: Expect) -> Op {
    Op::Delete { key: Arc::from(key), expect }
}

#[test]
fn each_request_sees_what_those_before_it_did() {
    let at = |revision| Expect::ModRevision(Revision(revision));
    let cases: &[(&[Op], &str)] = &[
        (&[put("/new", Expect::Absent)], "3 v1"),
        (
            &[put("/old", Expect::Absent)],
            r#"the expectation on key "/old" does not hold: its last write is revision 2"#,
        ),
        (
            &[put("/old", at(2)), put("/old", at(2))],
            r#"3 v2; the expectation on key "/old" does not hold: its last write is revision 3"#,
        ),
        (&[put("/old", at(2)), put("/old", at(3))], "3 v2; 4 v3"),
        (&[put("/new", at(2))], r#"the expectation on key "/new" does not hold: it does not exist"#),
        (&[delete("/old", at(2)), delete("/old", Expect::Any)], r#"3 v0; key "/old" does not exist"#),
        (&[delete("/old", at(1))], r#"the expectation on key "/old" does not hold: its last write is revision 2"#),
        (&[delete("/old", Expect::Any), put("/old", Expect::Absent)], "3 v0; 4 v1"),
        (&[delete("/new", at(2)), put("/new", Expect::Any)], r#"key "/new" does not exist; 3 v1"#),
    ];
    for (ops, expected) in cases {
        assert_eq!(show(ops), *expected, "{ops:?}");
    }
}
