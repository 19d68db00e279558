use super::{DOCUMENTS, bootstrap_objects};

#[test]
fn every_document_is_json_with_its_schemas() {
    assert!(DOCUMENTS.iter().any(|d| d.path == "apis/apps/v1"));
    for document in DOCUMENTS {
        let value: serde_json::Value = serde_json::from_slice(&document.json().unwrap()).unwrap();
        assert_eq!(value["openapi"], "3.0.0", "{}", document.path);
    }
}

#[test]
fn a_fresh_cluster_has_its_roles_and_namespaces() {
    let objects = bootstrap_objects();
    let has = |kind: &str, name: &str| objects.iter().any(|o| o["kind"] == kind && o["metadata"]["name"] == name);
    assert!(
        has("Namespace", "kube-system")
            && has("ClusterRole", "cluster-admin")
            && has("PriorityClass", "system-node-critical")
    );
}
