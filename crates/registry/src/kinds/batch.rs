//! Job and CronJob (upstream: `pkg/apis/batch/validation`, `registry/batch`).

mod cron_job;
mod indexes;
mod job;
mod policies;
mod status;

use apimachinery::labels::Selector;
use apimachinery::names::{dns_label, dns_subdomain};
use apimachinery::{FieldError, FieldPath, Subresource, WriteContext};
use serde_json::{Value, json};

use super::{subdomain, without_dash};
use crate::check::{immutable, label_selector};
use crate::rules::{Generation, Rules, Selectable, is_deleting};
use crate::value::{child, flag, has, int, list, text, time};
use crate::{pods, print};

pub(super) static JOB: Rules = Rules {
    orphans_dependants: true,
    name: subdomain,
    generation: Generation::Of("spec"),
    prepare_create: select_own_pods,
    validate: |o| {
        let mut faults = generated_selector(o);
        faults.extend(job_spec(&FieldPath::new("spec"), &o["spec"]));
        faults.extend(indexed_name(o));
        faults
    },
    validate_update: job_update,
    warnings: |new, old| {
        let mut warnings = pods::owner_name_warning(new, old);
        warnings.extend(job::warnings(&FieldPath::new("spec"), &new["spec"], new, old));
        warnings
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
    validate: |o| cron_job::spec(&o["spec"], None),
    validate_update: |new, old, subresource| match subresource {
        Subresource::None => cron_job::spec(&new["spec"], Some(&old["spec"])),
        _ => Vec::new(),
    },
    warnings: |new, old| {
        let mut warnings = pods::owner_name_warning(new, old);
        let path = FieldPath::new("spec.jobTemplate.spec");
        warnings.extend(job::warnings(&path, &new["spec"]["jobTemplate"]["spec"], new, old));
        if old.is_some() && text(&new["spec"], "schedule").contains("TZ") {
            // The path is upstream's.
            warnings.push(
                "cannot use TZ or CRON_TZ in spec.spec.schedule, use timeZone instead, see \
                 https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details"
                    .to_owned(),
            );
        }
        warnings
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

/// Whether labels and selector are those that [`select_own_pods`] makes.
fn generated_selector(o: &Value) -> Vec<FieldError> {
    let (metadata, spec) = (&o["metadata"], &o["spec"]);
    if flag(spec, "manualSelector") || !has(spec, "selector") {
        return Vec::new();
    }
    let (name, uid) = (text(metadata, "name"), text(metadata, "uid"));
    let mut faults = Vec::new();
    let labels = &spec["template"]["metadata"]["labels"];
    let path = FieldPath::new("spec").child("template").child("metadata").child("labels");
    let expected = [
        ("controller-uid", uid),
        ("job-name", name),
        ("batch.kubernetes.io/controller-uid", uid),
        ("batch.kubernetes.io/job-name", name),
    ];
    for (key, value) in expected {
        match labels[key].as_str() {
            None => faults.push(FieldError::required(&path.key(key), format!("must be '{value}'"))),
            Some(found) if found != value => {
                let detail = format!("must be '{value}'");
                faults.push(FieldError::invalid(&path.key(key), labels, detail));
            }
            Some(_) => {}
        }
    }
    let expected = expected.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    if Selector::from_label_selector(&spec["selector"]).is_ok_and(|selector| !selector.matches(&expected)) {
        let shown = crate::check::selector_text(&spec["selector"]);
        let path = FieldPath::new("spec").child("selector");
        faults.push(FieldError::invalid(&path, shown, "`selector` not auto-generated"));
    }
    faults
}

/// Pods of indexed jobs are called after the job and the index.
fn indexed_name(o: &Value) -> Vec<FieldError> {
    let (spec, name) = (&o["spec"], text(&o["metadata"], "name"));
    let completions = int(spec, "completions").filter(|completions| *completions > 0);
    let Some(completions) = completions.filter(|_| text(spec, "completionMode") == "Indexed") else {
        return Vec::new();
    };
    let longest = format!("{name}-{}", completions - 1);
    if dns_label(&longest).is_empty() {
        return Vec::new();
    }
    let detail = format!("will not able to create pod with invalid DNS label: {longest}");
    vec![FieldError::invalid(&FieldPath::new("metadata").child("name"), name, detail)]
}

fn job_spec(path: &FieldPath, spec: &Value) -> Vec<FieldError> {
    let mut faults = job::fields(path, spec);
    if !has(spec, "selector") {
        faults.push(FieldError::required(&path.child("selector"), ""));
    }
    faults.extend(label_selector(&path.child("selector"), &spec["selector"]));
    let labels = &spec["template"]["metadata"]["labels"];
    let own = labels.as_object().into_iter().flatten();
    let own = own.map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned())).collect();
    if Selector::from_label_selector(&spec["selector"]).is_ok_and(|selector| !selector.matches(&own)) {
        let path = path.child("template").child("metadata").child("labels");
        faults.push(FieldError::invalid(&path, labels, "`selector` does not match template `labels`"));
    }
    faults
}

fn job_update(new: &Value, old: &Value, subresource: Subresource<'_>) -> Vec<FieldError> {
    if subresource == Subresource::Status {
        return status::validate_update(new, old);
    }
    let (path, before, after) = (FieldPath::new("spec"), &old["spec"], &new["spec"]);
    let mut faults = job_spec(&path, after);
    let completions = path.child("completions");
    if text(after, "completionMode") != "Indexed" {
        faults.extend(immutable(&completions, &after["completions"], &before["completions"]));
    } else if has(after, "completions")
        && after["completions"] != before["completions"]
        && after["completions"] != after["parallelism"]
    {
        let detail = "can only be modified in tandem with spec.parallelism";
        faults.push(FieldError::invalid(&completions, &after["completions"], detail));
    }
    faults.extend(immutable(&path.child("selector"), &after["selector"], &before["selector"]));
    faults.extend(job::template_update(&path, new, old));
    for key in ["completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy"] {
        if after[key] != before[key] {
            let shown = match key {
                "podFailurePolicy" => policies::shown_failure(&after[key]),
                "successPolicy" => policies::shown_success(&after[key]),
                _ => after[key].to_string(),
            };
            faults.push(FieldError::invalid(&path.child(key), crate::metadata::Raw(shown), crate::check::IMMUTABLE));
        }
    }
    faults.extend(indexed_name(new));
    faults
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
