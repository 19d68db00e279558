//! Faults of volumes.

use apimachinery::names::dns_label;
use apimachinery::{FieldError, FieldPath};
use serde_json::Value;

use super::containers::{FILE_FIELDS, field_ref, resource_field_ref};
use super::projections::projections;
use crate::check::{Seen, invalid_each, one_of};
use crate::value::{has, int, list, quantity, text};

pub(super) fn validate(path: &FieldPath, volumes: &[Value]) -> Vec<FieldError> {
    let mut faults = Vec::new();
    let mut names = Seen::default();
    for (at, volume) in volumes.iter().enumerate() {
        let here = path.index(at);
        let name = text(volume, "name");
        faults.extend(source(&here, volume));
        if name.is_empty() {
            faults.push(FieldError::required(&here.child("name"), ""));
        } else {
            let wrong = dns_label(name);
            if wrong.is_empty() {
                faults.extend(names.check(&here.child("name"), name));
            } else {
                faults.extend(invalid_each(&here.child("name"), name, wrong));
            }
        }
    }
    faults
}

/// A path below something: relative and without steps back.
pub(super) fn descending_path(path: &FieldPath, target: &str) -> Vec<FieldError> {
    let mut faults = Vec::new();
    if target.starts_with('/') {
        faults.push(FieldError::invalid(path, target, "must be a relative path"));
    }
    faults.extend(no_steps_back(path, target));
    faults
}

/// A path without steps back.
pub(crate) fn no_steps_back(path: &FieldPath, target: &str) -> Vec<FieldError> {
    if target.split('/').any(|part| part == "..") {
        return vec![FieldError::invalid(path, target, "must not contain '..'")];
    }
    Vec::new()
}

/// A path below something that does not start with `..`.
pub(super) fn unreserved_path(path: &FieldPath, target: &str) -> Vec<FieldError> {
    let mut faults = descending_path(path, target);
    if target.starts_with("..") && !target.starts_with("../") {
        faults.push(FieldError::invalid(path, target, "must not start with '..'"));
    }
    faults
}

/// The order in which upstream looks at sources: the first one counts, others are too many.
const SOURCES: [&str; 30] = [
    "emptyDir",
    "hostPath",
    "gitRepo",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "secret",
    "nfs",
    "iscsi",
    "glusterfs",
    "flocker",
    "persistentVolumeClaim",
    "rbd",
    "cinder",
    "cephfs",
    "quobyte",
    "downwardAPI",
    "fc",
    "flexVolume",
    "configMap",
    "azureFile",
    "vsphereVolume",
    "photonPersistentDisk",
    "portworxVolume",
    "azureDisk",
    "storageos",
    "projected",
    "scaleIO",
    "csi",
    "ephemeral",
    "image",
];

fn source(path: &FieldPath, volume: &Value) -> Vec<FieldError> {
    let mut faults = Vec::new();
    let mut found = false;
    for key in SOURCES.into_iter().filter(|key| has(volume, key)) {
        let here = path.child(key);
        if found {
            faults.push(FieldError::forbidden(&here, "may not specify more than 1 volume type"));
            continue;
        }
        found = true;
        faults.extend(source_fields(&here, key, &volume[key]));
    }
    if !found {
        faults.push(FieldError::required(path, "must specify a volume type"));
    }
    faults
}

pub(super) fn required(path: &FieldPath, source: &Value, key: &str) -> Vec<FieldError> {
    if text(source, key).is_empty() { vec![FieldError::required(&path.child(key), "")] } else { Vec::new() }
}

fn source_fields(path: &FieldPath, key: &str, source: &Value) -> Vec<FieldError> {
    let mut faults = Vec::new();
    match key {
        "emptyDir" if quantity(source, "sizeLimit").is_some_and(|q| q.signum() < 0) => {
            let detail = "SizeLimit field must be a valid resource quantity";
            faults.push(FieldError::forbidden(&path.child("sizeLimit"), detail));
        }
        "hostPath" => faults.extend(host_path(path, source)),
        "secret" => {
            faults.extend(required(path, source, "secretName"));
            faults.extend(mode_and_items(path, source));
        }
        "configMap" => {
            faults.extend(required(path, source, "name"));
            faults.extend(mode_and_items(path, source));
        }
        "nfs" => {
            faults.extend(required(path, source, "server"));
            let target = text(source, "path");
            if target.is_empty() {
                faults.push(FieldError::required(&path.child("path"), ""));
            } else if !target.starts_with('/') {
                faults.push(FieldError::invalid(&path.child("path"), target, "must be an absolute path"));
            }
        }
        "persistentVolumeClaim" => faults.extend(required(path, source, "claimName")),
        "downwardAPI" => {
            faults.extend(mode(path, source, "defaultMode"));
            for file in list(source, "items") {
                faults.extend(downward_file(path, file));
            }
        }
        "projected" => {
            faults.extend(mode(path, source, "defaultMode"));
            faults.extend(projections(path, source));
        }
        "csi" => faults.extend(required(path, source, "driver")),
        "ephemeral" if !has(source, "volumeClaimTemplate") => {
            faults.push(FieldError::required(&path.child("volumeClaimTemplate"), ""));
        }
        "image" => {
            faults.extend(required(path, source, "reference"));
            let policy = text(source, "pullPolicy");
            faults.extend(one_of(&path.child("pullPolicy"), policy, &["Always", "IfNotPresent", "Never"]));
        }
        _ => {}
    }
    faults
}

/// A path of the node, of a Pod or a volume.
pub(crate) fn host_path(path: &FieldPath, source: &Value) -> Vec<FieldError> {
    let target = text(source, "path");
    if target.is_empty() {
        return vec![FieldError::required(&path.child("path"), "")];
    }
    let mut faults = no_steps_back(&path.child("path"), target);
    let kinds = ["", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"];
    faults.extend(one_of(&path.child("type"), text(source, "type"), &kinds));
    faults
}

fn mode(path: &FieldPath, source: &Value, key: &str) -> Vec<FieldError> {
    match int(source, key) {
        Some(bits) if !(0..=0o777).contains(&bits) => {
            let detail = "must be a number between 0 and 0777 (octal), both inclusive";
            vec![FieldError::invalid(&path.child(key), bits, detail)]
        }
        _ => Vec::new(),
    }
}

fn mode_and_items(path: &FieldPath, source: &Value) -> Vec<FieldError> {
    let mut faults = mode(path, source, "defaultMode");
    for (at, item) in list(source, "items").iter().enumerate() {
        faults.extend(key_to_path(&path.child("items").index(at), item));
    }
    faults
}

pub(super) fn key_to_path(path: &FieldPath, item: &Value) -> Vec<FieldError> {
    let mut faults = required(path, item, "key");
    let target = text(item, "path");
    if target.is_empty() {
        faults.push(FieldError::required(&path.child("path"), ""));
    } else {
        faults.extend(unreserved_path(&path.child("path"), target));
    }
    faults.extend(mode(path, item, "mode"));
    faults
}

pub(super) fn downward_file(path: &FieldPath, file: &Value) -> Vec<FieldError> {
    let mut faults = Vec::new();
    let target = text(file, "path");
    if target.is_empty() {
        faults.push(FieldError::required(&path.child("path"), ""));
    } else {
        faults.extend(unreserved_path(&path.child("path"), target));
    }
    match (has(file, "fieldRef"), has(file, "resourceFieldRef")) {
        (true, both) => {
            faults.extend(field_ref(&path.child("fieldRef"), &file["fieldRef"], &FILE_FIELDS));
            if both {
                let detail = "fieldRef and resourceFieldRef can not be specified simultaneously";
                faults.push(FieldError::invalid(path, "resource", detail));
            }
        }
        (false, true) => {
            faults.extend(resource_field_ref(&path.child("resourceFieldRef"), &file["resourceFieldRef"], true));
        }
        (false, false) => {
            faults.push(FieldError::required(path, "one of fieldRef and resourceFieldRef is required"));
        }
    }
    faults.extend(mode(path, file, "mode"));
    faults
}
