//! Lease.

use apimachinery::{FieldError, FieldPath};
use serde_json::{Value, json};

use super::subdomain;
use crate::check::not_negative;
use crate::print;
use crate::rules::Rules;
use crate::value::{int, text};

pub(super) static RULES: Rules = Rules {
    name: subdomain,
    create_on_update: true,
    unconditional_update: false,
    validate,
    validate_update: |new, _, _| validate(new),
    row: Some(|o, now| vec![print::name(o), json!(text(&o["spec"], "holderIdentity")), print::age(o, now)]),
    ..Rules::NONE
};

fn validate(o: &Value) -> Vec<FieldError> {
    let (path, spec) = (FieldPath::new("spec"), &o["spec"]);
    let mut faults = Vec::new();
    if let Some(seconds) = int(spec, "leaseDurationSeconds").filter(|n| *n <= 0) {
        faults.push(FieldError::invalid(&path.child("leaseDurationSeconds"), seconds, "must be greater than 0"));
    }
    faults.extend(not_negative(&path, spec, "leaseTransitions"));
    faults
}
