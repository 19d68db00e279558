//! Nodes as their administrator sees them: kept from Pods, tainted, emptied. And what happened.

use crate::cluster::Cluster;
use crate::{SELECTOR, image, names, rows, text, with_deployment};

/// The cluster's only node.
#[track_caller]
fn node_of(cluster: &Cluster) -> String {
    let list = cluster.get(&["nodes"]);
    text(&list, "/items/0/metadata/name").to_owned()
}

#[test]
fn a_node_is_kept_from_pods() {
    let cluster = Cluster::start();
    let node = node_of(&cluster);
    let node = node.as_str();
    assert_eq!(
        cluster.kubectl(&["cordon", node, "--dry-run=client"]).ok(),
        format!("node/{node} cordoned (dry run)\n")
    );
    assert_eq!(cluster.kubectl(&["cordon", node]).ok(), format!("node/{node} cordoned\n"));
    assert_eq!(cluster.kubectl(&["cordon", node]).ok(), format!("node/{node} already cordoned\n"));
    assert!(cluster.kubectl(&["get", "nodes"]).ok().contains("Ready,SchedulingDisabled"));
    let by_label = format!("kubernetes.io/hostname={node}");
    assert_eq!(cluster.kubectl(&["uncordon", "-l", &by_label]).ok(), format!("node/{node} uncordoned\n"));
    let missing = cluster.kubectl(&["cordon", "nowhere"]).failed();
    assert_eq!(missing, "Error from server (NotFound): nodes \"nowhere\" not found\n");
    let none = cluster.kubectl(&["cordon"]).failed();
    assert_eq!(none, "error: USAGE: cordon NODE [flags]\nSee 'kubectl cordon -h' for help and examples\n");

    let taint = |words: &[&str]| cluster.kubectl(&[&["taint", "nodes", node], words].concat());
    assert_eq!(taint(&["team=red:NoSchedule", "old:PreferNoSchedule"]).ok(), format!("node/{node} tainted\n"));
    assert_eq!(
        taint(&["team=blue:NoSchedule"]).failed(),
        format!("error: node {node} already has team taint(s) with same effect(s) and --overwrite is false\n")
    );
    let changed = taint(&["team=blue:NoSchedule", "old-", "--overwrite"]).ok();
    assert_eq!(changed, format!("node/{node} modified\n"));
    cluster.kubectl(&["run", "waits", &format!("--image={}", image::V1)]).ok();
    cluster.eventually("the Pod's Event tells of the taint", || {
        let said = cluster.kubectl(&["events", "--for=pod/waits", "--types=Warning"]).ok();
        said.contains("1 node(s) had untolerated taint(s)").then_some(())
    });
    assert_eq!(taint(&["team:NoSchedule-"]).ok(), format!("node/{node} untainted\n"));
    cluster.kubectl(&["wait", "--for=condition=Ready", "pod/waits", "--timeout=60s"]).ok();
    assert_eq!(taint(&["team-"]).failed(), "error: taint \"team\" not found\n");
}

#[test]
fn a_node_is_emptied_when_budgets_allow() {
    let cluster = with_deployment(2);
    let node = node_of(&cluster);
    let node = node.as_str();
    cluster.kubectl(&["run", "bare", &format!("--image={}", image::V1)]).ok();
    cluster.kubectl(&["wait", "--for=condition=Ready", "pod/bare", "--timeout=60s"]).ok();
    let refused = cluster.kubectl(&["drain", node]);
    assert_eq!((refused.code, refused.stdout.as_str()), (1, format!("node/{node} cordoned\n").as_str()));
    let why = "cannot delete Pods that declare no controller (use --force to override): default/bare";
    let [today, former] = ["", "cannot delete "].map(|before| {
        format!(
            "error: unable to drain node {node:?} due to error: {before}{why}, continuing command...\n\
             There are pending nodes to be drained:\n {node}\n{before}{why}\n"
        )
    });
    cluster.assert_said(&refused.stderr, &today, &former);
    cluster.kubectl(&["create", "pdb", "web", "--selector", SELECTOR, "--min-available=2"]).ok();
    cluster.eventually("the budget knows its Pods", || {
        (cluster.get(&["pdb", "web"]).pointer("/status/currentHealthy")? == 2).then_some(())
    });
    let flags = ["drain", node, "--force", "--grace-period=1", "--timeout=2s"];
    let refused = cluster.kubectl(&flags);
    assert_eq!(refused.code, 1, "{refused}");
    assert!(
        refused.stderr.starts_with("Warning: deleting Pods that declare no controller: default/bare\n"),
        "{refused}"
    );
    for line in ["pod/bare evicted\n", "evicting pod default/kubernetes-bootcamp-"] {
        assert!(refused.stdout.contains(line), "{line}: {refused}");
    }
    let pods = cluster.pods(SELECTOR);
    for name in names(&pods) {
        let error = format!("error when evicting pods/{name:?} -n \"default\"");
        let again = format!(
            "{error} (will retry after 5s): Cannot evict pod as it would violate the pod's disruption budget.\n"
        );
        assert!(refused.stderr.contains(&again), "{again}: {refused}");
        assert!(refused.stderr.contains(&format!("{error}: global timeout reached: 2s")), "{refused}");
    }
    cluster.kubectl(&["delete", "pdb", "web"]).ok();
    let drained = cluster.kubectl(&["drain", node, "--grace-period=1"]).ok();
    for name in names(&pods) {
        assert!(drained.contains(&format!("pod/{name} evicted\n")), "{drained}");
    }
    assert!(drained.ends_with(&format!("node/{node} drained\n")), "{drained}");
    // Those that came in their place find no node.
    let waiting = cluster.pods(SELECTOR);
    assert!(waiting.iter().all(|pod| text(pod, "/status/phase") == "Pending"), "{waiting:?}");
    cluster.kubectl(&["uncordon", node]).ok();
    cluster.rollout_status(crate::DEPLOYMENT);
}

#[test]
fn events_come_in_the_order_in_which_they_were_seen() {
    let cluster = Cluster::start();
    cluster.kubectl(&["run", "eventful", &format!("--image={}", image::V1)]).ok();
    cluster.kubectl(&["wait", "--for=condition=Ready", "pod/eventful", "--timeout=60s"]).ok();
    let table = cluster.eventually("the container's start is told", || {
        let table = cluster.kubectl(&["events", "--for", "pod/eventful"]).ok();
        table.contains("Started").then_some(table)
    });
    assert!(table.starts_with("LAST SEEN   TYPE     REASON "), "{table}");
    for row in rows(&table) {
        assert_eq!((row[1], row[3]), ("Normal", "Pod/eventful"), "{table}");
    }
    let place = |reason: &str| rows(&table).iter().position(|row| row[2] == reason);
    assert!(place("Scheduled").is_some() && place("Scheduled") <= place("Started"), "{table}");
    let everywhere = cluster.kubectl(&["events", "-A", "--no-headers", "--for=pod/eventful"]).ok();
    assert!(everywhere.lines().all(|line| line.starts_with("default   ")), "{everywhere}");
    let none = cluster.kubectl(&["events", "-n", "kube-public"]);
    assert_eq!((none.code, none.stderr.as_str()), (0, "No events found in kube-public namespace.\n"));
    let fault = cluster.kubectl(&["events", "--types=Loud"]).failed();
    assert_eq!(fault, "error: valid --types are Normal or Warning\n");
}
