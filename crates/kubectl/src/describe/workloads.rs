//! What makes Pods from a template: Deployments, ReplicaSets, DaemonSets, StatefulSets, Jobs and CronJobs.

use super::Case;
use super::containers::template;
use super::events::events;
use super::fields::{Fields, label_set, or, or_none, selector};
use super::page::{Page, human_duration, line, time};
use super::resources::canonical;
use super::volumes::{go_list, storage_class};
use jiff::Timestamp;
use serde_json::Value;

/// The label that tells the ReplicaSets of a Deployment apart.
const TEMPLATE_HASH: &str = "pod-template-hash";

pub(super) fn deployment(case: &Case<'_>, page: &mut Page) {
    let object = case.object;
    page.names(object);
    page.field(0, "CreationTimestamp", &time(object.at("metadata/creationTimestamp"), case.zone));
    page.metadata(object);
    page.field(0, "Selector", &selector(object.at("spec/selector")));
    line!(
        page,
        0,
        "Replicas:\t{} desired | {} updated | {} total | {} available | {} unavailable",
        object.int("spec/replicas"),
        object.int("status/updatedReplicas"),
        object.int("status/replicas"),
        object.int("status/availableReplicas"),
        object.int("status/unavailableReplicas"),
    );
    page.field(0, "StrategyType", object.text("spec/strategy/type"));
    line!(page, 0, "MinReadySeconds:\t{}", object.int("spec/minReadySeconds"));
    if object.has("spec/strategy/rollingUpdate") {
        let update = object.at("spec/strategy/rollingUpdate");
        let (unavailable, surge) = (int_or_percent(update, "maxUnavailable"), int_or_percent(update, "maxSurge"));
        line!(page, 0, "RollingUpdateStrategy:\t{unavailable} max unavailable, {surge} max surge");
    }
    template(page, object.at("spec/template"));
    conditions(page, object);
    let (new, old) = replica_sets(object, &case.related.replica_sets);
    if new.is_some() || !old.is_empty() {
        page.field(0, "OldReplicaSets", &listed(&old));
        page.field(0, "NewReplicaSet", &listed(new.as_slice()));
    }
    events(case, page);
}

/// A number or percentage; a missing one is 0.
fn int_or_percent(object: &Value, path: &str) -> String {
    or(&object.shown(path), "0").to_string()
}

/// The ReplicaSet of the present template, and the others that the Deployment controls, the oldest first.
pub(super) fn replica_sets<'a>(deployment: &Value, all: &'a [Value]) -> (Option<&'a Value>, Vec<&'a Value>) {
    let uid = deployment.text("metadata/uid");
    let mut own: Vec<_> = all
        .iter()
        .filter(|set| {
            let mut owners = set.list("metadata/ownerReferences").iter();
            owners.any(|owner| owner.flag("controller") && owner.text("uid") == uid)
        })
        .collect();
    own.sort_by_key(|set| (set.text("metadata/creationTimestamp"), set.text("metadata/name")));
    let wanted = without_hash(deployment.at("spec/template"));
    let new = own.iter().copied().find(|set| without_hash(set.at("spec/template")) == wanted);
    let is_old = |set: &&Value| new.is_none_or(|new| !std::ptr::eq(new, *set));
    (new, own.into_iter().filter(is_old).collect())
}

/// A template without the label that its ReplicaSet was given.
fn without_hash(template: &Value) -> Value {
    let mut template = template.clone();
    if let Some(labels) = template.pointer_mut("/metadata/labels").and_then(Value::as_object_mut) {
        labels.remove(TEMPLATE_HASH);
    }
    template
}

fn listed(sets: &[&Value]) -> String {
    let texts = sets.iter().map(|set| {
        let (name, made) = (set.text("metadata/name"), set.int("status/replicas"));
        format!("{name} ({made}/{} replicas created)", set.int("spec/replicas"))
    });
    or_none(&texts.collect::<Vec<_>>().join(", ")).to_string()
}

fn conditions(page: &mut Page, object: &Value) {
    let conditions = object.list("status/conditions");
    if conditions.is_empty() {
        return;
    }
    line!(page, 0, "Conditions:\n  Type\tStatus\tReason");
    line!(page, 1, "----\t------\t------");
    for condition in conditions {
        let (kind, status) = (condition.text("type"), condition.text("status"));
        line!(page, 1, "{kind} \t{status}\t{}", condition.text("reason"));
    }
}

/// How many Pods of the object are in which phase.
fn pods_status(case: &Case<'_>) -> String {
    let pods = match &case.related.pods {
        Some(Ok(pods)) => pods.as_slice(),
        Some(Err(error)) => return format!("error in fetching pods: {error}"),
        None => &[],
    };
    let uid = case.object.text("metadata/uid");
    let is_own = |pod: &Value| {
        let mut owners = pod.list("metadata/ownerReferences").iter();
        owners.any(|owner| owner.flag("controller") && owner.text("uid") == uid)
    };
    let count = |phase: &str| pods.iter().filter(|pod| is_own(pod) && pod.text("status/phase") == phase).count();
    format!(
        "{} Running / {} Waiting / {} Succeeded / {} Failed",
        count("Running"),
        count("Pending"),
        count("Succeeded"),
        count("Failed")
    )
}

pub(super) fn replica_set(case: &Case<'_>, page: &mut Page) {
    let object = case.object;
    page.names(object);
    page.field(0, "Selector", or_none(&selector(object.at("spec/selector"))));
    page.metadata(object);
    page.controlled_by(object);
    replicas(case, page);
}

pub(super) fn replication_controller(case: &Case<'_>, page: &mut Page) {
    let object = case.object;
    page.names(object);
    page.field(0, "Selector", &label_set(object, "spec/selector"));
    page.metadata(object);
    replicas(case, page);
}

/// What a set of Pods that are all alike has and wants.
fn replicas(case: &Case<'_>, page: &mut Page) {
    let object = case.object;
    let (current, desired) = (object.int("status/replicas"), object.int("spec/replicas"));
    line!(page, 0, "Replicas:\t{current} current / {desired} desired");
    page.field(0, "Pods Status", &pods_status(case));
    template(page, object.at("spec/template"));
    conditions(page, object);
    events(case, page);
}

pub(super) fn daemon_set(case: &Case<'_>, page: &mut Page) {
    let object = case.object;
    page.names(object);
    page.field(0, "Selector", &selector(object.at("spec/selector")));
    page.field(0, "Node-Selector", &label_set(object, "spec/template/spec/nodeSelector"));
    page.metadata(object);
    for (title, path) in [
        ("Desired Number of Nodes Scheduled", "desiredNumberScheduled"),
        ("Current Number of Nodes Scheduled", "currentNumberScheduled"),
        ("Number of Nodes Scheduled with Up-to-date Pods", "updatedNumberScheduled"),
        ("Number of Nodes Scheduled with Available Pods", "numberAvailable"),
        ("Number of Nodes Misscheduled", "numberMisscheduled"),
    ] {
        line!(page, 0, "{title}: {}", object.at("status").int(path));
    }
    page.field(0, "Pods Status", &pods_status(case));
    template(page, object.at("spec/template"));
    events(case, page);
}

pub(super) fn stateful_set(case: &Case<'_>, page: &mut Page) {
    let object = case.object;
    page.names(object);
    page.field(0, "CreationTimestamp", &time(object.at("metadata/creationTimestamp"), case.zone));
    page.field(0, "Selector", &selector(object.at("spec/selector")));
    page.metadata(object);
    page.field_if(0, "Service Name", object.text("spec/serviceName"));
    page.field_if(0, "Pod Management Policy", object.text("spec/podManagementPolicy"));
    line!(page, 0, "Replicas:\t{} desired | {} total", object.int("spec/replicas"), object.int("status/replicas"));
    page.field(0, "Update Strategy", object.text("spec/updateStrategy/type"));
    let update = object.at("spec/updateStrategy/rollingUpdate");
    if update.has("partition") {
        line!(page, 1, "Partition:\t{}", update.int("partition"));
        page.field_if(1, "MaxUnavailable", &update.shown("maxUnavailable"));
    }
    if object.has("spec/persistentVolumeClaimRetentionPolicy") {
        let policy = object.at("spec/persistentVolumeClaimRetentionPolicy");
        line!(page, 0, "Persistent Volume Claim Retention Policy:");
        page.field(1, "WhenDeleted", policy.text("whenDeleted"));
        page.field(1, "WhenScaled", policy.text("whenScaled"));
    }
    page.field(0, "Pods Status", &pods_status(case));
    template(page, object.at("spec/template"));
    claims(page, object.list("spec/volumeClaimTemplates"));
    events(case, page);
}

fn claims(page: &mut Page, claims: &[Value]) {
    if claims.is_empty() {
        return page.field(0, "Volume Claims", "<none>");
    }
    line!(page, 0, "Volume Claims:");
    for claim in claims {
        page.field(1, "Name", claim.text("metadata/name"));
        page.field(1, "StorageClass", storage_class(claim));
        for (title, path) in [("Labels", "metadata/labels"), ("Annotations", "metadata/annotations")] {
            let entries = claim.entries(path);
            if entries.is_empty() {
                page.field(1, title, "<none>");
            }
            for (at, (key, value)) in entries.into_iter().enumerate() {
                let title = if at == 0 { format!("{title}:") } else { String::new() };
                line!(page, 1, "{title}\t{key}={}", value.as_str().unwrap_or_default());
            }
        }
        let capacity = match claim.at("spec/resources/requests/storage") {
            Value::Null => "<default>".to_string(),
            storage => canonical(storage),
        };
        page.field(1, "Capacity", &capacity);
        page.field(1, "Access Modes", &go_list(claim.list("spec/accessModes")));
    }
}

pub(super) fn job(case: &Case<'_>, page: &mut Page) {
    let object = case.object;
    let (spec, status) = (object.at("spec"), object.at("status"));
    page.names(object);
    page.field(0, "Selector", &selector(spec.at("selector")));
    page.metadata(object);
    page.controlled_by(object);
    page.field_if(0, "Parallelism", &spec.shown("parallelism"));
    page.field(0, "Completions", or(&spec.shown("completions"), "<unset>"));
    page.field_if(0, "Completion Mode", spec.text("completionMode"));
    page.field_if(0, "Suspend", &spec.shown("suspend"));
    page.field_if(0, "Backoff Limit", &spec.shown("backoffLimit"));
    page.field_if(0, "TTL Seconds After Finished", &spec.shown("ttlSecondsAfterFinished"));
    for (title, path) in [("Start Time", "startTime"), ("Completed At", "completionTime")] {
        if status.has(path) {
            page.field(0, title, &time(status.at(path), case.zone));
        }
    }
    let parsed = |path: &str| status.text(path).parse::<Timestamp>();
    if let (Ok(start), Ok(end)) = (parsed("startTime"), parsed("completionTime")) {
        page.field(0, "Duration", &human_duration(end.duration_since(start)));
    }
    if spec.has("activeDeadlineSeconds") {
        line!(page, 0, "Active Deadline Seconds:\t{}s", spec.int("activeDeadlineSeconds"));
    }
    let ready = match status.has("ready") {
        true => format!(" ({} Ready)", status.int("ready")),
        false => String::new(),
    };
    let (active, succeeded, failed) = (status.int("active"), status.int("succeeded"), status.int("failed"));
    line!(page, 0, "Pods Statuses:\t{active} Active{ready} / {succeeded} Succeeded / {failed} Failed");
    if spec.text("completionMode") == "Indexed" {
        page.field(0, "Completed Indexes", &indexes(status.text("completedIndexes")));
    }
    template(page, spec.at("template"));
    events(case, page);
}

/// A list of indexes, cut at the first comma behind 50 characters.
fn indexes(text: &str) -> String {
    match text.get(50..).and_then(|rest| rest.find(',')) {
        Some(at) => format!("{}...", &text[..50 + at + 1]),
        None => or_none(text).to_string(),
    }
}

pub(super) fn cron_job(case: &Case<'_>, page: &mut Page) {
    let object = case.object;
    let spec = object.at("spec");
    page.names(object);
    page.metadata(object);
    page.field(0, "Schedule", spec.text("schedule"));
    page.field(0, "Concurrency Policy", spec.text("concurrencyPolicy"));
    let suspend = match spec.at("suspend") {
        Value::Bool(true) => "True",
        Value::Bool(false) => "False",
        _ => "<unset>",
    };
    page.field(0, "Suspend", suspend);
    page.field(0, "Time Zone", or(spec.text("timeZone"), "<unset>"));
    page.field(0, "Successful Job History Limit", or(&spec.shown("successfulJobsHistoryLimit"), "<unset>"));
    page.field(0, "Failed Job History Limit", or(&spec.shown("failedJobsHistoryLimit"), "<unset>"));
    let deadline = match spec.has("startingDeadlineSeconds") {
        true => format!("{}s", spec.int("startingDeadlineSeconds")),
        false => "<unset>".to_string(),
    };
    page.field(0, "Starting Deadline Seconds", &deadline);
    let job = spec.at("jobTemplate/spec");
    let of = if job.has("selector") { selector(job.at("selector")) } else { "<unset>".into() };
    page.field(0, "Selector", &of);
    page.field(0, "Parallelism", or(&job.shown("parallelism"), "<unset>"));
    page.field(0, "Completions", or(&job.shown("completions"), "<unset>"));
    if job.has("activeDeadlineSeconds") {
        line!(page, 0, "Active Deadline Seconds:\t{}s", job.int("activeDeadlineSeconds"));
    }
    template(page, job.at("template"));
    let last = match object.at("status/lastScheduleTime") {
        Value::Null => "<unset>".to_string(),
        last => time(last, case.zone),
    };
    page.field(0, "Last Schedule Time", &last);
    let active: Vec<_> = object.list("status/active").iter().map(|job| job.text("name")).collect();
    page.field(0, "Active Jobs", or_none(&active.join(", ")));
    events(case, page);
}
