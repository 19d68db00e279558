//! The fields of a Job's spec.

use apimachinery::names::dns_subdomain;
use apimachinery::{FieldError, FieldPath};
use serde_json::Value;

use super::policies;
use crate::check::{IMMUTABLE, invalid_each, not_negative, one_of};
use crate::metadata::Raw;
use crate::pods;
use crate::value::{child, flag, has, int, items_mut, list, put, text};

/// The most Pods at once, and the most failed indexes, of an indexed Job: its status lists intervals of indexes.
const INDEXED_MAX: i64 = 100_000;
/// The same where there are more indexes than that.
const MANY_INDEXES_MAX: i64 = 10_000;
const MANAGER_LENGTH_MAX: usize = 63;

/// Faults of a Job's spec but for its selector, which the template of a CronJob has not.
pub(super) fn fields(path: &FieldPath, spec: &Value) -> Vec<FieldError> {
    let mut faults = Vec::new();
    for key in [
        "parallelism",
        "completions",
        "activeDeadlineSeconds",
        "backoffLimit",
        "ttlSecondsAfterFinished",
        "backoffLimitPerIndex",
        "maxFailedIndexes",
    ] {
        faults.extend(not_negative(path, spec, key));
    }
    if has(spec, "maxFailedIndexes") && !has(spec, "backoffLimitPerIndex") {
        let path = path.child("backoffLimitPerIndex");
        faults.push(FieldError::required(&path, "when maxFailedIndexes is specified"));
    }
    if has(spec, "managedBy") {
        faults.extend(manager(&path.child("managedBy"), text(spec, "managedBy")));
    }
    let mode = text(spec, "completionMode");
    if has(spec, "completionMode") {
        faults.extend(one_of(&path.child("completionMode"), mode, &["NonIndexed", "Indexed"]));
    }
    if mode == "Indexed" {
        faults.extend(indexed(path, spec));
    } else if matches!(mode, "" | "NonIndexed") {
        for key in ["backoffLimitPerIndex", "maxFailedIndexes"] {
            if let Some(number) = int(spec, key) {
                faults.push(FieldError::invalid(&path.child(key), number, "requires indexed completion mode"));
            }
        }
    }
    faults.extend(policies::validate(path, spec));
    let template_path = path.child("template");
    faults.extend(pods::validate_template(&template_path, &spec["template"]));
    let policy = text(&spec["template"]["spec"], "restartPolicy");
    let policy_path = template_path.child("spec").child("restartPolicy");
    if matches!(policy, "Always" | "") {
        faults.push(FieldError::required(&policy_path, "valid values: \"OnFailure\", \"Never\""));
    } else if !matches!(policy, "OnFailure" | "Never") {
        faults.extend(one_of(&policy_path, policy, &["OnFailure", "Never"]));
    } else if policy != "Never" && has(spec, "podFailurePolicy") {
        let detail = "only \"Never\" is supported when podFailurePolicy is specified";
        faults.push(FieldError::invalid(&policy_path, policy, detail));
    }
    faults
}

fn manager(path: &FieldPath, manager: &str) -> Vec<FieldError> {
    let mut faults = match manager.split_once('/') {
        _ if manager.is_empty() => vec![FieldError::required(path, "")],
        Some((domain, name)) if !domain.is_empty() && !name.is_empty() => {
            let mut faults = invalid_each(path, domain, dns_subdomain(domain));
            let other = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~%!$&'()*+,;=:".contains(&byte);
            if !name.bytes().all(other) {
                let detail = "Invalid path (regex used for validation is '[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+')";
                faults.push(FieldError::invalid(path, name, detail));
            }
            faults
        }
        _ => {
            let detail = "must be a domain-prefixed path (such as \"acme.io/foo\")";
            vec![FieldError::invalid(path, manager, detail)]
        }
    };
    if manager.len() > MANAGER_LENGTH_MAX {
        faults.push(FieldError::too_long(path, MANAGER_LENGTH_MAX));
    }
    faults
}

/// Limits that keep the status of an indexed Job short.
fn indexed(path: &FieldPath, spec: &Value) -> Vec<FieldError> {
    let (completions, parallelism) = (int(spec, "completions"), int(spec, "parallelism"));
    let failed = int(spec, "maxFailedIndexes");
    let at_most = |key: &str, value: Option<i64>, max: i64, when: &str| {
        let above = value.filter(|value| *value > max)?;
        Some(FieldError::invalid(&path.child(key), above, format!("must be less than or equal to {max}{when}")))
    };
    let mut faults = Vec::new();
    if completions.is_none() {
        faults.push(FieldError::required(&path.child("completions"), "when completion mode is Indexed"));
    }
    faults.extend(at_most("parallelism", parallelism, INDEXED_MAX, " when completion mode is Indexed"));
    if let Some(failed) = failed.filter(|failed| completions.is_some_and(|completions| *failed > completions)) {
        let path = path.child("maxFailedIndexes");
        faults.push(FieldError::invalid(&path, failed, "must be less than or equal to completions"));
    }
    faults.extend(at_most("maxFailedIndexes", failed, INDEXED_MAX, ""));
    if completions.is_some_and(|completions| completions > INDEXED_MAX) && has(spec, "backoffLimitPerIndex") {
        if failed.is_none() {
            let detail = format!("must be specified when completions is above {INDEXED_MAX}");
            faults.push(FieldError::required(&path.child("maxFailedIndexes"), detail));
        }
        let when = format!(" when completions are above {INDEXED_MAX} and used with backoff limit per index");
        faults.extend(at_most("parallelism", parallelism, MANY_INDEXES_MAX, &when));
        faults.extend(at_most("maxFailedIndexes", failed, MANY_INDEXES_MAX, &when));
    }
    faults
}

/// A suspended Job without Pods may be placed elsewhere, and its containers may get other resources.
pub(super) fn template_update(path: &FieldPath, new: &Value, old: &Value) -> Vec<FieldError> {
    let (after, mut before) = (&new["spec"]["template"], old["spec"]["template"].clone());
    let (suspended, status) = (flag(&old["spec"], "suspend"), &old["status"]);
    let says_so =
        list(status, "conditions").iter().any(|c| text(c, "type") == "Suspended" && text(c, "status") == "True");
    let is_open = suspended && (!has(status, "startTime") || says_so) && int(status, "active").unwrap_or(0) == 0;
    if is_open {
        for key in ["nodeSelector", "tolerations", "schedulingGates"] {
            put(child(&mut before, "spec"), key, after["spec"][key].clone());
        }
        for key in ["labels", "annotations"] {
            put(child(&mut before, "metadata"), key, after["metadata"][key].clone());
        }
        let affinity = &after["spec"]["affinity"];
        if affinity.is_null() {
            put(child(child(&mut before, "spec"), "affinity"), "nodeAffinity", Value::Null);
            if before["spec"]["affinity"].as_object().is_none_or(|rest| rest.is_empty()) {
                put(child(&mut before, "spec"), "affinity", Value::Null);
            }
        } else {
            let node = affinity["nodeAffinity"].clone();
            put(child(child(&mut before, "spec"), "affinity"), "nodeAffinity", node);
        }
        for key in ["containers", "initContainers"] {
            let containers = list(&after["spec"], key);
            let same = containers.len() == list(&before["spec"], key).len();
            for (now, then) in containers.iter().zip(items_mut(child(&mut before, "spec"), key)).filter(|_| same) {
                if now["name"] == then["name"] {
                    put(then, "resources", now["resources"].clone());
                }
            }
        }
    }
    if *after == before {
        return Vec::new();
    }
    let (path, shown) =
        if is_open { (path.child("template.spec"), &after["spec"]) } else { (path.child("template"), after) };
    vec![FieldError::invalid(&path, Raw(shown.to_string()), IMMUTABLE)]
}

/// What is said of a Job's spec, which is that of `new` or of its template.
pub(super) fn warnings(path: &FieldPath, spec: &Value, new: &Value, old: Option<&Value>) -> Vec<String> {
    let template = pods::template_warnings(&path.child("template"), &spec["template"], new, old);
    let changed = old.is_none_or(|old| old["metadata"]["generation"] != new["metadata"]["generation"]);
    let many = |field: &str, limit| int(spec, field).is_some_and(|n| n > limit);
    if !(changed
        && text(spec, "completionMode") == "Indexed"
        && many("completions", 100_000)
        && many("parallelism", 10_000))
    {
        return template;
    }
    let sentence = "In Indexed Jobs with a number of completions higher than 10^5 and a parallelism higher than 10^4, \
                    Kubernetes might not be able to track completedIndexes when a big number of indexes fail";
    [vec![format!("{path}: {sentence}")], template].concat()
}
