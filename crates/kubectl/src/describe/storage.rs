//! Storage: classes, volumes, claims, and what nodes know of drivers.

use super::Case;
use super::events::events;
use super::fields::{Fields, label_set};
use super::page::{Page, age, line, time};
use super::resources::canonical;
use super::volumes;
use serde_json::Value;

pub(super) fn storage_class(case: &Case<'_>, page: &mut Page) {
    let object = case.object;
    page.name(object);
    let is_default = |name: &str| {
        object.at("metadata/annotations").get(name).and_then(Value::as_str).is_some_and(|value| value == "true")
    };
    let is_default = is_default("storageclass.kubernetes.io/is-default-class")
        || is_default("storageclass.beta.kubernetes.io/is-default-class");
    page.field(0, "IsDefaultClass", if is_default { "Yes" } else { "No" });
    page.field(0, "Annotations", &label_set(object, "metadata/annotations"));
    page.field(0, "Provisioner", object.text("provisioner"));
    page.field(0, "Parameters", &label_set(object, "parameters"));
    let expansion = match object.at("allowVolumeExpansion") {
        Value::Bool(true) => "True",
        Value::Bool(false) => "False",
        _ => "<unset>",
    };
    page.field(0, "AllowVolumeExpansion", expansion);
    if object.list("mountOptions").is_empty() {
        page.field(0, "MountOptions", "<none>");
    } else {
        line!(page, 0, "MountOptions:");
        for option in object.list("mountOptions").iter().filter_map(Value::as_str) {
            line!(page, 1, "{option}");
        }
    }
    page.field_if(0, "ReclaimPolicy", object.text("reclaimPolicy"));
    page.field_if(0, "VolumeBindingMode", object.text("volumeBindingMode"));
    topologies(page, object);
    events(case, page);
}

fn topologies(page: &mut Page, object: &Value) {
    let terms = object.list("allowedTopologies");
    if terms.is_empty() {
        return;
    }
    page.field(0, "AllowedTopologies", "");
    for (at, term) in terms.iter().enumerate() {
        let title = format!("Term {at}:");
        let expressions = term.list("matchLabelExpressions");
        if expressions.is_empty() {
            line!(page, 1, "{title}\t<none>");
        }
        for (at, expression) in expressions.iter().enumerate() {
            let title = if at == 0 { title.as_str() } else { "" };
            let values = match expression.joined("values", ", ") {
                values if values.is_empty() => values,
                values => format!(" [{values}]"),
            };
            line!(page, 1, "{title}\t{} in{values}", expression.text("key"));
        }
    }
}

pub(super) fn volume_attributes_class(case: &Case<'_>, page: &mut Page) {
    let object = case.object;
    page.name(object);
    page.field(0, "Annotations", &label_set(object, "metadata/annotations"));
    page.field(0, "DriverName", object.text("driverName"));
    page.field(0, "Parameters", &label_set(object, "parameters"));
    events(case, page);
}

pub(super) fn csi_node(case: &Case<'_>, page: &mut Page) {
    let object = case.object;
    page.name(object);
    page.metadata(object);
    page.field(0, "CreationTimestamp", &time(object.at("metadata/creationTimestamp"), case.zone));
    line!(page, 0, "Spec:");
    if object.has("spec/drivers") {
        line!(page, 1, "Drivers:");
    }
    for driver in object.list("spec/drivers") {
        line!(page, 2, "{}:", driver.text("name"));
        page.field(3, "Node ID", driver.text("nodeID"));
        if driver.has("allocatable/count") {
            line!(page, 3, "Allocatables:");
            line!(page, 4, "Count:\t{}", driver.int("allocatable/count"));
        }
        if driver.has("topologyKeys") {
            page.field(3, "Topology Keys", &volumes::go_list(driver.list("topologyKeys")));
        }
    }
    events(case, page);
}

/// How old the deletion is, or the phase.
fn status(case: &Case<'_>) -> String {
    match case.object.at("metadata/deletionTimestamp") {
        Value::Null => case.object.text("status/phase").to_string(),
        deletion => format!("Terminating (lasts {})", age(deletion, case.now)),
    }
}

/// Access modes in their short forms, always in this order.
fn access_modes(modes: &[Value]) -> String {
    const SHORT: [(&str, &str); 4] =
        [("ReadWriteOnce", "RWO"), ("ReadOnlyMany", "ROX"), ("ReadWriteMany", "RWX"), ("ReadWriteOncePod", "RWOP")];
    let given = SHORT.iter().filter(|(name, _)| modes.iter().any(|mode| mode == name));
    given.map(|(_, short)| *short).collect::<Vec<_>>().join(",")
}

pub(super) fn persistent_volume(case: &Case<'_>, page: &mut Page) {
    let object = case.object;
    let spec = object.at("spec");
    page.name(object);
    page.metadata(object);
    page.field(0, "Finalizers", &volumes::go_list(object.list("metadata/finalizers")));
    page.field(0, "StorageClass", volumes::storage_class(object));
    page.field(0, "Status", &status(case));
    let claim = match spec.at("claimRef") {
        Value::Null => String::new(),
        claim => format!("{}/{}", claim.text("namespace"), claim.text("name")),
    };
    page.field(0, "Claim", &claim);
    page.field(0, "Reclaim Policy", spec.text("persistentVolumeReclaimPolicy"));
    page.field(0, "Access Modes", &access_modes(spec.list("accessModes")));
    if spec.has("volumeMode") {
        page.field(0, "VolumeMode", spec.text("volumeMode"));
    }
    page.field(0, "Capacity", &canonical(spec.at("capacity/storage")));
    node_affinity(page, spec);
    page.field(0, "Message", object.text("status/message"));
    line!(page, 0, "Source:");
    volumes::persistent_source(page, spec);
    events(case, page);
}

fn node_affinity(page: &mut Page, spec: &Value) {
    let required = spec.at("nodeAffinity/required");
    if required.is_null() {
        return page.field(0, "Node Affinity", "<none>");
    }
    page.field(0, "Node Affinity", "");
    let terms = required.list("nodeSelectorTerms");
    page.field(1, "Required Terms", if terms.is_empty() { "<none>" } else { "" });
    for (at, term) in terms.iter().enumerate() {
        let title = format!("Term {at}:");
        let expressions = term.list("matchExpressions");
        if expressions.is_empty() {
            line!(page, 2, "{title}\t<none>");
        }
        for (at, expression) in expressions.iter().enumerate() {
            let title = if at == 0 { title.as_str() } else { "" };
            let values = match expression.joined("values", ", ") {
                values if values.is_empty() => values,
                values => format!(" [{values}]"),
            };
            let operator = expression.text("operator").to_lowercase();
            line!(page, 2, "{title}\t{} {operator}{values}", expression.text("key"));
        }
    }
}

pub(super) fn persistent_volume_claim(case: &Case<'_>, page: &mut Page) {
    let object = case.object;
    let spec = object.at("spec");
    page.names(object);
    page.field(0, "StorageClass", volumes::storage_class(object));
    page.field(0, "Status", &status(case));
    page.field(0, "Volume", spec.text("volumeName"));
    page.metadata(object);
    page.field(0, "Finalizers", &volumes::go_list(object.list("metadata/finalizers")));
    let is_bound = !spec.text("volumeName").is_empty();
    let capacity = if is_bound { canonical(object.at("status/capacity/storage")) } else { String::new() };
    page.field(0, "Capacity", &capacity);
    let modes = if is_bound { access_modes(object.list("status/accessModes")) } else { String::new() };
    page.field(0, "Access Modes", &modes);
    if spec.has("volumeMode") {
        page.field(0, "VolumeMode", spec.text("volumeMode"));
    }
    if spec.has("dataSource") {
        let source = spec.at("dataSource");
        line!(page, 0, "DataSource:");
        page.field_if(1, "APIGroup", source.text("apiGroup"));
        page.field(1, "Kind", source.text("kind"));
        page.field(1, "Name", source.text("name"));
    }
    page.multiline("Used By", users(case));
    let conditions = object.list("status/conditions");
    if !conditions.is_empty() {
        line!(page, 0, "Conditions:");
        line!(page, 1, "Type\tStatus\tLastProbeTime\tLastTransitionTime\tReason\tMessage");
        line!(page, 1, "----\t------\t-----------------\t------------------\t------\t-------");
    }
    for condition in conditions {
        let (kind, status) = (condition.text("type"), condition.text("status"));
        let probe = time(condition.at("lastProbeTime"), case.zone);
        let transition = time(condition.at("lastTransitionTime"), case.zone);
        let (reason, message) = (condition.text("reason"), condition.text("message"));
        line!(page, 1, "{kind} \t{status} \t{probe} \t{transition} \t{reason} \t{message}");
    }
    events(case, page);
}

/// The Pods that use a claim or own it, by name.
fn users(case: &Case<'_>) -> Vec<String> {
    let claim = case.object;
    let name = claim.text("metadata/name");
    let Some(Ok(pods)) = &case.related.pods else {
        return Vec::new();
    };
    let owns = |pod: &Value| {
        let mut owners = claim.list("metadata/ownerReferences").iter();
        owners.any(|owner| owner.text("kind") == "Pod" && owner.text("uid") == pod.text("metadata/uid"))
    };
    let uses = |volume: &Value| volume.text("persistentVolumeClaim/claimName") == name;
    let mut names: Vec<String> = Vec::new();
    for pod in pods {
        // A Pod that mounts a claim twice is listed twice.
        let count = pod.list("spec/volumes").iter().filter(|volume| uses(volume)).count();
        let count = if count == 0 && owns(pod) { 1 } else { count };
        names.extend(std::iter::repeat_n(pod.text("metadata/name").to_string(), count));
    }
    names.sort();
    names
}
