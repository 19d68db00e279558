use super::*;

#[test]
fn numbers_stay_and_percentages_scale() {
    let scaled = |text: &str, total, up| IntOrString::parse(text).scaled(total, up).map_err(|e| e.to_string());
    assert_eq!(scaled("3", 10, true), Ok(3));
    assert_eq!(scaled("25%", 10, true), Ok(3));
    assert_eq!(scaled("25%", 10, false), Ok(2));
    assert_eq!(scaled("100%", 7, false), Ok(7));
    assert_eq!(scaled("0%", 7, true), Ok(0));
    assert_eq!(
        scaled("x", 1, true),
        Err("invalid value for IntOrString: invalid type: string is not a percentage".to_owned())
    );
    assert_eq!(
        scaled("x%", 1, true),
        Err("invalid value for IntOrString: invalid value \"x%\": strconv.Atoi: parsing \"x\": invalid syntax"
            .to_owned())
    );
}

#[test]
fn json_keeps_the_kind() {
    for json in [serde_json::json!(8080), serde_json::json!("http"), serde_json::json!("8080")] {
        assert_eq!(IntOrString::from_value(&json).map(|v| v.to_value()), Some(json));
    }
    assert_eq!(IntOrString::from_value(&serde_json::json!(true)), None);
    assert_eq!(IntOrString::from_value(&serde_json::json!(5_000_000_000_i64)), None);
}
