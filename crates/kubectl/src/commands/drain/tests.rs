use serde_json::{Value, json};

use super::filter::{Allowed, Plan, Unread, plan};

/// A Pod of a controller of this kind, or of none.
fn pod(name: &str, controller: &str, fields: &[(&str, Value)]) -> Value {
    let mut pod = json!({"metadata": {"name": name, "namespace": "n"}, "spec": {}, "status": {"phase": "Running"}});
    if !controller.is_empty() {
        let owner = json!({"apiVersion": "apps/v1", "kind": controller, "name": "owner", "controller": true});
        pod["metadata"]["ownerReferences"] = json!([owner]);
    }
    for (pointer, value) in fields {
        let (parent, field) = pointer.rsplit_once('/').unwrap();
        pod.pointer_mut(parent).unwrap()[field] = value.clone();
    }
    pod
}

fn shown(pods: &[Value], allowed: Allowed, unread: Option<Unread>) -> String {
    let now = "2026-01-01T00:01:00Z".parse().unwrap();
    let Plan { pods, warnings, faults } = plan(pods, allowed, now, |_, _| unread.clone());
    let pods: Vec<&str> = pods.iter().filter_map(|pod| pod["metadata"]["name"].as_str()).collect();
    [pods.join(" "), warnings, faults.join(" & ")].join(" | ")
}

#[test]
fn what_goes_and_what_is_said() {
    let none = Allowed::default();
    let force = Allowed { force: true, ..none };
    let leave = Allowed { ignore_daemon_sets: true, ..none };
    let local = Allowed { delete_local_data: true, ..none };
    let scratch = ("/spec/volumes", json!([{"name": "v", "emptyDir": {}}]));
    let done = ("/status/phase", json!("Succeeded"));
    let mirror = ("/metadata/annotations", json!({"kubernetes.io/config.mirror": "x"}));
    let set = pod("set", "ReplicaSet", &[]);
    let (bare, other) = (pod("bare", "", &[]), pod("other", "", &[]));
    let daemon = pod("daemon", "DaemonSet", &[]);
    let writer = pod("writer", "ReplicaSet", std::slice::from_ref(&scratch));
    for (pods, allowed, expected) in [
        (vec![set.clone()], none, "set |  | "),
        (
            vec![set.clone(), bare.clone(), other.clone()],
            none,
            "set |  | cannot delete Pods that declare no controller (use --force to override): n/bare, n/other",
        ),
        (
            vec![bare.clone(), other.clone()],
            force,
            "bare other | deleting Pods that declare no controller: n/bare, n/other | ",
        ),
        (
            vec![daemon.clone(), writer.clone()],
            none,
            " |  | cannot delete DaemonSet-managed Pods (use --ignore-daemonsets to ignore): n/daemon & \
             cannot delete Pods with local storage (use --delete-emptydir-data to override): n/writer",
        ),
        (vec![daemon.clone(), set.clone()], leave, "set | ignoring DaemonSet-managed Pods: n/daemon | "),
        (
            vec![daemon.clone(), bare.clone()],
            Allowed { ignore_daemon_sets: true, ..force },
            "bare | ignoring DaemonSet-managed Pods: n/daemon; deleting Pods that declare no controller: n/bare | ",
        ),
        (vec![writer], local, "writer |  | "),
        (vec![pod("static", "", std::slice::from_ref(&mirror))], none, " |  | "),
        // What has ended may always go.
        (vec![pod("done", "", &[done.clone(), scratch.clone()])], none, "done |  | "),
        (vec![pod("done", "DaemonSet", std::slice::from_ref(&done))], none, "done |  | "),
    ] {
        assert_eq!(shown(&pods, allowed, None), expected);
    }
}

#[test]
fn pods_of_a_daemon_set_that_is_gone() {
    let none = Allowed::default();
    let pods = [pod("daemon", "DaemonSet", &[])];
    let missing = || Some(Unread { is_missing: true, text: "daemonsets.apps \"owner\" not found".to_owned() });
    assert_eq!(shown(&pods, none, missing()), " |  | cannot delete daemonsets.apps \"owner\" not found: n/daemon");
    assert_eq!(shown(&pods, Allowed { force: true, ..none }, missing()), "daemon |  | ");
    let refused = Some(Unread { is_missing: false, text: "no".to_owned() });
    assert_eq!(shown(&pods, Allowed { force: true, ..none }, refused), " |  | cannot delete no: n/daemon");
}

#[test]
fn pods_that_take_too_long_are_left() {
    let pods = [pod("slow", "ReplicaSet", &[("/metadata/deletionTimestamp", json!("2026-01-01T00:00:30Z"))])];
    let with = |skip_deleted_seconds| shown(&pods, Allowed { skip_deleted_seconds, ..Allowed::default() }, None);
    assert_eq!(with(29), " |  | ");
    assert_eq!(with(30), "slow |  | ", "30 seconds are not more than 30");
    assert_eq!(with(0), "slow |  | ");
}
