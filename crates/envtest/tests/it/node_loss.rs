use std::time::Duration;

use api::resources::{EVENTS, NODES, PODS};
use client::PatchKind;
use envtest::{Cluster, Options, check};
use serde_json::{Value, json};

use crate::WEB;

/// Taint-based eviction waits five minutes (upstream's default tolerations).
const PATIENCE: Duration = Duration::from_secs(600);

fn on(cluster: &Cluster, node: &str) -> usize {
    cluster.pods().iter().filter(|pod| pod["spec"]["nodeName"] == node).count()
}

fn taints(cluster: &Cluster, node: &str) -> Vec<String> {
    let node = cluster.get(NODES, "", node).map(|node| node.value()).unwrap_or_default();
    let taints = node["spec"]["taints"].as_array().cloned().unwrap_or_default();
    taints
        .iter()
        .map(|taint| format!("{}:{}", taint["key"].as_str().unwrap_or(""), taint["effect"].as_str().unwrap_or("")))
        .collect()
}

#[test]
fn pods_of_a_lost_node_are_replaced_after_their_toleration() {
    check(&Options::new(4).patience(PATIENCE).outages(), async |cluster| {
        cluster.apply(WEB).await?;
        cluster.rolled_out("web").await?;
        assert!(on(cluster, "node-1") > 0, "the Pods are spread");
        let lost = cluster.now();
        cluster.node("node-1")?.kill_kubelet();
        cluster
            .eventually("the node is tainted", || {
                let found = taints(cluster, "node-1");
                let wanted = ["node.kubernetes.io/unreachable:NoExecute", "node.kubernetes.io/unreachable:NoSchedule"];
                if wanted.iter().all(|taint| found.iter().any(|f| f == taint)) {
                    Ok(())
                } else {
                    Err(format!("{found:?}"))
                }
            })
            .await?;
        let tainted = cluster.now();
        // The grace for heartbeats (upstream's 50 s), and the Lease's renewal interval before the loss.
        let silent = tainted.duration_since(lost).as_secs();
        assert!((40..=60).contains(&silent), "tainted after {silent} s");
        cluster
            .eventually("the node's Pods are evicted", || {
                if on(cluster, "node-1") == 0 { Ok(()) } else { Err("not yet".into()) }
            })
            .await?;
        let waited = cluster.now().duration_since(tainted).as_secs();
        assert!((299..=302).contains(&waited), "evicted after {waited} s");
        cluster.rolled_out("web").await?;

        // The Pods are still on their way until the kubelet is back and says that they have ended.
        let leaving =
            || cluster.list(PODS, "default").iter().filter(|pod| pod.meta().deletion_timestamp.is_some()).count();
        assert!(leaving() > 0);
        cluster.node("node-1")?.start_kubelet();
        cluster
            .eventually("they are gone", || if leaving() == 0 { Ok(()) } else { Err(leaving().to_string()) })
            .await?;
        cluster
            .eventually("the taints are gone", || {
                let found = taints(cluster, "node-1");
                if found.is_empty() { Ok(()) } else { Err(format!("{found:?}")) }
            })
            .await
    });
}

#[test]
fn a_kubelet_that_is_back_in_time_keeps_its_pods() {
    check(&Options::new(5), async |cluster| {
        cluster.apply(WEB).await?;
        cluster.rolled_out("web").await?;
        let names =
            |cluster: &Cluster| cluster.pods().iter().map(|pod| pod["metadata"]["name"].clone()).collect::<Vec<_>>();
        let before = names(cluster);
        for node in cluster.nodes() {
            node.kill_kubelet();
        }
        cluster.pass(Duration::from_secs(20)).await?;
        for node in cluster.nodes() {
            node.start_kubelet();
        }
        cluster.pass(Duration::from_secs(120)).await?;
        assert_eq!(names(cluster), before);
        for pod in cluster.pods() {
            assert_eq!(pod["status"]["containerStatuses"][0]["restartCount"], 0);
        }
        Ok(())
    });
}

/// What is said of an object, with who says it: `kubelet NodeReady x1: …`, sorted.
fn events(cluster: &Cluster, kind: &str, name: &str) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let of_object = |event: &Value| event["involvedObject"]["kind"] == kind && event["involvedObject"]["name"] == name;
    let events = cluster.list(EVENTS, "default").into_iter().map(|event| event.value()).filter(of_object);
    let mut said: Vec<String> = events
        .map(|event| {
            let (who, reason) = (text(&event["source"]["component"]), text(&event["reason"]));
            format!("{who} {reason} x{}: {}", event["count"], text(&event["message"]))
        })
        .collect();
    said.sort();
    said
}

#[test]
fn a_node_and_its_controller_say_what_becomes_of_it() {
    check(&Options::new(6).nodes(1).outages(), async |cluster| {
        cluster.apply(WEB).await?;
        cluster.rolled_out("web").await?;
        let before = [
            "kubelet NodeHasNoDiskPressure x1: Node node-0 status is now: NodeHasNoDiskPressure",
            "kubelet NodeHasSufficientMemory x1: Node node-0 status is now: NodeHasSufficientMemory",
            "kubelet NodeHasSufficientPID x1: Node node-0 status is now: NodeHasSufficientPID",
            "kubelet NodeReady x1: Node node-0 status is now: NodeReady",
            "kubelet Starting x1: Starting kubelet.",
            "node-controller RegisteredNode x1: Node node-0 event: Registered Node node-0 in Controller",
        ];
        let said = |wanted: Vec<String>| {
            move || {
                let found = events(cluster, "Node", "node-0");
                if found == wanted { Ok(()) } else { Err(format!("{found:#?}")) }
            }
        };
        let mut wanted: Vec<String> = before.iter().map(|line| (*line).to_owned()).collect();
        cluster.eventually("the node is there", said(wanted.clone())).await?;
        // Heartbeats say nothing.
        cluster.pass(Duration::from_secs(700)).await?;
        assert_eq!(events(cluster, "Node", "node-0"), wanted);

        let cordon = json!({"spec": {"unschedulable": true}});
        cluster.client().patch(NODES, "", "node-0", PatchKind::Merge, cordon).await?;
        wanted.push("kubelet NodeNotSchedulable x1: Node node-0 status is now: NodeNotSchedulable".to_owned());
        wanted.sort();
        cluster.eventually("it is cordoned", said(wanted.clone())).await?;

        cluster.node("node-0")?.kill_kubelet();
        wanted.push("node-controller NodeNotReady x1: Node node-0 status is now: NodeNotReady".to_owned());
        wanted.sort();
        cluster.eventually("it is lost", said(wanted)).await?;
        let pod = cluster.pods()[0]["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let lost = || {
            let found = events(cluster, "Pod", &pod);
            let lost = found.iter().any(|line| line == "node-controller NodeNotReady x1: Node is not ready");
            if lost { Ok(()) } else { Err(format!("{found:#?}")) }
        };
        cluster.eventually("its Pods are told", lost).await?;

        cluster.node("node-0")?.start_kubelet();
        let back = || {
            let found = events(cluster, "Node", "node-0");
            let ready = found.iter().filter(|line| line.starts_with("kubelet NodeReady")).count();
            if ready == 2 { Ok(()) } else { Err(format!("{found:#?}")) }
        };
        cluster.eventually("it is back", back).await
    });
}
