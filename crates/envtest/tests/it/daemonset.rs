use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use api::resources::{CONTROLLERREVISIONS, DAEMONSETS, NODES, PODS};
use client::PatchKind;
use cri::fake::{FakeImage, PullFailure};
use envtest::{Cluster, Failure, Options, check};
use serde_json::{Value, json};

const AGENT: &str = "
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}}
    spec:
      containers:
      - {name: agent, image: 'example.org/agent:v1'}
";

async fn patch(cluster: &Cluster, patch: Value) -> Result<(), Failure> {
    cluster.client().patch(DAEMONSETS, "default", "agent", PatchKind::Strategic, patch).await?;
    Ok(())
}

async fn set_image(cluster: &Cluster, image: &str) -> Result<(), Failure> {
    let containers = json!([{"name": "agent", "image": image}]);
    patch(cluster, json!({"spec": {"template": {"spec": {"containers": containers}}}})).await
}

async fn patch_node(cluster: &Cluster, node: &str, patch: Value) -> Result<(), Failure> {
    cluster.client().patch(NODES, "", node, PatchKind::Merge, patch).await?;
    Ok(())
}

/// The node that a Pod asks for.
fn target(pod: &Value) -> &str {
    let required = &pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
    required["nodeSelectorTerms"][0]["matchFields"][0]["values"][0].as_str().unwrap_or("?")
}

/// Which image is for which node, of the Pods that stay.
fn images(cluster: &Cluster) -> BTreeMap<String, String> {
    let image = |pod: &Value| pod["spec"]["containers"][0]["image"].as_str().unwrap_or("?").to_owned();
    cluster.pods().iter().map(|pod| (target(pod).to_owned(), image(pod))).collect()
}

fn names(cluster: &Cluster) -> BTreeSet<String> {
    cluster.list(PODS, "default").iter().map(|pod| pod.meta().name.clone()).collect()
}

/// Waits until the set has come to rest with an available Pod on `count` nodes, all up to date.
async fn settled(cluster: &Cluster, count: i64) -> Result<Value, Failure> {
    cluster
        .eventually(&format!("the set rests on {count} nodes"), || {
            let set = cluster.get(DAEMONSETS, "default", "agent").ok_or("it does not exist")?.value();
            let number = |field: &str| set["status"][field].as_i64().unwrap_or(0);
            let fields = [
                "desiredNumberScheduled",
                "currentNumberScheduled",
                "updatedNumberScheduled",
                "numberReady",
                "numberAvailable",
            ];
            let rests = number("observedGeneration") == set["metadata"]["generation"].as_i64().unwrap_or(0)
                && fields.iter().all(|field| number(field) == count)
                && number("numberMisscheduled") == 0
                && cluster.list(PODS, "default").len() as i64 == count;
            if rests { Ok(set.clone()) } else { Err(set["status"].to_string()) }
        })
        .await
}

#[test]
fn every_node_has_a_pod_and_a_lost_one_comes_back() {
    check(&Options::new(41).outages(), async |cluster| {
        cluster.apply(AGENT).await?;
        settled(cluster, 3).await?;
        let v1 = || "example.org/agent:v1".to_owned();
        assert!(cluster.pods().iter().all(|pod| pod["spec"]["nodeName"] == target(pod)));
        assert_eq!(images(cluster), ["node-0", "node-1", "node-2"].map(|node| (node.to_owned(), v1())).into());
        let name = cluster.pods()[0]["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        cluster.delete(PODS, "default", &name).await?;
        cluster
            .eventually("it is gone", || match cluster.get(PODS, "default", &name) {
                None => Ok(()),
                Some(_) => Err("not yet".to_owned()),
            })
            .await?;
        settled(cluster, 3).await?;
        Ok(())
    });
}

#[test]
fn nodes_are_chosen_by_labels_and_taints() {
    check(&Options::new(42).outages(), async |cluster| {
        cluster.apply(AGENT).await?;
        settled(cluster, 3).await?;
        // A node that is closed for others still has its daemons.
        patch_node(cluster, "node-0", json!({"spec": {"unschedulable": true}})).await?;
        let taint = |effect: &str| json!({"spec": {"taints": [{"key": "job", "effect": effect}]}});
        patch_node(cluster, "node-1", taint("NoSchedule")).await?;
        cluster
            .eventually("the tainted node's Pod stays though it is out of place", || {
                let set = cluster.get(DAEMONSETS, "default", "agent").map(|set| set.value()).unwrap_or_default();
                let status = &set["status"];
                let is = status["numberMisscheduled"] == 1 && status["desiredNumberScheduled"] == 2;
                if is && images(cluster).len() == 3 { Ok(()) } else { Err(status.to_string()) }
            })
            .await?;
        patch_node(cluster, "node-1", taint("NoExecute")).await?;
        settled(cluster, 2).await?;
        patch(cluster, json!({"spec": {"template": {"spec": {"nodeSelector": {"disk": "fast"}}}}})).await?;
        settled(cluster, 0).await?;
        patch_node(cluster, "node-2", json!({"metadata": {"labels": {"disk": "fast"}}})).await?;
        settled(cluster, 1).await?;
        assert_eq!(images(cluster).keys().collect::<Vec<_>>(), ["node-2"]);
        Ok(())
    });
}

#[test]
fn an_update_goes_node_by_node_and_keeps_its_revisions() {
    check(&Options::new(43).outages(), async |cluster| {
        cluster.apply(AGENT).await?;
        settled(cluster, 3).await?;
        let mut fewest = 3;
        set_image(cluster, "example.org/agent:v2").await?;
        cluster
            .eventually("the update is done", || {
                let ready = cluster.pods().iter().filter(|pod| is_ready(pod)).count();
                fewest = fewest.min(ready);
                let images = images(cluster);
                if images.values().all(|image| image.ends_with("v2")) && ready == 3 {
                    Ok(())
                } else {
                    Err(format!("{images:?}"))
                }
            })
            .await?;
        assert_eq!(fewest, 2, "one node at a time");
        settled(cluster, 3).await?;
        let revisions = |cluster: &Cluster| {
            let all = cluster.list(CONTROLLERREVISIONS, "default");
            let mut numbers: Vec<i64> = all.iter().filter_map(|r| r.value()["revision"].as_i64()).collect();
            numbers.sort_unstable();
            numbers
        };
        assert_eq!(revisions(cluster), [1, 2]);
        // Back to the first template: its revision is the newest again.
        set_image(cluster, "example.org/agent:v1").await?;
        settled(cluster, 3).await?;
        assert_eq!(revisions(cluster), [2, 3]);
        patch(cluster, json!({"spec": {"revisionHistoryLimit": 0}})).await?;
        cluster
            .eventually("only the newest is kept", || match revisions(cluster) {
                left if left == [3] => Ok(()),
                left => Err(format!("{left:?}")),
            })
            .await
    });
}

fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array();
    conditions.into_iter().flatten().any(|c| c["type"] == "Ready" && c["status"] == "True")
}

#[test]
fn a_surge_never_leaves_a_node_without_a_pod() {
    check(&Options::new(44).outages(), async |cluster| {
        cluster.apply(AGENT).await?;
        let surge = json!({"maxSurge": 1, "maxUnavailable": 0});
        patch(cluster, json!({"spec": {"minReadySeconds": 5, "updateStrategy": {"rollingUpdate": surge}}})).await?;
        settled(cluster, 3).await?;
        set_image(cluster, "example.org/agent:v2").await?;
        let (mut fewest, mut most) = (3, 3);
        cluster
            .eventually("the update is done", || {
                let pods = cluster.pods();
                fewest = fewest.min(pods.iter().filter(|pod| is_ready(pod)).count());
                most = most.max(pods.len());
                let old = pods.iter().filter(|pod| pod["spec"]["containers"][0]["image"] == "example.org/agent:v1");
                match old.count() {
                    0 => Ok(()),
                    old => Err(format!("{old} old Pods")),
                }
            })
            .await?;
        assert_eq!((fewest, most), (3, 4));
        settled(cluster, 3).await?;
        Ok(())
    });
}

#[test]
fn a_rollback_leaves_alone_what_was_not_updated() {
    check(&Options::new(47).outages(), async |cluster| {
        let failures = VecDeque::from([PullFailure::Unavailable; 50]);
        cluster.publish_image("example.org/agent:v2", &FakeImage { failures, ..FakeImage::default() });
        cluster.apply(AGENT).await?;
        settled(cluster, 3).await?;
        let before = names(cluster);
        set_image(cluster, "example.org/agent:v2").await?;
        cluster.pass(Duration::from_secs(60)).await?;
        let stuck = images(cluster).values().filter(|image| image.ends_with("v2")).count();
        assert_eq!(stuck, 1, "the update does not go on over a Pod that does not come up");
        set_image(cluster, "example.org/agent:v1").await?;
        settled(cluster, 3).await?;
        assert_eq!(names(cluster).intersection(&before).count(), 2);
        Ok(())
    });
}

#[test]
fn on_delete_waits_for_the_user() {
    check(&Options::new(45).outages(), async |cluster| {
        cluster.apply(AGENT).await?;
        patch(cluster, json!({"spec": {"updateStrategy": {"type": "OnDelete", "rollingUpdate": null}}})).await?;
        settled(cluster, 3).await?;
        set_image(cluster, "example.org/agent:v2").await?;
        cluster.pass(Duration::from_secs(60)).await?;
        assert!(images(cluster).values().all(|image| image.ends_with("v1")));
        for pod in cluster.pods() {
            cluster.delete(PODS, "default", pod["metadata"]["name"].as_str().unwrap_or_default()).await?;
        }
        settled(cluster, 3).await?;
        assert!(images(cluster).values().all(|image| image.ends_with("v2")));
        Ok(())
    });
}

#[test]
fn a_failed_pod_is_replaced_ever_more_seldom() {
    check(&Options::new(46).nodes(1).outages(), async |cluster| {
        cluster.apply(AGENT).await?;
        settled(cluster, 1).await?;
        let mut replaced = Vec::new();
        for _ in 0..4 {
            settled(cluster, 1).await?;
            let name = cluster.pods()[0]["metadata"]["name"].as_str().unwrap_or_default().to_owned();
            let failed = json!({"status": {"phase": "Failed"}});
            cluster.client().patch_status(PODS, "default", &name, PatchKind::Merge, failed).await?;
            let began = cluster.now();
            cluster
                .eventually("it is replaced", || match cluster.get(PODS, "default", &name) {
                    None => Ok(()),
                    Some(pod) if pod.meta().deletion_timestamp.is_some() => Ok(()),
                    Some(_) => Err("not yet".to_owned()),
                })
                .await?;
            replaced.push(cluster.now().duration_since(began).as_secs());
        }
        assert_eq!(replaced.first(), Some(&0));
        assert!(replaced.is_sorted() && replaced.last() > Some(&1), "after {replaced:?} s");
        Ok(())
    });
}

#[test]
fn a_node_never_has_two_pods_with_any_one_fault() {
    for options in crate::faults::one_by_one(60) {
        check(&options.outages(), async |cluster| {
            for version in ["v1", "v2"] {
                cluster.apply(&AGENT.replace("agent:v1", &format!("agent:{version}"))).await?;
                let look = || {
                    let pods = cluster.pods();
                    let nodes = images(cluster);
                    if nodes.len() != pods.len() {
                        return Ok(Err(Failure::Wrong(format!("{} Pods on {} nodes", pods.len(), nodes.len()))));
                    }
                    let done = nodes.len() == 3 && nodes.values().all(|image| image.ends_with(version));
                    if done { Ok(Ok(())) } else { Err(format!("{nodes:?}")) }
                };
                cluster.eventually(&format!("{version} is everywhere"), look).await??;
                settled(cluster, 3).await?;
            }
            Ok(())
        });
    }
}
