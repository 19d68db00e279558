//! Defaults of the core group (upstream: `pkg/apis/core/v1/defaults.go`).

use apimachinery::Quantity;
use serde_json::{Value, json};

use super::Rule;
use crate::value::{Object, as_quantity, default_absent, default_zero, is_zero};

pub(super) static RULES: &[(&str, Rule)] = &[
    ("core.v1.ConfigMapVolumeSource", |o| default_absent(o, "defaultMode", 0o644)),
    ("core.v1.Container", container),
    ("core.v1.DownwardAPIVolumeSource", |o| default_absent(o, "defaultMode", 0o644)),
    ("core.v1.EphemeralContainer", container),
    ("core.v1.EndpointPort", |o| default_zero(o, "protocol", "TCP")),
    ("core.v1.HTTPGetAction", |o| {
        default_zero(o, "path", "/");
        default_zero(o, "scheme", "HTTP");
    }),
    ("core.v1.HostPathVolumeSource", |o| default_absent(o, "type", "")),
    ("core.v1.ImageVolumeSource", |o| {
        let policy = pull_policy(o.get("reference"));
        default_zero(o, "pullPolicy", policy);
    }),
    ("core.v1.LimitRangeItem", limit_range_item),
    ("core.v1.Namespace", namespace),
    ("core.v1.NamespaceStatus", |o| default_zero(o, "phase", "Active")),
    ("core.v1.NodeStatus", |o| {
        if let Some(capacity) = o.get("capacity").filter(|c| !c.is_null()).cloned() {
            default_absent(o, "allocatable", capacity);
        }
    }),
    ("core.v1.ObjectFieldSelector", |o| default_zero(o, "apiVersion", "v1")),
    ("core.v1.PersistentVolume", |o| {
        nested(o, "status", |status| default_zero(status, "phase", "Pending"));
        nested(o, "spec", |spec| {
            default_zero(spec, "persistentVolumeReclaimPolicy", "Retain");
            default_absent(spec, "volumeMode", "Filesystem");
        });
    }),
    ("core.v1.PersistentVolumeClaim", |o| {
        nested(o, "status", |status| default_zero(status, "phase", "Pending"));
    }),
    ("core.v1.PersistentVolumeClaimSpec", |o| default_absent(o, "volumeMode", "Filesystem")),
    ("core.v1.Pod", pod),
    ("core.v1.PodSpec", pod_spec),
    ("core.v1.PodStatus", pod_status),
    ("core.v1.Probe", |o| {
        default_zero(o, "timeoutSeconds", 1);
        default_zero(o, "periodSeconds", 10);
        default_zero(o, "successThreshold", 1);
        default_zero(o, "failureThreshold", 3);
    }),
    ("core.v1.ProjectedVolumeSource", |o| default_absent(o, "defaultMode", 0o644)),
    ("core.v1.ReplicationController", replication_controller),
    ("core.v1.ResourceQuotaSpec", |o| round_up(o, "hard")),
    ("core.v1.ResourceRequirements", |o| {
        round_up(o, "limits");
        round_up(o, "requests");
    }),
    ("core.v1.Secret", |o| default_zero(o, "type", "Opaque")),
    ("core.v1.SecretVolumeSource", |o| default_absent(o, "defaultMode", 0o644)),
    ("core.v1.Service", service),
    ("core.v1.ServiceAccountTokenProjection", |o| default_absent(o, "expirationSeconds", 3600)),
    ("core.v1.Volume", volume),
    ("core.v1.VolumeResourceRequirements", |o| {
        round_up(o, "limits");
        round_up(o, "requests");
    }),
];

/// Changes the object at `key`, which is made if it is not there.
pub(super) fn nested(object: &mut Object, key: &str, change: impl FnOnce(&mut Object)) {
    let slot = object.entry(key).or_insert_with(|| json!({}));
    if slot.is_null() {
        *slot = json!({});
    }
    if let Some(inner) = slot.as_object_mut() {
        change(inner);
    }
}

/// Resource amounts are kept in thousandths, rounded up.
fn round_up(object: &mut Object, key: &str) {
    for amount in object.get_mut(key).and_then(Value::as_object_mut).into_iter().flat_map(|m| m.values_mut()) {
        if let Some(exact) = as_quantity(amount).filter(|q| !q.is_whole_milli()) {
            *amount = json!(Quantity::new_milli(exact.milli_value(), exact.format()).to_string());
        }
    }
}

/// `Always` for images without a tag or with `latest`, else `IfNotPresent`.
fn pull_policy(image: Option<&Value>) -> &'static str {
    let image = image.and_then(Value::as_str).unwrap_or_default();
    if image_tag(image) == Some("latest") { "Always" } else { "IfNotPresent" }
}

/// The tag of an image, `latest` if it has neither tag nor digest; `None` for a digest or a malformed name.
fn image_tag(image: &str) -> Option<&str> {
    let well_formed = !image.is_empty()
        && !image.starts_with(['/', ':', '@', '.', '-', '_'])
        && image.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-/:@+[]".contains(&b));
    if !well_formed {
        return None;
    }
    let (name, digest) = image.split_once('@').map_or((image, None), |(name, digest)| (name, Some(digest)));
    let path_start = name.rfind('/').map_or(0, |at| at + 1);
    let (path, tag) = match name[path_start..].split_once(':') {
        Some((_, tag)) => (&name[..name.len() - tag.len() - 1], Some(tag)),
        None => (name, None),
    };
    // Upper case is for registries' host names only.
    let repository = path.split_once('/').map_or(path, |(_, rest)| rest);
    if repository.bytes().any(|b| b.is_ascii_uppercase()) {
        return None;
    }
    match (tag, digest) {
        (Some(tag), _) => Some(tag),
        (None, Some(_)) => None,
        (None, None) => Some("latest"),
    }
}

fn container(o: &mut Object) {
    let policy = pull_policy(o.get("image"));
    default_zero(o, "imagePullPolicy", policy);
    default_zero(o, "terminationMessagePath", "/dev/termination-log");
    default_zero(o, "terminationMessagePolicy", "File");
}

fn volume(o: &mut Object) {
    if o.iter().all(|(key, value)| key == "name" || value.is_null()) {
        o.insert("emptyDir".to_owned(), json!({}));
    }
}

fn pod(o: &mut Object) {
    nested(o, "spec", |spec| {
        if spec.get("terminationGracePeriodSeconds").and_then(Value::as_i64).is_some_and(|n| n < 0) {
            spec.insert("terminationGracePeriodSeconds".to_owned(), json!(1));
        }
        for field in ["containers", "initContainers"] {
            for container in spec.get_mut(field).and_then(Value::as_array_mut).into_iter().flatten() {
                requests_from_limits(container);
            }
        }
        default_absent(spec, "enableServiceLinks", true);
        if spec.get("hostNetwork") == Some(&Value::Bool(true)) {
            for field in ["containers", "initContainers"] {
                for container in spec.get_mut(field).and_then(Value::as_array_mut).into_iter().flatten() {
                    host_ports(container);
                }
            }
        }
    });
}

fn requests_from_limits(container: &mut Value) {
    let Some(limits) = container["resources"]["limits"].as_object().cloned() else {
        return;
    };
    if let Some(resources) = container["resources"].as_object_mut() {
        nested(resources, "requests", |requests| {
            for (name, amount) in limits {
                requests.entry(name).or_insert(amount);
            }
        });
    }
}

fn host_ports(container: &mut Value) {
    for port in container.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(port) = port.as_object_mut()
            && let Some(number) = port.get("containerPort").cloned()
        {
            default_zero(port, "hostPort", number);
        }
    }
}

fn pod_spec(o: &mut Object) {
    if is_zero(o.get("serviceAccountName")) {
        if let Some(name) = o.get("serviceAccount").cloned() {
            o.insert("serviceAccountName".to_owned(), name);
        }
    } else if let Some(name) = o.get("serviceAccountName").cloned() {
        o.insert("serviceAccount".to_owned(), name);
    }
    default_zero(o, "dnsPolicy", "ClusterFirst");
    default_zero(o, "restartPolicy", "Always");
    default_absent(o, "securityContext", json!({}));
    default_absent(o, "terminationGracePeriodSeconds", 30);
    default_zero(o, "schedulerName", "default-scheduler");
}

/// Keeps the single address and the list of them in step; the single one wins.
fn pod_status(o: &mut Object) {
    let single = o.get("podIP").and_then(Value::as_str).unwrap_or_default().to_owned();
    let first = o.get("podIPs").map(|l| l[0]["ip"].as_str().unwrap_or_default().to_owned());
    let has_list = o.get("podIPs").and_then(Value::as_array).is_some_and(|l| !l.is_empty());
    match (single.is_empty(), has_list) {
        (false, false) => {
            o.insert("podIPs".to_owned(), json!([{ "ip": single }]));
        }
        (true, true) => {
            o.insert("podIP".to_owned(), json!(first));
        }
        (false, true) if first.as_ref() != Some(&single) => {
            o.insert("podIPs".to_owned(), json!([{ "ip": single }]));
        }
        _ => {}
    }
}

fn namespace(o: &mut Object) {
    let name = o.get("metadata").map(|m| m["name"].clone()).unwrap_or_default();
    if is_zero(Some(&name)) {
        return;
    }
    nested(o, "metadata", |metadata| {
        nested(metadata, "labels", |labels| {
            labels.insert("kubernetes.io/metadata.name".to_owned(), name);
        });
    });
}

fn replication_controller(o: &mut Object) {
    let labels = o.get("spec").map(|s| s["template"]["metadata"]["labels"].clone()).unwrap_or_default();
    let Some(labels) = labels.as_object().filter(|l| !l.is_empty()).cloned() else {
        return;
    };
    let empty = |value: Option<&Value>| value.and_then(Value::as_object).is_none_or(serde_json::Map::is_empty);
    nested(o, "spec", |spec| {
        if empty(spec.get("selector")) {
            spec.insert("selector".to_owned(), json!(labels));
        }
    });
    nested(o, "metadata", |metadata| {
        if empty(metadata.get("labels")) {
            metadata.insert("labels".to_owned(), json!(labels));
        }
    });
}

fn service(o: &mut Object) {
    let mut load_balancer = false;
    nested(o, "spec", |spec| {
        default_zero(spec, "sessionAffinity", "None");
        match spec.get("sessionAffinity").and_then(Value::as_str) {
            Some("None") => {
                spec.remove("sessionAffinityConfig");
            }
            Some("ClientIP") => {
                let seconds = &spec.get("sessionAffinityConfig").unwrap_or(&Value::Null)["clientIP"]["timeoutSeconds"];
                if seconds.is_null() {
                    spec.insert("sessionAffinityConfig".to_owned(), json!({ "clientIP": { "timeoutSeconds": 10800 } }));
                }
            }
            _ => {}
        }
        default_zero(spec, "type", "ClusterIP");
        for port in spec.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(port) = port.as_object_mut() {
                default_zero(port, "protocol", "TCP");
                let number = port.get("port").cloned().unwrap_or_else(|| json!(0));
                default_zero(port, "targetPort", number);
            }
        }
        let kind = spec.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
        let external_ips = spec.get("externalIPs").and_then(Value::as_array).is_some_and(|l| !l.is_empty());
        let reachable = matches!(kind.as_str(), "NodePort" | "LoadBalancer");
        if reachable || (kind == "ClusterIP" && external_ips) {
            default_zero(spec, "externalTrafficPolicy", "Cluster");
        }
        if reachable || kind == "ClusterIP" {
            default_absent(spec, "internalTrafficPolicy", "Cluster");
        }
        if kind == "LoadBalancer" {
            load_balancer = true;
            default_absent(spec, "allocateLoadBalancerNodePorts", true);
        }
    });
    let ingresses = o.get_mut("status").and_then(|s| s.get_mut("loadBalancer")?.get_mut("ingress")?.as_array_mut());
    for ingress in ingresses.filter(|_| load_balancer).into_iter().flatten() {
        if let Some(ingress) = ingress.as_object_mut().filter(|i| !is_zero(i.get("ip"))) {
            default_absent(ingress, "ipMode", "VIP");
        }
    }
}

fn limit_range_item(o: &mut Object) {
    for field in ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"] {
        round_up(o, field);
    }
    if o.get("type").and_then(Value::as_str) != Some("Container") {
        return;
    }
    let amounts = |o: &Object, field: &str| o.get(field).and_then(Value::as_object).cloned().unwrap_or_default();
    let fill = |o: &mut Object, target: &str, source: Object| {
        nested(o, target, |target| {
            for (name, amount) in source {
                target.entry(name).or_insert(amount);
            }
        });
    };
    let max = amounts(o, "max");
    fill(o, "default", max);
    let default = amounts(o, "default");
    fill(o, "defaultRequest", default);
    let min = amounts(o, "min");
    fill(o, "defaultRequest", min);
}

#[cfg(test)]
mod tests {
    use super::image_tag;

    #[test]
    fn tags_of_images() {
        for (image, tag) in [
            ("nginx", Some("latest")),
            ("nginx:1.25", Some("1.25")),
            ("registry:5000/a/b", Some("latest")),
            ("registry:5000/a/b:v1", Some("v1")),
            ("nginx@sha256:abc", None),
            ("nginx:1@sha256:abc", Some("1")),
            ("", None),
            (" nginx", None),
            ("Nginx", None),
        ] {
            assert_eq!(image_tag(image), tag, "{image}");
        }
    }
}
