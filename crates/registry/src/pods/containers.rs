//! Faults of containers, in upstream's sentences.

use std::collections::BTreeMap;

use apimachinery::names::{dns_label, qualified_name};
use apimachinery::{FieldError, FieldPath};
use serde_json::Value;

use super::{resources, spec, volumes};
use crate::check::{Seen, invalid_each, not_negative, one_of, port_name, port_number, port_number_or_name};
use crate::metadata::Raw;
use crate::value::{flag, has, int, list, text};

/// What a container's checks need to know of its pod.
pub(super) struct PodFacts<'a> {
    volumes: BTreeMap<&'a str, &'a Value>,
    claims: Vec<&'a str>,
    grace_period_seconds: i64,
    restart_policy: &'a str,
    host_users: bool,
}

impl<'a> PodFacts<'a> {
    pub(super) fn of(spec: &'a Value) -> Self {
        Self {
            // Volumes with a bad name are faults of their own and can't be mounted.
            volumes: list(spec, "volumes")
                .iter()
                .filter(|v| dns_label(text(v, "name")).is_empty())
                .map(|v| (text(v, "name"), v))
                .collect(),
            claims: list(spec, "resourceClaims").iter().map(|c| text(c, "name")).collect(),
            grace_period_seconds: int(spec, "terminationGracePeriodSeconds").unwrap_or_default(),
            restart_policy: text(spec, "restartPolicy"),
            host_users: spec["hostUsers"] != Value::Bool(false),
        }
    }
}

const RESTART_POLICIES: [&str; 3] = ["Always", "Never", "OnFailure"];

pub(super) fn regular(path: &FieldPath, spec: &Value, pod: &PodFacts<'_>) -> Vec<FieldError> {
    let containers = list(spec, "containers");
    if containers.is_empty() {
        return vec![FieldError::required(path, "")];
    }
    let mut faults = Vec::new();
    let mut names = Seen::default();
    for (at, container) in containers.iter().enumerate() {
        let here = path.index(at);
        faults.extend(common(&here, container, pod));
        faults.extend(names.check(&here.child("name"), text(container, "name")));
        faults.extend(lifecycle_and_probes(&here, container, pod));
        faults.extend(restart_rules(&here, container));
    }
    faults.extend(host_port_conflicts(path, containers.iter().enumerate()));
    faults
}

pub(super) fn init(path: &FieldPath, spec: &Value, pod: &PodFacts<'_>) -> Vec<FieldError> {
    let mut faults = Vec::new();
    let mut names = Seen::default();
    for container in list(spec, "containers") {
        let _ = names.check(path, text(container, "name"));
    }
    for (at, container) in list(spec, "initContainers").iter().enumerate() {
        let here = path.index(at);
        faults.extend(common(&here, container, pod));
        faults.extend(restart_rules(&here, container));
        let name = text(container, "name");
        if !name.is_empty() {
            faults.extend(names.check(&here.child("name"), name));
        }
        // Init containers run one after the other, so only a container's own ports can clash.
        faults.extend(host_port_conflicts(path, std::iter::once((0, container))));
        if text(container, "restartPolicy") == "Always" {
            faults.extend(lifecycle_and_probes(&here, container, pod));
            continue;
        }
        for key in ["lifecycle", "livenessProbe", "readinessProbe", "startupProbe"] {
            if has(container, key) {
                let detail = "may not be set for init containers without restartPolicy=Always";
                faults.push(FieldError::forbidden(&here.child(key), detail));
            }
        }
    }
    faults
}

/// The fields that an ephemeral container may have.
const EPHEMERAL_FIELDS: [&str; 18] = [
    "name",
    "image",
    "command",
    "args",
    "workingDir",
    "envFrom",
    "env",
    "volumeMounts",
    "volumeDevices",
    "terminationMessagePath",
    "terminationMessagePolicy",
    "imagePullPolicy",
    "securityContext",
    "stdin",
    "stdinOnce",
    "tty",
    "targetContainerName",
    "resources",
];

pub(super) fn ephemeral(path: &FieldPath, spec: &Value, pod: &PodFacts<'_>) -> Vec<FieldError> {
    let mut faults = Vec::new();
    let mut names = Seen::default();
    let others: Vec<&str> =
        list(spec, "containers").iter().chain(list(spec, "initContainers")).map(|c| text(c, "name")).collect();
    for name in &others {
        let _ = names.check(path, name);
    }
    for (at, container) in list(spec, "ephemeralContainers").iter().enumerate() {
        let here = path.index(at);
        faults.extend(common(&here, container, pod));
        faults.extend(image_without_blanks(&here, container));
        faults.extend(names.check(&here.child("name"), text(container, "name")));
        let target = text(container, "targetContainerName");
        if !target.is_empty() && !others.contains(&target) {
            faults.push(FieldError::not_found(&here.child("targetContainerName"), target));
        }
        let detail = "cannot be set for an Ephemeral Container";
        for (key, value) in container.as_object().into_iter().flatten() {
            let empty = value.as_object().is_some_and(serde_json::Map::is_empty);
            let resources = key == "resources" && !empty;
            if !EPHEMERAL_FIELDS.contains(&key.as_str()) || resources {
                faults.push(FieldError::forbidden(&here.child(key), detail));
            }
        }
        for (nth, mount) in list(container, "volumeMounts").iter().enumerate() {
            for key in ["subPath", "subPathExpr"] {
                if !text(mount, key).is_empty() {
                    let here = here.child("volumeMounts").index(nth).child(key);
                    faults.push(FieldError::forbidden(&here, detail));
                }
            }
        }
    }
    faults
}

/// Images of pods may not have blanks around them; those of templates may, for compatibility.
pub(super) fn image_without_blanks(path: &FieldPath, container: &Value) -> Vec<FieldError> {
    let image = text(container, "image");
    if image.trim().len() == image.len() {
        return Vec::new();
    }
    vec![FieldError::invalid(&path.child("image"), image, "must not have leading or trailing whitespace")]
}

fn common(path: &FieldPath, container: &Value, pod: &PodFacts<'_>) -> Vec<FieldError> {
    let mut faults = Vec::new();
    let name = text(container, "name");
    if name.is_empty() {
        faults.push(FieldError::required(&path.child("name"), ""));
    } else {
        faults.extend(invalid_each(&path.child("name"), name, dns_label(name)));
    }
    if text(container, "image").is_empty() {
        faults.push(FieldError::required(&path.child("image"), ""));
    }
    let (policy, here) = (text(container, "terminationMessagePolicy"), path.child("terminationMessagePolicy"));
    if policy.is_empty() {
        faults.push(FieldError::required(&here, ""));
    } else {
        faults.extend(one_of(&here, policy, &["File", "FallbackToLogsOnError"]));
    }
    faults.extend(ports(&path.child("ports"), list(container, "ports")));
    faults.extend(env(&path.child("env"), list(container, "env")));
    faults.extend(env_from(&path.child("envFrom"), list(container, "envFrom")));
    faults.extend(mounts(&path.child("volumeMounts"), container, pod));
    faults.extend(devices(&path.child("volumeDevices"), container, pod));
    let (policy, here) = (text(container, "imagePullPolicy"), path.child("imagePullPolicy"));
    if policy.is_empty() {
        faults.push(FieldError::required(&here, ""));
    } else {
        faults.extend(one_of(&here, policy, &["Always", "IfNotPresent", "Never"]));
    }
    faults.extend(resources::of_container(&path.child("resources"), &container["resources"], &pod.claims));
    faults.extend(resize_policies(&path.child("resizePolicy"), container, pod));
    faults.extend(security(&path.child("securityContext"), &container["securityContext"], pod));
    faults
}

fn ports(path: &FieldPath, ports: &[Value]) -> Vec<FieldError> {
    let mut faults = Vec::new();
    let mut names = Seen::default();
    for (at, port) in ports.iter().enumerate() {
        let here = path.index(at);
        let name = text(port, "name");
        if !name.is_empty() {
            let wrong = port_name(name);
            if wrong.is_empty() {
                faults.extend(names.check(&here.child("name"), name));
            } else {
                faults.extend(invalid_each(&here.child("name"), name, wrong));
            }
        }
        match int(port, "containerPort").unwrap_or_default() {
            0 => faults.push(FieldError::required(&here.child("containerPort"), "")),
            number => faults.extend(port_number(&here.child("containerPort"), number)),
        }
        if let Some(number) = int(port, "hostPort").filter(|n| *n != 0) {
            faults.extend(port_number(&here.child("hostPort"), number));
        }
        faults.extend(one_of(&here.child("protocol"), text(port, "protocol"), &["SCTP", "TCP", "UDP"]));
    }
    faults
}

fn host_port_conflicts<'a>(path: &FieldPath, containers: impl Iterator<Item = (usize, &'a Value)>) -> Vec<FieldError> {
    let mut faults = Vec::new();
    let mut seen = Seen::default();
    for (at, container) in containers {
        for (nth, port) in list(container, "ports").iter().enumerate() {
            if let Some(number) = int(port, "hostPort").filter(|n| *n != 0) {
                let key = format!("{}/{}/{number}", text(port, "protocol"), text(port, "hostIP"));
                faults.extend(seen.check(&path.index(at).child("ports").index(nth).child("hostPort"), &key));
            }
        }
    }
    faults
}

/// What is wrong with the name of an environment variable.
fn env_name(name: &str) -> Vec<String> {
    let printable = |b: u8| (0x20..=0x7e).contains(&b) && b != b'=';
    if !name.is_empty() && name.bytes().all(printable) {
        return Vec::new();
    }
    vec!["a valid environment variable name must consist only of printable ASCII characters other than '='".to_owned()]
}

fn env(path: &FieldPath, variables: &[Value]) -> Vec<FieldError> {
    let mut faults = Vec::new();
    for (at, variable) in variables.iter().enumerate() {
        let here = path.index(at);
        let name = text(variable, "name");
        if name.is_empty() {
            faults.push(FieldError::required(&here.child("name"), ""));
        } else {
            faults.extend(invalid_each(&here.child("name"), name, env_name(name)));
        }
        if has(variable, "valueFrom") {
            faults.extend(value_from(&here.child("valueFrom"), variable));
        }
    }
    faults
}

fn value_from(path: &FieldPath, variable: &Value) -> Vec<FieldError> {
    let source = &variable["valueFrom"];
    let mut faults = Vec::new();
    let mut kinds = 0;
    if has(source, "fieldRef") {
        kinds += 1;
        faults.extend(field_ref(&path.child("fieldRef"), &source["fieldRef"], &ENV_FIELDS));
    }
    if has(source, "resourceFieldRef") {
        kinds += 1;
        faults.extend(resource_field_ref(&path.child("resourceFieldRef"), &source["resourceFieldRef"], false));
    }
    for key in ["configMapKeyRef", "secretKeyRef"] {
        if has(source, key) {
            kinds += 1;
            let (here, reference) = (path.child(key), &source[key]);
            let name = text(reference, "name");
            faults.extend(invalid_each(&here.child("name"), name, apimachinery::names::dns_subdomain(name)));
            let item = text(reference, "key");
            if item.is_empty() {
                faults.push(FieldError::required(&here.child("key"), ""));
            } else {
                faults.extend(invalid_each(&here.child("key"), item, crate::kinds::config_key(item)));
            }
        }
    }
    kinds += usize::from(has(source, "fileKeyRef"));
    let detail = match kinds {
        0 => "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`",
        _ if !text(variable, "value").is_empty() => "may not be specified when `value` is not empty",
        1 => return faults,
        _ => "may not have more than one field specified at a time",
    };
    faults.push(FieldError::invalid(path, "", detail));
    faults
}

/// Fields that a variable may show.
const ENV_FIELDS: [&str; 9] = [
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];
/// Fields that a file may show.
pub(super) const FILE_FIELDS: [&str; 5] =
    ["metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"];

/// A reference to a field of the pod.
pub(super) fn field_ref(path: &FieldPath, reference: &Value, allowed: &[&str]) -> Vec<FieldError> {
    let (version, field) = (text(reference, "apiVersion"), text(reference, "fieldPath"));
    if version.is_empty() {
        return vec![FieldError::required(&path.child("apiVersion"), "")];
    }
    if field.is_empty() {
        return vec![FieldError::required(&path.child("fieldPath"), "")];
    }
    let here = path.child("fieldPath");
    if let Some((map, key)) = field.strip_suffix("']").and_then(|f| f.split_once("['")) {
        return match map {
            "metadata.annotations" => invalid_each(path, &key.to_lowercase(), qualified_name(&key.to_lowercase())),
            "metadata.labels" => invalid_each(path, key, qualified_name(key)),
            _ => {
                let detail = format!("error converting fieldPath: field label does not support subscript: {field}");
                vec![FieldError::invalid(&here, field, detail)]
            }
        };
    }
    let known = ENV_FIELDS.contains(&field)
        || FILE_FIELDS.contains(&field)
        || matches!(field, "spec.restartPolicy" | "spec.schedulerName" | "status.phase");
    if version != "v1" {
        let detail = format!("error converting fieldPath: unsupported pod version: {version}");
        return vec![FieldError::invalid(&here, field, detail)];
    }
    if !known {
        let detail = format!("error converting fieldPath: field label not supported: {field}");
        return vec![FieldError::invalid(&here, field, detail)];
    }
    one_of(&here, field, allowed)
}

/// A reference to a resource of a container.
pub(super) fn resource_field_ref(path: &FieldPath, reference: &Value, in_volume: bool) -> Vec<FieldError> {
    const RESOURCES: [&str; 6] = [
        "limits.cpu",
        "limits.ephemeral-storage",
        "limits.memory",
        "requests.cpu",
        "requests.ephemeral-storage",
        "requests.memory",
    ];
    if in_volume && text(reference, "containerName").is_empty() {
        return vec![FieldError::required(&path.child("containerName"), "")];
    }
    let resource = text(reference, "resource");
    if resource.is_empty() {
        return vec![FieldError::required(&path.child("resource"), "")];
    }
    if resource.starts_with("requests.hugepages-") || resource.starts_with("limits.hugepages-") {
        return Vec::new();
    }
    one_of(&path.child("resource"), resource, &RESOURCES)
}

fn env_from(path: &FieldPath, sources: &[Value]) -> Vec<FieldError> {
    let mut faults = Vec::new();
    for (at, source) in sources.iter().enumerate() {
        let here = path.index(at);
        let prefix = text(source, "prefix");
        if !prefix.is_empty() {
            faults.extend(invalid_each(&here.child("prefix"), prefix, env_name(prefix)));
        }
        let mut kinds = 0;
        for key in ["configMapRef", "secretRef"] {
            if has(source, key) {
                kinds += 1;
                let (here, name) = (here.child(key).child("name"), text(&source[key], "name"));
                if name.is_empty() {
                    faults.push(FieldError::required(&here, ""));
                } else {
                    faults.extend(invalid_each(&here, name, apimachinery::names::dns_subdomain(name)));
                }
            }
        }
        match kinds {
            0 => faults.push(FieldError::invalid(path, "", "must specify one of: `configMapRef` or `secretRef`")),
            1 => {}
            _ => faults.push(FieldError::invalid(path, "", "may not have more than one field specified at a time")),
        }
    }
    faults
}

fn mounts(path: &FieldPath, container: &Value, pod: &PodFacts<'_>) -> Vec<FieldError> {
    let mut faults = Vec::new();
    let mut places: Vec<&str> = Vec::new();
    let devices = list(container, "volumeDevices");
    for (at, mount) in list(container, "volumeMounts").iter().enumerate() {
        let here = path.index(at);
        let (name, place) = (text(mount, "name"), text(mount, "mountPath"));
        if name.is_empty() {
            faults.push(FieldError::required(&here.child("name"), ""));
        }
        if !pod.volumes.contains_key(name) {
            faults.push(FieldError::not_found(&here.child("name"), name));
        }
        if place.is_empty() {
            faults.push(FieldError::required(&here.child("mountPath"), ""));
        }
        if places.contains(&place) {
            faults.push(FieldError::invalid(&here.child("mountPath"), place, "must be unique"));
        }
        places.push(place);
        if devices.iter().any(|d| text(d, "name") == name) {
            let detail = "must not already exist in volumeDevices";
            faults.push(FieldError::invalid(&here.child("name"), name, detail));
        }
        if devices.iter().any(|d| text(d, "devicePath") == place) {
            let detail = "must not already exist as a path in volumeDevices";
            faults.push(FieldError::invalid(&here.child("mountPath"), place, detail));
        }
        // Upstream leaves the index out of these paths.
        let (sub, expression) = (text(mount, "subPath"), text(mount, "subPathExpr"));
        if !sub.is_empty() {
            faults.extend(volumes::descending_path(&path.child("subPath"), sub));
        }
        if !expression.is_empty() {
            if !sub.is_empty() {
                let detail = "subPathExpr and subPath are mutually exclusive";
                faults.push(FieldError::invalid(&here.child("subPathExpr"), expression, detail));
            }
            faults.extend(volumes::descending_path(&path.child("subPathExpr"), expression));
        }
        if has(mount, "mountPropagation") {
            let (mode, here) = (text(mount, "mountPropagation"), path.child("mountPropagation"));
            faults.extend(one_of(&here, mode, &["Bidirectional", "HostToContainer", "None"]));
            if mode == "Bidirectional" && !flag(&container["securityContext"], "privileged") {
                let detail = "Bidirectional mount propagation is available only to privileged containers";
                faults.push(FieldError::forbidden(&here, detail));
            }
        }
    }
    faults
}

fn devices(path: &FieldPath, container: &Value, pod: &PodFacts<'_>) -> Vec<FieldError> {
    let mut faults = Vec::new();
    let (mut names, mut places): (Vec<&str>, Vec<&str>) = (Vec::new(), Vec::new());
    for (at, device) in list(container, "volumeDevices").iter().enumerate() {
        let here = path.index(at);
        let (name, place) = (text(device, "name"), text(device, "devicePath"));
        if name.is_empty() {
            faults.push(FieldError::required(&here.child("name"), ""));
        }
        if names.contains(&name) {
            faults.push(FieldError::invalid(&here.child("name"), name, "must be unique"));
        }
        match pod.volumes.get(name) {
            None => faults.push(FieldError::not_found(&here.child("name"), name)),
            Some(volume) if !has(volume, "persistentVolumeClaim") && !has(volume, "ephemeral") => {
                let detail = "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode";
                faults.push(FieldError::invalid(&here.child("name"), name, detail));
            }
            Some(_) => {}
        }
        if place.is_empty() {
            faults.push(FieldError::required(&here.child("devicePath"), ""));
        }
        if places.contains(&place) {
            faults.push(FieldError::invalid(&here.child("devicePath"), place, "must be unique"));
        }
        if place.contains("..") && place.split('/').any(|p| p == "..") {
            faults.push(FieldError::invalid(&here.child("devicePath"), place, "can not contain backsteps ('..')"));
        }
        names.push(name);
        places.push(place);
    }
    faults
}

fn resize_policies(path: &FieldPath, container: &Value, pod: &PodFacts<'_>) -> Vec<FieldError> {
    let mut faults = Vec::new();
    let mut seen = Seen::default();
    for (at, policy) in list(container, "resizePolicy").iter().enumerate() {
        let (resource, restart) = (text(policy, "resourceName"), text(policy, "restartPolicy"));
        faults.extend(seen.check(&path.index(at), resource));
        for (value, allowed) in [(resource, ["cpu", "memory"]), (restart, ["NotRequired", "RestartContainer"])] {
            if value.is_empty() {
                faults.push(FieldError::required(path, ""));
            } else {
                faults.extend(one_of(path, value, &allowed));
            }
        }
        if pod.restart_policy == "Never" && restart != "NotRequired" {
            let detail = "must be 'NotRequired' when pod `restartPolicy` is 'Never'";
            faults.push(FieldError::invalid(path, restart, detail));
        }
    }
    faults
}

fn restart_rules(path: &FieldPath, container: &Value) -> Vec<FieldError> {
    let here = path.child("restartPolicy");
    let rules = list(container, "restartPolicyRules");
    if !has(container, "restartPolicy") {
        if rules.is_empty() {
            return Vec::new();
        }
        return vec![FieldError::required(&here, "must specify restartPolicy when restart rules are used")];
    }
    one_of(&here, text(container, "restartPolicy"), &RESTART_POLICIES)
}

fn security(path: &FieldPath, context: &Value, pod: &PodFacts<'_>) -> Vec<FieldError> {
    let mut faults = Vec::new();
    if context.is_null() {
        return faults;
    }
    for key in ["runAsUser", "runAsGroup"] {
        faults.extend(spec::id(path, context, key));
    }
    if has(context, "procMount") {
        let (kind, here) = (text(context, "procMount"), path.child("procMount"));
        faults.extend(one_of(&here, kind, &["Default", "Unmasked"]));
        if pod.host_users && kind == "Unmasked" {
            faults.push(FieldError::invalid(&here, kind, "`hostUsers` must be false to use `Unmasked`"));
        }
    }
    faults.extend(spec::seccomp(&path.child("seccompProfile"), &context["seccompProfile"]));
    if context["allowPrivilegeEscalation"] == Value::Bool(false) {
        if flag(context, "privileged") {
            let detail = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true";
            faults.push(FieldError::invalid(path, go_security(context), detail));
        }
        let admin = list(&context["capabilities"], "add").iter().any(|c| c == "CAP_SYS_ADMIN");
        if admin {
            let detail = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN";
            faults.push(FieldError::invalid(path, go_security(context), detail));
        }
    }
    faults
}

/// A security context as upstream's internal type prints it.
fn go_security(context: &Value) -> Raw {
    let upper = |fields: &[&str], value: &Value| -> String {
        let parts: Vec<String> =
            fields.iter().map(|key| format!("\"{}{}\":{}", key[..1].to_uppercase(), &key[1..], value[key])).collect();
        format!("{{{}}}", parts.join(","))
    };
    let nested: [(&str, &str, &[&str]); 10] = [
        ("Capabilities", "capabilities", &["add", "drop"]),
        ("Privileged", "privileged", &[]),
        ("SELinuxOptions", "seLinuxOptions", &["user", "role", "type", "level"]),
        ("WindowsOptions", "windowsOptions", &[]),
        ("RunAsUser", "runAsUser", &[]),
        ("RunAsGroup", "runAsGroup", &[]),
        ("RunAsNonRoot", "runAsNonRoot", &[]),
        ("ReadOnlyRootFilesystem", "readOnlyRootFilesystem", &[]),
        ("AllowPrivilegeEscalation", "allowPrivilegeEscalation", &[]),
        ("ProcMount", "procMount", &[]),
    ];
    let mut parts: Vec<String> = nested
        .iter()
        .map(|(shown, key, fields)| {
            let value = &context[*key];
            if value.is_null() || fields.is_empty() {
                format!("\"{shown}\":{value}")
            } else {
                format!("\"{shown}\":{}", upper(fields, value))
            }
        })
        .collect();
    for (shown, key) in [("SeccompProfile", "seccompProfile"), ("AppArmorProfile", "appArmorProfile")] {
        let value = &context[key];
        let printed = if value.is_null() { "null".to_owned() } else { upper(&["type", "localhostProfile"], value) };
        parts.push(format!("\"{shown}\":{printed}"));
    }
    Raw(format!("{{{}}}", parts.join(",")))
}

fn lifecycle_and_probes(path: &FieldPath, container: &Value, pod: &PodFacts<'_>) -> Vec<FieldError> {
    let mut faults = Vec::new();
    let hooks = path.child("lifecycle");
    for key in ["postStart", "preStop"] {
        if has(&container["lifecycle"], key) {
            faults.extend(handler(&hooks.child(key), &container["lifecycle"][key], pod));
        }
    }
    for key in ["livenessProbe", "readinessProbe", "startupProbe"] {
        let (here, probe) = (path.child(key), &container[key]);
        if probe.is_null() {
            continue;
        }
        faults.extend(handler(&here, probe, pod));
        for number in ["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"]
        {
            faults.extend(not_negative(&here, probe, number));
        }
        let grace = here.child("terminationGracePeriodSeconds");
        if let Some(seconds) = int(probe, "terminationGracePeriodSeconds") {
            if seconds <= 0 {
                faults.push(FieldError::invalid(&grace, seconds, "must be greater than 0"));
            }
            if key == "readinessProbe" {
                faults.push(FieldError::invalid(&grace, seconds, "must not be set for readinessProbes"));
            }
        }
        let successes = int(probe, "successThreshold").unwrap_or_default();
        if key != "readinessProbe" && successes != 1 {
            faults.push(FieldError::invalid(&here.child("successThreshold"), successes, "must be 1"));
        }
    }
    faults
}

/// A probe's or hook's action: exactly one.
fn handler(path: &FieldPath, handler: &Value, pod: &PodFacts<'_>) -> Vec<FieldError> {
    let mut faults = Vec::new();
    let mut kinds = 0;
    for key in ["exec", "httpGet", "tcpSocket", "grpc", "sleep"] {
        let (here, action) = (path.child(key), &handler[key]);
        if action.is_null() {
            continue;
        }
        if kinds > 0 {
            faults.push(FieldError::forbidden(&here, "may not specify more than 1 handler type"));
            continue;
        }
        kinds += 1;
        match key {
            "exec" => {
                if list(action, "command").is_empty() {
                    faults.push(FieldError::required(&here.child("command"), ""));
                }
            }
            "httpGet" => {
                if text(action, "path").is_empty() {
                    faults.push(FieldError::required(&here.child("path"), ""));
                }
                faults.extend(port_number_or_name(&here.child("port"), &action["port"]));
                faults.extend(one_of(&here.child("scheme"), text(action, "scheme"), &["HTTP", "HTTPS"]));
                for header in list(action, "httpHeaders") {
                    let name = text(header, "name");
                    let wrong = name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
                    if wrong {
                        let detail = "a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', regex used for validation is '[-A-Za-z0-9]+')";
                        faults.push(FieldError::invalid(&here.child("httpHeaders"), name, detail));
                    }
                }
            }
            "tcpSocket" => faults.extend(port_number_or_name(&here.child("port"), &action["port"])),
            "grpc" => faults.extend(port_number(&here.child("port"), int(action, "port").unwrap_or_default())),
            _ => {
                let seconds = int(action, "seconds").unwrap_or_default();
                let grace = pod.grace_period_seconds;
                if seconds < 0 || seconds > grace {
                    let detail = format!("must be non-negative and less than terminationGracePeriodSeconds ({grace})");
                    faults.push(FieldError::invalid(&here, seconds, detail));
                }
            }
        }
    }
    if kinds == 0 {
        faults.push(FieldError::required(path, "must specify a handler type"));
    }
    faults
}
