use serde_json::json;

use super::{Bindings, Cel, Program};

fn evaluate(text: &str) -> Result<String, String> {
    let object = json!({
        "metadata": {"name": "web", "labels": {"app": "a", "tier": "b"}},
        "spec": {"replicas": 3, "share": 0.5, "containers": [{"name": "x", "image": "i:v1"}, {"name": "y"}]},
    });
    let program = Program::compile(text, &["object", "oldObject"]).map_err(|error| error.to_string())?;
    let bindings = Bindings::from([("object", Cel::from(&object)), ("oldObject", Cel::Null)]);
    program.evaluate(&bindings).map(|value| value.to_json().to_string()).map_err(|error| error.to_string())
}

#[test]
fn expressions_have_the_values_of_the_specification() {
    let cases = [
        ("1 + 2 * 3 - 4 / 2", "5"),
        ("-7 % 3", "-1"),
        ("7u + 1u", "8"),
        ("1.5 + 1.0", "2.5"),
        ("1 == 1.0 && 2u > 1", "true"),
        ("'a' + \"b\" + '''c'''", "\"abc\""),
        (r"r'\n' + '\n'", r#""\\n\n""#),
        ("b'ab' == bytes('ab')", "true"),
        ("true ? 1 : 2", "1"),
        ("!false || object.nothing", "true"),
        ("object.nothing || true", "true"),
        ("false && object.nothing", "false"),
        ("[1, 2, 3][1]", "2"),
        ("{'a': 1, 'b': 2}['b']", "2"),
        ("2 in [1, 2] && 'app' in object.metadata.labels", "true"),
        ("has(object.spec.replicas) && !has(object.spec.paused)", "true"),
        ("oldObject == null", "true"),
        ("object.spec.containers.all(c, c.name.size() == 1)", "true"),
        ("object.spec.containers.exists(c, c.image == 'i:v1')", "true"),
        ("object.spec.containers.exists_one(c, c.name == 'y')", "true"),
        ("object.spec.containers.map(c, c.name)", "[\"x\",\"y\"]"),
        ("object.spec.containers.filter(c, has(c.image)).size()", "1"),
        ("[1, 2, 3].map(n, n > 1, n * 10)", "[20,30]"),
        ("object.metadata.labels.all(k, k.startsWith('a') || k.startsWith('t'))", "true"),
        ("object.metadata.name.matches('^w.b$') && 'abc'.contains('b')", "true"),
        ("'a,b'.split(',').join('-').upperAscii()", "\"A-B\""),
        ("'hello'.substring(1, 3) + 'hello'.charAt(0)", "\"elh\""),
        ("'héllo'.size()", "5"),
        ("'tacocat'.indexOf('c')", "2"),
        ("int('12') + int(3.9)", "15"),
        ("string(1.5) + string(true) + string(7)", "\"1.5true7\""),
        ("double('1.25')", "1.25"),
        ("[3, 1, 2].sum() + [3, 1].min() + [1, 2].max()", "9"),
        ("[1, 2].isSorted() && ![2, 1].isSorted()", "true"),
        ("sets.contains([1, 2, 3], [2]) && sets.equivalent([1, 2], [2, 1])", "true"),
        ("quantity('1Gi').isGreaterThan(quantity('900Mi')) && isQuantity('5') && !isQuantity('x')", "true"),
        ("duration('1h30m').getMinutes()", "90"),
        ("timestamp('2026-06-01T12:00:00Z') - timestamp('2026-06-01T11:00:00Z') == duration('1h')", "true"),
        ("timestamp('2026-06-01T12:00:00Z').getMonth()", "5"),
        ("type(1) == int && type('a') != int", "true"),
        ("[1] + [2, 3]", "[1,2,3]"),
        ("0x10 + 0", "16"),
        ("-9223372036854775808", "-9223372036854775808"),
        ("Object{spec: Object.spec{replicas: 2}}", "{\"spec\":{\"replicas\":2}}"),
        ("'a-b-c'.find('[a-b]') + 'x'.find('y')", "\"a\""),
        ("jsonpatch.escapeKey('a/b~c')", "\"a~1b~0c\""),
        ("object.spec.share < 1", "true"),
        ("// note\n1", "1"),
    ];
    for (text, wanted) in cases {
        assert_eq!(evaluate(text), Ok(wanted.to_owned()), "{text}");
    }
}

#[test]
fn what_has_no_value_says_why() {
    let cases = [
        ("object.spec.nothing", "no such key: nothing"),
        ("1 / 0", "division by zero"),
        ("1 % 0", "modulus by zero"),
        ("9223372036854775807 + 1", "integer overflow"),
        ("[1][3]", "index out of bounds: 3"),
        ("1 + 'a'", "no such overload"),
        ("1u + 1", "no such overload"),
        ("[1, 2].all(n, n.size() > 0)", "no such overload"),
        ("'a'.matches('(')", "Illegal regular expression"),
        ("{'a': 1}.b", "no such key: b"),
        ("int('x')", "strconv.ParseInt: parsing \"x\": invalid syntax"),
        ("'a' < 1", "no such overload"),
    ];
    for (text, wanted) in cases {
        let error = evaluate(text).expect_err(text);
        assert!(error.contains(wanted), "{text}: {error}");
    }
    let long = format!("[{}].all(a, [{0}].all(b, [{0}].all(c, [{0}].all(d, true))))", vec!["1"; 100].join(","));
    assert!(evaluate(&long).expect_err("it takes too long").contains("cost limit exceeded"));
}

#[test]
fn what_does_not_compile_names_the_place() {
    let cases = [
        ("1 +", "<input>:1:4: Syntax error: mismatched input '<EOF>'"),
        ("objekt.spec", "<input>:1:1: undeclared reference to 'objekt'"),
        ("object.spec.nothing()", "undeclared reference to 'nothing'"),
        ("frobnicate(1)", "undeclared reference to 'frobnicate'"),
        ("'abc", "unterminated string"),
        ("has(object)", "invalid argument to has() macro"),
        ("[1, 2", "mismatched input '<EOF>'"),
        ("1\n  ~ 2", "<input>:2:3: Syntax error: token recognition error at: '~'"),
        ("for", "reserved identifier: for"),
        ("object.?spec", "unsupported syntax '.?'"),
        ("[1].map(1, 2)", "argument must be a simple name"),
    ];
    for (text, wanted) in cases {
        let error = evaluate(text).expect_err(text);
        assert!(error.starts_with("compilation failed: ERROR: ") && error.contains(wanted), "{text}: {error}");
    }
    let deep = format!("{}1{}", "(".repeat(200), ")".repeat(200));
    assert!(evaluate(&deep).expect_err("it is too deep").contains("recursion limit"));
}

/// Neither parser nor evaluator panics, whatever they are given.
#[test]
fn no_text_makes_it_panic() {
    let random = component_base::Random::from_seed(11);
    let pieces = [
        "object",
        ".",
        "spec",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        "1",
        "-",
        "'a'",
        "\"",
        "all",
        "x",
        ",",
        "in",
        "&&",
        "||",
        "?",
        ":",
        "has(",
        "\\",
        "b'",
        "0x",
        "1e",
        "é",
        " ",
        "!",
        "==",
        ".map(x, ",
        "size()",
        "u",
        ".5",
        "9223372036854775808",
        "duration('1h')",
        "%",
    ];
    for _ in 0..20_000 {
        let length = 1 + random.below(12);
        let text: String =
            (0..length).map(|_| pieces[usize::try_from(random.below(pieces.len() as u64)).unwrap_or(0)]).collect();
        let _ = evaluate(&text);
    }
}
