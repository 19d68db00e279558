use serde_json::{Value, json};

use super::*;
use crate::Schemas;

fn json_patch(document: Value, patch: Value) -> Result<Value, String> {
    let mut document = document;
    apply_json_patch(&mut document, &patch).map_err(|e| e.to_string())?;
    Ok(document)
}

#[test]
fn json_patch_operations() {
    for (document, patch, expected) in [
        (json!({"a": 1}), json!([{"op": "add", "path": "/b", "value": [1]}]), json!({"a": 1, "b": [1]})),
        (json!({"a": [1, 2]}), json!([{"op": "add", "path": "/a/-", "value": 3}]), json!({"a": [1, 2, 3]})),
        (json!({"a": [1, 2]}), json!([{"op": "add", "path": "/a/-1", "value": 3}]), json!({"a": [1, 2, 3]})),
        (json!({"a": [1, 2]}), json!([{"op": "add", "path": "/a/1", "value": 3}]), json!({"a": [1, 3, 2]})),
        (json!({"a": [1, 2]}), json!([{"op": "remove", "path": "/a/-1"}]), json!({"a": [1]})),
        (
            json!({"a/b": 1, "c~d": 2}),
            json!([{"op": "remove", "path": "/a~1b"}, {"op": "replace", "path": "/c~0d", "value": 3}]),
            json!({"c~d": 3}),
        ),
        (json!({"a": 1}), json!([{"op": "replace", "path": "/b", "value": 2}]), json!({"a": 1, "b": 2})),
        (
            json!({"a": 1}),
            json!([{"op": "test", "path": "/b", "value": null}, {"op": "move", "from": "/a", "path": "/b"}]),
            json!({"b": 1}),
        ),
        (
            json!({"a": {"x": 1}}),
            json!([{"op": "copy", "from": "/a", "path": "/b"}]),
            json!({"a": {"x": 1}, "b": {"x": 1}}),
        ),
        (json!({"a": 1}), json!([{"op": "replace", "path": "", "value": {"b": 1}}]), json!({"b": 1})),
    ] {
        assert_eq!(json_patch(document, patch.clone()), Ok(expected), "{patch}");
    }
}

#[test]
fn json_patch_faults() {
    for (document, patch, expected) in [
        (
            json!({}),
            json!([{"op": "add", "path": "/a/b", "value": 1}]),
            "add operation does not apply: doc is missing path: \"/a/b\": missing value",
        ),
        (
            json!({}),
            json!([{"op": "remove", "path": "/a"}]),
            "error in remove for path: '/a': Unable to remove nonexistent key: a: missing value",
        ),
        (json!({"a": 1}), json!([{"op": "test", "path": "/a", "value": 2}]), "testing value /a failed: test failed"),
        (
            json!({"a": []}),
            json!([{"op": "replace", "path": "/a/0", "value": 2}]),
            "replace operation does not apply: doc is missing key: /a/0: missing value",
        ),
        (
            json!({"a": []}),
            json!([{"op": "add", "path": "/a/5", "value": 2}]),
            "error in add for path: '/a/5': Unable to access invalid index: 5: invalid index referenced",
        ),
        (json!({}), json!([{"op": "fly", "path": "/a"}]), "Unexpected kind: fly"),
        (json!({}), json!({}), "json: cannot unmarshal object into Go value of type jsonpatch.Patch"),
    ] {
        assert_eq!(json_patch(document, patch), Err(expected.to_owned()));
    }
    let many = Value::Array(vec![json!({"op": "test", "path": "/a", "value": null}); OPERATIONS_MAX + 1]);
    assert_eq!(apply_json_patch(&mut json!({}), &many), Err(PatchError::TooManyOperations(OPERATIONS_MAX + 1)));
}

#[test]
fn merge_patches() {
    for (document, patch, expected) in [
        (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
        (json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"})),
        (json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}})),
        (json!({"a": [{"b": "c"}]}), json!({"a": [1]}), json!({"a": [1]})),
        (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
        (json!({"a": 1}), json!({"a": [{"b": null}, null]}), json!({"a": [{}, null]})),
    ] {
        let mut merged = document;
        assert_eq!(apply_merge_patch(&mut merged, patch.clone()), Ok(()));
        assert_eq!(merged, expected, "{patch}");
    }
    assert!(apply_merge_patch(&mut json!({}), json!([1])).is_err());
}

const TABLE: &str = "\
t/v1.Thing
\tcontainers\t[]t/v1.Container\t-\ts=merge\tp=name
\tfinalizers\t[]string\t-\ts=merge
\targs\t[]string\t-
\tlabels\t{}string\t-
\tstrategy\tt/v1.Strategy\t-\ts=retainKeys
t/v1.Container
\tname\tstring\t-
\timage\tstring\t-
\tports\t[]t/v1.Port\t-\ts=merge\tp=port
t/v1.Port
\tport\tint32\t-
\tprotocol\tstring\t-
t/v1.Strategy
\ttype\tstring\t-
\trolling\t{}string\t-
";

fn strategic(document: Value, patch: Value) -> Result<Value, String> {
    let schemas = Schemas::parse(TABLE).expect("the table is well-formed");
    let ty = schemas.find("io.k8s.api.t.v1.Thing").expect("it is there");
    let mut document = document;
    apply_strategic_patch(&schemas, ty, &mut document, patch).map_err(|e| e.to_string())?;
    Ok(document)
}

#[test]
fn strategic_merges() {
    for (document, patch, expected) in [
        (
            json!({"containers": [{"name": "a", "image": "1"}, {"name": "b", "image": "1"}]}),
            json!({"containers": [{"name": "b", "image": "2"}, {"name": "c", "image": "3"}]}),
            json!({"containers": [{"name": "a", "image": "1"}, {"name": "b", "image": "2"}, {"name": "c", "image": "3"}]}),
        ),
        (
            json!({"containers": [{"name": "a"}, {"name": "b"}]}),
            json!({"containers": [{"name": "a", "$patch": "delete"}]}),
            json!({"containers": [{"name": "b"}]}),
        ),
        (
            json!({"containers": [{"name": "a"}, {"name": "b"}]}),
            json!({"containers": [{"$patch": "replace"}, {"name": "c"}]}),
            json!({"containers": [{"name": "c"}]}),
        ),
        (
            json!({"containers": [{"name": "a"}, {"name": "b"}]}),
            json!({"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}]}),
            json!({"containers": [{"name": "b"}, {"name": "a"}]}),
        ),
        (json!({"finalizers": ["x", "y"]}), json!({"finalizers": ["z", "x"]}), json!({"finalizers": ["z", "x", "y"]})),
        (
            json!({"finalizers": ["x", "y"]}),
            json!({"$deleteFromPrimitiveList/finalizers": ["x"]}),
            json!({"finalizers": ["y"]}),
        ),
        (json!({"args": ["x"]}), json!({"args": ["y"]}), json!({"args": ["y"]})),
        (
            json!({"labels": {"a": "1", "b": "2"}}),
            json!({"labels": {"a": null, "c": "3"}}),
            json!({"labels": {"b": "2", "c": "3"}}),
        ),
        (
            json!({"labels": {"a": "1"}}),
            json!({"labels": {"$patch": "replace", "c": "3"}}),
            json!({"labels": {"c": "3"}}),
        ),
        (
            json!({"strategy": {"type": "Rolling", "rolling": {"x": "1"}}}),
            json!({"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}),
            json!({"strategy": {"type": "Recreate"}}),
        ),
    ] {
        assert_eq!(strategic(document, patch.clone()), Ok(expected), "{patch}");
    }
}

#[test]
fn strategic_faults() {
    for (document, patch, expected) in [
        (
            json!({"containers": [{"name": "a"}]}),
            json!({"containers": [{"image": "x"}]}),
            "map: map[image:x] does not contain declared merge key: name",
        ),
        (
            json!({"labels": {}}),
            json!({"labels": {"$patch": "fly"}}),
            "unknown patch type: fly in map: map[$patch:fly]",
        ),
        (
            json!({"strategy": {"type": "x"}}),
            json!({"strategy": {"$retainKeys": ["rolling"], "type": "y"}}),
            "invalid patch format of retainKeys",
        ),
    ] {
        assert_eq!(strategic(document, patch), Err(expected.to_owned()));
    }
}
