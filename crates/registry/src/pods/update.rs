//! Faults of changes of a pod (upstream: `ValidatePodUpdate` and its sisters).

use apimachinery::names::{dns_subdomain, qualified_name};
use apimachinery::{FieldError, FieldPath};
use serde_json::Value;

use super::Place;
use super::spec::validate;
use crate::check::{immutable, invalid_each, ip};
use crate::value::{as_quantity, child, entries, has, int, items_mut, list, put, text};

fn path() -> FieldPath {
    FieldPath::new("spec")
}

/// The fields that may change in a pod that runs, as upstream names them.
const MUTABLE: [&str; 5] = [
    "`spec.containers[*].image`",
    "`spec.initContainers[*].image`",
    "`spec.activeDeadlineSeconds`",
    "`spec.tolerations` (only additions to existing tolerations)",
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)",
];

pub(super) fn pod(new: &Value, old: &Value) -> Vec<FieldError> {
    let (after, before) = (&new["spec"], &old["spec"]);
    let mut faults = validate(&path(), new, Place::Pod);
    for field in ["containers", "initContainers"] {
        if list(after, field).len() != list(before, field).len() {
            let detail = "pod updates may not add or remove containers";
            faults.push(FieldError::forbidden(&path().child(field), detail));
            return faults;
        }
        for (at, container) in list(after, field).iter().enumerate() {
            let here = path().child(field).index(at);
            if text(container, "image").is_empty() {
                faults.push(FieldError::required(&here.child("image"), ""));
            }
            faults.extend(super::containers::image_without_blanks(&here, container));
        }
    }
    let deadline = path().child("activeDeadlineSeconds");
    match (int(after, "activeDeadlineSeconds"), int(before, "activeDeadlineSeconds")) {
        (Some(now), _) if !(0..=i64::from(i32::MAX)).contains(&now) => {
            faults.push(FieldError::invalid(&deadline, now, "must be between 0 and 2147483647, inclusive"));
            return faults;
        }
        (Some(now), Some(then)) if then < now => {
            faults.push(FieldError::invalid(&deadline, now, "must be less than or equal to previous value"));
            return faults;
        }
        (None, Some(_)) => {
            let detail = "must not update from a positive integer to nil value";
            faults.push(FieldError::invalid(&deadline, &Value::Null, detail));
        }
        _ => {}
    }
    faults.extend(only_added_tolerations(after, before));
    faults.extend(only_deleted_gates(after, before));
    if after == before {
        return faults;
    }
    let mut rest = after.clone();
    for field in ["containers", "initContainers"] {
        for (at, container) in items_mut(&mut rest, field).enumerate() {
            put(container, "image", before[field][at]["image"].clone());
        }
    }
    for field in ["activeDeadlineSeconds", "schedulingGates", "tolerations"] {
        put(&mut rest, field, before[field].clone());
    }
    let (now, then) = (int(&rest, "terminationGracePeriodSeconds"), int(before, "terminationGracePeriodSeconds"));
    if then.is_some_and(|n| n < 0) && now == Some(1) {
        put(&mut rest, "terminationGracePeriodSeconds", before["terminationGracePeriodSeconds"].clone());
    }
    if !list(before, "schedulingGates").is_empty() {
        faults.extend(tightened_placement(&mut rest, before));
    }
    if rest != *before {
        let changed: Vec<String> = rest
            .as_object()
            .into_iter()
            .chain(before.as_object())
            .flat_map(|o| o.keys())
            .filter(|key| rest[key.as_str()] != before[key.as_str()])
            .cloned()
            .collect::<std::collections::BTreeSet<_>>()
            .into_iter()
            .map(|key| format!("  {key}:\n-   {}\n+   {}\n", before[key.as_str()], rest[key.as_str()]))
            .collect();
        let detail =
            format!("pod updates may not change fields other than {}\n{}", MUTABLE.join(","), changed.concat());
        faults.push(FieldError::forbidden(&path(), detail));
    }
    faults
}

/// A gated pod may be bound to fewer nodes than before. What is allowed is taken back in `rest`.
fn tightened_placement(rest: &mut Value, before: &Value) -> Vec<FieldError> {
    let mut faults = Vec::new();
    if rest["nodeSelector"] != before["nodeSelector"] {
        let kept = entries(before, "nodeSelector").all(|(key, value)| rest["nodeSelector"][key] == *value);
        if !kept {
            let detail = "only additions to spec.nodeSelector are allowed (no mutations or deletions)";
            faults.push(FieldError::invalid(&path().child("nodeSelector"), &rest["nodeSelector"], detail));
        }
        put(rest, "nodeSelector", before["nodeSelector"].clone());
    }
    let then = &before["affinity"]["nodeAffinity"];
    if rest["affinity"]["nodeAffinity"] != *then {
        const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
        let terms = |affinity: &Value| list(&affinity[REQUIRED], "nodeSelectorTerms").to_vec();
        let (now, was) = (terms(&rest["affinity"]["nodeAffinity"]), terms(then));
        let includes = |new: &Value, old: &Value, field: &str| {
            list(old, field).iter().all(|requirement| list(new, field).contains(requirement))
        };
        let tightened = was.is_empty()
            || (now.len() == was.len()
                && now
                    .iter()
                    .zip(&was)
                    .all(|(n, w)| includes(n, w, "matchExpressions") && includes(n, w, "matchFields")));
        if !tightened {
            let path = path().child("affinity").child("nodeAffinity").child(REQUIRED).child("nodeSelectorTerms");
            faults.push(FieldError::invalid(
                &path,
                &Value::from(now),
                "only additions are allowed (no mutations or deletions)",
            ));
        }
        let affinity = child(rest, "affinity");
        put(affinity, "nodeAffinity", then.clone());
        if affinity.as_object().is_some_and(serde_json::Map::is_empty) && !has(before, "affinity") {
            put(rest, "affinity", Value::Null);
        }
    }
    faults
}

fn only_added_tolerations(after: &Value, before: &Value) -> Vec<FieldError> {
    // How long a toleration lasts may change.
    let identity = |toleration: &Value| {
        let mut copy = toleration.clone();
        put(&mut copy, "tolerationSeconds", Value::Null);
        copy
    };
    let now: Vec<Value> = list(after, "tolerations").iter().map(identity).collect();
    if list(before, "tolerations").iter().all(|old| now.contains(&identity(old))) {
        return Vec::new();
    }
    let detail = "existing toleration can not be modified except its tolerationSeconds";
    vec![FieldError::forbidden(&path().child("tolerations"), detail)]
}

fn only_deleted_gates(after: &Value, before: &Value) -> Vec<FieldError> {
    let was: Vec<&str> = list(before, "schedulingGates").iter().map(|g| text(g, "name")).collect();
    let mut faults = Vec::new();
    for (at, gate) in list(after, "schedulingGates").iter().enumerate() {
        let name = text(gate, "name");
        if !was.contains(&name) {
            let detail = format!("only deletion is allowed, but found new scheduling gate '{name}'");
            faults.push(FieldError::forbidden(&path().child("schedulingGates").index(at).child("name"), detail));
        }
    }
    faults
}

pub(super) fn status(new: &Value, old: &Value) -> Vec<FieldError> {
    let path = FieldPath::new("status");
    let (after, before) = (&new["status"], &old["status"]);
    let mut faults = Vec::new();
    for (at, condition) in list(after, "conditions").iter().enumerate() {
        let kind = text(condition, "type");
        if !matches!(kind, "PodScheduled" | "Ready" | "Initialized") {
            let here = path.child("conditions").index(at).child("Type");
            faults.extend(invalid_each(&here, kind, qualified_name(kind)));
        }
    }
    let nominated = text(after, "nominatedNodeName");
    if nominated != text(before, "nominatedNodeName") && !nominated.is_empty() {
        let here = path.child("nominatedNodeName");
        faults.extend(invalid_each(&here, nominated, dns_subdomain(nominated)));
        if !text(&old["spec"], "nodeName").is_empty() {
            faults.push(FieldError::forbidden(&here, "may not be set on pods that are already bound to a node"));
        }
    }
    faults.extend(immutable(&path.child("qosClass"), &after["qosClass"], &before["qosClass"]));
    faults.extend(no_resurrection(&path, new, old));
    faults.extend(addresses(&path, after));
    faults
}

/// A container that ended for good stays ended.
fn no_resurrection(path: &FieldPath, new: &Value, old: &Value) -> Vec<FieldError> {
    let spec = &old["spec"];
    let mut faults = Vec::new();
    for (at, was) in list(&old["status"], "containerStatuses").iter().enumerate() {
        let ended = &was["state"]["terminated"];
        let name = text(was, "name");
        let Some(now) = list(&new["status"], "containerStatuses").iter().find(|s| text(s, "name") == name) else {
            continue;
        };
        if ended.is_null() || has(&now["state"], "terminated") {
            continue;
        }
        let container = list(spec, "containers").iter().find(|c| text(c, "name") == name);
        let policy = container.map(|c| text(c, "restartPolicy")).filter(|p| !p.is_empty());
        let restarts = match policy.unwrap_or_else(|| text(spec, "restartPolicy")) {
            "Always" => true,
            "OnFailure" => int(ended, "exitCode").unwrap_or_default() != 0,
            _ => false,
        };
        if !restarts {
            let here = path.child("containerStatuses").index(at).child("state");
            faults.push(FieldError::forbidden(&here, "may not be transitioned to non-terminated state"));
        }
    }
    faults
}

fn addresses(path: &FieldPath, status: &Value) -> Vec<FieldError> {
    let mut faults = Vec::new();
    for (single, plural) in [("podIP", "podIPs"), ("hostIP", "hostIPs")] {
        let here = path.child(plural);
        let all = list(status, plural);
        for (at, address) in all.iter().enumerate() {
            faults.extend(ip(&here.index(at), text(address, "ip")));
        }
        let families = |v6: bool| all.iter().filter(|a| text(a, "ip").contains(':') == v6).count();
        if families(true) > 1 || families(false) > 1 {
            let detail = "may specify no more than one IP for each IP family";
            let shown: Vec<String> = all.iter().map(|a| format!("{{\"IP\":{}}}", a["ip"])).collect();
            faults.push(FieldError::invalid(&here, crate::metadata::Raw(format!("[{}]", shown.join(","))), detail));
        }
        let first = all.first().map(|a| text(a, "ip"));
        if let Some(first) = first.filter(|first| *first != text(status, single)) {
            let detail = format!("must be equal to `{single}`");
            faults.push(FieldError::invalid(&here.index(0).child("ip"), first, detail));
        }
    }
    faults
}

pub(super) fn ephemeral_containers(new: &Value, old: &Value) -> Vec<FieldError> {
    let here = path().child("ephemeralContainers");
    if has(&old["metadata"]["annotations"], "kubernetes.io/config.mirror") {
        return vec![FieldError::forbidden(&FieldPath::nameless(), "static pods do not support ephemeral containers")];
    }
    let mut faults = validate(&path(), new, Place::Pod);
    for was in list(&old["spec"], "ephemeralContainers") {
        let name = text(was, "name");
        match list(&new["spec"], "ephemeralContainers").iter().find(|c| text(c, "name") == name) {
            None => {
                let detail = format!("existing ephemeral containers {name:?} may not be removed\n");
                faults.push(FieldError::forbidden(&here, detail));
            }
            Some(now) if now != was => {
                let detail =
                    format!("existing ephemeral containers {name:?} may not be changed\n-   {was}\n+   {now}\n");
                faults.push(FieldError::forbidden(&here, detail));
            }
            Some(_) => {}
        }
    }
    faults
}

pub(super) fn resize(new: &Value, old: &Value) -> Vec<FieldError> {
    if has(&old["metadata"]["annotations"], "kubernetes.io/config.mirror") {
        return vec![FieldError::forbidden(&FieldPath::nameless(), "static pods cannot be resized")];
    }
    let mut faults = validate(&path(), new, Place::Pod);
    let class = match text(&old["status"], "qosClass") {
        "" => super::qos_class(&old["spec"]),
        class => class,
    };
    if class != super::qos_class(&new["spec"]) {
        let detail = "Pod QOS Class may not change as a result of resizing";
        faults.push(FieldError::invalid(&path(), text(&new["status"], "qosClass"), detail));
    }
    let running = list(&old["status"], "containerStatuses").iter().find(|s| has(&s["state"], "running"));
    if running.is_some_and(|s| s["resources"].is_null()) {
        faults.push(FieldError::forbidden(&path(), "Pod running on node without support for resize"));
    }
    for field in ["containers", "initContainers"] {
        let (now, was) = (list(&new["spec"], field), list(&old["spec"], field));
        if now.len() != was.len() {
            let detail = format!("{field} may not be added or removed on resize");
            faults.push(FieldError::forbidden(&path().child(field), detail));
            return faults;
        }
        for (at, (now, was)) in now.iter().zip(was).enumerate() {
            let here = path().child(field).index(at);
            if text(now, "name") != text(was, "name") {
                let detail = format!("{field} may not be renamed or reordered on resize");
                faults.push(FieldError::forbidden(&here.child("name"), detail));
                return faults;
            }
            faults.extend(only_computing_resources(&here, now, was));
        }
    }
    faults
}

fn only_computing_resources(path: &FieldPath, now: &Value, was: &Value) -> Vec<FieldError> {
    let mut faults = Vec::new();
    for list in ["requests", "limits"] {
        for name in ["cpu", "memory"] {
            let amount = |container: &Value| as_quantity(&container["resources"][list][name]);
            if amount(was).is_some() && amount(now).is_none() {
                let detail = format!("resource {list} cannot be removed");
                faults.push(FieldError::forbidden(&path.child("resources").child(list), detail));
            }
        }
        let others = |container: &Value| -> Vec<(String, Value)> {
            entries(&container["resources"], list)
                .filter(|(name, _)| !matches!(name.as_str(), "cpu" | "memory"))
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect()
        };
        if others(now) != others(was) {
            faults.push(FieldError::forbidden(&self::path(), "only cpu and memory resources are mutable"));
        }
    }
    faults
}
