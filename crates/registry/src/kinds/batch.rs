//! Job and CronJob (upstream: `pkg/apis/batch/validation`, `registry/batch`).

use apimachinery::names::{dns_label, dns_subdomain};
use apimachinery::{FieldError, FieldPath, Subresource, WriteContext};
use serde_json::{Value, json};

use super::{subdomain, without_dash};
use crate::check::{immutable, label_selector, not_negative, one_of};
use crate::rules::{Generation, Rules, Selectable, is_deleting};
use crate::value::{child, flag, has, int, list, text, time};
use crate::{pods, print};

pub(super) static JOB: Rules = Rules {
    name: subdomain,
    generation: Generation::Of("spec"),
    prepare_create: select_own_pods,
    validate: |o| {
        let mut faults = Vec::new();
        if has(&o["spec"], "completionMode") && text(&o["spec"], "completionMode") == "Indexed" {
            faults.extend(indexed_name(o));
        }
        faults.extend(job_spec(&FieldPath::new("spec"), &o["spec"]));
        faults
    },
    validate_update: job_update,
    warnings: |new, old| {
        let faults = if old.is_none() { dns_label(text(&new["metadata"], "name")) } else { Vec::new() };
        pods::name_warning("Pod names and hostnames", faults)
    },
    selectable: Selectable {
        names: &["status.successful"],
        read: |o, _| int(&o["status"], "succeeded").unwrap_or_default().to_string(),
    },
    row: Some(job_row),
    ..Rules::NONE
};

pub(super) static CRON_JOB: Rules = Rules {
    // Room for the eleven characters that a job's name adds.
    name: |name, prefix| {
        let name = without_dash(name, prefix);
        let mut faults = dns_subdomain(&name);
        if name.len() > 52 {
            faults.push("must be no more than 52 characters".to_owned());
        }
        faults
    },
    generation: Generation::Of("spec"),
    validate: |o| cron_job_spec(&o["spec"]),
    validate_update: |new, _, subresource| match subresource {
        Subresource::None => cron_job_spec(&new["spec"]),
        _ => Vec::new(),
    },
    row: Some(cron_job_row),
    ..Rules::NONE
};

/// Labels that name the job, and a selector by its uid.
fn select_own_pods(o: &mut Value, _: &WriteContext<'_>) {
    if flag(&o["spec"], "manualSelector") {
        return;
    }
    let (name, uid) = (o["metadata"]["name"].clone(), o["metadata"]["uid"].clone());
    let (name, uid) = (json!(name.as_str().unwrap_or_default()), json!(uid.as_str().unwrap_or_default()));
    let spec = child(o, "spec");
    let labels = child(child(child(spec, "template"), "metadata"), "labels");
    for (key, value) in [
        ("job-name", &name),
        ("batch.kubernetes.io/job-name", &name),
        ("controller-uid", &uid),
        ("batch.kubernetes.io/controller-uid", &uid),
    ] {
        if labels[key].is_null() {
            labels[key] = value.clone();
        }
    }
    let selected = child(child(spec, "selector"), "matchLabels");
    if selected["batch.kubernetes.io/controller-uid"].is_null() {
        selected["batch.kubernetes.io/controller-uid"] = uid;
    }
}

/// Pods of indexed jobs are called after the job and the index.
fn indexed_name(o: &Value) -> Vec<FieldError> {
    let completions = int(&o["spec"], "completions").unwrap_or(1).max(1);
    let name = text(&o["metadata"], "name");
    let longest = format!("{name}-{}", completions - 1);
    dns_label(&longest)
        .into_iter()
        .map(|fault| {
            let path = FieldPath::new("metadata").child("name");
            FieldError::invalid(
                &path,
                name,
                format!("will not able to create pod with invalid DNS label: {longest}: {fault}"),
            )
        })
        .filter(|_| dns_label(&longest) != dns_label(name))
        .collect()
}

fn job_spec(path: &FieldPath, spec: &Value) -> Vec<FieldError> {
    let mut faults = job_fields(path, spec);
    faults.extend(label_selector(&path.child("selector"), &spec["selector"]));
    faults
}

fn job_fields(path: &FieldPath, spec: &Value) -> Vec<FieldError> {
    let mut faults = Vec::new();
    for key in [
        "parallelism",
        "completions",
        "activeDeadlineSeconds",
        "backoffLimit",
        "ttlSecondsAfterFinished",
        "backoffLimitPerIndex",
        "maxFailedIndexes",
    ] {
        faults.extend(not_negative(path, spec, key));
    }
    if has(spec, "completionMode") {
        let mode = text(spec, "completionMode");
        faults.extend(one_of(&path.child("completionMode"), mode, &["Indexed", "NonIndexed"]));
        if mode == "Indexed" && !has(spec, "completions") {
            let detail = "when completion mode is Indexed";
            faults.push(FieldError::required(&path.child("completions"), detail));
        }
    }
    let template_path = path.child("template");
    faults.extend(pods::validate_template(&template_path, &spec["template"]));
    let policy = text(&spec["template"]["spec"], "restartPolicy");
    let policy_path = template_path.child("spec").child("restartPolicy");
    if policy == "Always" || policy.is_empty() {
        faults.push(FieldError::required(&policy_path, "valid values: \"OnFailure\", \"Never\""));
    } else {
        faults.extend(one_of(&policy_path, policy, &["OnFailure", "Never"]));
    }
    faults
}

fn job_update(new: &Value, old: &Value, subresource: Subresource<'_>) -> Vec<FieldError> {
    if subresource == Subresource::Status {
        let path = FieldPath::new("status");
        return ["active", "succeeded", "failed"]
            .iter()
            .flat_map(|key| not_negative(&path, &new["status"], key))
            .collect();
    }
    let (path, before, after) = (FieldPath::new("spec"), &old["spec"], &new["spec"]);
    let mut faults = job_spec(&path, after);
    let elastic = text(after, "completionMode") == "Indexed" && has(after, "completions");
    if !elastic {
        faults.extend(immutable(&path.child("completions"), &after["completions"], &before["completions"]));
    }
    for key in ["selector", "completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy"]
    {
        faults.extend(immutable(&path.child(key), &after[key], &before[key]));
    }
    // A job that has not started may be placed elsewhere.
    let mut template = after["template"].clone();
    if flag(before, "suspend") && !has(&old["status"], "startTime") {
        for key in ["nodeSelector", "tolerations", "affinity", "schedulingGates"] {
            crate::value::put(child(&mut template, "spec"), key, before["template"]["spec"][key].clone());
        }
        for key in ["labels", "annotations"] {
            crate::value::put(child(&mut template, "metadata"), key, before["template"]["metadata"][key].clone());
        }
    }
    if template != before["template"] {
        let shown = crate::metadata::Raw(after["template"].to_string());
        faults.push(FieldError::invalid(&path.child("template"), shown, crate::check::IMMUTABLE));
    }
    faults
}

fn cron_job_spec(spec: &Value) -> Vec<FieldError> {
    let path = FieldPath::new("spec");
    let mut faults = Vec::new();
    let schedule = text(spec, "schedule");
    let schedule_path = path.child("schedule");
    if schedule.is_empty() {
        faults.push(FieldError::required(&schedule_path, ""));
    } else {
        if schedule.contains("TZ") {
            let detail = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead";
            faults.push(FieldError::invalid(&schedule_path, schedule, detail));
        }
        if let Some(fault) = schedule_fault(schedule) {
            faults.push(FieldError::invalid(&schedule_path, schedule, fault));
        }
    }
    faults.extend(not_negative(&path, spec, "startingDeadlineSeconds"));
    let policy = text(spec, "concurrencyPolicy");
    if policy.is_empty() {
        faults.push(FieldError::required(&path.child("concurrencyPolicy"), ""));
    } else {
        faults.extend(one_of(&path.child("concurrencyPolicy"), policy, &["Allow", "Forbid", "Replace"]));
    }
    faults.extend(not_negative(&path, spec, "successfulJobsHistoryLimit"));
    faults.extend(not_negative(&path, spec, "failedJobsHistoryLimit"));
    let job_path = path.child("jobTemplate").child("spec");
    let job = &spec["jobTemplate"]["spec"];
    if flag(job, "manualSelector") {
        faults.push(FieldError::not_supported(&job_path.child("manualSelector"), true, &["nil", "false"]));
    }
    faults.extend(job_fields(&job_path, job));
    faults
}

/// What is wrong with a schedule: five fields, or one of the names.
fn schedule_fault(schedule: &str) -> Option<String> {
    let schedule = match schedule.split_once(' ') {
        Some((zone, rest)) if zone.starts_with("TZ=") || zone.starts_with("CRON_TZ=") => rest.trim_start(),
        _ => schedule,
    };
    if let Some(name) = schedule.strip_prefix('@') {
        let known = ["yearly", "annually", "monthly", "weekly", "daily", "midnight", "hourly"].contains(&name);
        return (!known && !name.starts_with("every ")).then(|| format!("unrecognized descriptor: {schedule}"));
    }
    let count = schedule.split_whitespace().count();
    (count != 5).then(|| format!("expected exactly 5 fields, found {count}: [{schedule}]"))
}

fn job_row(o: &Value, now: jiff::Timestamp) -> Vec<Value> {
    let (spec, status) = (&o["spec"], &o["status"]);
    let succeeded = int(status, "succeeded").unwrap_or_default();
    let completions = match (int(spec, "completions"), int(spec, "parallelism").unwrap_or_default()) {
        (Some(wanted), _) => format!("{succeeded}/{wanted}"),
        (None, parallel) if parallel > 1 => format!("{succeeded}/1 of {parallel}"),
        (None, _) => format!("{succeeded}/1"),
    };
    let duration = time(status, "startTime").map_or_else(String::new, |start| {
        let end = time(status, "completionTime").unwrap_or(now);
        print::human_duration(end.duration_since(start).as_secs())
    });
    let condition =
        |kind: &str| list(status, "conditions").iter().any(|c| text(c, "type") == kind && text(c, "status") == "True");
    let shown = match () {
        () if condition("Complete") => "Complete",
        () if condition("Failed") => "Failed",
        () if is_deleting(o) => "Terminating",
        () if condition("Suspended") => "Suspended",
        () if condition("FailureTarget") => "FailureTarget",
        () if condition("SuccessCriteriaMet") => "SuccessCriteriaMet",
        () => "Running",
    };
    let [names, images] = print::containers(&spec["template"]);
    vec![
        print::name(o),
        json!(shown),
        json!(completions),
        json!(duration),
        print::age(o, now),
        names,
        images,
        print::selector_or_none(&spec["selector"]),
    ]
}

fn cron_job_row(o: &Value, now: jiff::Timestamp) -> Vec<Value> {
    let (spec, status) = (&o["spec"], &o["status"]);
    let last = time(status, "lastScheduleTime").map_or_else(|| "<none>".to_owned(), |t| print::since(Some(t), now));
    let suspend = match spec["suspend"].as_bool() {
        Some(true) => "True",
        Some(false) => "False",
        None => "<unset>",
    };
    let job = &spec["jobTemplate"]["spec"];
    let [names, images] = print::containers(&job["template"]);
    vec![
        print::name(o),
        json!(text(spec, "schedule")),
        json!(spec["timeZone"].as_str().unwrap_or("<none>")),
        json!(suspend),
        json!(list(status, "active").len()),
        json!(last),
        print::age(o, now),
        names,
        images,
        print::selector_or_none(&job["selector"]),
    ]
}
