//! Which Pods of a node go, and what is said about the others. Pure (upstream: `kubectl/pkg/drain/filters.go`).

use jiff::Timestamp;
use serde_json::Value;

const MIRROR: &str = "kubernetes.io/config.mirror";
const DAEMON_SET_FATAL: &str = "DaemonSet-managed Pods (use --ignore-daemonsets to ignore)";
const DAEMON_SET_WARNING: &str = "ignoring DaemonSet-managed Pods";
const LOCAL_STORAGE_FATAL: &str = "Pods with local storage (use --delete-emptydir-data to override)";
const UNMANAGED_FATAL: &str = "Pods that declare no controller (use --force to override)";
const UNMANAGED_WARNING: &str = "deleting Pods that declare no controller";

/// What the user allows.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Allowed {
    /// Pods without a controller may go, and those of DaemonSets that are gone.
    pub(super) force: bool,
    /// Pods of DaemonSets stay, and are no fault.
    pub(super) ignore_daemon_sets: bool,
    /// Pods with emptyDir volumes may go.
    pub(super) delete_local_data: bool,
    /// Pods that have been on their way out for more seconds than this are not waited for; zero or less for never.
    pub(super) skip_deleted_seconds: i64,
}

/// Why a DaemonSet could not be read.
#[derive(Debug, Clone)]
pub(super) struct Unread {
    pub(super) is_missing: bool,
    pub(super) text: String,
}

/// What becomes of one Pod.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    Go { warning: Option<String> },
    Stay { warning: Option<String> },
    Refuse(String),
}

/// What becomes of the Pods of one node.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Plan {
    /// They go.
    pub(super) pods: Vec<Value>,
    /// What is to be said before; empty for nothing.
    pub(super) warnings: String,
    /// Why nothing may be done.
    pub(super) faults: Vec<String>,
}

/// Decides. `unread` tells what is wrong with a DaemonSet of this namespace and name.
pub(super) fn plan(
    pods: &[Value],
    allowed: Allowed,
    now: Timestamp,
    unread: impl Fn(&str, &str) -> Option<Unread>,
) -> Plan {
    let (mut plan, mut warnings, mut faults) = (Plan::default(), Groups::default(), Groups::default());
    for pod in pods {
        match judge(pod, allowed, now, &unread) {
            Verdict::Go { warning } => {
                warning.into_iter().for_each(|text| warnings.add(text, pod));
                plan.pods.push(pod.clone());
            }
            Verdict::Stay { warning } => warning.into_iter().for_each(|text| warnings.add(text, pod)),
            Verdict::Refuse(text) => faults.add(text, pod),
        }
    }
    plan.warnings = warnings.lines().collect::<Vec<_>>().join("; ");
    plan.faults = faults.lines().map(|line| format!("cannot delete {line}")).collect();
    plan
}

/// Pods by what is said about them, in the order in which it was said first.
#[derive(Default)]
struct Groups(Vec<(String, Vec<String>)>);

impl Groups {
    fn add(&mut self, text: String, pod: &Value) {
        let name = full_name(pod);
        match self.0.iter_mut().find(|(known, _)| *known == text) {
            Some((_, pods)) => pods.push(name),
            None => self.0.push((text, vec![name])),
        }
    }

    fn lines(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|(text, pods)| format!("{text}: {}", pods.join(", ")))
    }
}

/// `namespace/name`.
pub(super) fn full_name(pod: &Value) -> String {
    let text = |field: &str| pod["metadata"][field].as_str().unwrap_or_default();
    format!("{}/{}", text("namespace"), text("name"))
}

/// Namespace and name of the DaemonSet whose running Pod this is.
pub(super) fn daemon_set_of(pod: &Value) -> Option<(&str, &str)> {
    let controller =
        controller_of(pod).filter(|owner| owner["kind"] == "DaemonSet" && owner["apiVersion"] == "apps/v1");
    let name = controller.filter(|_| !is_finished(pod))?["name"].as_str()?;
    Some((pod["metadata"]["namespace"].as_str().unwrap_or_default(), name))
}

fn controller_of(pod: &Value) -> Option<&Value> {
    pod["metadata"]["ownerReferences"].as_array()?.iter().find(|owner| owner["controller"] == true)
}

fn is_finished(pod: &Value) -> bool {
    matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"))
}

/// When a Pod that is on its way out is waited for no longer.
pub(super) fn skipped_from(pod: &Value, seconds: i64) -> Option<Timestamp> {
    let deleted: Timestamp = pod["metadata"]["deletionTimestamp"].as_str()?.parse().ok()?;
    // Upstream compares whole seconds.
    let wait = jiff::SignedDuration::from_secs(seconds.saturating_add(1));
    if seconds > 0 { deleted.checked_add(wait).ok() } else { None }
}

/// Upstream's filters, one after the other: the first that keeps the Pod ends it, else the last one's warning stands.
fn judge(pod: &Value, allowed: Allowed, now: Timestamp, unread: impl Fn(&str, &str) -> Option<Unread>) -> Verdict {
    if skipped_from(pod, allowed.skip_deleted_seconds).is_some_and(|from| from <= now) {
        return Verdict::Stay { warning: None };
    }
    if let Some((namespace, name)) = daemon_set_of(pod) {
        match unread(namespace, name) {
            // The filters after this one have the last word.
            Some(unread) if unread.is_missing && allowed.force => {}
            Some(unread) => return Verdict::Refuse(unread.text),
            None if allowed.ignore_daemon_sets => {
                return Verdict::Stay { warning: Some(DAEMON_SET_WARNING.to_owned()) };
            }
            None => return Verdict::Refuse(DAEMON_SET_FATAL.to_owned()),
        }
    }
    if pod["metadata"]["annotations"].get(MIRROR).is_some() {
        return Verdict::Stay { warning: None };
    }
    if is_finished(pod) {
        return Verdict::Go { warning: None };
    }
    let mut volumes = pod["spec"]["volumes"].as_array().into_iter().flatten();
    if volumes.any(|volume| volume["emptyDir"].is_object()) && !allowed.delete_local_data {
        return Verdict::Refuse(LOCAL_STORAGE_FATAL.to_owned());
    }
    if controller_of(pod).is_some() {
        return Verdict::Go { warning: None };
    }
    if allowed.force {
        return Verdict::Go { warning: Some(UNMANAGED_WARNING.to_owned()) };
    }
    Verdict::Refuse(UNMANAGED_FATAL.to_owned())
}
