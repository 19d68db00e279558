use http::HeaderValue;

use super::{Challenge, parse, query};

#[test]
fn challenges_are_read_in_all_their_spellings() {
    let bearer = |realm: &str, service: &str, scope: &str| Challenge::Bearer {
        realm: realm.into(),
        service: service.into(),
        scope: scope.into(),
    };
    let cases = [
        (
            r#"Bearer realm="https://a/t",service="s",scope="repository:a,b:pull""#,
            vec![bearer("https://a/t", "s", "repository:a,b:pull")],
        ),
        (r#"bearer realm="a\"b" , service=s , error=x"#, vec![bearer("a\"b", "s", "")]),
        ("Basic realm=\"x\"", vec![Challenge::Basic]),
        ("BASIC", vec![Challenge::Basic]),
        ("Bearer service=s", vec![]),
        ("Negotiate x", vec![]),
        ("Bearer realm=\"unclosed", vec![bearer("unclosed", "", "")]),
    ];
    for (header, expected) in cases {
        assert_eq!(parse([&HeaderValue::from_str(header).expect("text")]), expected, "{header}");
    }
    let both = [HeaderValue::from_static("Basic"), HeaderValue::from_static("Bearer realm=r")];
    assert_eq!(parse(&both), [bearer("r", "", ""), Challenge::Basic]);
    assert_eq!(
        query(&[("scope", "repository:a/b:pull"), ("x", "é &")]),
        "scope=repository%3Aa%2Fb%3Apull&x=%C3%A9%20%26"
    );
}
