//! Sentences about what a Pod or a template may say, but likely does not mean (upstream: `pkg/api/pod/warnings.go`).

mod paths;
mod ports;

use apimachinery::FieldPath;
use serde_json::{Value, json};

use super::Place;
use crate::kinds::claim_spec_warnings;
use crate::value::{entries, has, int, list, text};
use crate::warnings::{annotations, deprecated_label, fractional, ip, node_expressions};

/// Annotations of old that do nothing any more.
const ANNOTATIONS: [(&str, &str); 3] = [
    (
        "scheduler.alpha.kubernetes.io/critical-pod",
        "non-functional in v1.16+; use the \"priorityClassName\" field instead",
    ),
    ("security.alpha.kubernetes.io/sysctls", "non-functional in v1.11+; use the \"sysctls\" field instead"),
    ("security.alpha.kubernetes.io/unsafe-sysctls", "non-functional in v1.11+; use the \"sysctls\" field instead"),
];

/// Sources of volumes that are gone: the field, its name in the sentence, the sentence.
const VOLUMES: [(&str, &str, &str); 9] = [
    ("photonPersistentDisk", "photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+"),
    ("gitRepo", "gitRepo", "deprecated in v1.11, and disabled by default in v1.33+"),
    ("scaleIO", "scaleIO", "deprecated in v1.16, non-functional in v1.22+"),
    ("flocker", "flocker", "deprecated in v1.22, non-functional in v1.25+"),
    ("storageos", "storageOS", "deprecated in v1.22, non-functional in v1.25+"),
    ("quobyte", "quobyte", "deprecated in v1.22, non-functional in v1.25+"),
    ("glusterfs", "glusterfs", "deprecated in v1.25, non-functional in v1.26+"),
    ("cephfs", "cephfs", "deprecated in v1.28, non-functional in v1.31+"),
    ("rbd", "rbd", "deprecated in v1.28, non-functional in v1.31+"),
];

const SECCOMP: &str = "non-functional in v1.27+; use the \"seccompProfile\" field instead";
const SECCOMP_POD: &str = "seccomp.security.alpha.kubernetes.io/pod";
const SECCOMP_CONTAINER: &str = "container.seccomp.security.alpha.kubernetes.io/";
const APP_ARMOR: &str = "deprecated since v1.30; use the \"appArmorProfile\" field instead";
const APP_ARMOR_CONTAINER: &str = "container.apparmor.security.beta.kubernetes.io/";
const NULL_SELECTOR: &str = "a null labelSelector results in matching no pod";

/// All that is said of a Pod.
pub(super) fn of_pod(pod: &Value) -> Vec<String> {
    of(&FieldPath::root(), pod, Place::Pod)
}

/// All that is said of the template at `path`.
pub(super) fn of_template(path: &FieldPath, template: &Value) -> Vec<String> {
    of(path, template, Place::Template)
}

fn of(path: &FieldPath, holder: &Value, place: Place) -> Vec<String> {
    let (metadata, spec) = (&holder["metadata"], &holder["spec"]);
    let (metadata_path, path) = (path.child("metadata"), path.child("spec"));
    let mut warnings = node_names(&path, spec);
    warnings.extend(annotations(&metadata_path, metadata, &ANNOTATIONS));
    warnings.extend(volumes(&path.child("volumes"), list(spec, "volumes")));
    warnings.extend(paths::overlapping(list(spec, "volumes")));
    warnings.extend(twice(&path.child("hostAliases"), list(spec, "hostAliases"), "ip"));
    warnings.extend(twice(&path.child("imagePullSecrets"), list(spec, "imagePullSecrets"), "name"));
    for (at, secret) in list(spec, "imagePullSecrets").iter().enumerate() {
        if text(secret, "name").is_empty() {
            let here = path.child("imagePullSecrets").index(at).child("name");
            warnings.push(format!("{here}: invalid empty name \"\""));
        }
    }
    for name in ["memory", "ephemeral-storage"] {
        warnings.extend(fractional(&path.child("overhead"), &spec["overhead"], name));
    }
    if !has(&spec["securityContext"], "seccompProfile") {
        warnings.extend(annotations(&metadata_path, metadata, &[(SECCOMP_POD, SECCOMP)]));
    }
    let containers = containers(&path, spec);
    for (here, container) in &containers {
        warnings.extend(profiles(&metadata_path, holder, container, place));
        warnings.extend(amounts(&here.child("resources"), &container["resources"]));
        warnings.extend(hidden_variables(&here.child("env"), list(container, "env")));
    }
    warnings.extend(ports::of(&containers));
    if int(spec, "terminationGracePeriodSeconds").is_some_and(|n| n < 0) {
        let here = path.child("terminationGracePeriodSeconds");
        warnings.push(format!("{here}: must be >= 0; negative values are invalid and will be treated as 1"));
    }
    for kind in ["podAffinity", "podAntiAffinity"] {
        warnings.extend(affinity_terms(&path.child("affinity").child(kind), &spec["affinity"][kind]));
    }
    let servers = path.child("dnsConfig").child("nameservers");
    for (at, server) in list(&spec["dnsConfig"], "nameservers").iter().enumerate() {
        warnings.extend(ip(&servers.index(at), server.as_str().unwrap_or_default()));
    }
    for (at, alias) in list(spec, "hostAliases").iter().enumerate() {
        warnings.extend(ip(&path.child("hostAliases").index(at).child("ip"), text(alias, "ip")));
    }
    warnings
}

/// All containers with their places, in upstream's order.
fn containers<'a>(path: &FieldPath, spec: &'a Value) -> Vec<(FieldPath, &'a Value)> {
    let of = |field: &'static str| {
        let path = path.child(field);
        list(spec, field).iter().enumerate().map(move |(at, container)| (path.index(at), container))
    };
    of("initContainers").chain(of("containers")).chain(of("ephemeralContainers")).collect()
}

/// Nodes that are asked for by labels of old, and spreads that count no Pod.
fn node_names(path: &FieldPath, spec: &Value) -> Vec<String> {
    let selector = path.child("nodeSelector");
    let asked = entries(spec, "nodeSelector").filter_map(|(key, _)| Some((key, deprecated_label(key)?)));
    let mut warnings: Vec<String> = asked.map(|(key, what)| format!("{}: {what}", selector.key(key))).collect();
    let (affinity, here) = (&spec["affinity"]["nodeAffinity"], path.child("affinity").child("nodeAffinity"));
    let required = "requiredDuringSchedulingIgnoredDuringExecution";
    let terms = here.child(required).child("nodeSelectorTerms");
    for (at, term) in list(&affinity[required], "nodeSelectorTerms").iter().enumerate() {
        let here = terms.index(at).child("matchExpressions");
        warnings.extend(node_expressions(&here, list(term, "matchExpressions")));
    }
    let preferred = "preferredDuringSchedulingIgnoredDuringExecution";
    for (at, term) in list(affinity, preferred).iter().enumerate() {
        let here = here.child(preferred).index(at).child("preference").child("matchExpressions");
        for (at, expression) in list(&term["preference"], "matchExpressions").iter().enumerate() {
            let here = here.index(at);
            let key = text(expression, "key");
            warnings.extend(deprecated_label(key).map(|what| format!("{}: {key} is {what}", here.child("key"))));
            for (at, value) in list(expression, "values").iter().enumerate() {
                let value = value.as_str().unwrap_or_default();
                let wrong = apimachinery::names::label_value(value);
                let here = here.child("values").index(at);
                warnings.extend(wrong.iter().map(|what| format!("{here}: {value} is invalid, {what}")));
            }
        }
    }
    for (at, spread) in list(spec, "topologySpreadConstraints").iter().enumerate() {
        let (here, key) = (path.child("topologySpreadConstraints").index(at), text(spread, "topologyKey"));
        warnings.extend(deprecated_label(key).map(|what| format!("{}: {key} is {what}", here.child("topologyKey"))));
        if !has(spread, "labelSelector") {
            warnings.push(format!("{}: {NULL_SELECTOR}", here.child("labelSelector")));
        }
    }
    warnings
}

fn affinity_terms(path: &FieldPath, affinity: &Value) -> Vec<String> {
    let mut warnings = Vec::new();
    for (at, term) in list(affinity, "requiredDuringSchedulingIgnoredDuringExecution").iter().enumerate() {
        if !has(term, "labelSelector") {
            let here = path.child("requiredDuringSchedulingIgnoredDuringExecution").index(at).child("labelSelector");
            warnings.push(format!("{here}: {NULL_SELECTOR}"));
        }
    }
    for (at, term) in list(affinity, "preferredDuringSchedulingIgnoredDuringExecution").iter().enumerate() {
        if !has(&term["podAffinityTerm"], "labelSelector") {
            let here = path.child("preferredDuringSchedulingIgnoredDuringExecution").index(at);
            let here = here.child("podAffinityTerm").child("labelSelector");
            warnings.push(format!("{here}: {NULL_SELECTOR}"));
        }
    }
    warnings
}

fn volumes(path: &FieldPath, volumes: &[Value]) -> Vec<String> {
    let mut warnings = Vec::new();
    for (at, volume) in volumes.iter().enumerate() {
        let here = path.index(at);
        let gone = VOLUMES.iter().filter(|(source, _, _)| has(volume, source));
        warnings.extend(gone.map(|(_, name, what)| format!("{}: {what}", here.child(name))));
        let claim = here.child("ephemeral").child("volumeClaimTemplate").child("spec");
        warnings.extend(claim_spec_warnings(&claim, &volume["ephemeral"]["volumeClaimTemplate"]["spec"]));
    }
    warnings
}

/// Items whose `key` another one had before.
fn twice(path: &FieldPath, items: &[Value], key: &str) -> Vec<String> {
    let again = |at: &usize| items[..*at].iter().any(|item| text(item, key) == text(&items[*at], key));
    let sentence = |at| format!("{}: duplicate {key} {:?}", path.index(at).child(key), text(&items[at], key));
    (0..items.len()).filter(again).map(sentence).collect()
}

/// Annotations for the profiles of a container that has no such field.
fn profiles(path: &FieldPath, holder: &Value, container: &Value, place: Place) -> Vec<String> {
    let (metadata, name) = (&holder["metadata"], text(container, "name"));
    let mut warnings = Vec::new();
    if !has(&container["securityContext"], "seccompProfile") {
        warnings.extend(annotations(path, metadata, &[(&format!("{SECCOMP_CONTAINER}{name}"), SECCOMP)]));
    }
    if place == Place::Template && !has(&container["securityContext"], "appArmorProfile") {
        let key = format!("{APP_ARMOR_CONTAINER}{name}");
        // Saying what the whole Pod has does no harm.
        let of_pod = &holder["spec"]["securityContext"]["appArmorProfile"];
        let said = metadata["annotations"][&key].as_str().unwrap_or_default();
        if of_pod.is_null() || *of_pod != profile(said) {
            warnings.extend(annotations(path, metadata, &[(&key, APP_ARMOR)]));
        }
    }
    warnings
}

/// The field that says the same as an AppArmor annotation; null if it says nothing.
fn profile(annotation: &str) -> Value {
    match (annotation, annotation.strip_prefix("localhost/")) {
        ("unconfined", _) => json!({"type": "Unconfined"}),
        ("runtime/default", _) => json!({"type": "RuntimeDefault"}),
        (_, Some(name)) if !name.is_empty() => json!({"type": "Localhost", "localhostProfile": name}),
        _ => Value::Null,
    }
}

fn amounts(path: &FieldPath, resources: &Value) -> Vec<String> {
    let mut warnings = Vec::new();
    for name in ["memory", "ephemeral-storage"] {
        for field in ["limits", "requests"] {
            warnings.extend(fractional(&path.child(field), &resources[field], name));
        }
    }
    warnings
}

/// Variables that were said before and do not build upon that.
fn hidden_variables(path: &FieldPath, variables: &[Value]) -> Vec<String> {
    let mut warnings = Vec::new();
    for (at, variable) in variables.iter().enumerate() {
        let (name, value) = (text(variable, "name"), text(variable, "value"));
        let reference = format!("$({name})");
        let builds_upon = !has(variable, "valueFrom") && value != reference && value.contains(&reference);
        if !builds_upon && variables[..at].iter().any(|before| text(before, "name") == name) {
            let here = path.index(at);
            warnings
                .push(format!("{here}: hides previous definition of {name:?}, which may be dropped when using apply"));
        }
    }
    warnings
}
