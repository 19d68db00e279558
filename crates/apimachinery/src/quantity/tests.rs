use super::*;

fn text(input: &str) -> String {
    input.parse::<Quantity>().map_or_else(|e| format!("error: {e}"), |q| q.to_string())
}

#[test]
fn canonical_text() {
    for (input, expected) in [
        ("0", "0"),
        ("0Mi", "0"),
        ("100m", "100m"),
        ("1000m", "1"),
        ("0.5", "500m"),
        ("1.5", "1500m"),
        ("1.500", "1.500"),
        ("1024Mi", "1Gi"),
        ("1.5Gi", "1536Mi"),
        ("100Mi", "100Mi"),
        ("512", "512"),
        ("0.5Mi", "512Ki"),
        ("1Ki", "1Ki"),
        ("1000", "1k"),
        ("1500", "1500"),
        ("12e6", "12e6"),
        ("12e3", "12e3"),
        ("1200e3", "1200e3"),
        ("1000e3", "1e6"),
        ("1E3", "1E3"),
        ("-5Mi", "-5Mi"),
        ("0.1n", "1n"),
        ("9223372036854775807Ki", "9223372036854775807"),
        ("123456789012345678901234", "123456789012345678901234"),
        ("0.00001Ki", "10240u"),
    ] {
        assert_eq!(text(input), expected, "{input}");
    }
}

#[test]
fn faults() {
    for (input, fault) in [
        ("", ParseError::Format),
        ("x", ParseError::Format),
        ("1Q", ParseError::Format),
        ("1 Mi", ParseError::Format),
        ("1MM", ParseError::Suffix),
        ("1e", ParseError::Suffix),
        ("1mi", ParseError::Suffix),
        ("1m5", ParseError::Suffix),
    ] {
        assert_eq!(input.parse::<Quantity>().map(|q| q.to_string()), Err(fault), "{input}");
    }
}

#[test]
fn arithmetic_and_rounding() {
    let q = |s: &str| s.parse::<Quantity>().expect("test amounts are valid");
    assert_eq!(q("1k"), q("1000"));
    assert!(q("100m") < q("1"));
    assert_eq!((q("1100m").value(), q("1100m").milli_value()), (2, 1100));
    assert_eq!(q("100u").milli_value(), 1);
    assert_eq!(q("-1100m").value(), -2);
    assert_eq!(q("100E").milli_value(), i64::MAX);
    let mut sum = q("0");
    sum.add(&q("512Mi"));
    sum.add(&q("512Mi"));
    assert_eq!(sum.to_string(), "1Gi");
    sum.sub(&q("1Mi"));
    assert_eq!(sum.to_string(), "1023Mi");
    sum.mul(2);
    assert_eq!(sum.to_string(), "2046Mi");
}
