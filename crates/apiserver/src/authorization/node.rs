//! The Node authorizer: a node's agent may read what the Pods on its node refer to, and write its own Node, Lease and
//! Pods' status (upstream: `plugin/pkg/auth/authorizer/node`).

use api::resources::{PERSISTENTVOLUMES, PODS};
use apimachinery::{Reader, UserInfo};
use serde_json::Value;

use super::{Attributes, Decision};

const PREFIX: &str = "system:node:";

/// The node that `user` is the agent of.
pub(super) fn node_name(user: &UserInfo) -> Option<&str> {
    user.name.strip_prefix(PREFIX).filter(|_| user.in_group("system:nodes"))
}

/// An answer for nodes; `None` for everybody else.
pub(super) fn authorize(user: &UserInfo, attributes: &Attributes, reader: &dyn Reader) -> Option<Decision> {
    let node = node_name(user)?;
    let allow = || Some(Decision::Allow(String::new()));
    let refuse = |why: &str| Some(Decision::NoOpinion(why.to_owned()));
    let verb = attributes.verb.as_str();
    match (attributes.group.as_str(), attributes.resource.as_str(), attributes.subresource.as_str()) {
        ("", "secrets" | "configmaps", "") => match verb {
            "get" | "list" | "watch" if refers(reader, node, attributes) => allow(),
            "get" | "list" | "watch" => refuse(&format!("no relationship found between node '{node}' and this object")),
            _ => refuse("can only read resources of this type"),
        },
        ("", "persistentvolumeclaims", "") => match verb {
            // Upstream's agent may only get them, again and again; ours waits for the change of one that it may read.
            "get" | "list" | "watch" if claims_on(reader, node, &attributes.namespace, &attributes.name) => allow(),
            _ => refuse(&format!("no relationship found between node '{node}' and this object")),
        },
        ("", "persistentvolumes", "") => match verb {
            "get" if binds(reader, node, &attributes.name) => allow(),
            _ => refuse(&format!("no relationship found between node '{node}' and this object")),
        },
        ("", "serviceaccounts", "token") => match verb {
            "create" if uses_account(reader, node, attributes) => allow(),
            _ => refuse(&format!("no relationship found between node '{node}' and this object")),
        },
        ("", "serviceaccounts", "") => match verb {
            "get" if uses_account(reader, node, attributes) => allow(),
            _ => refuse(&format!("no relationship found between node '{node}' and this object")),
        },
        ("coordination.k8s.io", "leases", "") => match verb {
            "create" if attributes.namespace == "kube-node-lease" => allow(),
            "get" | "update" | "patch" | "delete"
                if attributes.namespace == "kube-node-lease" && attributes.name == node =>
            {
                allow()
            }
            _ => refuse("can only access node lease with the same name as the requesting node"),
        },
        ("", "nodes", "" | "status") => match verb {
            "create" | "list" | "watch" => allow(),
            _ if attributes.name == node => allow(),
            _ => refuse(&format!("node '{node}' cannot read '{}', only its own Node object", attributes.name)),
        },
        ("", "pods", "" | "status") => pod(reader, node, attributes),
        ("", "pods", "eviction") if verb == "create" => pod(reader, node, attributes),
        // Everything else is what upstream's role `system:node` grants.
        ("", "services" | "namespaces", "") if matches!(verb, "get" | "list" | "watch") => allow(),
        ("" | "events.k8s.io", "events", "") if matches!(verb, "create" | "patch" | "update") => allow(),
        ("storage.k8s.io", "csinodes", "") if attributes.name == node || verb == "create" => allow(),
        ("storage.k8s.io", "csidrivers" | "volumeattachments", "") if matches!(verb, "get" | "list" | "watch") => {
            allow()
        }
        ("node.k8s.io", "runtimeclasses", "") if matches!(verb, "get" | "list" | "watch") => allow(),
        ("certificates.k8s.io", "certificatesigningrequests", "")
            if matches!(verb, "create" | "get" | "list" | "watch") =>
        {
            allow()
        }
        ("certificates.k8s.io", "clustertrustbundles", "") if matches!(verb, "get" | "list" | "watch") => allow(),
        // Which Pods it asks for is checked by the plugin `NodeRestriction`.
        ("certificates.k8s.io", "podcertificaterequests", "")
            if matches!(verb, "create" | "get" | "list" | "watch") =>
        {
            allow()
        }
        ("certificates.k8s.io", "certificatesigningrequests", "selfnodeclient") if verb == "create" => allow(),
        ("authentication.k8s.io", "tokenreviews", "") | ("authorization.k8s.io", "subjectaccessreviews", "")
            if verb == "create" =>
        {
            allow()
        }
        _ => None,
    }
}

fn pod(reader: &dyn Reader, node: &str, attributes: &Attributes) -> Option<Decision> {
    let own = || {
        reader
            .get(PODS, &attributes.namespace, &attributes.name)
            .is_none_or(|pod| pod.value()["spec"]["nodeName"] == node)
    };
    match attributes.verb.as_str() {
        "list" | "watch" | "create" => Some(Decision::Allow(String::new())),
        _ if own() => Some(Decision::Allow(String::new())),
        _ => Some(Decision::NoOpinion(format!("node '{node}' may only access the pods that are bound to it"))),
    }
}

fn pods_on(reader: &dyn Reader, node: &str, namespace: &str) -> Vec<Value> {
    let pods = reader.list(PODS, namespace).into_iter().map(|pod| pod.value());
    pods.filter(|pod| pod["spec"]["nodeName"] == node).collect()
}

/// Whether a Pod on the node names the object anywhere in its spec where such an object can be named.
fn refers(reader: &dyn Reader, node: &str, attributes: &Attributes) -> bool {
    let key = match attributes.resource.as_str() {
        "secrets" => ["secretRef", "secretKeyRef", "secret", "imagePullSecrets"].as_slice(),
        _ => ["configMapRef", "configMapKeyRef", "configMap"].as_slice(),
    };
    if attributes.name.is_empty() || attributes.namespace.is_empty() {
        return false;
    }
    pods_on(reader, node, &attributes.namespace).iter().any(|pod| names(&pod["spec"], key, &attributes.name))
}

/// Whether a value under one of `keys` names `wanted`.
fn names(value: &Value, keys: &[&str], wanted: &str) -> bool {
    match value {
        Value::Array(items) => items.iter().any(|item| names(item, keys, wanted)),
        Value::Object(fields) => fields.iter().any(|(key, field)| {
            let here = keys.contains(&key.as_str())
                && (["name", "secretName"].iter().any(|n| field[n] == wanted)
                    || field.as_array().into_iter().flatten().any(|item| item["name"] == wanted));
            here || names(field, keys, wanted)
        }),
        _ => false,
    }
}

fn uses_account(reader: &dyn Reader, node: &str, attributes: &Attributes) -> bool {
    pods_on(reader, node, &attributes.namespace)
        .iter()
        .any(|pod| pod["spec"]["serviceAccountName"] == attributes.name.as_str())
}

/// The names of a Pod's claims, those that are made for it alone included.
fn claims(pod: &Value) -> impl Iterator<Item = String> + '_ {
    let name = pod["metadata"]["name"].as_str().unwrap_or_default();
    pod["spec"]["volumes"].as_array().into_iter().flatten().filter_map(move |volume| {
        let own = || Some(format!("{name}-{}", volume["name"].as_str().filter(|_| volume["ephemeral"].is_object())?));
        volume["persistentVolumeClaim"]["claimName"].as_str().map(str::to_owned).or_else(own)
    })
}

/// Whether a Pod on the node has this claim.
fn claims_on(reader: &dyn Reader, node: &str, namespace: &str, claim: &str) -> bool {
    !namespace.is_empty()
        && !claim.is_empty()
        && pods_on(reader, node, namespace).iter().any(|pod| claims(pod).any(|name| name == claim))
}

/// Whether the volume is for a claim of a Pod on the node.
fn binds(reader: &dyn Reader, node: &str, volume: &str) -> bool {
    reader.get(PERSISTENTVOLUMES, "", volume).is_some_and(|volume| {
        let reference = &volume.value()["spec"]["claimRef"];
        let text = |key: &str| reference[key].as_str().unwrap_or_default();
        claims_on(reader, node, text("namespace"), text("name"))
    })
}
