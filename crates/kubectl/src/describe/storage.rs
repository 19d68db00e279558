//! StorageClasses.

use super::Case;
use super::events::events;
use super::fields::{Fields, label_set};
use super::page::{Page, line};
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
