use serde_json::json;

use super::Object;

#[test]
fn what_is_stored_comes_back_with_the_revision_of_the_write() {
    let value = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "data": {"metadata": "{}"}, "binaryData": {},
        "metadata": {"name": "a", "namespace": "n", "resourceVersion": "3", "labels": {"x": "y"}},
    });
    let stored = Object::to_stored(&value).unwrap();
    let object = Object::from_stored(&stored, 42).unwrap();
    assert_eq!(object.meta().resource_version, 42);
    assert_eq!(object.meta().key(), "n/a");
    let mut expected = value.clone();
    expected["metadata"]["resourceVersion"] = json!("42");
    assert_eq!(object.value(), expected);
    assert!(object.json_without_header().starts_with(b"\"metadata\":{\"resourceVersion\":\"42\","));
}

#[test]
fn empty_metadata_takes_a_revision_too() {
    let stored = Object::to_stored(&json!({"apiVersion": "v1", "kind": "X", "metadata": {}})).unwrap();
    assert_eq!(Object::from_stored(&stored, 7).unwrap().meta().resource_version, 7);
}

#[test]
fn readers_of_one_type_share_the_decoded_value() {
    let object = Object::from_value(&json!({"metadata": {"name": "a"}})).unwrap();
    let (one, two) = (object.typed::<serde_json::Value>().unwrap(), object.typed::<serde_json::Value>().unwrap());
    assert!(std::sync::Arc::ptr_eq(&one, &two));
}

#[test]
fn an_item_of_a_list_keeps_the_fields_that_come_before_its_metadata_in_the_alphabet() {
    let value = json!({"apiVersion": "v1", "kind": "Port", "metadata": {"name": "a"}, "host": "b", "spec": {}});
    let object = Object::from_value(&value).expect("it is an object");
    assert_eq!(object.json_without_header(), br#""metadata":{"name":"a"},"host":"b","spec":{}}"#);
}
