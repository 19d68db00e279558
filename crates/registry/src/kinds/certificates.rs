//! The kinds of `certificates.k8s.io` (upstream: `pkg/registry/certificates`, `pkg/apis/certificates/validation`).

mod bundle;
mod keys;
pub(crate) mod names;
mod request;
mod signing;
mod status;

use apimachinery::names::path_segment;
use apimachinery::{FieldPath, Subresource};
use serde_json::{Value, json};

use super::subdomain;
use crate::check::immutable_hidden;
use crate::print::{age, human_duration, labels, name, or_none};
use crate::rules::{Rules, Selectable, at_path};
use crate::value::{int, list, text};

const OF_SIGNER: Selectable = Selectable { names: &["spec.signerName"], read: at_path };

/// Whether there is a condition of this type.
fn has_condition(o: &Value, kind: &str) -> bool {
    list(&o["status"], "conditions").iter().any(|c| text(c, "type") == kind)
}

pub(super) static SIGNING_REQUEST: Rules = Rules {
    name: |name, _| path_segment(name),
    selectable: OF_SIGNER,
    prepare_update: signing::prepare_update,
    validate: signing::validate,
    validate_update: signing::validate_update,
    row: Some(|o, now| {
        let spec = &o["spec"];
        let asked = int(spec, "expirationSeconds").map_or_else(|| "<none>".to_owned(), human_duration);
        let mut status = match (has_condition(o, "Denied"), has_condition(o, "Approved")) {
            (true, _) => "Denied",
            (false, true) => "Approved",
            (false, false) => "Pending",
        }
        .to_owned();
        if has_condition(o, "Failed") {
            status.push_str(",Failed");
        }
        if !text(&o["status"], "certificate").is_empty() {
            status.push_str(",Issued");
        }
        let signer = json!(or_none(text(spec, "signerName")));
        vec![name(o), age(o, now), signer, json!(text(spec, "username")), json!(asked), json!(status)]
    }),
    ..Rules::NONE
};

pub(super) static TRUST_BUNDLE: Rules = Rules {
    // Which names it takes depends on its signer.
    name: |name, _| path_segment(name),
    unconditional_update: false,
    selectable: OF_SIGNER,
    validate: bundle::validate,
    validate_update: |new, old, _| bundle::validate_update(new, old),
    row: Some(|o, _| vec![name(o), json!(or_none(text(&o["spec"], "signerName")))]),
    ..Rules::NONE
};

pub(super) static POD_CERTIFICATE: Rules = Rules {
    name: subdomain,
    unconditional_update: false,
    selectable: Selectable { names: &["spec.signerName", "spec.podName", "spec.nodeName"], read: at_path },
    validate: request::validate,
    validate_update: |new, old, subresource| match subresource {
        Subresource::Status => status::validate(new, old),
        _ => immutable_hidden(&FieldPath::new("spec"), &new["spec"], &old["spec"]),
    },
    row: Some(|o, _| {
        let spec = &o["spec"];
        let states = ["Issued", "Denied", "Failed"];
        let last = list(&o["status"], "conditions").iter().rfind(|c| states.contains(&text(c, "type")));
        let mut cells = vec![name(o)];
        cells.extend(["podName", "serviceAccountName", "nodeName", "signerName"].map(|key| json!(text(spec, key))));
        cells.push(json!(last.map_or("Pending", |c| text(c, "type"))));
        cells.push(labels(spec, "unverifiedUserAnnotations"));
        cells
    }),
    ..Rules::NONE
};
