use expect_test::expect;
use serde_json::json;

use super::*;

fn value(text: &str) -> Result<Value, String> {
    parse(text).map(|p| p.value).map_err(|e| e.to_string())
}

#[test]
fn scalars_are_those_of_yaml_1_1() {
    let text = "a: yes\nb: 'yes'\nc: 0644\nd: 0x1F\ne: 1e3\nf: 1.5\ng: ~\nh: 2026-01-02\ni: 1_000\nj: -5\nk: 08\nl: !!str 5\nm: 12:30\no: \"5\"\n";
    assert_eq!(
        value(text),
        Ok(json!({"a": true, "b": "yes", "c": 420, "d": 31, "e": 1000, "f": 1.5, "g": null, "h": "2026-01-02",
            "i": 1000, "j": -5, "k": 8, "l": "5", "m": "12:30", "o": "5"}))
    );
}

#[test]
fn anchors_merges_and_block_text() {
    let text = "base: &b {x: 1, z: 2}\nderived:\n  <<: *b\n  z: 3\ntext: |\n  one\n  two\nfolded: >-\n  one\n  two\n1: a\ntrue: b\n";
    assert_eq!(
        value(text),
        Ok(json!({"base": {"x": 1, "z": 2}, "derived": {"x": 1, "z": 3}, "text": "one\ntwo\n", "folded": "one two",
            "1": "a", "true": "b"}))
    );
}

#[test]
fn faults_have_go_yamls_words() {
    // The right sides are go-yaml's own.
    for (text, expected) in [
        ("a: 1\nfoo\nb: 2\n", "line 3: could not find expected ':'"),
        ("a: 1\nb: c: d\n", "line 2: mapping values are not allowed in this context"),
        ("a: 1\n b: 2\n", "line 2: mapping values are not allowed in this context"),
        ("a:\n\tb: 1\n", "line 2: found character that cannot start any token"),
        ("a: [1\nb: 2\n", "line 1: did not find expected ',' or ']'"),
        ("a: {x: 1\nb: 2\n", "line 1: did not find expected ',' or '}'"),
        ("a: 'x\nb: 1\n", "line 3: found unexpected end of stream"),
        ("a:\n  - b\n c: 1\n", "line 2: did not find expected key"),
        ("- a\nb: 1\n", "line 1: did not find expected '-' indicator"),
        ("a: *x\n", "unknown anchor 'x' referenced"),
        ("a: \"x\" y\n", "did not find expected key"),
        ("a: @x\n", "found character that cannot start any token"),
        ("a: |\n  x\n y: 1\n", "line 2: did not find expected key"),
        ("a: !!int x\n", "cannot decode !!str `x` as a !!int"),
    ] {
        assert_eq!(value(text), Err(format!("error converting YAML to JSON: yaml: {expected}")), "{text}");
    }
    assert_eq!(value("a: 1e400"), Ok(json!({"a": "1e400"})));
    assert_eq!(value("y: 1"), Ok(json!({"true": 1})));
}

#[test]
fn doubled_keys_are_told() {
    let parsed = parse("a: 1\nb:\n  c: 1\n  c: 2\n").expect("it is YAML");
    assert_eq!(parsed.value, json!({"a": 1, "b": {"c": 2}}));
    assert_eq!(parsed.duplicates, [r#"line 4: key "c" already set in map"#]);
}

#[test]
fn json_objects_may_stand_one_after_the_other() {
    for text in [
        "{\"a\": 1}{\"b\": 2}",
        "{\"a\": 1}\n\n{\"b\":\n2}\n",
        "{\"a\": 1}\n---\n{\"b\": 2}",
        "{\"a\": 1}\n---\nb: 2\n",
        "{a: 1}\n---\nb: 2",
    ] {
        assert_eq!(parse_all(text).expect("documents"), [json!({"a": 1}), json!({"b": 2})], "{text}");
    }
}

#[test]
fn documents_are_split_at_dashes() {
    let all = parse_all("---\na: 1\n---\n# nothing\n---\nb: |\n  --- not here\n--- \nc: 3\n");
    assert_eq!(all, Ok(vec![json!({"a": 1}), json!({"b": "--- not here\n"}), json!({"c": 3})]));
}

#[test]
fn text_is_go_yamls() {
    let value = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "a", "creationTimestamp": "2026-01-02T03:04:05Z", "labels": {}, "finalizers": [],
            "annotations": {"a10": "x", "a9": "y", "long": "The node was low on resource: ephemeral-storage and so it had to evict this pod, which it did. Too bad for the pod."}},
        "data": {"number": "5", "bool": "yes", "empty": "", "text": "one\ntwo\n", "open": "one\ntwo", "kept": "one\n\n",
            "colon": "a: b", "star": "*", "tab": "a\tb", "quote": "it's", "unicode": "äöü", "null": "null", "space": " x", "octal": "0644", "float": "1.5", "port": "8080:80"},
        "items": [1, 2.5, {"a": 1, "b": [{"c": true}]}, [1, [2]], null, "x"],
    });
    expect![[r#"
        apiVersion: v1
        data:
          bool: "yes"
          colon: 'a: b'
          empty: ""
          float: "1.5"
          kept: |+
            one

          "null": "null"
          number: "5"
          octal: "0644"
          open: |-
            one
            two
          port: 8080:80
          quote: it's
          space: ' x'
          star: '*'
          tab: "a\tb"
          text: |
            one
            two
          unicode: äöü
        items:
        - 1
        - 2.5
        - a: 1
          b:
          - c: true
        - - 1
          - - 2
        - null
        - x
        kind: ConfigMap
        metadata:
          annotations:
            a9: "y"
            a10: x
            long: 'The node was low on resource: ephemeral-storage and so it had to evict
              this pod, which it did. Too bad for the pod.'
          creationTimestamp: "2026-01-02T03:04:05Z"
          finalizers: []
          labels: {}
          name: a
    "#]]
    .assert_eq(&to_yaml(&value));
    assert_eq!(parse(&to_yaml(&value)).map(|p| p.value), Ok(value));
}
