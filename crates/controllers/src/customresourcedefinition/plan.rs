//! Which names a definition gets, whether it is established, and what is to be done before it goes. Pure.

use std::collections::BTreeSet;

use apimachinery::Resource;
use k8s_openapi::jiff::Timestamp;
use registry::custom::watched_resource;
use serde_json::{Value, json};

/// The finalizer that keeps a definition until its objects are gone.
const CLEANUP: &str = "customresourcecleanup.apiextensions.k8s.io";

/// What the controller sees.
#[derive(Debug)]
pub(super) struct Observed<'a> {
    pub(super) definition: &'a Value,
    pub(super) others: &'a [Value],
    pub(super) now: Timestamp,
}

/// What to do.
#[derive(Debug)]
pub(super) struct Plan {
    /// The status that the definition gets.
    pub(super) status: Value,
    /// What is to be done because the definition is being deleted.
    pub(super) cleanup: Option<Cleanup>,
}

/// The end of a definition.
#[derive(Debug)]
pub(super) struct Cleanup {
    /// Whose objects are to be deleted; `None` if there never were any.
    pub(super) resource: Option<&'static Resource>,
}

impl Cleanup {
    /// The definition when nothing is left: without the finalizer, and saying so.
    pub(super) fn finished(mut definition: Value, had_objects: bool, now: Timestamp) -> Value {
        let (reason, message) = match had_objects {
            true => ("InstanceDeletionCompleted", "removed all instances"),
            false => ("NeverEstablished", "resource was never established"),
        };
        set_condition(&mut definition["status"], "Terminating", "False", reason, message, now);
        if let Some(finalizers) = definition["metadata"]["finalizers"].as_array_mut() {
            finalizers.retain(|finalizer| finalizer != CLEANUP);
        }
        definition
    }
}

/// Decides.
pub(super) fn plan(observed: &Observed<'_>) -> Plan {
    let Observed { definition, now, .. } = *observed;
    let mut status = definition["status"].clone();
    let metadata = &definition["metadata"];
    if metadata["deletionTimestamp"].is_string() {
        let waits = metadata["finalizers"].as_array().is_some_and(|all| all.iter().any(|f| f == CLEANUP));
        if !waits {
            return Plan { status, cleanup: None };
        }
        let resource = watched_resource(definition);
        if resource.is_some() {
            let message = "CustomResource deletion is in progress";
            set_condition(&mut status, "Terminating", "True", "InstanceDeletionInProgress", message, now);
        }
        return Plan { status, cleanup: Some(Cleanup { resource }) };
    }
    let (accepted, conflict) = accept(observed);
    status["acceptedNames"] = accepted;
    match conflict {
        None => {
            set_condition(&mut status, "NamesAccepted", "True", "NoConflicts", "no conflicts found", now);
            let message = "the initial names have been accepted";
            set_condition(&mut status, "Established", "True", "InitialNamesAccepted", message, now);
        }
        Some((reason, message)) => {
            set_condition(&mut status, "NamesAccepted", "False", reason, &message, now);
            if !holds(&status, "Established") {
                let message = "not all names are accepted";
                set_condition(&mut status, "Established", "False", "NotAccepted", message, now);
            }
        }
    }
    Plan { status, cleanup: None }
}

/// The names that the definition has from now on: those it asks for, but for the ones that others of its group have.
fn accept(observed: &Observed<'_>) -> (Value, Option<(&'static str, String)>) {
    let definition = observed.definition;
    let (mut resources, mut kinds) = (BTreeSet::new(), BTreeSet::new());
    for other in observed.others.iter().filter(|other| other["spec"]["group"] == definition["spec"]["group"]) {
        let names = &other["status"]["acceptedNames"];
        resources.extend(["plural", "singular"].iter().filter_map(|key| names[key].as_str()));
        resources.extend(names["shortNames"].as_array().into_iter().flatten().filter_map(Value::as_str));
        kinds.extend(["kind", "listKind"].iter().filter_map(|key| names[key].as_str()));
    }
    let wanted = &definition["spec"]["names"];
    let mut accepted = definition["status"]["acceptedNames"].clone();
    if !accepted.is_object() {
        accepted = json!({});
    }
    let mut conflict = None;
    let in_use = |name: &str| format!("{name:?} is already in use");
    for (key, used, reason) in [
        ("plural", &resources, "PluralConflict"),
        ("singular", &resources, "SingularConflict"),
        ("shortNames", &resources, "ShortNamesConflict"),
        ("kind", &kinds, "KindConflict"),
        ("listKind", &kinds, "ListKindConflict"),
    ] {
        let words = |names: &Value| -> Vec<String> {
            let one = names[key].as_str().map(str::to_owned).into_iter();
            let many = names[key].as_array().into_iter().flatten().filter_map(|v| v.as_str().map(str::to_owned));
            one.chain(many).collect()
        };
        let own = words(&accepted);
        let taken: Vec<String> = words(wanted)
            .into_iter()
            .filter(|name| !own.contains(name) && used.contains(name.as_str()))
            .map(|name| in_use(&name))
            .collect();
        if taken.is_empty() {
            set(&mut accepted, key, wanted[key].clone());
        } else {
            let text = if taken.len() == 1 { taken[0].clone() } else { format!("[{}]", taken.join(", ")) };
            conflict = Some((reason, text));
        }
    }
    set(&mut accepted, "categories", wanted["categories"].clone());
    (accepted, conflict)
}

fn set(object: &mut Value, key: &str, value: Value) {
    if let Some(object) = object.as_object_mut() {
        if value.is_null() {
            object.remove(key);
        } else {
            object.insert(key.to_owned(), value);
        }
    }
}

fn holds(status: &Value, kind: &str) -> bool {
    let mut conditions = status["conditions"].as_array().into_iter().flatten();
    conditions.any(|c| c["type"] == kind && c["status"] == "True")
}

/// Sets a condition; its time moves only if its status does.
fn set_condition(status: &mut Value, kind: &str, value: &str, reason: &str, message: &str, now: Timestamp) {
    let conditions = &mut status["conditions"];
    if !conditions.is_array() {
        *conditions = json!([]);
    }
    let mut new = json!({
        "type": kind, "status": value, "reason": reason, "message": message, "lastTransitionTime": now.to_string(),
    });
    let Some(all) = conditions.as_array_mut() else { return };
    match all.iter_mut().find(|c| c["type"] == kind) {
        Some(old) => {
            if old["status"] == value {
                new["lastTransitionTime"] = old["lastTransitionTime"].clone();
            }
            *old = new;
        }
        None => all.push(new),
    }
}

#[cfg(test)]
mod tests;
