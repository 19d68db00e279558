//! Faults of a pod's spec, in upstream's sentences (`ValidatePodSpec`).

use apimachinery::names::{dns_label, dns_subdomain, qualified_name};
use apimachinery::{FieldError, FieldPath};
use serde_json::Value;

use super::{Place, containers, optional_subdomain, placement, resources, volumes};
use crate::check::{Seen, invalid_each, ip, not_negative, one_of};
use crate::value::{flag, has, int, list, text};

/// Highest user and group id.
const ID_MAX: i64 = i32::MAX as i64;

/// All faults of the spec of `holder`, a pod or a template, whose spec is at `path`.
pub(super) fn validate(path: &FieldPath, holder: &Value, place: Place) -> Vec<FieldError> {
    let spec = &holder["spec"];
    let mut faults = Vec::new();
    let pod = containers::PodFacts::of(spec);
    faults.extend(volumes::validate(&path.child("volumes"), list(spec, "volumes")));
    faults.extend(containers::regular(&path.child("containers"), spec, &pod));
    faults.extend(containers::init(&path.child("initContainers"), spec, &pod));
    faults.extend(containers::ephemeral(&path.child("ephemeralContainers"), spec, &pod));
    if has(spec, "resources") {
        faults.extend(resources::of_pod(&path.child("resources"), &spec["resources"]));
    }
    faults.extend(host_network(path, spec, place));
    faults.extend(restart_policy(&path.child("restartPolicy"), text(spec, "restartPolicy")));
    faults.extend(dns_policy(&path.child("dnsPolicy"), text(spec, "dnsPolicy")));
    faults.extend(crate::metadata::labels(&path.child("nodeSelector"), &spec["nodeSelector"]));
    faults.extend(security(&path.child("securityContext"), &spec["securityContext"]));
    if flag(spec, "shareProcessNamespace") && flag(spec, "hostPID") {
        let path = path.child("shareProcessNamespace");
        faults.push(FieldError::invalid(&path, true, "ShareProcessNamespace and HostPID cannot both be enabled"));
    }
    faults.extend(placement::affinity(&path.child("affinity"), &spec["affinity"]));
    faults.extend(dns_config(&path.child("dnsConfig"), spec));
    for (at, gate) in list(spec, "readinessGates").iter().enumerate() {
        let kind = text(gate, "conditionType");
        let here = path.child("readinessGates").index(at).child("conditionType");
        faults.extend(invalid_each(&here, kind, qualified_name(kind)));
    }
    let gates = path.child("schedulingGates");
    let mut names = Seen::default();
    for (at, gate) in list(spec, "schedulingGates").iter().enumerate() {
        let name = text(gate, "name");
        faults.extend(invalid_each(&gates.index(at), name, qualified_name(name)));
        faults.extend(names.check(&gates.index(at), name));
    }
    faults.extend(placement::spread(&path.child("topologySpreadConstraints"), spec));
    faults.extend(host_users(path, spec));
    for key in ["serviceAccountName", "nodeName", "priorityClassName"] {
        faults.extend(optional_subdomain(path, spec, key));
    }
    if let Some(seconds) = int(spec, "activeDeadlineSeconds").filter(|n| !(1..=ID_MAX).contains(n)) {
        let path = path.child("activeDeadlineSeconds");
        faults.push(FieldError::invalid(&path, seconds, "must be between 1 and 2147483647, inclusive"));
    }
    for key in ["hostname", "subdomain"] {
        let name = text(spec, key);
        if !name.is_empty() {
            faults.extend(invalid_each(&path.child(key), name, dns_label(name)));
        }
    }
    faults.extend(placement::tolerations(&path.child("tolerations"), list(spec, "tolerations")));
    for (at, alias) in list(spec, "hostAliases").iter().enumerate() {
        let here = path.child("hostAliases").index(at);
        faults.extend(ip(&here.child("ip"), text(alias, "ip")));
        for (at, name) in list(alias, "hostnames").iter().enumerate() {
            let name = name.as_str().unwrap_or_default();
            faults.extend(invalid_each(&here.child("hostnames").index(at), name, dns_subdomain(name)));
        }
    }
    if has(spec, "runtimeClassName") {
        let name = text(spec, "runtimeClassName");
        faults.extend(invalid_each(&path.child("runtimeClassName"), name, dns_subdomain(name)));
    }
    if has(spec, "preemptionPolicy") {
        let policy = text(spec, "preemptionPolicy");
        faults.extend(crate::kinds::preemption_policy(&path.child("preemptionPolicy"), policy));
    }
    if has(spec, "os") {
        let name = text(&spec["os"], "name");
        if name.is_empty() {
            faults.push(FieldError::required(&path.child("os").child("name"), ""));
        } else {
            faults.extend(one_of(&path.child("os"), name, &["linux", "windows"]));
        }
    }
    if place == Place::Pod {
        faults.extend(only_for_pods(path, spec));
    }
    faults
}

/// What is asked of pods but, for compatibility, not of templates.
fn only_for_pods(path: &FieldPath, spec: &Value) -> Vec<FieldError> {
    let mut faults = Vec::new();
    if text(spec, "serviceAccountName").is_empty() {
        for (at, volume) in list(spec, "volumes").iter().enumerate() {
            for (nth, source) in list(&volume["projected"], "sources").iter().enumerate() {
                if has(source, "serviceAccountToken") {
                    let here = path.child("volumes").index(at).child("projected").child("sources").index(nth);
                    let detail = "must not be specified when serviceAccountName is not set";
                    faults.push(FieldError::forbidden(&here.child("serviceAccountToken"), detail));
                }
            }
        }
    }
    faults.extend(not_negative(path, spec, "terminationGracePeriodSeconds"));
    for field in ["containers", "initContainers"] {
        for (at, container) in list(spec, field).iter().enumerate() {
            faults.extend(containers::image_without_blanks(&path.child(field).index(at), container));
        }
    }
    if !list(spec, "schedulingGates").is_empty() && !text(spec, "nodeName").is_empty() {
        let detail = "cannot be set until all schedulingGates have been cleared";
        faults.push(FieldError::forbidden(&path.child("nodeName"), detail));
    }
    faults
}

fn host_network(path: &FieldPath, spec: &Value, place: Place) -> Vec<FieldError> {
    let mut faults = Vec::new();
    if !flag(spec, "hostNetwork") {
        return faults;
    }
    for (at, container) in list(spec, "containers").iter().enumerate() {
        for (nth, port) in list(container, "ports").iter().enumerate() {
            let host = int(port, "hostPort").unwrap_or_default();
            let own = int(port, "containerPort").unwrap_or_default();
            if (place == Place::Pod || host != 0) && host != own {
                let here = path.child("containers").index(at).child("ports").index(nth).child("hostPort");
                let detail = "must match `containerPort` when `hostNetwork` is true";
                faults.push(FieldError::invalid(&here, host, detail));
            }
        }
    }
    faults
}

fn host_users(path: &FieldPath, spec: &Value) -> Vec<FieldError> {
    let mut faults = Vec::new();
    if spec["hostUsers"] != Value::Bool(false) {
        return faults;
    }
    for key in ["hostNetwork", "hostPID", "hostIPC"] {
        if flag(spec, key) {
            faults.push(FieldError::forbidden(&path.child(key), "when `hostUsers` is false"));
        }
    }
    faults
}

fn restart_policy(path: &FieldPath, policy: &str) -> Vec<FieldError> {
    if policy.is_empty() {
        return vec![FieldError::required(path, "")];
    }
    one_of(path, policy, &["Always", "OnFailure", "Never"])
}

fn dns_policy(path: &FieldPath, policy: &str) -> Vec<FieldError> {
    if policy.is_empty() {
        return vec![FieldError::required(path, "")];
    }
    one_of(path, policy, &["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"])
}

/// A user or group id.
pub(super) fn id(path: &FieldPath, object: &Value, key: &str) -> Vec<FieldError> {
    int(object, key).map_or_else(Vec::new, |n| id_number(&path.child(key), n))
}

fn id_number(path: &FieldPath, number: i64) -> Vec<FieldError> {
    if (0..=ID_MAX).contains(&number) {
        return Vec::new();
    }
    vec![FieldError::invalid(path, number, "must be between 0 and 2147483647, inclusive")]
}

fn security(path: &FieldPath, context: &Value) -> Vec<FieldError> {
    let mut faults = Vec::new();
    if context.is_null() {
        return faults;
    }
    for key in ["fsGroup", "runAsUser", "runAsGroup"] {
        faults.extend(id(path, context, key));
    }
    for (at, group) in list(context, "supplementalGroups").iter().enumerate() {
        faults.extend(id_number(&path.child("supplementalGroups").index(at), group.as_i64().unwrap_or_default()));
    }
    faults.extend(sysctls(&path.child("sysctls"), list(context, "sysctls")));
    if has(context, "fsGroupChangePolicy") {
        let policy = text(context, "fsGroupChangePolicy");
        faults.extend(one_of(&path.child("fsGroupChangePolicy"), policy, &["Always", "OnRootMismatch"]));
    }
    faults.extend(seccomp(&path.child("seccompProfile"), &context["seccompProfile"]));
    if has(context, "supplementalGroupsPolicy") {
        let policy = text(context, "supplementalGroupsPolicy");
        faults.extend(one_of(&path.child("supplementalGroupsPolicy"), policy, &["Merge", "Strict"]));
    }
    faults
}

fn sysctls(path: &FieldPath, sysctls: &[Value]) -> Vec<FieldError> {
    let mut faults = Vec::new();
    let mut seen = Seen::default();
    for (at, sysctl) in sysctls.iter().enumerate() {
        let (here, name) = (path.index(at).child("name"), text(sysctl, "name"));
        if name.is_empty() {
            faults.push(FieldError::required(&here, ""));
        } else if name.len() > 253 || !is_sysctl_name(name) {
            let detail = "must have at most 253 characters and match regex ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$";
            faults.push(FieldError::invalid(&here, name, detail));
        }
        faults.extend(seen.check(&here, &name.replace('/', ".")));
    }
    faults
}

fn is_sysctl_name(name: &str) -> bool {
    name.split(['.', '/']).all(|part| {
        let edge = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let inner = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_');
        let bytes = part.as_bytes();
        bytes.iter().all(inner) && edge(bytes.first()) && edge(bytes.last())
    })
}

/// A seccomp profile.
pub(super) fn seccomp(path: &FieldPath, profile: &Value) -> Vec<FieldError> {
    let mut faults = Vec::new();
    if profile.is_null() {
        return faults;
    }
    let (kind, file) = (text(profile, "type"), path.child("localhostProfile"));
    if kind.is_empty() {
        faults.push(FieldError::required(&path.child("type"), "type is required when seccompProfile is set"));
    } else {
        faults.extend(one_of(&path.child("type"), kind, &["Localhost", "RuntimeDefault", "Unconfined"]));
    }
    match (kind == "Localhost", has(profile, "localhostProfile")) {
        (true, false) => faults.push(FieldError::required(&file, "must be set when seccomp type is Localhost")),
        (true, true) => faults.extend(volumes::descending_path(&file, text(profile, "localhostProfile"))),
        (false, true) => {
            let shown =
                format!("{{\"Type\":{},\"LocalhostProfile\":{}}}", profile["type"], profile["localhostProfile"]);
            let detail = "can only be set when seccomp type is Localhost";
            faults.push(FieldError::invalid(&file, crate::metadata::Raw(shown), detail));
        }
        (false, false) => {}
    }
    faults
}

/// Most name servers, search domains and characters of all search domains.
const NAMESERVERS_MAX: usize = 3;
const SEARCHES_MAX: usize = 32;
const SEARCH_CHARACTERS_MAX: usize = 2048;

fn dns_config(path: &FieldPath, spec: &Value) -> Vec<FieldError> {
    let mut faults = Vec::new();
    let (config, none) = (&spec["dnsConfig"], text(spec, "dnsPolicy") == "None");
    if config.is_null() {
        if none {
            faults.push(FieldError::required(path, "must provide `dnsConfig` when `dnsPolicy` is None"));
        }
        return faults;
    }
    let (servers, searches) = (list(config, "nameservers"), list(config, "searches"));
    let here = path.child("nameservers");
    if none && servers.is_empty() {
        faults.push(FieldError::required(&here, "must provide at least one DNS nameserver when `dnsPolicy` is None"));
    }
    if servers.len() > NAMESERVERS_MAX {
        let detail = format!("must not have more than {NAMESERVERS_MAX} nameservers");
        faults.push(FieldError::invalid(&here, &config["nameservers"], detail));
    }
    for (at, server) in servers.iter().enumerate() {
        faults.extend(ip(&here.index(at), server.as_str().unwrap_or_default()));
    }
    let here = path.child("searches");
    if searches.len() > SEARCHES_MAX {
        let detail = format!("must not have more than {SEARCHES_MAX} search paths");
        faults.push(FieldError::invalid(&here, &config["searches"], detail));
    }
    let domains: Vec<&str> = searches.iter().filter_map(Value::as_str).collect();
    if domains.join(" ").len() > SEARCH_CHARACTERS_MAX {
        let detail =
            format!("must not have more than {SEARCH_CHARACTERS_MAX} characters (including spaces) in the search list");
        faults.push(FieldError::invalid(&here, &config["searches"], detail));
    }
    for (at, domain) in domains.iter().enumerate() {
        faults.extend(search_domain(&here.index(at), domain));
    }
    for (at, option) in list(config, "options").iter().enumerate() {
        if text(option, "name").is_empty() {
            faults.push(FieldError::required(&path.child("options").index(at), "must not be empty"));
        }
    }
    faults
}

/// A search domain: a subdomain that may have underscores and end with a dot; `.` alone is the root.
fn search_domain(path: &FieldPath, domain: &str) -> Vec<FieldError> {
    let trimmed = domain.strip_suffix('.').unwrap_or(domain);
    let part_fits = |part: &str| {
        let part = part.strip_prefix('_').unwrap_or(part).as_bytes();
        let edge = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let inner = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_');
        part.iter().all(inner) && edge(part.first()) && edge(part.last())
    };
    if domain == "." || trimmed.split('.').all(part_fits) {
        return Vec::new();
    }
    let detail = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?(\\._?[a-z0-9]([-_a-z0-9]*[a-z0-9])?)*')";
    vec![FieldError::invalid(path, trimmed, detail)]
}
