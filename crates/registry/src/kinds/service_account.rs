//! ServiceAccount.

use serde_json::json;

use super::subdomain;
use crate::print;
use crate::rules::Rules;
use crate::value::{items_mut, text};

pub(super) static RULES: Rules = Rules {
    name: subdomain,
    // Only the names of secrets are kept.
    prepare_create: |o, _| only_names(o),
    prepare_update: |new, _, _| only_names(new),
    validate_update: |new, _, _| crate::metadata::finalizers(&new["metadata"]),
    row: Some(|o, now| vec![print::name(o), print::age(o, now)]),
    ..Rules::NONE
};

fn only_names(o: &mut serde_json::Value) {
    for reference in items_mut(o, "secrets") {
        *reference = json!({ "name": text(reference, "name") });
    }
}
