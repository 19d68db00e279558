//! LimitRange and ResourceQuota.

use serde_json::{Value, json};

use super::subdomain;
use crate::print;
use crate::rules::Rules;
use crate::value::{entries, text};

pub(super) static LIMIT_RANGE: Rules = Rules { name: subdomain, create_on_update: true, ..Rules::NONE };

pub(super) static RESOURCE_QUOTA: Rules = Rules { name: subdomain, row: Some(quota_row), ..Rules::NONE };

fn quota_row(o: &Value, now: jiff::Timestamp) -> Vec<Value> {
    let (mut requests, mut limits) = (Vec::new(), Vec::new());
    for (name, hard) in entries(&o["status"], "hard") {
        let used = match text(&o["status"]["used"], name) {
            "" => "0",
            used => used,
        };
        let shown = format!("{name}: {used}/{}", hard.as_str().unwrap_or_default());
        if name.starts_with("limits.") { limits.push(shown) } else { requests.push(shown) }
    }
    vec![print::name(o), json!(requests.join(", ")), json!(limits.join(", ")), print::age(o, now)]
}
