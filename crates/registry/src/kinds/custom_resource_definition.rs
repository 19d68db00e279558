//! CustomResourceDefinition (upstream: `apiextensions-apiserver/pkg/registry/customresourcedefinition`,
//! `pkg/apis/apiextensions/validation`).

use apimachinery::names::{dns_subdomain, dns1035_label};
use apimachinery::{FieldError, FieldPath, StructuralSchema, Subresource, WriteContext};
use serde_json::{Value, json};

use super::subdomain;
use super::webhooks::validate_client;
use crate::check::{immutable, one_of};
use crate::print::name;
use crate::rules::{Generation, Rules, is_deleting};
use crate::value::{child, flag, has, list, put, text};

/// The finalizer that keeps a definition until its objects are gone.
const CLEANUP: &str = "customresourcecleanup.apiextensions.k8s.io";
/// The annotation without which nobody may define kinds in the project's own groups.
const APPROVED: &str = "api-approved.kubernetes.io";
const GROUPS_OF_THE_PROJECT: [&str; 2] = ["k8s.io", "kubernetes.io"];
/// The most fields that a version's selectors may name.
const SELECTABLE_FIELDS_MAX: usize = 8;
const COLUMN_TYPES: [&str; 5] = ["boolean", "date", "integer", "number", "string"];
const COLUMN_FORMATS: [&str; 9] =
    ["byte", "date", "date-time", "double", "float", "int32", "int64", "name", "password"];

pub(super) static RULES: Rules = Rules {
    name: subdomain,
    generation: Generation::Of("spec"),
    unconditional_update: false,
    prepare_create: |o, _| store_versions(o),
    prepare_update,
    validate,
    validate_update,
    begin_deletion,
    row: Some(|o, _| {
        let spec = &o["spec"];
        let joined = |values: Vec<&str>| json!(values.join(","));
        let versions = list(spec, "versions").iter().map(|v| text(v, "name")).collect();
        let short = list(&spec["names"], "shortNames").iter().filter_map(Value::as_str).collect();
        vec![
            name(o),
            json!(text(spec, "scope")),
            joined(versions),
            o["metadata"]["creationTimestamp"].clone(),
            json!(text(spec, "group")),
            json!(text(&spec["names"], "kind")),
            joined(short),
            json!(super::others::holds(o, "Established")),
        ]
    }),
    ..Rules::NONE
};

/// The status remembers every version in which objects may be stored.
fn store_versions(o: &mut Value) {
    let storage = list(&o["spec"], "versions").iter().find(|v| flag(v, "storage")).map(|v| v["name"].clone());
    let status = child(o, "status");
    let mut stored = list(status, "storedVersions").to_vec();
    if let Some(storage) = storage
        && !stored.contains(&storage)
    {
        stored.push(storage);
        put(status, "storedVersions", Value::Array(stored));
    }
}

fn prepare_update(new: &mut Value, _: &Value, context: &WriteContext<'_>) {
    if context.subresource == Subresource::None {
        store_versions(new);
    }
}

/// The objects go first: a controller deletes them and then takes the finalizer away.
fn begin_deletion(o: &mut Value) {
    let metadata = child(o, "metadata");
    let mut finalizers = list(metadata, "finalizers").to_vec();
    if !finalizers.iter().any(|f| f == CLEANUP) {
        finalizers.push(json!(CLEANUP));
    }
    put(metadata, "finalizers", Value::Array(finalizers));
    let now = metadata["deletionTimestamp"].clone();
    let mut conditions = list(&o["status"], "conditions").to_vec();
    conditions.retain(|c| text(c, "type") != "Terminating");
    conditions.push(json!({
        "type": "Terminating", "status": "True", "lastTransitionTime": now, "reason": "InstanceDeletionPending",
        "message": "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon",
    }));
    put(child(o, "status"), "conditions", Value::Array(conditions));
}

fn validate(o: &Value) -> Vec<FieldError> {
    let spec = &o["spec"];
    let mut faults = Vec::new();
    let called = text(&o["metadata"], "name");
    if called != format!("{}.{}", text(&spec["names"], "plural"), text(spec, "group")) {
        let why = "must be spec.names.plural+\".\"+spec.group";
        faults.push(FieldError::invalid(&FieldPath::new("metadata.name"), called, why));
    }
    faults.extend(validate_spec(spec));
    faults.extend(validate_stored(o));
    faults.extend(validate_approval(o));
    faults
}

fn validate_update(new: &Value, old: &Value, subresource: Subresource<'_>) -> Vec<FieldError> {
    if subresource == Subresource::Status {
        return Vec::new();
    }
    let mut faults = validate_spec(&new["spec"]);
    let path = FieldPath::new("spec");
    let (now, before) = (&new["spec"], &old["spec"]);
    if super::others::holds(old, "Established") {
        faults.extend(immutable(&path.child("scope"), &now["scope"], &before["scope"]));
        let kind = path.child("names").child("kind");
        faults.extend(immutable(&kind, &now["names"]["kind"], &before["names"]["kind"]));
    }
    faults.extend(immutable(&path.child("group"), &now["group"], &before["group"]));
    let plural = path.child("names").child("plural");
    faults.extend(immutable(&plural, &now["names"]["plural"], &before["names"]["plural"]));
    faults.extend(validate_stored(new));
    if !is_deleting(new) {
        faults.extend(validate_approval(new));
    }
    faults
}

fn validate_spec(spec: &Value) -> Vec<FieldError> {
    let path = FieldPath::new("spec");
    let mut faults = Vec::new();
    let group = text(spec, "group");
    let invalid = dns_subdomain(group);
    if group.is_empty() {
        faults.push(FieldError::required(&path.child("group"), ""));
    } else if !invalid.is_empty() {
        faults.push(FieldError::invalid(&path.child("group"), group, invalid.join(",")));
    } else if !group.contains('.') {
        faults.push(FieldError::invalid(&path.child("group"), group, "should be a domain with at least one dot"));
    }
    match text(spec, "scope") {
        "" => faults.push(FieldError::required(&path.child("scope"), "")),
        scope => faults.extend(one_of(&path.child("scope"), scope, &["Cluster", "Namespaced"])),
    }
    if flag(spec, "preserveUnknownFields") {
        let why =
            "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead";
        faults.push(FieldError::invalid(&path.child("preserveUnknownFields"), true, why));
    }
    let versions = list(spec, "versions");
    let mut names: Vec<&str> = versions.iter().map(|v| text(v, "name")).collect();
    for (at, version) in versions.iter().enumerate() {
        let here = path.child("versions").index(at);
        let called = text(version, "name");
        let invalid = dns1035_label(called);
        if !invalid.is_empty() {
            faults.push(FieldError::invalid(&here.child("name"), called, invalid.join(",")));
        }
        // Upstream keeps what all versions share in one place, and names that place.
        let shared = versions.len() == 1;
        let (schema, below) = (&version["schema"]["openAPIV3Schema"], here.child("schema").child("openAPIV3Schema"));
        if schema.is_null() {
            faults.push(FieldError::required(&below, ""));
        } else {
            let below = if shared { path.child("validation").child("openAPIV3Schema") } else { below };
            faults.extend(StructuralSchema::check(&below, schema));
        }
        faults.extend(validate_version(version, if shared { &path } else { &here }, &here));
    }
    let shown = Value::Array(versions.to_vec());
    names.sort_unstable();
    if names.windows(2).any(|pair| pair[0] == pair[1]) {
        faults.push(FieldError::invalid(&path.child("versions"), &shown, "must contain unique version names"));
    }
    if versions.iter().filter(|v| flag(v, "storage")).count() != 1 {
        let why = "must have exactly one version marked as storage version";
        faults.push(FieldError::invalid(&path.child("versions"), &shown, why));
    }
    faults.extend(validate_names(&spec["names"], &path.child("names")));
    faults.extend(validate_conversion(&spec["conversion"], &path.child("conversion")));
    faults
}

/// `shared` is where upstream shows what a single version says, `here` the version itself.
fn validate_version(version: &Value, shared: &FieldPath, here: &FieldPath) -> Vec<FieldError> {
    let mut faults = Vec::new();
    let warning = here.child("deprecationWarning");
    match version["deprecationWarning"].as_str() {
        Some(text) if !flag(version, "deprecated") => {
            faults.push(FieldError::invalid(&warning, text, "can only be set for deprecated versions"));
        }
        Some("") => faults.push(FieldError::invalid(&warning, "", "must not be an empty string")),
        Some(text) if text.len() > 256 => {
            faults.push(FieldError::invalid(&warning, text, "must be <= 256 characters long"));
        }
        _ => {}
    }
    let scale = &version["subresources"]["scale"];
    if scale.is_object() {
        let below = shared.child("subresources").child("scale");
        for (key, root, needed) in [
            ("specReplicasPath", ".spec.", true),
            ("statusReplicasPath", ".status.", true),
            ("labelSelectorPath", "", false),
        ] {
            let given = text(scale, key);
            let roots: &[&str] = if root.is_empty() { &[".spec.", ".status."] } else { &[root] };
            if given.is_empty() {
                if needed {
                    faults.push(FieldError::required(&below.child(key), ""));
                }
            } else if !is_simple_path(given) {
                faults.push(FieldError::invalid(
                    &below.child(key),
                    given,
                    "should be a json path under ".to_owned() + roots[0].trim_end_matches('.'),
                ));
            } else if !roots.iter().any(|root| given.starts_with(root)) {
                let all: Vec<&str> = roots.iter().map(|root| root.trim_end_matches('.')).collect();
                let why = format!("should be a json path under {}", all.join(" or "));
                faults.push(FieldError::invalid(&below.child(key), given, why));
            }
        }
    }
    for (at, column) in list(version, "additionalPrinterColumns").iter().enumerate() {
        faults.extend(validate_column(column, &shared.child("additionalPrinterColumns").index(at)));
    }
    let selectable = list(version, "selectableFields");
    let below = shared.child("selectableFields");
    if selectable.len() > SELECTABLE_FIELDS_MAX {
        faults.push(FieldError::too_many(&below, selectable.len(), SELECTABLE_FIELDS_MAX));
    }
    for (at, field) in selectable.iter().enumerate() {
        let given = text(field, "jsonPath");
        let here = below.index(at).child("jsonPath");
        match schema_at(&version["schema"]["openAPIV3Schema"], given) {
            _ if given.is_empty() => faults.push(FieldError::required(&here, "")),
            _ if given.starts_with(".metadata") => {
                faults.push(FieldError::invalid(&here, given, "must not point to fields in metadata"));
            }
            Some(schema) if matches!(text(schema, "type"), "string" | "boolean" | "integer") => {}
            _ => {
                let why = "must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed.";
                faults.push(FieldError::invalid(&here, given, why));
            }
        }
    }
    faults
}

/// The schema of the field at `.spec.colour`.
fn schema_at<'a>(schema: &'a Value, path: &str) -> Option<&'a Value> {
    if !is_simple_path(path) {
        return None;
    }
    path[1..].split('.').try_fold(schema, |schema, step| schema["properties"].get(step))
}

/// Whether a path is dots and names, without anything to compute.
fn is_simple_path(path: &str) -> bool {
    let step =
        |step: &str| !step.is_empty() && step.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    path.strip_prefix('.').is_some_and(|rest| rest.split('.').all(step))
}

fn validate_column(column: &Value, path: &FieldPath) -> Vec<FieldError> {
    let mut faults = Vec::new();
    if text(column, "name").is_empty() {
        faults.push(FieldError::required(&path.child("name"), ""));
    }
    match text(column, "type") {
        "" => {
            let why = format!("must be one of {}", COLUMN_TYPES.join(","));
            faults.push(FieldError::required(&path.child("type"), why));
        }
        ty if !COLUMN_TYPES.contains(&ty) => {
            let why = format!("must be one of {}", COLUMN_TYPES.join(","));
            faults.push(FieldError::invalid(&path.child("type"), ty, why));
        }
        _ => {}
    }
    let format = text(column, "format");
    if !format.is_empty() && !COLUMN_FORMATS.contains(&format) {
        let why = format!("must be one of {}", COLUMN_FORMATS.join(","));
        faults.push(FieldError::invalid(&path.child("format"), format, why));
    }
    let given = text(column, "jsonPath");
    if given.is_empty() {
        faults.push(FieldError::required(&path.child("JSONPath"), ""));
    } else if !given.starts_with('.') {
        faults.push(FieldError::invalid(&path.child("JSONPath"), given, "must be a simple json path starting with ."));
    } else if let Err(error) = apimachinery::jsonpath::JsonPath::parse(&format!("{{{given}}}")) {
        faults.push(FieldError::invalid(&path.child("JSONPath"), given, error.to_string()));
    }
    faults
}

fn validate_names(names: &Value, path: &FieldPath) -> Vec<FieldError> {
    let mut faults = Vec::new();
    for key in ["plural", "singular", "kind", "listKind"] {
        let given = text(names, key);
        if given.is_empty() {
            faults.push(FieldError::required(&path.child(key), ""));
            continue;
        }
        let invalid = dns1035_label(&given.to_lowercase());
        let lower = key == "plural" || key == "singular";
        let invalid = if lower { dns1035_label(given) } else { invalid };
        if !invalid.is_empty() {
            let note = if lower { "" } else { "may have mixed case, but should otherwise match: " };
            faults.push(FieldError::invalid(&path.child(key), given, format!("{note}{}", invalid.join(","))));
        }
    }
    for key in ["shortNames", "categories"] {
        for (at, given) in list(names, key).iter().filter_map(Value::as_str).enumerate() {
            let invalid = dns1035_label(given);
            if !invalid.is_empty() {
                faults.push(FieldError::invalid(&path.child(key).index(at), given, invalid.join(",")));
            }
        }
    }
    if !text(names, "kind").is_empty() && names["kind"] == names["listKind"] {
        let why = "kind and listKind may not be the same";
        faults.push(FieldError::invalid(&path.child("listKind"), text(names, "listKind"), why));
    }
    faults
}

fn validate_conversion(conversion: &Value, path: &FieldPath) -> Vec<FieldError> {
    let strategy = text(conversion, "strategy");
    let mut faults = one_of(&path.child("strategy"), strategy, &["None", "Webhook"]);
    let webhook = &conversion["webhook"];
    if strategy == "Webhook" {
        if has(webhook, "clientConfig") {
            faults.extend(validate_client(&webhook["clientConfig"], &path.child("webhookClientConfig")));
        } else {
            let why = "required when strategy is set to Webhook";
            faults.push(FieldError::required(&path.child("webhookClientConfig"), why));
        }
        faults.extend(validate_review_versions(webhook, &path.child("conversionReviewVersions")));
    } else if has(webhook, "clientConfig") {
        let why = "should not be set when strategy is not set to Webhook";
        faults.push(FieldError::forbidden(&path.child("webhookClientConfig"), why));
    }
    faults
}

fn validate_review_versions(webhook: &Value, path: &FieldPath) -> Vec<FieldError> {
    let versions = list(webhook, "conversionReviewVersions");
    if versions.is_empty() {
        return vec![FieldError::required(path, "")];
    }
    let mut faults = Vec::new();
    for (at, version) in versions.iter().enumerate() {
        let (name, path) = (version.as_str().unwrap_or_default(), path.index(at));
        if versions[..at].contains(version) {
            faults.push(FieldError::invalid(&path, name, "duplicate version"));
        } else {
            faults.extend(dns1035_label(name).into_iter().map(|why| FieldError::invalid(&path, name, &why)));
        }
    }
    if !versions.iter().any(|version| version == "v1" || version == "v1beta1") {
        let why = "must include at least one of v1, v1beta1";
        faults.push(FieldError::invalid(path, &Value::Array(versions.to_vec()), why));
    }
    faults
}

/// A version stays listed as long as objects may be stored in it.
fn validate_stored(o: &Value) -> Vec<FieldError> {
    let path = FieldPath::new("status").child("storedVersions");
    let stored = list(&o["status"], "storedVersions");
    let versions = list(&o["spec"], "versions");
    if stored.is_empty() {
        return vec![FieldError::invalid(&path, &json!([]), "must have at least one stored version")];
    }
    let known = |name: &Value| versions.iter().any(|version| version["name"] == *name);
    let missing = stored.iter().enumerate().filter(|(_, name)| !known(name));
    missing
        .map(|(at, name)| {
            let name = name.as_str().unwrap_or_default();
            let why = format!(
                "missing from spec.versions; {name} was previously a storage version, and must remain in spec.versions \
                 until a storage migration ensures no data remains persisted in {name} and removes {name} from \
                 status.storedVersions"
            );
            FieldError::invalid(&path.index(at), name, why)
        })
        .collect()
}

/// Groups of the Kubernetes project take only kinds that its API reviewers approved of.
fn validate_approval(o: &Value) -> Vec<FieldError> {
    let group = text(&o["spec"], "group");
    let protected = GROUPS_OF_THE_PROJECT.iter().any(|own| group == *own || group.ends_with(&format!(".{own}")));
    if !protected {
        return Vec::new();
    }
    let path = FieldPath::new("metadata").child("annotations").key(APPROVED);
    let page = "see https://github.com/kubernetes/enhancements/pull/1111";
    match o["metadata"]["annotations"][APPROVED].as_str() {
        None | Some("") => {
            vec![FieldError::required(
                &path,
                format!("protected groups must have approval annotation \"{APPROVED}\", {page}"),
            )]
        }
        Some(text) if text.starts_with("unapproved") || text.starts_with("https://") => Vec::new(),
        Some(text) => vec![FieldError::invalid(
            &path,
            text,
            format!(
                "protected groups must have approval annotation \"{APPROVED}\" with either a URL or a reason starting with \"unapproved\", {page}"
            ),
        )],
    }
}
