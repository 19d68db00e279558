//! The cluster's own life: start, stop, delete, and a daemon that dies.

use serde_json::Value;

use crate::cluster::Cluster;
use crate::{DEPLOYMENT, SELECTOR, names, rows, text, with_deployment};

#[test]
fn start_gives_a_ready_node_and_a_context() {
    let cluster = Cluster::start();
    let profile = cluster.profile.as_str();
    assert_eq!(cluster.kubectl(&["config", "current-context"]).ok().trim(), profile);
    let table = cluster.kubectl(&["get", "nodes"]).ok();
    assert_eq!(rows(&table)[0][..2], [profile, "Ready"], "{table}");
    assert!(table.contains("v1.37"), "{table}");
    let info = cluster.kubectl(&["cluster-info"]).ok();
    assert!(info.contains("Kubernetes control plane") && info.contains("https://127.0.0.1:"), "{info}");
    let version = cluster.kubectl(&["version"]).ok();
    assert!(version.contains("Server Version: v1.37"), "{version}");
    let namespaces = cluster.kubectl(&["get", "namespaces", "-o", "name"]).ok();
    for namespace in ["default", "kube-node-lease", "kube-public", "kube-system"] {
        assert!(namespaces.lines().any(|line| line == format!("namespace/{namespace}")), "{namespaces}");
    }

    let again = cluster.start_again();
    assert!(again.contains("running already"), "{again}");
    let status = cluster.skiff(&["status"]).ok();
    assert!(status.contains("node: running"), "{status}");
    assert_eq!(cluster.skiff(&["ssh", "--", "hostname"]).ok().trim(), profile);
    let images = cluster.skiff(&["image", "ls"]).ok();
    assert!(images.contains(crate::image::V1) && images.contains(crate::image::V2), "{images}");
}

#[test]
fn a_shell_in_the_node_has_the_terminal() {
    let cluster = Cluster::prepare();
    cluster.start_on_own_port();
    // The last one is Ctrl-D.
    for (typed, code) in [("exit 4\n", 4), ("exit\n", 0), ("\u{4}", 0)] {
        let ran = cluster.skiff_in_terminal(&["ssh"], typed);
        assert!(ran.code == code && !ran.stdout.contains("tty"), "{typed:?}: {ran}");
    }
    // There is no shell that could have it go on.
    let ran = cluster.skiff_in_terminal(&["ssh", "--", "sh", "-c", "kill -TSTP $$; exit 6"], "");
    assert_eq!(ran.code, 6, "{ran}");
}

#[test]
fn a_cluster_that_is_not_there_is_named_with_the_next_step() {
    let cluster = Cluster::start();
    let other = cluster.skiff_as("nobody-started-this", &["status"]);
    assert_eq!(other.code, 4, "{other}");
    assert!(other.failed().contains("skiff start -p nobody-started-this"));
}

#[test]
fn stop_keeps_what_the_cluster_holds() {
    let cluster = Cluster::start();
    cluster.kubectl(&["create", "configmap", "kept", "--from-literal=colour=green"]).ok();
    let uid = text(&cluster.get(&["configmap", "kept"]), "/metadata/uid").to_owned();
    cluster.skiff(&["stop"]).ok();
    let status = cluster.skiff(&["status"]);
    assert_eq!(status.code, 4, "{status}");
    assert_eq!(cluster.processes(), [], "a stopped cluster has no process");
    cluster.start_again();
    let kept = cluster.get(&["configmap", "kept"]);
    assert_eq!(text(&kept, "/metadata/uid"), uid);
    assert_eq!(text(&kept, "/data/colour"), "green");
    cluster.kubectl(&["wait", "--for=condition=Ready", "node", "--all", "--timeout=60s"]).ok();
}

#[test]
fn a_killed_daemon_comes_back_and_no_pod_notices() {
    let cluster = with_deployment(2);
    let containers = |pods: Vec<Value>| -> Vec<(String, Value)> {
        let mut found: Vec<(String, Value)> = pods
            .iter()
            .map(|pod| &pod["status"]["containerStatuses"][0])
            .map(|status| (text(status, "/containerID").to_owned(), status["restartCount"].clone()))
            .collect();
        found.sort_by(|a, b| a.0.cmp(&b.0));
        found
    };
    let before = containers(cluster.pods(SELECTOR));
    assert!(before.len() == 2 && before.iter().all(|(id, count)| !id.is_empty() && *count == 0), "{before:?}");

    let daemon = cluster.daemon();
    let pid = rustix::process::Pid::from_raw(i32::try_from(daemon).expect("a pid")).expect("a pid is not 0");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("the daemon runs, and we are root");
    cluster.eventually("another daemon", || cluster.daemons().into_iter().find(|pid| *pid != daemon));
    cluster.eventually("the API answers", || (cluster.kubectl(&["get", "--raw", "/readyz"]).code == 0).then_some(()));
    let checks = cluster.kubectl(&["get", "--raw", "/readyz?verbose"]).ok();
    assert!(checks.starts_with("[+]ping ok\n[+]etcd ok\n") && checks.ends_with("readyz check passed\n"), "{checks}");
    assert_eq!(containers(cluster.pods(SELECTOR)), before);

    // It is the whole cluster that is back: controllers, scheduler and kubelet make a third Pod run.
    cluster.kubectl(&["scale", DEPLOYMENT, "--replicas=3"]).ok();
    cluster.rollout_status(DEPLOYMENT);
    let after = containers(cluster.pods(SELECTOR));
    assert_eq!(after.len(), 3, "{after:?}");
    assert!(before.iter().all(|container| after.contains(container)), "{before:?} {after:?}");
}

#[test]
fn stop_and_start_bring_the_pods_back() {
    let cluster = with_deployment(2);
    let before = cluster.pods(SELECTOR);
    cluster.skiff(&["stop"]).ok();
    cluster.start_again();
    cluster.eventually("the same Pods run again", || {
        let after = cluster.pods(SELECTOR);
        let runs = |pod: &Value| {
            let status = &pod["status"]["containerStatuses"][0];
            status["ready"] == true && status["restartCount"] == 1
        };
        (names(&after) == names(&before) && after.iter().all(runs)).then_some(())
    });
    cluster.rollout_status(DEPLOYMENT);
}

#[test]
fn what_is_under_way_does_not_hold_up_a_stop() {
    let cluster = with_deployment(1);
    let mut follower = cluster.kubectl_started(&[], &["logs", "--follow", DEPLOYMENT]);
    cluster.kubectl(&["scale", DEPLOYMENT, "--replicas=5"]).ok();
    cluster.skiff(&["stop"]).ok();
    follower.wait().expect("the log ends");
    let log = cluster.read(&format!("clusters/{}/skiff.log", cluster.profile));
    let log = String::from_utf8_lossy(&log);
    assert!(log.contains("told to end") && !log.contains("did not finish in time"), "{log}");
    cluster.start_again();
    cluster.rollout_status(DEPLOYMENT);
}

#[test]
fn clusters_that_start_at_once_or_rest_share_nothing() {
    let clusters: Vec<Cluster> = (0..4).map(|_| Cluster::prepare()).collect();
    std::thread::scope(|scope| {
        for cluster in &clusters {
            scope.spawn(|| cluster.start_again());
        }
    });
    let said: Vec<String> = clusters.iter().map(|cluster| cluster.skiff(&["status"]).ok()).collect();
    for what in ["api: ", "node address: "] {
        let mut values: Vec<&str> =
            said.iter().flat_map(|text| text.lines().filter_map(|line| line.strip_prefix(what))).collect();
        values.sort_unstable();
        values.dedup();
        assert_eq!(values.len(), clusters.len(), "{what}{values:?}");
    }
    // One that is stopped keeps its port and its network.
    let resting = &clusters[0];
    resting.skiff(&["stop"]).ok();
    let profile = format!("{}-b", resting.profile);
    resting.skiff_as(&profile, &["start"]).ok();
    resting.start_again();
    resting.skiff_as(&profile, &["delete"]).ok();
}
