use std::time::Duration;

use api::resources::{EVENTS, NODES, PODS};
use client::{DeleteOptions, PatchKind};
use envtest::{Cluster, Failure, Options, check};
use serde_json::{Value, json};

/// A set whose Pod wants port 21017 of the first node.
const SET: &str = "
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  replicas: 1
  serviceName: db
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      nodeName: node-0
      containers:
      - {name: db, image: 'example.org/db:v1', ports: [{containerPort: 21017, hostPort: 21017}]}
";

/// Makes a Pod on the first node, past the scheduler.
async fn bound(cluster: &Cluster, name: &str, mut spec: Value) -> Result<(), Failure> {
    spec["nodeName"] = json!("node-0");
    spec["containers"][0]["name"] = json!("c");
    spec["containers"][0]["image"] = json!("example.org/web:v1");
    cluster.client().create(PODS, "default", json!({"metadata": {"name": name}, "spec": spec})).await?;
    Ok(())
}

fn status(cluster: &Cluster, name: &str) -> Value {
    cluster.get(PODS, "default", name).map(|pod| pod.value()["status"].clone()).unwrap_or_default()
}

async fn becomes(cluster: &Cluster, name: &str, phase: &str) -> Result<Value, Failure> {
    let look = || match status(cluster, name) {
        status if status["phase"] == phase => Ok(status),
        status => Err(status.to_string()),
    };
    cluster.eventually(&format!("{name} is {phase}"), look).await
}

fn with_port(port: u16) -> Value {
    json!({"containers": [{"ports": [{"containerPort": port, "hostPort": port}]}]})
}

#[test]
fn a_pod_whose_port_is_taken_fails_and_is_replaced_until_it_fits() {
    check(&Options::new(91).nodes(1), async |cluster| {
        bound(cluster, "first", with_port(21017)).await?;
        becomes(cluster, "first", "Running").await?;
        cluster.apply(SET).await?;
        let refused = || {
            let all = cluster.list(EVENTS, "default");
            let mut all = all.iter().map(|event| event.value());
            let event = all.find(|event| event["reason"] == "NodePorts" && event["involvedObject"]["name"] == "db-0");
            event.ok_or_else(|| "no such Event".to_owned())
        };
        let event = cluster.eventually("the set's Pod is refused", refused).await?;
        assert_eq!(event["type"], "Warning");
        let text = "Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports";
        assert_eq!(event["message"], text);
        let now = DeleteOptions { grace_period_seconds: Some(0), ..DeleteOptions::default() };
        cluster.client().delete(PODS, "default", "first", &now).await?;
        becomes(cluster, "db-0", "Running").await?;
        Ok(())
    });
}

#[test]
fn what_a_node_lacks_is_said_in_the_status_and_stays_there() {
    check(&Options::new(92).nodes(1), async |cluster| {
        bound(cluster, "big", json!({"containers": [{"resources": {"requests": {"cpu": "5"}}}]})).await?;
        let said = becomes(cluster, "big", "Failed").await?;
        assert_eq!(said["reason"], "OutOfcpu");
        let text = "Pod was rejected: Node didn't have enough resource: cpu, requested: 5000, used: 0, capacity: 4000";
        assert_eq!(said["message"], text);
        assert_eq!(said["containerStatuses"], Value::Null, "nothing of it was ever there");
        let node = cluster.node("node-0")?;
        node.kill_kubelet();
        node.start_kubelet();
        cluster.pass(Duration::from_secs(30)).await?;
        assert_eq!(status(cluster, "big"), said, "another kubelet has nothing to add");
        cluster.delete(PODS, "default", "big").await?;
        let gone = || cluster.get(PODS, "default", "big").map_or(Ok(()), |pod| Err(pod.value().to_string()));
        cluster.eventually("it can be deleted", gone).await
    });
}

#[test]
fn a_kubelet_that_is_started_again_refuses_nothing_that_runs() {
    check(&Options::new(93).nodes(1), async |cluster| {
        let label = |value: Value| json!({"metadata": {"labels": {"disk": value}}});
        cluster.client().patch(NODES, "", "node-0", PatchKind::Strategic, label(json!("ssd"))).await?;
        let picky = json!({"nodeSelector": {"disk": "ssd"}, "containers": [{}]});
        // The label may be newer than what the kubelet knows of its node.
        bound(cluster, "old", picky.clone()).await?;
        becomes(cluster, "old", "Running").await?;
        cluster.client().patch(NODES, "", "node-0", PatchKind::Strategic, label(Value::Null)).await?;
        let node = cluster.node("node-0")?;
        node.kill_kubelet();
        bound(cluster, "new", picky).await?;
        node.start_kubelet();
        let said = becomes(cluster, "new", "Failed").await?;
        assert_eq!(said["reason"], "NodeAffinity");
        cluster.pass(Duration::from_secs(30)).await?;
        assert_eq!(status(cluster, "old")["phase"], "Running");
        assert_eq!(status(cluster, "old")["containerStatuses"][0]["restartCount"], 0);
        Ok(())
    });
}
