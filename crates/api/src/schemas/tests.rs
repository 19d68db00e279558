use serde_json::{Value, json};

use super::schemas;

fn fix(schema: &str, mut value: Value) -> Result<(Value, Vec<String>), String> {
    let ty = schemas().find(schema).expect("the schema exists");
    let strict = schemas().decode_fix(&mut value, ty).map_err(|e| e.to_string())?;
    let again = schemas().decode_fix(&mut value.clone(), ty);
    assert_eq!(again, Ok(Vec::new()), "decoding is idempotent");
    Ok((value, strict.iter().map(ToString::to_string).collect()))
}

const DEPLOYMENT: &str = "io.k8s.api.apps.v1.Deployment";
const POD: &str = "io.k8s.api.core.v1.Pod";

#[test]
fn every_resource_has_its_type() {
    for resource in crate::RESOURCES.iter().filter(|r| r.stored()) {
        assert!(schemas().find(resource.schema).is_some(), "{} {}", resource.plural, resource.schema);
    }
}

#[test]
fn the_table_is_small() {
    let text = include_str!("../schemas.txt");
    assert!(text.len() < 150_000, "{} bytes", text.len());
    assert!(schemas().types().len() > 600);
}

#[test]
fn unknown_fields_go_and_are_reported() {
    let (value, strict) = fix(
        POD,
        json!({"apiVersion": "v1", "kind": "Pod", "foo": 1, "metadata": {"name": "a", "labels": {"x": "y"}},
            "spec": {"containers": [{"name": "c", "image": "i", "imagge": "x"}], "foo": {}}}),
    )
    .expect("types fit");
    assert_eq!(
        strict,
        [r#"unknown field "foo""#, r#"unknown field "spec.containers[0].imagge""#, r#"unknown field "spec.foo""#]
    );
    assert_eq!(
        value,
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "labels": {"x": "y"}},
            "spec": {"containers": [{"name": "c", "image": "i", "resources": {}}]}, "status": {}})
    );
}

#[test]
fn absent_and_zero_fields_are_as_go_prints_them() {
    let (value, _) = fix(
        DEPLOYMENT,
        json!({"metadata": {"creationTimestamp": null, "labels": {}}, "spec": {"replicas": 0, "paused": false,
            "template": {"spec": {"containers": null, "hostNetwork": false, "terminationGracePeriodSeconds": 0,
            "overhead": {"cpu": 0.5, "memory": "1024Mi"}}}}}),
    )
    .expect("types fit");
    assert_eq!(
        value,
        json!({"metadata": {}, "spec": {"replicas": 0, "selector": null, "strategy": {},
            "template": {"metadata": {}, "spec": {"containers": null, "terminationGracePeriodSeconds": 0,
            "overhead": {"cpu": "500m", "memory": "1Gi"}}}}, "status": {}})
    );
    let (event, _) = fix(
        "io.k8s.api.core.v1.Event",
        json!({"metadata": {"name": "e"}, "involvedObject": {}, "eventTime": "2026-01-02T03:04:05.678901+01:00"}),
    )
    .expect("types fit");
    assert_eq!(event["eventTime"], "2026-01-02T02:04:05.678901Z");
    assert_eq!(event["firstTimestamp"], Value::Null);
    assert!(event.as_object().is_some_and(|e| e.contains_key("firstTimestamp")));
}

#[test]
fn type_faults_have_gos_text() {
    for (schema, object, expected) in [
        (
            DEPLOYMENT,
            json!({"spec": {"replicas": "3"}}),
            "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            DEPLOYMENT,
            json!({"spec": {"replicas": 1.5}}),
            "json: cannot unmarshal number 1.5 into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            POD,
            json!({"spec": {"containers": [{"name": 5}]}}),
            "json: cannot unmarshal number into Go struct field Container.spec.containers.name of type string",
        ),
        (
            POD,
            json!({"spec": {"restartPolicy": true}}),
            "json: cannot unmarshal bool into Go struct field PodSpec.spec.restartPolicy of type v1.RestartPolicy",
        ),
        (
            POD,
            json!({"spec": {"containers": {}}}),
            "json: cannot unmarshal object into Go struct field PodSpec.spec.containers of type []v1.Container",
        ),
        (
            POD,
            json!({"metadata": {"labels": {"a": 1}}}),
            "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type string",
        ),
        (
            POD,
            json!({"spec": {"volumes": [{"name": "v", "emptyDir": "x"}]}}),
            "json: cannot unmarshal string into Go struct field Volume.spec.volumes.VolumeSource.emptyDir of type v1.EmptyDirVolumeSource",
        ),
        (POD, json!([]), "json: cannot unmarshal array into Go value of type v1.Pod"),
        (
            POD,
            json!({"spec": {"containers": [{"resources": {"limits": {"cpu": "x"}}}]}}),
            "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
        ),
        ("io.k8s.api.core.v1.Secret", json!({"data": {"a": "$"}}), "illegal base64 data at input byte 0"),
        (
            "io.k8s.api.core.v1.Event",
            json!({"eventTime": "2026-01-02T03:04:05Z"}),
            "parsing time \"2026-01-02T03:04:05Z\" as \"2006-01-02T15:04:05.000000Z07:00\": cannot parse \"Z\" as \".000000\"",
        ),
    ] {
        assert_eq!(fix(schema, object.clone()), Err(expected.to_owned()), "{object}");
    }
}

#[test]
fn a_crds_schema_is_cleaned_too() {
    let (value, strict) = fix(
        "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps",
        json!({"type": "object", "properties": {"a": {"type": "array", "items": {"type": "string", "bogus": 1}}},
            "additionalProperties": false, "default": {"x": 1}}),
    )
    .expect("types fit");
    assert_eq!(strict, [r#"unknown field "properties.a.items.bogus""#]);
    assert_eq!(
        value,
        json!({"type": "object", "properties": {"a": {"type": "array", "items": {"type": "string"}}},
            "additionalProperties": false, "default": {"x": 1}})
    );
}
