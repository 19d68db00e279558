use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use api::resources::{INGRESSES, NAMESPACES, NODES, PODS};
use apimachinery::{Admission, AdmissionRequest, ApiError, Object, Operation, Reader, Resource, UserInfo};
use component_base::Random;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::plugins;

/// What plugins read.
#[derive(Default)]
pub(crate) struct World(BTreeMap<&'static str, Vec<Value>>);

impl World {
    /// A world of these objects.
    pub(crate) fn of(objects: &[(&'static Resource, &[Value])]) -> Self {
        Self(objects.iter().map(|(resource, objects)| (resource.plural, objects.to_vec())).collect())
    }
}

impl Reader for World {
    fn get(&self, resource: &'static Resource, namespace: &str, name: &str) -> Option<Arc<Object>> {
        self.list(resource, namespace).into_iter().find(|o| o.meta().name == name)
    }

    fn list(&self, resource: &'static Resource, namespace: &str) -> Vec<Arc<Object>> {
        let all = self.0.get(resource.plural).into_iter().flatten().map(|v| Arc::new(Object::from_value(v).unwrap()));
        all.filter(|o| namespace.is_empty() || o.meta().namespace == namespace).collect()
    }
}

fn world() -> World {
    let mut world = World::default();
    world.0.insert(
        "namespaces",
        vec![
            json!({"metadata": {"name": "dev"}}),
            json!({"metadata": {"name": "old", "deletionTimestamp": "2026-01-01T00:00:00Z"}}),
        ],
    );
    world.0.insert("serviceaccounts", vec![json!({"metadata": {"name": "default", "namespace": "dev"}})]);
    world.0.insert("priorityclasses", vec![json!({"metadata": {"name": "high"}, "value": 1000})]);
    world
}

struct Admitted {
    object: Value,
}

fn run(
    operation: Operation,
    resource: &'static Resource,
    namespace: &str,
    name: &str,
    mut object: Value,
    user: &UserInfo,
) -> Result<Admitted, ApiError> {
    let (world, mut warnings) = (world(), Vec::new());
    let mut request = request(operation, resource, namespace, name, &mut object, &mut warnings);
    request.user = user;
    for plugin in plugins(Arc::new(Random::from_seed(1))) {
        plugin.admit(&mut request, &world)?;
    }
    Ok(Admitted { object })
}

/// A write by nobody in particular, without an old object.
pub(crate) fn request<'a>(
    operation: Operation,
    resource: &'static Resource,
    namespace: &'a str,
    name: &'a str,
    object: &'a mut Value,
    warnings: &'a mut Vec<String>,
) -> AdmissionRequest<'a> {
    static NOBODY: LazyLock<UserInfo> = LazyLock::new(UserInfo::default);
    AdmissionRequest {
        operation,
        resource,
        subresource: "",
        namespace,
        name,
        object,
        old: None,
        user: &NOBODY,
        now: Timestamp::UNIX_EPOCH,
        dry_run: false,
        warnings,
    }
}

fn jane() -> UserInfo {
    UserInfo::new("jane", &[])
}

fn create_pod(namespace: &str, spec: Value) -> Result<Value, ApiError> {
    let pod = json!({"metadata": {"name": "web", "namespace": namespace}, "spec": spec});
    run(Operation::Create, PODS, namespace, "web", pod, &jane()).map(|admitted| admitted.object)
}

#[test]
fn a_plain_pod_gets_account_token_priority_and_tolerations() {
    let pod = create_pod("dev", json!({"containers": [{"name": "c"}]})).unwrap();
    let spec = &pod["spec"];
    assert_eq!(spec["serviceAccountName"], "default");
    let volume = spec["volumes"][0]["name"].as_str().unwrap();
    assert!(volume.starts_with("kube-api-access-") && volume.len() == "kube-api-access-".len() + 5);
    assert_eq!(
        spec["containers"][0]["volumeMounts"],
        json!([{"name": volume, "readOnly": true, "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}])
    );
    assert_eq!((&spec["priority"], &spec["preemptionPolicy"]), (&json!(0), &json!("PreemptLowerPriority")));
    let keys: Vec<&str> = spec["tolerations"].as_array().unwrap().iter().map(|t| t["key"].as_str().unwrap()).collect();
    assert_eq!(keys, ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"]);
}

#[test]
fn a_pod_may_refuse_the_token_and_choose_its_class() {
    let spec =
        json!({"containers": [{"name": "c"}], "automountServiceAccountToken": false, "priorityClassName": "high"});
    let pod = create_pod("dev", spec).unwrap();
    assert!(pod["spec"]["volumes"].is_null());
    assert_eq!(pod["spec"]["priority"], 1000);
}

#[test]
fn what_does_not_exist_is_named() {
    let text = |result: Result<Value, ApiError>| result.unwrap_err().message;
    let spec = json!({"containers": [], "serviceAccountName": "ghost"});
    assert_eq!(
        text(create_pod("dev", spec)),
        "pods \"web\" is forbidden: error looking up service account dev/ghost: serviceaccount \"ghost\" not found"
    );
    assert_eq!(
        text(create_pod("dev", json!({"containers": [], "priorityClassName": "ghost"}))),
        "pods \"web\" is forbidden: no PriorityClass with name ghost was found"
    );
    assert_eq!(text(create_pod("nowhere", json!({}))), "namespaces \"nowhere\" not found");
    assert_eq!(
        text(create_pod("old", json!({}))),
        "pods \"web\" is forbidden: unable to create new content in namespace old because it is being terminated"
    );
}

#[test]
fn the_clusters_namespaces_stay() {
    let result = run(Operation::Delete, NAMESPACES, "", "kube-system", Value::Null, &jane());
    assert_eq!(
        result.err().unwrap().message,
        "namespaces \"kube-system\" is forbidden: this namespace may not be deleted"
    );
}

#[test]
fn a_node_writes_itself_only_and_starts_tainted() {
    let agent = UserInfo::new("system:node:n1", &["system:nodes"]);
    let node = |name: &str| json!({"metadata": {"name": name}, "spec": {}});
    let admitted = run(Operation::Create, NODES, "", "n1", node("n1"), &agent).unwrap();
    assert_eq!(admitted.object["spec"]["taints"][0]["key"], "node.kubernetes.io/not-ready");
    assert!(run(Operation::Create, NODES, "", "n2", node("n2"), &agent).is_err());
}

#[test]
fn a_kind_that_nothing_acts_on_is_answered_with_a_warning_if_it_is_kept() {
    let warnings = |dry_run| {
        let (mut object, mut warnings) = (json!({"metadata": {"name": "in", "namespace": "dev"}}), Vec::new());
        let mut request = AdmissionRequest {
            operation: Operation::Create,
            resource: INGRESSES,
            subresource: "",
            namespace: "dev",
            name: "in",
            object: &mut object,
            old: None,
            user: &jane(),
            now: Timestamp::UNIX_EPOCH,
            dry_run,
            warnings: &mut warnings,
        };
        crate::UnservedKinds.validate(&mut request, &world()).unwrap();
        warnings
    };
    assert!(warnings(false)[0].contains("Ingress"));
    assert_eq!(warnings(true), Vec::<String>::new());
}
