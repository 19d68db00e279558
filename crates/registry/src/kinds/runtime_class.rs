//! RuntimeClass.

use apimachinery::names::dns_label;
use apimachinery::{FieldError, FieldPath};
use serde_json::{Value, json};

use super::subdomain;
use crate::check::{immutable, invalid_each};
use crate::print;
use crate::rules::Rules;
use crate::value::{entries, text};
use crate::warnings::deprecated_label;

pub(super) static RULES: Rules = Rules {
    name: subdomain,
    create_on_update: true,
    unconditional_update: false,
    validate: handler,
    validate_update: |new, old, _| immutable(&FieldPath::new("handler"), &new["handler"], &old["handler"]),
    warnings: |new, _| {
        let asked = entries(&new["scheduling"], "nodeSelector").filter_map(|(key, _)| deprecated_label(key));
        asked.map(|what| format!("scheduling.nodeSelector: {what}")).collect()
    },
    row: Some(|o, now| vec![print::name(o), json!(text(o, "handler")), print::age(o, now)]),
    ..Rules::NONE
};

fn handler(o: &Value) -> Vec<FieldError> {
    let (path, handler) = (FieldPath::new("handler"), text(o, "handler"));
    if handler.is_empty() {
        return vec![FieldError::required(&path, "")];
    }
    invalid_each(&path, handler, dns_label(handler))
}
