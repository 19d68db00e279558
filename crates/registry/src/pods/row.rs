//! A pod's row: the most telling state of its containers in one word (upstream: `printPod`).

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::print;
use crate::rules::is_deleting;
use crate::value::{flag, has, int, list, text, time};

/// Restarts and when the last one was.
#[derive(Default)]
struct Restarts {
    count: i64,
    last: Option<Timestamp>,
}

impl Restarts {
    fn add(&mut self, status: &Value) {
        self.count += int(status, "restartCount").unwrap_or_default();
        self.last = self.last.max(time(&status["lastState"]["terminated"], "finishedAt"));
    }

    fn shown(&self, now: Timestamp) -> String {
        match self.last {
            Some(last) if self.count != 0 => format!("{} ({} ago)", self.count, print::since(Some(last), now)),
            _ => self.count.to_string(),
        }
    }
}

/// What is said of a container that ended.
fn ended(terminated: &Value) -> String {
    let number = |key: &str| int(terminated, key).unwrap_or_default();
    match (text(terminated, "reason"), number("signal")) {
        ("", 0) => format!("ExitCode:{}", number("exitCode")),
        ("", signal) => format!("Signal:{signal}"),
        (reason, _) => reason.to_owned(),
    }
}

fn exit_code(terminated: &Value) -> i64 {
    int(terminated, "exitCode").unwrap_or_default()
}

fn has_condition(status: &Value, kind: &str) -> bool {
    list(status, "conditions").iter().any(|c| text(c, "type") == kind && text(c, "status") == "True")
}

pub(super) fn row(o: &Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&o["spec"], &o["status"]);
    let is_sidecar = |name: &str| {
        let container = list(spec, "initContainers").iter().find(|c| text(c, "name") == name);
        container.is_some_and(|c| text(c, "restartPolicy") == "Always")
    };
    let sidecars = list(spec, "initContainers").iter().filter(|c| text(c, "restartPolicy") == "Always").count();
    let total = list(spec, "containers").len() + sidecars;
    let mut reason = match text(status, "reason") {
        "" => text(status, "phase").to_owned(),
        reason => reason.to_owned(),
    };
    let gated = |c: &Value| text(c, "type") == "PodScheduled" && text(c, "reason") == "SchedulingGated";
    if list(status, "conditions").iter().any(gated) {
        reason = "SchedulingGated".to_owned();
    }
    let mut ready = 0;
    let (mut restarts, mut sidecar_restarts) = (Restarts::default(), Restarts::default());
    let mut initializing = false;
    for (at, container) in list(status, "initContainerStatuses").iter().enumerate() {
        restarts.add(container);
        let sidecar = is_sidecar(text(container, "name"));
        if sidecar {
            sidecar_restarts.add(container);
        }
        let (terminated, waiting) = (&container["state"]["terminated"], text(&container["state"]["waiting"], "reason"));
        if !terminated.is_null() && exit_code(terminated) == 0 {
            continue;
        }
        if sidecar && flag(container, "started") {
            ready += usize::from(flag(container, "ready"));
            continue;
        }
        reason = if !terminated.is_null() {
            format!("Init:{}", ended(terminated))
        } else if !waiting.is_empty() && waiting != "PodInitializing" {
            format!("Init:{waiting}")
        } else {
            format!("Init:{at}/{}", list(spec, "initContainers").len())
        };
        initializing = true;
        break;
    }
    if !initializing || has_condition(status, "Initialized") {
        restarts = sidecar_restarts;
        let (mut running, mut failed) = (false, None);
        for container in list(status, "containerStatuses").iter().rev() {
            restarts.add(container);
            let state = &container["state"];
            let waiting = text(&state["waiting"], "reason");
            if !waiting.is_empty() {
                waiting.clone_into(&mut reason);
            } else if has(state, "terminated") {
                reason = ended(&state["terminated"]);
                if exit_code(&state["terminated"]) != 0 {
                    failed = Some(reason.clone());
                }
            } else if flag(container, "ready") && has(state, "running") {
                running = true;
                ready += 1;
            }
        }
        if reason == "Completed" {
            reason = match (running, failed) {
                (true, _) if has_condition(status, "Ready") => "Running".to_owned(),
                (_, Some(failed)) => failed,
                (true, None) => "NotReady".to_owned(),
                (false, None) => reason,
            };
        }
    }
    if is_deleting(o) {
        let ended = matches!(text(status, "phase"), "Succeeded" | "Failed");
        if text(status, "reason") == "NodeLost" {
            reason = "Unknown".to_owned();
        } else if !ended {
            reason = "Terminating".to_owned();
        }
    }
    let gates = list(spec, "readinessGates");
    let open = gates.iter().filter(|gate| {
        let condition = list(status, "conditions").iter().find(|c| text(c, "type") == text(gate, "conditionType"));
        condition.is_some_and(|c| text(c, "status") == "True")
    });
    let gates_shown = if gates.is_empty() { "<none>".to_owned() } else { format!("{}/{}", open.count(), gates.len()) };
    vec![
        print::name(o),
        json!(format!("{ready}/{total}")),
        json!(reason),
        json!(restarts.shown(now)),
        print::age(o, now),
        json!(print::or_none(text(&status["podIPs"][0], "ip"))),
        json!(print::or_none(text(spec, "nodeName"))),
        json!(print::or_none(text(status, "nominatedNodeName"))),
        json!(gates_shown),
    ]
}
