//! Which StorageClass is for claims that name none (upstream: `pkg/volume/util/storageclass.go`). The binder and the
//! admission plugin ask.

use std::cmp::Reverse;
use std::sync::Arc;

use apimachinery::Object;

/// On claims: the class, before there was a field for it.
pub const BETA_CLASS: &str = "volume.beta.kubernetes.io/storage-class";
/// On classes: they are for claims that name none.
const DEFAULT: [&str; 2] =
    ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"];

/// Whether a class is for claims that name none.
pub fn is_default(class: &Object) -> bool {
    DEFAULT.iter().any(|name| class.meta().annotations.get(*name).is_some_and(|value| value == "true"))
}

/// The class for claims that name none: the newest of those that say so, of these the first by name.
pub fn default(classes: &[Arc<Object>]) -> Option<&Arc<Object>> {
    let order = |class: &&Arc<Object>| (Reverse(class.meta().creation_timestamp), class.meta().name.clone());
    classes.iter().filter(|class| is_default(class)).min_by_key(order)
}

#[cfg(test)]
mod tests;
