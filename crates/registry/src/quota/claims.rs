//! What PersistentVolumeClaims use (upstream: `pkg/quota/v1/evaluator/core/persistent_volume_claims.go`).

use apimachinery::Quantity;
use apimachinery::quantity::Format;
use serde_json::Value;

use super::whole;
use crate::resource_list::ResourceList;
use crate::value::{quantity, text};

const COUNT: &str = "count/persistentvolumeclaims";
const CLAIMS: &str = "persistentvolumeclaims";
const STORAGE: &str = "requests.storage";
/// Between a class' name and what is counted of it.
const OF_CLASS: &str = ".storageclass.storage.k8s.io/";
/// The class' name, before there was a field for it.
const CLASS_ANNOTATION: &str = "volume.beta.kubernetes.io/storage-class";

pub(super) fn counts(name: &str) -> bool {
    let of_class = name.split_once(OF_CLASS).map_or("", |(_, counted)| counted);
    name == COUNT || [name, of_class].iter().any(|n| [CLAIMS, STORAGE].contains(n))
}

pub(super) fn usage(claim: &Value) -> ResourceList {
    let mut usage: ResourceList = [CLAIMS, COUNT].map(|name| (name.to_owned(), whole(1))).into();
    let class = match text(&claim["metadata"]["annotations"], CLASS_ANNOTATION) {
        "" => text(&claim["spec"], "storageClassName"),
        annotated => annotated,
    };
    if !class.is_empty() {
        usage.insert(format!("{class}{OF_CLASS}{CLAIMS}"), whole(1));
    }
    if let Some(storage) = storage(claim) {
        if !class.is_empty() {
            usage.insert(format!("{class}{OF_CLASS}{STORAGE}"), storage.clone());
        }
        usage.insert(STORAGE.to_owned(), storage);
    }
    usage
}

/// What is asked for, or what an expansion that failed has allocated beyond it; in whole bytes.
fn storage(claim: &Value) -> Option<Quantity> {
    let asked = quantity(&claim["spec"]["resources"]["requests"], "storage")?;
    let allocated = quantity(&claim["status"]["allocatedResources"], "storage");
    let most = allocated.filter(|allocated| *allocated > asked).unwrap_or(asked);
    if most.is_integer() {
        return Some(most);
    }
    let format = if most.format() == Format::BinarySi { Format::BinarySi } else { Format::DecimalSi };
    Some(Quantity::new(most.value(), format))
}

/// Whether a write of the status changes what counts.
pub(super) fn status_counts(new: &Value, old: &Value) -> bool {
    let allocated = |claim: &Value| quantity(&claim["status"]["allocatedResources"], "storage");
    allocated(new) != allocated(old) || attribute_classes(new) != attribute_classes(old)
}

/// The VolumeAttributesClasses that a claim has, had, or is on its way to.
pub(super) fn attribute_classes(claim: &Value) -> Vec<&str> {
    let names = [
        text(&claim["spec"], "volumeAttributesClassName"),
        text(&claim["status"], "currentVolumeAttributesClassName"),
        text(&claim["status"]["modifyVolumeStatus"], "targetVolumeAttributesClassName"),
    ];
    let mut names: Vec<&str> = names.into_iter().filter(|name| !name.is_empty()).collect();
    names.sort_unstable();
    names.dedup();
    names
}
