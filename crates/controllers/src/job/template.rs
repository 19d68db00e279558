//! The Pods that a Job makes.

use serde_json::{Value, json};

use super::facts::{FINALIZER, INDEX, INDEX_FAILURES, INDEX_IGNORED_FAILURES};
use super::plan::NewPod;

/// The environment variable that tells a container its index.
const INDEX_VARIABLE: &str = "JOB_COMPLETION_INDEX";
/// What a generated name may begin with: five characters are added, and names of Pods have 63 at most.
const PREFIX_MAX: usize = 58;

/// `pod`, which was made from the template of the Job called `job`, as `new` wants it.
pub(super) fn finish(mut pod: Value, job: &str, new: NewPod) -> Value {
    let metadata = &mut pod["metadata"];
    if !metadata["finalizers"].is_array() {
        metadata["finalizers"] = json!([]);
    }
    if let Some(finalizers) = metadata["finalizers"].as_array_mut()
        && !finalizers.iter().any(|finalizer| finalizer == FINALIZER)
    {
        finalizers.push(json!(FINALIZER));
    }
    let Some(index) = new.index else { return pod };
    metadata["generateName"] = json!(prefix(job, index));
    metadata["labels"][INDEX] = json!(index.to_string());
    metadata["annotations"][INDEX] = json!(index.to_string());
    if let Some(failures) = new.failures {
        metadata["annotations"][INDEX_FAILURES] = json!(failures.counted.to_string());
        if failures.ignored > 0 {
            metadata["annotations"][INDEX_IGNORED_FAILURES] = json!(failures.ignored.to_string());
        }
    }
    pod["spec"]["hostname"] = json!(format!("{job}-{index}"));
    for list in ["initContainers", "containers"] {
        for container in pod["spec"][list].as_array_mut().into_iter().flatten() {
            tell_index(container);
        }
    }
    pod
}

fn tell_index(container: &mut Value) {
    let environment = &mut container["env"];
    if !environment.is_array() {
        *environment = json!([]);
    }
    if let Some(variables) = environment.as_array_mut()
        && !variables.iter().any(|variable| variable["name"] == INDEX_VARIABLE)
    {
        let path = format!("metadata.labels['{INDEX}']");
        variables.push(json!({"name": INDEX_VARIABLE, "valueFrom": {"fieldRef": {"fieldPath": path}}}));
    }
}

fn prefix(job: &str, index: i32) -> String {
    let suffix = format!("-{index}-");
    let kept = PREFIX_MAX - suffix.len();
    // Names are ASCII.
    format!("{}{suffix}", job.get(..kept).unwrap_or(job))
}

#[cfg(test)]
mod tests;
