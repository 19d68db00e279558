//! What is said of kinds that hold a pod template.

use apimachinery::FieldPath;
use serde_json::Value;

use crate::kinds::claim_spec_warnings;
use crate::pods::{owner_name_warning, template_warnings};
use crate::value::{int, list};

/// Of one whose Pods get its name.
pub(super) fn named(new: &Value, old: Option<&Value>) -> Vec<String> {
    let mut warnings = owner_name_warning(new, old);
    warnings.extend(of_template(new, old));
    warnings
}

/// Of one whose own name does not matter.
pub(super) fn of_template(new: &Value, old: Option<&Value>) -> Vec<String> {
    template_warnings(&FieldPath::new("spec.template"), &new["spec"]["template"], new, old)
}

/// The same; upstream looks at the template that was there before.
pub(super) fn replication_controller(new: &Value, old: Option<&Value>) -> Vec<String> {
    let mut warnings = owner_name_warning(new, old);
    let template = &old.unwrap_or(new)["spec"]["template"];
    warnings.extend(template_warnings(&FieldPath::new("spec.template"), template, new, old));
    warnings
}

pub(super) fn pod_template(new: &Value, old: Option<&Value>) -> Vec<String> {
    template_warnings(&FieldPath::new("template"), &new["template"], new, old)
}

pub(super) fn stateful_set(new: &Value, old: Option<&Value>) -> Vec<String> {
    let spec = &new["spec"];
    let mut warnings = of_template(new, old);
    for (at, claim) in list(spec, "volumeClaimTemplates").iter().enumerate() {
        // The paths are upstream's.
        let path = FieldPath::new("spec.volumeClaimTemplates").index(at);
        let path = if old.is_some() { path.child("Spec") } else { path };
        warnings.extend(claim_spec_warnings(&path, &claim["spec"]));
    }
    if int(spec, "revisionHistoryLimit").is_some_and(|n| n < 0) {
        let sentence = "a negative value retains all historical revisions; a value >= 0 is recommended";
        warnings.push(format!("spec.revisionHistoryLimit: {sentence}"));
    }
    warnings
}
