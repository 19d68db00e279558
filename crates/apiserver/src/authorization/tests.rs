use std::collections::BTreeMap;
use std::sync::Arc;

use apimachinery::{Object, Reader, Resource, UserInfo};
use serde_json::{Value, json};

use super::rbac::Graph;
use super::{Attributes, node, refusal};

#[derive(Default)]
struct World(BTreeMap<&'static str, Vec<Value>>);

impl Reader for World {
    fn get(&self, resource: &'static Resource, namespace: &str, name: &str) -> Option<Arc<Object>> {
        self.list(resource, namespace).into_iter().find(|o| o.meta().name == name)
    }

    fn list(&self, resource: &'static Resource, namespace: &str) -> Vec<Arc<Object>> {
        let all = self.0.get(resource.plural).into_iter().flatten().map(|v| Arc::new(Object::from_value(v).unwrap()));
        all.filter(|o| namespace.is_empty() || o.meta().namespace == namespace).collect()
    }
}

fn wants(verb: &str, resource: &str, namespace: &str, name: &str) -> Attributes {
    let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    Attributes {
        verb: verb.into(),
        version: "v1".into(),
        resource: resource.into(),
        subresource: subresource.into(),
        namespace: namespace.into(),
        name: name.into(),
        ..Attributes::default()
    }
}

fn rbac_world() -> World {
    let mut world = World::default();
    world.0.insert(
        "clusterroles",
        vec![
            json!({"metadata": {"name": "view"}, "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"to": "view"}}]}}),
            json!({"metadata": {"name": "read-pods", "labels": {"to": "view"}},
                   "rules": [{"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods", "pods/log"]}]}),
            json!({"metadata": {"name": "health"}, "rules": [{"verbs": ["get"], "nonResourceURLs": ["/healthz", "/livez/*"]}]}),
        ],
    );
    world.0.insert(
        "clusterrolebindings",
        vec![json!({"metadata": {"name": "health"}, "roleRef": {"kind": "ClusterRole", "name": "health"},
                    "subjects": [{"kind": "Group", "name": "system:authenticated"}]})],
    );
    world.0.insert(
        "rolebindings",
        vec![json!({"metadata": {"name": "b", "namespace": "dev"}, "roleRef": {"kind": "ClusterRole", "name": "view"},
                    "subjects": [{"kind": "ServiceAccount", "name": "ci"}, {"kind": "User", "name": "jane"}]})],
    );
    world
}

#[test]
fn a_binding_grants_in_its_namespace_only() {
    let graph = Graph::build(&rbac_world());
    let jane = UserInfo::new("jane", &[]);
    assert!(graph.grants(&jane, &wants("list", "pods", "dev", "")).is_some());
    assert!(graph.grants(&jane, &wants("get", "pods/log", "dev", "x")).is_some());
    assert!(graph.grants(&jane, &wants("list", "pods", "prod", "")).is_none());
    assert!(graph.grants(&jane, &wants("list", "pods", "", "")).is_none());
    assert!(graph.grants(&jane, &wants("delete", "pods", "dev", "x")).is_none());
    assert!(graph.grants(&jane, &wants("get", "pods/exec", "dev", "x")).is_none());
    let ci = UserInfo::service_account("dev", "ci");
    assert!(graph.grants(&ci, &wants("list", "pods", "dev", "")).is_some());
}

#[test]
fn paths_are_granted_by_prefix_to_groups() {
    let graph = Graph::build(&rbac_world());
    let user = UserInfo::new("x", &[]);
    let path = |path: &str| Attributes { verb: "get".into(), path: path.into(), ..Attributes::default() };
    assert!(graph.grants(&user, &path("/livez/ping")).is_some());
    assert!(graph.grants(&user, &path("/metrics")).is_none());
}

#[test]
fn a_node_reads_what_its_pods_name_and_nothing_else() {
    let mut world = World::default();
    let pod = json!({"metadata": {"name": "web", "namespace": "dev"}, "spec": {"nodeName": "n1", "containers": [
        {"envFrom": [{"secretRef": {"name": "used"}}]}], "volumes": [{"configMap": {"name": "conf"}}], "serviceAccountName": "default"}});
    world.0.insert("pods", vec![pod]);
    let decide = |who: &str, attributes: &Attributes| {
        let user = UserInfo::new(format!("system:node:{who}"), &["system:nodes"]);
        node::authorize(&user, attributes, &world).is_some_and(|d| d.is_allowed())
    };
    assert!(decide("n1", &wants("get", "secrets", "dev", "used")));
    assert!(decide("n1", &wants("get", "configmaps", "dev", "conf")));
    assert!(!decide("n1", &wants("get", "secrets", "dev", "other")));
    assert!(!decide("n1", &wants("list", "secrets", "dev", "")));
    assert!(!decide("n2", &wants("get", "secrets", "dev", "used")));
    assert!(decide("n1", &wants("update", "pods/status", "dev", "web")));
    assert!(!decide("n2", &wants("update", "pods/status", "dev", "web")));
    assert!(!decide("n1", &wants("update", "nodes/status", "", "n2")));
    assert!(decide("n1", &wants("create", "serviceaccounts/token", "dev", "default")));
    assert!(!decide("n1", &wants("create", "serviceaccounts/token", "dev", "admin")));
}

#[test]
fn a_node_reads_the_claims_of_its_pods_and_their_volumes() {
    let mut world = World::default();
    let volumes = json!([{"name": "data", "persistentVolumeClaim": {"claimName": "shared"}},
        {"name": "scratch", "ephemeral": {}}, {"name": "conf", "configMap": {"name": "conf"}}]);
    let pod = |name: &str, node: &str, volumes: &Value| json!({"metadata": {"name": name, "namespace": "dev"}, "spec": {"nodeName": node, "volumes": volumes}});
    let volume = |name: &str, claim: &str| {
        let reference = json!({"namespace": "dev", "name": claim});
        json!({"metadata": {"name": name}, "spec": {"claimRef": reference}})
    };
    world.0.insert("pods", vec![pod("web", "n1", &volumes), pod("other", "n2", &json!([]))]);
    let free = json!({"metadata": {"name": "free"}});
    world.0.insert(
        "persistentvolumes",
        vec![volume("v1", "shared"), volume("v2", "web-scratch"), volume("v3", "x"), free],
    );
    let may = |node: &str, verb: &str, resource: &str, namespace: &str, name: &str| {
        let user = UserInfo::new(format!("system:node:{node}"), &["system:nodes"]);
        node::authorize(&user, &wants(verb, resource, namespace, name), &world).is_some_and(|d| d.is_allowed())
    };
    let gets = |node, resource, namespace, name| may(node, "get", resource, namespace, name);
    assert!(may("n1", "watch", "persistentvolumeclaims", "dev", "shared"));
    assert!(
        !may("n1", "watch", "persistentvolumeclaims", "dev", "")
            && !may("n1", "list", "persistentvolumeclaims", "", "")
    );
    assert!(!may("n1", "delete", "persistentvolumeclaims", "dev", "shared"));
    for (kind, namespace, name, allowed) in [
        ("persistentvolumeclaims", "dev", "shared", true),
        ("persistentvolumeclaims", "dev", "web-scratch", true),
        ("persistentvolumeclaims", "dev", "web-data", false),
        ("persistentvolumeclaims", "dev", "web-conf", false),
        ("persistentvolumeclaims", "prod", "shared", false),
        ("persistentvolumes", "", "v1", true),
        ("persistentvolumes", "", "v2", true),
        ("persistentvolumes", "", "v3", false),
        ("persistentvolumes", "", "free", false),
    ] {
        assert_eq!(gets("n1", kind, namespace, name), allowed, "{kind} {name}");
        assert!(!gets("n2", kind, namespace, name), "{kind} {name}");
    }
}

#[test]
fn a_refusal_reads_as_upstreams() {
    let user = UserInfo::new("jane", &[]);
    assert_eq!(
        refusal(&user, &wants("list", "pods", "dev", ""), "").message,
        "pods is forbidden: User \"jane\" cannot list resource \"pods\" in API group \"\" in the namespace \"dev\""
    );
}
