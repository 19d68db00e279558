use std::time::Duration;

use api::resources::{NODES, PODS, SERVICEACCOUNTS};
use client::{PatchKind, Target, WriteOptions};
use envtest::{Cluster, Failure, Options, check};
use serde_json::{Value, json};

/// Makes a Pod that wants so many of the node's four cores.
async fn make(cluster: &Cluster, name: &str, cores: &str) -> Result<(), Failure> {
    let account = || cluster.get(SERVICEACCOUNTS, "default", "default").map(|_| ()).ok_or_else(String::new);
    cluster.eventually("the account is there", account).await?;
    let container = json!({"name": "c", "image": "example.org/web:v1", "resources": {"requests": {"cpu": cores}},
        "resizePolicy": [{"resourceName": "cpu", "restartPolicy": "NotRequired"}]});
    let pod = json!({"metadata": {"name": name}, "spec": {"containers": [container]}});
    cluster.client().create(PODS, "default", pod).await?;
    Ok(())
}

fn found(cluster: &Cluster, name: &str) -> Value {
    cluster.get(PODS, "default", name).map_or(Value::Null, |pod| pod.value())
}

async fn runs(cluster: &Cluster, name: &str) -> Result<(), Failure> {
    let look = || match &found(cluster, name)["status"] {
        status if status["phase"] == "Running" => Ok(()),
        status => Err(status.to_string()),
    };
    cluster.eventually(&format!("{name} runs"), look).await
}

async fn waits(cluster: &Cluster, name: &str) -> Result<(), Failure> {
    let look = || match found(cluster, name)["status"]["conditions"][0].clone() {
        c if c["reason"] == "Unschedulable" => Ok(()),
        c => Err(c.to_string()),
    };
    cluster.eventually(&format!("{name} waits"), look).await
}

#[test]
fn a_pod_that_gives_back_some_of_its_cores_makes_room() {
    check(&Options::new(71).nodes(1), async |cluster| {
        make(cluster, "large", "3").await?;
        runs(cluster, "large").await?;
        make(cluster, "waits", "2").await?;
        waits(cluster, "waits").await?;
        let began = cluster.now();
        let patch = json!({"spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": "2"}}}]}});
        let target = Target::object(PODS, "default", "large").subresource("resize");
        cluster.client().transport().patch(target, PatchKind::Strategic, patch, &WriteOptions::default()).await?;
        runs(cluster, "waits").await?;
        assert!(cluster.now().duration_since(began).as_secs() < 2, "nobody waited for a timer");
        Ok(())
    });
}

#[test]
fn what_a_pod_is_to_get_counts_before_it_has_it() {
    check(&Options::new(72).nodes(1), async |cluster| {
        make(cluster, "grows", "1").await?;
        runs(cluster, "grows").await?;
        // Nobody is there to grant it.
        cluster.node("node-0")?.kill_kubelet();
        let patch = json!({"spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": "3"}}}]}});
        let target = Target::object(PODS, "default", "grows").subresource("resize");
        cluster.client().transport().patch(target, PatchKind::Strategic, patch, &WriteOptions::default()).await?;
        make(cluster, "waits", "2").await?;
        waits(cluster, "waits").await
    });
}

#[test]
fn a_write_of_version_0_insists_on_none() {
    check(&Options::new(73).nodes(1), async |cluster| {
        let mut node = cluster.client().get(NODES, "", "node-0").await?.value();
        cluster.pass(Duration::from_secs(600)).await?;
        node["status"]["capacity"]["example.com/thing"] = json!("3");
        let refused = cluster.client().update_status(NODES, "", "node-0", node.clone()).await.unwrap_err();
        assert_eq!(refused.code, 409, "the node has written its status meanwhile");
        node["metadata"]["resourceVersion"] = json!("0");
        let written = cluster.client().update_status(NODES, "", "node-0", node).await?.value();
        assert_eq!(written["status"]["capacity"]["example.com/thing"], "3");
        Ok(())
    });
}

#[test]
fn a_pod_waits_for_a_resource_until_somebody_says_that_a_node_has_it() {
    check(&Options::new(73).nodes(2), async |cluster| {
        let limits = json!({"limits": {"example.com/dongle": "1"}});
        let container = json!({"name": "c", "image": "example.org/web:v1", "resources": limits});
        let pod = json!({"metadata": {"name": "wants-dongle"}, "spec": {"containers": [container]}});
        cluster.client().create(PODS, "default", pod).await?;
        waits(cluster, "wants-dongle").await?;
        let dongles = async |count: Value| {
            let patch = json!({"status": {"capacity": {"example.com/dongle": count}}});
            cluster.client().patch_status(NODES, "", "node-1", PatchKind::Merge, patch).await
        };
        dongles(json!("4")).await?;
        runs(cluster, "wants-dongle").await?;
        assert_eq!(found(cluster, "wants-dongle")["spec"]["nodeName"], "node-1");
        dongles(Value::Null).await?;
        let gone = || match cluster.get(NODES, "", "node-1").map(|node| node.value()["status"].take()) {
            Some(status) if status["allocatable"]["example.com/dongle"].is_null() => Ok(()),
            other => Err(format!("{other:?}")),
        };
        cluster.eventually("the node has none any more", gone).await
    });
}
