//! What a change of a Job's status may say. Others than our controller may look after a Job (`managedBy`), and clients
//! rely on what an end means. A rule looks only at what has changed, for a change of the spec may have broken it before.

use std::collections::BTreeSet;

use apimachinery::{FieldError, FieldPath};
use serde_json::Value;

use super::indexes;
use crate::check::not_negative;
use crate::metadata::Raw;
use crate::value::{flag, has, int, list, text, time};

/// The conditions that a Job's status may have.
struct Conditions<'a>(&'a Value);

impl Conditions<'_> {
    fn is(&self, kind: &str, status: &str) -> bool {
        list(self.0, "conditions").iter().any(|c| text(c, "type") == kind && text(c, "status") == status)
    }

    fn has(&self, kind: &str) -> bool {
        self.is(kind, "True")
    }

    fn finished(&self) -> bool {
        self.has("Complete") || self.has("Failed")
    }
}

fn number(status: &Value, key: &str) -> i64 {
    int(status, key).unwrap_or(0)
}

/// Faults of the change from `old` to `new`.
pub(super) fn validate_update(new: &Value, old: &Value) -> Vec<FieldError> {
    let path = FieldPath::new("status");
    let mut faults = Vec::new();
    for key in ["active", "succeeded", "failed", "ready", "terminating"] {
        faults.extend(not_negative(&path, &new["status"], key));
    }
    faults.extend(uncounted(&path.child("uncountedTerminatedPods"), &new["status"]));
    faults.extend(state(&path, new, old));
    faults.extend(change(&path, new, old));
    faults
}

fn uncounted(path: &FieldPath, status: &Value) -> Vec<FieldError> {
    let (mut faults, mut seen) = (Vec::new(), BTreeSet::new());
    for key in ["succeeded", "failed"] {
        for (index, uid) in list(&status["uncountedTerminatedPods"], key).iter().enumerate() {
            let (here, uid) = (path.child(key).index(index), uid.as_str().unwrap_or_default());
            if uid.is_empty() {
                faults.push(FieldError::invalid(&here, uid, "must not be empty"));
            } else if !seen.insert(uid) {
                faults.push(FieldError::duplicate(&here, uid));
            }
        }
    }
    faults
}

/// What the new status must be in itself.
fn state(path: &FieldPath, new: &Value, old: &Value) -> Vec<FieldError> {
    let (spec, status, before) = (&new["spec"], &new["status"], &old["status"]);
    let (is, was) = (Conditions(status), Conditions(before));
    let changed = |key: &str| status[key] != before[key];
    let changed_condition = |kind: &str| is.has(kind) != was.has(kind);
    let [finished, complete, failed] =
        [is.finished() != was.finished(), changed_condition("Complete"), changed_condition("Failed")];
    let mut faults = Vec::new();
    let conditions = |broken: bool, detail: &str| {
        broken.then(|| FieldError::invalid(&path.child("conditions"), Raw(String::new()), detail))
    };
    faults.extend(conditions(
        (complete || failed) && is.has("Complete") && is.has("Failed"),
        "cannot set Complete=True and Failed=true conditions",
    ));
    faults.extend(conditions(
        (complete || changed_condition("FailureTarget")) && is.has("Complete") && is.has("FailureTarget"),
        "cannot set Complete=True and FailureTarget=true conditions",
    ));
    if complete || changed("completionTime") {
        let path = path.child("completionTime");
        match (has(status, "completionTime"), is.has("Complete")) {
            (true, false) => {
                let detail = "cannot set completionTime when there is no Complete=True condition";
                faults.push(FieldError::invalid(&path, &status["completionTime"], detail));
            }
            (false, true) => faults.push(FieldError::required(&path, "completionTime is required for Complete jobs")),
            _ => {}
        }
    }
    if (changed("startTime") || changed("completionTime"))
        && let (Some(start), Some(end)) = (time(status, "startTime"), time(status, "completionTime"))
        && end < start
    {
        let detail = "must be equal to or after `startTime`";
        let shown = &status["completionTime"];
        faults.push(FieldError::invalid(&path.child("completionTime"), shown, detail));
    }
    faults.extend(conditions(
        (failed || changed("failedIndexes")) && is.has("Failed") && !is.has("FailureTarget"),
        "cannot set Failed=True condition without the FailureTarget=true condition",
    ));
    faults.extend(conditions(
        (complete || changed_condition("SuccessCriteriaMet")) && is.has("Complete") && !is.has("SuccessCriteriaMet"),
        "cannot set Complete=True condition without the SuccessCriteriaMet=true condition",
    ));
    let active = number(status, "active");
    if (finished || active != number(before, "active")) && active > 0 && is.finished() {
        faults.push(FieldError::invalid(&path.child("active"), active, "active>0 is invalid for finished job"));
    }
    let is_empty_and_suspended = flag(spec, "suspend") && int(spec, "completions") == Some(0);
    if (finished || changed("startTime")) && !is_empty_and_suspended && !has(status, "startTime") && is.finished() {
        faults.push(FieldError::required(&path.child("startTime"), "startTime is required for finished job"));
    }
    let listed = &status["uncountedTerminatedPods"];
    let left = ["succeeded", "failed"].iter().any(|key| !list(listed, key).is_empty());
    if (finished || changed("uncountedTerminatedPods")) && is.finished() && left {
        let shown = Raw(format!("{{\"Succeeded\":{},\"Failed\":{}}}", listed["succeeded"], listed["failed"]));
        let detail = "must be empty for finished job";
        faults.push(FieldError::invalid(&path.child("uncountedTerminatedPods"), shown, detail));
    }
    faults.extend(listed_indexes(path, spec, status, before));
    let terminating = number(status, "terminating");
    if (finished || changed("terminating")) && terminating > 0 && is.finished() {
        let detail = "terminating>0 is invalid for finished job";
        faults.push(FieldError::invalid(&path.child("terminating"), terminating, detail));
    }
    let ready = number(status, "ready");
    if (changed("ready") || active != number(before, "active")) && ready > active {
        faults.push(FieldError::invalid(&path.child("ready"), ready, "cannot set more ready pods than active"));
    }
    let met = is.has("SuccessCriteriaMet");
    faults.extend(conditions(met && is.has("Failed"), "cannot set SuccessCriteriaMet=True and Failed=true conditions"));
    faults.extend(conditions(
        met && is.has("FailureTarget"),
        "cannot set SuccessCriteriaMet=True and FailureTarget=true conditions",
    ));
    faults.extend(conditions(
        has(spec, "successPolicy") && !met && is.has("Complete"),
        "cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True",
    ));
    faults
}

fn listed_indexes(path: &FieldPath, spec: &Value, status: &Value, before: &Value) -> Vec<FieldError> {
    let mut faults = Vec::new();
    let (completed, failed) = (text(status, "completedIndexes"), text(status, "failedIndexes"));
    let completed_changed = completed != text(before, "completedIndexes");
    let failed_changed = status["failedIndexes"] != before["failedIndexes"];
    let has_failed = has(status, "failedIndexes");
    let mut invalid = |key: &str, shown: &str, detail: String| {
        faults.push(FieldError::invalid(&path.child(key), shown, detail));
    };
    let completions = int(spec, "completions");
    let parsed = |text: &str, name: &str| {
        let error = indexes::count(text, completions?).err()?;
        Some(format!("error parsing {name}: {error}"))
    };
    if let Some(detail) = parsed(completed, "completedIndexes").filter(|_| completed_changed) {
        invalid("completedIndexes", completed, detail);
    }
    let limited = has(spec, "backoffLimitPerIndex");
    if let Some(detail) = parsed(failed, "failedIndexes").filter(|_| failed_changed && limited) {
        invalid("failedIndexes", failed, detail);
    }
    if completed_changed && !completed.is_empty() && text(spec, "completionMode") != "Indexed" {
        let detail = "cannot set non-empty completedIndexes when non-indexed completion mode";
        invalid("completedIndexes", completed, detail.to_owned());
    }
    if failed_changed && has_failed && !limited {
        let detail = "cannot set non-null failedIndexes when backoffLimitPerIndex is null";
        invalid("failedIndexes", failed, detail.to_owned());
    }
    if (failed_changed || completed_changed)
        && let Some(index) = completions.and_then(|completions| indexes::overlap(completed, failed, completions))
    {
        let detail = format!("failedIndexes and completedIndexes overlap at index: {index}");
        invalid("failedIndexes", failed, detail);
    }
    faults
}

/// What may not be taken back.
fn change(path: &FieldPath, new: &Value, old: &Value) -> Vec<FieldError> {
    let (spec, status, before) = (&new["spec"], &new["status"], &old["status"]);
    let (is, was) = (Conditions(status), Conditions(before));
    let mut faults = Vec::new();
    let no_value = || Raw(String::new());
    for kind in ["Failed", "Complete", "FailureTarget"] {
        if was.has(kind) && !is.has(kind) {
            let detail = format!("cannot disable the terminal {kind}=True condition");
            faults.push(FieldError::invalid(&path.child("conditions"), no_value(), detail));
        }
    }
    // Indexed Jobs may be made smaller.
    let shrinks = text(spec, "completionMode") == "Indexed" && spec["completions"] == spec["parallelism"];
    for (key, allowed) in [("failed", false), ("succeeded", shrinks)] {
        let count = number(status, key);
        if count < number(before, key) && !allowed {
            faults.push(FieldError::invalid(&path.child(key), count, format!("cannot decrease the {key} counter")));
        }
    }
    let times = |key: &str| (has(status, key) && has(before, key), time(status, key) != time(before, key));
    if times("completionTime") == (true, true) {
        let shown = &status["completionTime"];
        faults.push(FieldError::invalid(&path.child("completionTime"), shown, "field is immutable"));
    }
    let resumes = was.is("Suspended", "True") && is.is("Suspended", "False");
    let (_, moved) = times("startTime");
    if moved && !resumes && has(before, "startTime") && !flag(spec, "suspend") {
        let shown = &status["startTime"];
        let detail = "field is immutable for unsuspended job once set";
        faults.push(FieldError::invalid(&path.child("startTime"), shown, detail));
    }
    let (met, was_met) = (is.has("SuccessCriteriaMet"), was.has("SuccessCriteriaMet"));
    if was_met && !met {
        let detail = "cannot disable the SuccessCriteriaMet=True condition";
        faults.push(FieldError::invalid(&path.child("conditions"), no_value(), detail));
    }
    if was.has("Complete") && !was_met && met {
        let detail = "cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions";
        faults.push(FieldError::invalid(&path.child("conditions"), no_value(), detail));
    }
    faults
}
