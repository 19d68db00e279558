//! The scopes that narrow a quota to some objects.

use serde_json::Value;

use super::{claims, is_terminating};
use crate::value::{has, list, text};

/// One scope, from `spec.scopes` or `spec.scopeSelector`.
pub(super) struct Scope<'a> {
    name: &'a str,
    operator: &'a str,
    values: &'a [Value],
}

/// All scopes of a quota.
pub(super) fn of(quota: &Value) -> Vec<Scope<'_>> {
    let spec = &quota["spec"];
    let named = list(spec, "scopes").iter().filter_map(Value::as_str);
    let plain = named.map(|name| Scope { name, operator: "Exists", values: &[] });
    let selected = list(&spec["scopeSelector"], "matchExpressions").iter().map(|expression| Scope {
        name: text(expression, "scopeName"),
        operator: text(expression, "operator"),
        values: list(expression, "values"),
    });
    plain.chain(selected).collect()
}

impl Scope<'_> {
    pub(super) fn holds_pod(&self, pod: &Value) -> bool {
        match self.name {
            "Terminating" => is_terminating(pod),
            "NotTerminating" => !is_terminating(pod),
            "BestEffort" => is_best_effort(pod),
            "NotBestEffort" => !is_best_effort(pod),
            "PriorityClass" => {
                let class = text(&pod["spec"], "priorityClassName");
                self.selects(Some(class).filter(|class| !class.is_empty()))
            }
            "CrossNamespacePodAffinity" => reaches_other_namespaces(pod),
            _ => false,
        }
    }

    pub(super) fn holds_claim(&self, claim: &Value) -> bool {
        let classes = claims::attribute_classes(claim);
        match self.name {
            "VolumeAttributesClass" if classes.is_empty() => self.selects(None),
            "VolumeAttributesClass" => classes.into_iter().any(|class| self.selects(Some(class))),
            _ => false,
        }
    }

    /// Whether the operator holds for what the object has.
    fn selects(&self, value: Option<&str>) -> bool {
        let among = value.is_some_and(|value| self.values.iter().any(|v| v == value));
        match self.operator {
            "In" => among,
            "NotIn" => !among,
            "Exists" => value.is_some(),
            "DoesNotExist" => value.is_none(),
            _ => false,
        }
    }
}

fn is_best_effort(pod: &Value) -> bool {
    let class = match text(&pod["status"], "qosClass") {
        "" => crate::pods::qos_class(&pod["spec"]),
        class => class,
    };
    class == "BestEffort"
}

/// Whether a term of the Pod's affinity looks into other namespaces.
fn reaches_other_namespaces(pod: &Value) -> bool {
    let reaches = |term: &Value| !list(term, "namespaces").is_empty() || has(term, "namespaceSelector");
    ["podAffinity", "podAntiAffinity"].iter().any(|kind| {
        let affinity = &pod["spec"]["affinity"][kind];
        list(affinity, "requiredDuringSchedulingIgnoredDuringExecution").iter().any(reaches)
            || list(affinity, "preferredDuringSchedulingIgnoredDuringExecution")
                .iter()
                .any(|weighted| reaches(&weighted["podAffinityTerm"]))
    })
}
