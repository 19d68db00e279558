//! Kinds that hold a pod template: Deployment, ReplicaSet, DaemonSet, StatefulSet, ReplicationController, PodTemplate;
//! and ControllerRevision (upstream: `pkg/apis/apps/validation`).

mod rows;
mod validate;
mod warnings;

use serde_json::{Value, json};

use super::{subdomain, without_dash};
use crate::rules::{Generation, Rules, Selectable, at_path};
use crate::value::{child, int, items_mut, put};
use apimachinery::Subresource;
use apimachinery::names::dns_label;

pub(super) use validate::{int_or_percent, not_above_all};

pub(super) static DEPLOYMENT: Rules = Rules {
    name: subdomain,
    generation: Generation::SpecAndAnnotations,
    prepare_update: |new, old, context| {
        if context.subresource == Subresource::Status {
            put(child(new, "metadata"), "labels", old["metadata"]["labels"].clone());
        }
    },
    validate: validate::deployment,
    validate_update: validate::deployment_update,
    warnings: warnings::named,
    row: Some(rows::deployment),
    ..Rules::NONE
};

/// Upstream's selectors see 0 where the status has no number.
const REPLICAS: Selectable = Selectable {
    names: &["status.replicas"],
    read: |o, field| match at_path(o, field) {
        none if none.is_empty() => "0".to_owned(),
        some => some,
    },
};

pub(super) static REPLICA_SET: Rules = Rules {
    name: subdomain,
    generation: Generation::Of("spec"),
    validate: validate::replica_set,
    validate_update: validate::replica_set_update,
    warnings: warnings::named,
    selectable: REPLICAS,
    row: Some(rows::replica_set),
    ..Rules::NONE
};

pub(super) static DAEMON_SET: Rules = Rules {
    name: subdomain,
    generation: Generation::Of("spec"),
    // The template's own generation lives on as an annotation.
    prepare_create: |o, _| {
        let annotations = child(child(o, "metadata"), "annotations");
        let given = annotations[TEMPLATE_GENERATION].as_str().and_then(|n| n.parse::<i64>().ok());
        annotations[TEMPLATE_GENERATION] = json!(given.unwrap_or_default().max(1).to_string());
    },
    prepare_update: |new, old, context| {
        let before = &old["metadata"]["annotations"][TEMPLATE_GENERATION];
        let before = before.as_str().and_then(|n| n.parse::<i64>().ok()).unwrap_or_default();
        let changed = context.subresource == Subresource::None && new["spec"]["template"] != old["spec"]["template"];
        let after = before + i64::from(changed);
        let metadata = child(new, "metadata");
        child(metadata, "annotations")[TEMPLATE_GENERATION] = json!(after.to_string());
    },
    validate: validate::daemon_set,
    validate_update: validate::daemon_set_update,
    warnings: warnings::of_template,
    row: Some(rows::daemon_set),
    ..Rules::NONE
};

const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";

pub(super) static STATEFUL_SET: Rules = Rules {
    name: |name, prefix| dns_label(&without_dash(name, prefix)),
    generation: Generation::Of("spec"),
    prepare_create: |o, _| name_claim_kinds(o),
    prepare_update: |new, _, _| name_claim_kinds(new),
    validate: validate::stateful_set,
    validate_update: validate::stateful_set_update,
    warnings: warnings::stateful_set,
    row: Some(rows::stateful_set),
    ..Rules::NONE
};

/// Upstream stores what kind the claim templates are.
fn name_claim_kinds(o: &mut Value) {
    for claim in items_mut(child(o, "spec"), "volumeClaimTemplates") {
        put(claim, "apiVersion", json!("v1"));
        put(claim, "kind", json!("PersistentVolumeClaim"));
    }
}

pub(super) static REPLICATION_CONTROLLER: Rules = Rules {
    orphans_dependants: true,
    name: subdomain,
    generation: Generation::Of("spec"),
    validate: validate::replication_controller,
    validate_update: |new, _, subresource| match subresource {
        Subresource::None => validate::replication_controller(new),
        _ => Vec::new(),
    },
    warnings: warnings::replication_controller,
    selectable: REPLICAS,
    row: Some(rows::replication_controller),
    ..Rules::NONE
};

pub(super) static POD_TEMPLATE: Rules = Rules {
    name: subdomain,
    generation: Generation::Of("template"),
    validate: validate::pod_template,
    validate_update: |new, _, _| validate::pod_template(new),
    warnings: warnings::pod_template,
    row: Some(rows::pod_template),
    ..Rules::NONE
};

pub(super) static CONTROLLER_REVISION: Rules = Rules {
    name: subdomain,
    validate: validate::revision,
    validate_update: |new, old, _| {
        let mut faults = validate::revision(new);
        let path = apimachinery::FieldPath::new("data");
        faults.extend(crate::check::immutable(&path, &new["data"], &old["data"]));
        faults
    },
    row: Some(|o, now| {
        let owner = crate::value::list(&o["metadata"], "ownerReferences")
            .iter()
            .find(|r| crate::value::flag(r, "controller"))
            .map_or_else(|| "<none>".to_owned(), rows::owner);
        vec![
            crate::print::name(o),
            json!(owner),
            json!(int(o, "revision").unwrap_or_default()),
            crate::print::age(o, now),
        ]
    }),
    ..Rules::NONE
};
