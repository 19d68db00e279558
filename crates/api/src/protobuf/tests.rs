use serde_json::json;

use super::messages;

/// A field of wire type 2.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2, u8::try_from(bytes.len()).unwrap()], bytes].concat()
}

#[test]
fn a_config_map_is_read() {
    let meta = [field(1, b"a"), field(11, &[field(1, b"k"), field(2, b"v")].concat())].concat();
    let map = [field(1, &meta), field(2, &[field(1, b"x"), field(2, b"1")].concat())].concat();
    let kind = [field(1, b"v1"), field(2, b"ConfigMap")].concat();
    let body = [b"k8s\0".to_vec(), field(1, &kind), field(2, &map)].concat();
    assert_eq!(
        messages().decode(&body).unwrap(),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "labels": {"k": "v"}}, "data": {"x": "1"}})
    );
}

#[test]
fn what_is_cut_off_is_refused() {
    let kind = [field(1, b"v1"), field(2, b"ConfigMap")].concat();
    let body = [b"k8s\0".to_vec(), field(1, &kind), vec![0x12, 0x7f, 1]].concat();
    assert!(messages().decode(&body).is_err());
    assert!(messages().decode(b"{}").is_err());
}
