//! Numbers that may be percentages.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// `value`, as a share of `total` if it is a percentage; 0 if it is neither.
pub(crate) fn scaled(value: &IntOrString, total: i32, round_up: bool) -> i32 {
    match value {
        IntOrString::Int(number) => *number,
        IntOrString::String(text) => {
            let resolved = apimachinery::IntOrString::parse(text).scaled(i64::from(total), round_up);
            resolved.ok().and_then(|n| i32::try_from(n).ok()).unwrap_or(0)
        }
    }
}
