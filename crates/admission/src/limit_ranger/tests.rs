use api::resources::{LIMITRANGES, PERSISTENTVOLUMECLAIMS, PODS};
use apimachinery::{Admission, ApiError, Operation, Resource};
use serde_json::{Value, json};

use super::LimitRanger;
use crate::tests::{World, request};

/// The object as it is admitted, or why it is not.
fn write(limit: Value, resource: &'static Resource, mut object: Value) -> Result<Value, String> {
    let range = json!({"metadata": {"name": "r", "namespace": "dev"}, "spec": {"limits": [limit]}});
    let (world, mut warnings) = (World::of(&[(LIMITRANGES, &[range])]), Vec::new());
    let mut request = request(Operation::Create, resource, "dev", "web", &mut object, &mut warnings);
    let admitted: Result<(), ApiError> =
        LimitRanger.admit(&mut request, &world).and_then(|()| LimitRanger.validate(&mut request, &world));
    match admitted {
        Ok(()) => Ok(object),
        Err(error) => Err(error.message),
    }
}

fn pod(resources: Value) -> Value {
    json!({"metadata": {"name": "web"}, "spec": {"containers": [{"name": "c", "resources": resources}]}})
}

#[test]
fn defaults_are_set_where_a_container_says_nothing() {
    let limit =
        json!({"type": "Container", "default": {"cpu": "500m", "memory": "1Gi"}, "defaultRequest": {"cpu": "100m"}});
    let admitted = write(limit, PODS, pod(json!({"limits": {"memory": "2Gi"}}))).unwrap();
    assert_eq!(
        admitted["spec"]["containers"][0]["resources"],
        json!({"limits": {"cpu": "500m", "memory": "2Gi"}, "requests": {"cpu": "100m"}})
    );
    assert_eq!(
        admitted["metadata"]["annotations"]["kubernetes.io/limit-ranger"],
        "LimitRanger plugin set: cpu request for container c; cpu limit for container c"
    );
}

#[test]
fn what_is_out_of_bounds_is_refused_in_upstreams_words() {
    let resources = |request: &str, limit: &str| json!({"requests": {"cpu": request}, "limits": {"cpu": limit}});
    let of = |kind: &str, field: &str, bound: &str| json!({"type": kind, field: {"cpu": bound}});
    for (limit, asked, why) in [
        (of("Container", "min", "1"), json!({}), "minimum cpu usage per Container is 1.  No request is specified"),
        (of("Container", "min", "1"), resources("1m", "2"), "minimum cpu usage per Container is 1, but request is 1m"),
        (of("Container", "max", "1"), json!({}), "maximum cpu usage per Container is 1.  No limit is specified"),
        (of("Container", "max", "1"), resources("1", "2"), "maximum cpu usage per Container is 1, but limit is 2"),
        (of("Pod", "max", "1"), resources("1", "1500m"), "maximum cpu usage per Pod is 1, but limit is 1500m"),
        (
            of("Pod", "maxLimitRequestRatio", "2"),
            resources("1", "5"),
            "cpu max limit to request ratio per Pod is 2, but provided ratio is 5.000000",
        ),
        (
            of("Container", "maxLimitRequestRatio", "2"),
            json!({}),
            "cpu max limit to request ratio per Container is 2, but no request is specified or request is 0",
        ),
    ] {
        assert_eq!(write(limit, PODS, pod(asked)), Err(format!("pods \"web\" is forbidden: {why}")));
    }
    let both = json!({"type": "Container", "min": {"cpu": "1"}, "max": {"cpu": "1"}});
    assert_eq!(
        write(both, PODS, pod(json!({}))).unwrap_err(),
        "pods \"web\" is forbidden: [minimum cpu usage per Container is 1.  No request is specified, maximum cpu usage per \
         Container is 1.  No limit is specified]"
    );
    assert!(write(of("Container", "max", "1"), PODS, pod(resources("1", "1"))).is_ok());
}

#[test]
fn claims_are_bounded_by_their_requests() {
    let limit = json!({"type": "PersistentVolumeClaim", "min": {"storage": "1Gi"}, "max": {"storage": "2Gi"}});
    let claim = |size: &str| {
        let claim = json!({"metadata": {"name": "web"}, "spec": {"resources": {"requests": {"storage": size}}}});
        write(limit.clone(), PERSISTENTVOLUMECLAIMS, claim).map(|_| ())
    };
    assert_eq!(claim("1Gi"), Ok(()));
    let refused = |why: &str| Err(format!("persistentvolumeclaims \"web\" is forbidden: {why}"));
    assert_eq!(claim("1Mi"), refused("minimum storage usage per PersistentVolumeClaim is 1Gi, but request is 1Mi"));
    assert_eq!(claim("3Gi"), refused("maximum storage usage per PersistentVolumeClaim is 2Gi, but request is 3Gi"));
}
