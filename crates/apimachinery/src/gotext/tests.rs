use super::{Any, json, json_indented, quote, sprintf, unquote, value};
use serde_json::json as data;

#[test]
fn maps_lists_and_numbers_print_as_in_go() {
    let any = Any::from_json(&data!({"b": [1, 2.5, null], "a": {"x": true}, "big": 12345678.0}));
    assert_eq!(value(&any), "map[a:map[x:true] b:[1 2.5 <nil>] big:1.2345678e+07]");
    assert_eq!(
        sprintf("%#v", &[any]),
        r#"map[string]interface {}{"a":map[string]interface {}{"x":true}, "b":[]interface {}{1, 2.5, interface {}(nil)}, "big":1.2345678e+07}"#
    );
}

#[test]
fn json_escapes_html_and_orders_keys() {
    assert_eq!(
        json(&data!({"b": "<a&b>", "a": [1.0, 1e21, 1e-7]})),
        r#"{"a":[1,1e+21,1e-7],"b":"\u003ca\u0026b\u003e"}"#
    );
    assert_eq!(json_indented(&data!({"a": [], "b": [1]}), "  "), "{\n  \"a\": [],\n  \"b\": [\n    1\n  ]\n}");
}

#[test]
fn quoting_goes_both_ways() {
    let text = "a\"\\\n\u{1}\u{e9}\u{a0}";
    assert_eq!(quote(text), "\"a\\\"\\\\\\n\\x01\u{e9}\\u00a0\"");
    assert_eq!(unquote(&quote(text)).as_deref(), Some(text));
    assert_eq!(unquote(r#""\d""#), None);
}
