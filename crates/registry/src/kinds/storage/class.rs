//! Classes of volumes (upstream: `pkg/registry/storage/storageclass`, `ValidateStorageClass`).

use std::collections::{BTreeMap, BTreeSet};

use apimachinery::{FieldError, FieldPath};
use serde_json::Value;

use crate::check::{immutable, immutable_hidden, invalid_each, one_of};
use crate::value::{list, text};
use crate::warnings::deprecated_label;

pub(super) fn validate(o: &Value) -> Vec<FieldError> {
    let mut faults = Vec::new();
    let provisioner = text(o, "provisioner");
    let path = FieldPath::new("provisioner");
    if provisioner.is_empty() {
        faults.push(FieldError::required(&path, ""));
    } else {
        let wrong = apimachinery::names::qualified_name(&provisioner.to_lowercase());
        faults.extend(invalid_each(&path, provisioner, wrong));
    }
    if o["parameters"].as_object().is_some_and(|p| p.contains_key("")) {
        faults.push(FieldError::invalid(&FieldPath::new("parameters"), "", "field can not be empty."));
    }
    faults.extend(one_of(&FieldPath::new("reclaimPolicy"), text(o, "reclaimPolicy"), &["Delete", "Retain"]));
    let modes = ["Immediate", "WaitForFirstConsumer"];
    faults.extend(one_of(&FieldPath::new("volumeBindingMode"), text(o, "volumeBindingMode"), &modes));
    faults.extend(topologies(list(o, "allowedTopologies")));
    faults
}

pub(super) fn validate_update(new: &Value, old: &Value) -> Vec<FieldError> {
    let mut faults = validate(new);
    for field in ["parameters", "provisioner", "reclaimPolicy"] {
        faults.extend(immutable_hidden(&FieldPath::new(field), &new[field], &old[field]));
    }
    let path = FieldPath::new("volumeBindingMode");
    faults.extend(immutable(&path, &new["volumeBindingMode"], &old["volumeBindingMode"]));
    faults
}

/// Where volumes may be: each term another one, each key in a term once.
fn topologies(terms: &[Value]) -> Vec<FieldError> {
    let path = FieldPath::new("allowedTopologies");
    let mut faults = Vec::new();
    // Upstream begins with as many empty ones as there are terms, so that an empty term is always one too many.
    let mut seen = vec![BTreeMap::new()];
    for (at, term) in terms.iter().enumerate() {
        let here = path.index(at).child("matchLabelExpressions");
        let mut expressions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (index, expression) in list(term, "matchLabelExpressions").iter().enumerate() {
            let here = here.index(index);
            let (key, all) = (text(expression, "key"), list(expression, "values"));
            if all.is_empty() {
                faults.push(FieldError::required(&here.child("values"), ""));
            }
            let mut values = BTreeSet::new();
            for (index, value) in all.iter().enumerate().filter_map(|(index, value)| Some((index, value.as_str()?))) {
                if !values.insert(value) {
                    faults.push(FieldError::duplicate(&here.child("values").index(index), value));
                }
            }
            faults.extend(invalid_each(&here.child("key"), key, apimachinery::names::qualified_name(key)));
            if expressions.insert(key, values).is_some() {
                faults.push(FieldError::duplicate(&here.child("key"), key));
            }
        }
        if seen.contains(&expressions) {
            faults.push(FieldError::duplicate(&here, ""));
        }
        seen.push(expressions);
    }
    faults
}

pub(super) fn warnings(o: &Value) -> Vec<String> {
    let mut warnings = Vec::new();
    for (at, term) in list(o, "allowedTopologies").iter().enumerate() {
        for (index, expression) in list(term, "matchLabelExpressions").iter().enumerate() {
            if let Some(what) = deprecated_label(text(expression, "key")) {
                warnings.push(format!("allowedTopologies[{at}].matchLabelExpressions[{index}].key: {what}"));
            }
        }
    }
    warnings
}
