//! What a Job's `podFailurePolicy` says about a failed Pod (upstream: `pod_failure_policy.go`).

use k8s_openapi::api::batch::v1::{PodFailurePolicy, PodFailurePolicyOnExitCodesRequirement, PodFailurePolicyRule};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

/// What follows from a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It counts towards the limits.
    Count,
    /// It does not count.
    Ignore,
    /// The Pod's index fails.
    FailIndex,
    /// The Job fails, for this reason.
    FailJob(String),
}

/// The verdict of the first rule that matches.
pub(super) fn verdict(policy: Option<&PodFailurePolicy>, pod: &Pod) -> Verdict {
    let rules = policy.into_iter().flat_map(|policy| &policy.rules).enumerate();
    rules.filter_map(|(index, rule)| apply(index, rule, pod)).next().unwrap_or(Verdict::Count)
}

fn apply(index: usize, rule: &PodFailurePolicyRule, pod: &Pod) -> Option<Verdict> {
    let what = match (&rule.on_exit_codes, &rule.on_pod_conditions) {
        (Some(requirement), _) => {
            let (container, code) = failed_container(requirement, pod)?;
            let [namespace, name] = names(pod);
            format!("Container {container} for pod {namespace}/{name} failed with exit code {code}")
        }
        (None, Some(patterns)) => {
            let mut conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
            let found = conditions.find(|condition| {
                let status = |wanted: &Option<String>| wanted.as_deref().unwrap_or("True") == condition.status;
                patterns.iter().any(|pattern| pattern.type_ == condition.type_ && status(&pattern.status))
            })?;
            let [namespace, name] = names(pod);
            format!("Pod {namespace}/{name} has condition {}", found.type_)
        }
        (None, None) => return None,
    };
    match rule.action.as_str() {
        "Count" => Some(Verdict::Count),
        "Ignore" => Some(Verdict::Ignore),
        "FailIndex" => Some(Verdict::FailIndex),
        "FailJob" => Some(Verdict::FailJob(format!("{what} matching FailJob rule at index {index}"))),
        // An action of a later version: the rule is skipped.
        _ => None,
    }
}

fn names(pod: &Pod) -> [&str; 2] {
    [&pod.metadata.namespace, &pod.metadata.name].map(|name| name.as_deref().unwrap_or_default())
}

/// The first container that failed with a code which the requirement asks for. Ordinary ones come first.
fn failed_container<'a>(rule: &PodFailurePolicyOnExitCodesRequirement, pod: &'a Pod) -> Option<(&'a str, i32)> {
    let status = pod.status.as_ref()?;
    let code = |container: &ContainerStatus| Some(container.state.as_ref()?.terminated.as_ref()?.exit_code);
    let all = [&status.container_statuses, &status.init_container_statuses].into_iter().flatten().flatten();
    let named = all.filter(|c| rule.container_name.as_ref().is_none_or(|name| *name == c.name));
    let mut failed = named.filter_map(|c| Some((c.name.as_str(), code(c).filter(|code| *code != 0)?)));
    failed.find(|(_, code)| match rule.operator.as_str() {
        "In" => rule.values.contains(code),
        "NotIn" => !rule.values.contains(code),
        _ => false,
    })
}

#[cfg(test)]
mod tests;
