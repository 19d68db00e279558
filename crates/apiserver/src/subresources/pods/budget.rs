//! What a PodDisruptionBudget says to an eviction. Pure.

use apimachinery::{ApiError, Cause};
use serde_json::{Value, json};

/// Evicted Pods that the disruption controller has not seen deleted, at most: more would make the object too large.
const DISRUPTED_MAX: usize = 2000;
/// Seconds until a client should try again while the budget is being worked on.
const RETRY_SECONDS: u32 = 10;
const REFUSED: &str = "Cannot evict pod as it would violate the pod's disruption budget.";

/// Whether a Pod that is not ready may go without the budget being asked.
pub(super) fn ignores_unhealthy(budget: &Value) -> bool {
    let number = |key: &str| budget["status"][key].as_i64().unwrap_or(0);
    budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
        || (number("currentHealthy") >= number("desiredHealthy") && number("desiredHealthy") > 0)
}

/// The budget after the eviction of `pod` at `now`, or why there must be none.
pub(super) fn spend(budget: &Value, pod: &str, now: &str) -> Result<Value, ApiError> {
    let name = budget["metadata"]["name"].as_str().unwrap_or_default();
    let status = &budget["status"];
    let number = |value: &Value| value.as_i64().unwrap_or(0);
    if number(&status["observedGeneration"]) < number(&budget["metadata"]["generation"]) {
        return Err(in_work(name));
    }
    let allowed = number(&status["disruptionsAllowed"]);
    let forbidden = |why: &str, short: &str| {
        let error = ApiError::forbidden("policy", "poddisruptionbudget", name, why);
        let message = format!("The disruption budget {name} does not allow evicting pods currently: {short}");
        because(error, message)
    };
    if allowed < 0 {
        let why = "pdb disruptions allowed is negative";
        return Err(forbidden(why, why));
    }
    if status["disruptedPods"].as_object().is_some_and(|pods| pods.len() > DISRUPTED_MAX) {
        let why = "DisruptedPods map too big - too many evictions not confirmed by PDB controller";
        return Err(forbidden(why, "too many pending evictions not confirmed by PDB controller"));
    }
    if allowed == 0 {
        return Err(because(ApiError::too_many_requests(REFUSED, 0), exhausted(name, status)));
    }
    let mut spent = budget.clone();
    spent["status"]["disruptionsAllowed"] = json!(allowed - 1);
    spent["status"]["disruptedPods"][pod] = json!(now);
    if allowed == 1 {
        let condition = json!({
            "type": "DisruptionAllowed", "status": "False", "reason": "InsufficientPods", "message": "",
            "lastTransitionTime": now, "observedGeneration": status["observedGeneration"],
        });
        super::set_condition(&mut spent, condition);
    }
    Ok(spent)
}

/// Why nothing more is allowed.
fn exhausted(name: &str, status: &Value) -> String {
    let mut conditions = status["conditions"].as_array().into_iter().flatten();
    let told = conditions.find(|c| c["type"] == "DisruptionAllowed").filter(|c| c["status"] == "False");
    let text = |key: &str| told.and_then(|c| c[key].as_str()).unwrap_or_default();
    let (reason, message) = (text("reason"), text("message"));
    let number = |key: &str| status[key].as_i64().unwrap_or(0);
    let (healthy, desired) = (number("currentHealthy"), number("desiredHealthy"));
    // After a failure the numbers are not to be trusted.
    if reason == "SyncFailed" && !message.is_empty() {
        format!("The disruption budget {name} does not allow evicting pods currently because it failed sync: {message}")
    } else if healthy <= desired {
        format!("The disruption budget {name} needs {desired} healthy pods and has {healthy} currently")
    } else if !message.is_empty() {
        format!("The disruption budget {name} does not allow evicting pods currently ({reason}): {message}")
    } else {
        format!("The disruption budget {name} does not allow evicting pods currently")
    }
}

/// The answer while the budget's numbers may be out of date.
pub(super) fn in_work(name: &str) -> ApiError {
    let error = ApiError::too_many_requests(REFUSED, RETRY_SECONDS);
    because(error, format!("The disruption budget {name} is still being processed by the server."))
}

fn because(mut error: ApiError, message: String) -> ApiError {
    error.causes = vec![Cause { reason: "DisruptionBudget".to_owned(), message, field: String::new() }];
    error
}

#[cfg(test)]
mod tests;
