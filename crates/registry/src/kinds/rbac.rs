//! Roles and their bindings (upstream: `pkg/apis/rbac/validation`).

use apimachinery::names::{dns_subdomain, path_segment};
use apimachinery::{FieldError, FieldPath};
use serde_json::{Value, json};

use crate::check::{invalid_each, one_of};
use crate::print;
use crate::rules::Rules;
use crate::value::{has, list, text};

pub(super) static ROLE: Rules = Rules {
    create_on_update: true,
    validate: role,
    validate_update: |new, _, _| role(new),
    row: Some(|o, _| {
        let created = o["metadata"]["creationTimestamp"].clone();
        vec![print::name(o), created]
    }),
    ..Rules::NONE
};

pub(super) static BINDING: Rules = Rules {
    create_on_update: true,
    validate: binding,
    validate_update: |new, old, _| {
        let mut faults = binding(new);
        if new["roleRef"] != old["roleRef"] {
            let shown = crate::metadata::Raw(format!(
                "{{\"APIGroup\":{},\"Kind\":{},\"Name\":{}}}",
                json!(text(&new["roleRef"], "apiGroup")),
                json!(text(&new["roleRef"], "kind")),
                json!(text(&new["roleRef"], "name"))
            ));
            faults.push(FieldError::invalid(&FieldPath::new("roleRef"), shown, crate::check::IMMUTABLE));
        }
        faults
    },
    row: Some(binding_row),
    ..Rules::NONE
};

const GROUP: &str = "rbac.authorization.k8s.io";

fn role(o: &Value) -> Vec<FieldError> {
    let namespaced = text(o, "kind") != "ClusterRole";
    let mut faults = Vec::new();
    for (at, rule) in list(o, "rules").iter().enumerate() {
        faults.extend(policy_rule(&FieldPath::new("rules").index(at), rule, namespaced));
    }
    if has(o, "aggregationRule") {
        let path = FieldPath::new("aggregationRule").child("clusterRoleSelectors");
        let selectors = list(&o["aggregationRule"], "clusterRoleSelectors");
        if selectors.is_empty() {
            let detail = "at least one clusterRoleSelector required if aggregationRule is non-nil";
            faults.push(FieldError::required(&path, detail));
        }
        for (at, selector) in selectors.iter().enumerate() {
            faults.extend(crate::check::label_selector(&path.index(at), selector));
        }
    }
    faults
}

fn policy_rule(path: &FieldPath, rule: &Value, namespaced: bool) -> Vec<FieldError> {
    let mut faults = Vec::new();
    if list(rule, "verbs").is_empty() {
        faults.push(FieldError::required(&path.child("verbs"), ""));
    }
    let urls = list(rule, "nonResourceURLs");
    let (groups, resources) = (list(rule, "apiGroups"), list(rule, "resources"));
    if !urls.is_empty() {
        let at = path.child("nonResourceURLs");
        let shown = json!(urls);
        if namespaced {
            let detail = "namespaced rules cannot apply to non-resource URLs";
            faults.push(FieldError::invalid(&at, &shown, detail));
        }
        if !groups.is_empty() || !resources.is_empty() || !list(rule, "resourceNames").is_empty() {
            let detail = "rules cannot apply to both regular resources and non-resource URLs";
            faults.push(FieldError::invalid(&at, &shown, detail));
        }
        return faults;
    }
    if groups.is_empty() {
        faults
            .push(FieldError::required(&path.child("apiGroups"), "resource rules must supply at least one api group"));
    }
    if resources.is_empty() {
        faults.push(FieldError::required(&path.child("resources"), "resource rules must supply at least one resource"));
    }
    faults
}

fn binding(o: &Value) -> Vec<FieldError> {
    let cluster = text(o, "kind") == "ClusterRoleBinding";
    let (path, reference) = (FieldPath::new("roleRef"), &o["roleRef"]);
    let mut faults = Vec::new();
    faults.extend(one_of(&path.child("apiGroup"), text(reference, "apiGroup"), &[GROUP]));
    let kinds: &[&str] = if cluster { &["ClusterRole"] } else { &["Role", "ClusterRole"] };
    faults.extend(one_of(&path.child("kind"), text(reference, "kind"), kinds));
    let name = text(reference, "name");
    if name.is_empty() {
        faults.push(FieldError::required(&path.child("name"), ""));
    } else {
        faults.extend(invalid_each(&path.child("name"), name, path_segment(name)));
    }
    for (at, subject) in list(o, "subjects").iter().enumerate() {
        faults.extend(subject_faults(&FieldPath::new("subjects").index(at), subject, !cluster));
    }
    faults
}

fn subject_faults(path: &FieldPath, subject: &Value, namespaced: bool) -> Vec<FieldError> {
    let mut faults = Vec::new();
    let (kind, name, group) = (text(subject, "kind"), text(subject, "name"), text(subject, "apiGroup"));
    if name.is_empty() {
        faults.push(FieldError::required(&path.child("name"), ""));
    }
    match kind {
        "ServiceAccount" => {
            if !name.is_empty() {
                faults.extend(invalid_each(&path.child("name"), name, dns_subdomain(name)));
            }
            faults.extend(one_of(&path.child("apiGroup"), group, &[""]));
            if !namespaced && text(subject, "namespace").is_empty() {
                faults.push(FieldError::required(&path.child("namespace"), ""));
            }
        }
        "User" | "Group" => faults.extend(one_of(&path.child("apiGroup"), group, &[GROUP])),
        other => {
            faults.push(FieldError::not_supported(&path.child("kind"), other, &["ServiceAccount", "User", "Group"]));
        }
    }
    faults
}

fn binding_row(o: &Value, now: jiff::Timestamp) -> Vec<Value> {
    let of = |kind: &str| -> Value {
        let names: Vec<String> = list(o, "subjects")
            .iter()
            .filter(|s| text(s, "kind") == kind)
            .map(|s| match kind {
                "ServiceAccount" => format!("{}/{}", text(s, "namespace"), text(s, "name")),
                _ => text(s, "name").to_owned(),
            })
            .collect();
        json!(names.join(", "))
    };
    let role = format!("{}/{}", text(&o["roleRef"], "kind"), text(&o["roleRef"], "name"));
    vec![print::name(o), json!(role), print::age(o, now), of("User"), of("Group"), of("ServiceAccount")]
}
