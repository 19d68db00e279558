use expect_test::expect;
use serde_json::json;

use super::*;

const TABLE: &str = "\
core/v1.Thing\tk=/v1/Thing
\titems\t[]core/v1.Item\to\tl=map\tk=name,protocol\ts=merge,retainKeys\tp=name
\tlabels\t{}string\to\tm=atomic
\tmode\tstring\to\te=A|B\tg=v1.Mode\td=\"A\"
core/v1.Item\tma
\tname\tstring\trd
";

#[test]
fn the_table_says_what_its_text_says() {
    let schemas = Schemas::parse(TABLE).expect("the table is well-formed");
    let thing = schemas.get(schemas.find("io.k8s.api.core.v1.Thing").expect("it is there"));
    assert_eq!(thing.kinds, [("", "v1", "Thing")]);
    let items = thing.field("items").expect("it is there");
    assert_eq!((items.list_type, items.map_keys.as_slice()), (ListType::Map, ["name", "protocol"].as_slice()));
    assert_eq!(items.patch_strategy, PatchStrategy { merge: true, retain_keys: true });
    let mode = thing.field("mode").expect("it is there");
    assert_eq!((mode.default.clone(), mode.enumeration.as_slice()), (Some(json!("A")), ["A", "B"].as_slice()));
    assert!(thing.field("labels").is_some_and(|f| f.map_atomic && f.ty == FieldType::Map(Box::new(FieldType::String))));
    assert!(thing.field("nothing").is_none());
}

#[test]
fn a_broken_table_is_refused_with_its_line() {
    let fault = |text| Schemas::parse(text).map(|_| ()).map_err(|e| e.to_string());
    expect![[r#"Err("schema table, line 2: kind \"nope\" is unknown")"#]]
        .assert_eq(&format!("{:?}", fault("a\n\tb\tnope\t-\n")));
    expect![[r#"Err("schema table, line 1: a field before the first type")"#]]
        .assert_eq(&format!("{:?}", fault("\tb\tstring\t-\n")));
}

#[test]
fn doubled_fields_are_found_in_the_bytes() {
    let found = |json: &str| duplicate_fields(json.as_bytes()).iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(
        found(r#"{"a":1,"a":2,"b":{"c":[{"d":1,"d":2}]}}"#),
        [r#"duplicate field "a""#, r#"duplicate field "b.c[0].d""#]
    );
    assert_eq!(found(r#"{"a":1,"b":{"a":1}}"#), Vec::<String>::new());
    assert_eq!(found(r#"{"a":"#), Vec::<String>::new());
}
