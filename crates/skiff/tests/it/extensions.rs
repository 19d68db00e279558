//! Custom resources, and configurations that the server applies.

use crate::cluster::Cluster;
use crate::{rows, text};

const DEFINITION: &str = r#"
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: boats.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: boats, singular: boat, kind: Boat, shortNames: [bt]}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}, scale: {specReplicasPath: .spec.masts, statusReplicasPath: .status.masts}}
    additionalPrinterColumns: [{name: Masts, type: integer, jsonPath: .spec.masts}]
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            description: What the boat is like.
            x-kubernetes-validations: [{rule: 'self.masts <= self.crew', message: each mast wants a hand}]
            properties:
              masts: {type: integer, minimum: 1, default: 1}
              crew: {type: integer, default: 3}
          status: {type: object, x-kubernetes-preserve-unknown-fields: true}
"#;

const BOAT: &str = "apiVersion: example.com/v1\nkind: Boat\nmetadata: {name: ark}\nspec: {masts: 2}\n";

#[test]
fn a_custom_resource_is_like_any_other() {
    let cluster = Cluster::start();
    cluster.kubectl_reading(&["apply", "-f", "-"], DEFINITION).ok();
    cluster.kubectl(&["wait", "--for=condition=established", "crd/boats.example.com", "--timeout=60s"]).ok();
    assert_eq!(cluster.kubectl_reading(&["apply", "-f", "-"], BOAT).ok(), "boat.example.com/ark created\n");
    let table = cluster.kubectl(&["get", "bt"]).ok();
    assert_eq!(rows(&table)[0][..2], ["ark", "2"], "{table}");
    assert_eq!(cluster.get(&["boat", "ark"])["spec"], serde_json::json!({"masts": 2, "crew": 3}));

    let refused = cluster.kubectl_reading(&["apply", "-f", "-"], &BOAT.replace("masts: 2", "masts: 9")).failed();
    assert!(refused.contains("spec: Invalid value") && refused.contains("each mast wants a hand"), "{refused}");
    let unknown = cluster.kubectl_reading(&["apply", "-f", "-"], &BOAT.replace("masts: 2", "oars: 2")).failed();
    assert!(unknown.contains("unknown field \"spec.oars\""), "{unknown}");
    assert_eq!(cluster.kubectl(&["scale", "boat/ark", "--replicas=3"]).ok(), "boat.example.com/ark scaled\n");
    let explained = cluster.kubectl(&["explain", "boat.spec"]).ok();
    assert!(explained.contains("What the boat is like.") && explained.contains("crew"), "{explained}");

    cluster.kubectl(&["delete", "crd", "boats.example.com"]).ok();
    cluster.eventually("the resource is gone", || (cluster.kubectl(&["get", "boats"]).code != 0).then_some(()));
}

#[test]
fn the_server_applies_and_knows_whose_fields_are_whose() {
    let cluster = Cluster::start();
    let map = |value: &str| format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: c}}\ndata: {{a: {value}}}\n");
    let apply = |words: &[&str], value: &str| {
        let words = [&["apply", "--server-side", "-f", "-"], words].concat();
        cluster.kubectl_reading(&words, &map(value))
    };
    assert_eq!(apply(&[], "one").ok(), "configmap/c serverside-applied\n");
    assert_eq!(apply(&["--field-manager=other"], "one").ok(), "configmap/c serverside-applied\n");
    let refused = apply(&["--field-manager=other"], "two").failed();
    assert!(refused.contains("Apply failed with 1 conflict: conflict with \"kubectl\": .data.a"), "{refused}");
    apply(&["--field-manager=other", "--force-conflicts"], "two").ok();
    let managed = cluster.kubectl(&["get", "cm", "c", "-o", "json", "--show-managed-fields"]).ok();
    let managed: serde_json::Value = serde_json::from_str(&managed).expect("kubectl prints JSON");
    assert_eq!(managed["metadata"]["managedFields"].as_array().map(Vec::len), Some(1), "{managed}");
    assert_eq!(text(&managed, "/metadata/managedFields/0/manager"), "other");

    // Who applied by kubectl alone so far goes on without a conflict.
    cluster.kubectl_reading(&["apply", "-f", "-"], &map("one").replace("name: c", "name: d")).ok();
    let moved =
        cluster.kubectl_reading(&["apply", "--server-side", "-f", "-"], &map("two").replace("name: c", "name: d"));
    assert_eq!(moved.ok(), "configmap/d serverside-applied\n");
}
