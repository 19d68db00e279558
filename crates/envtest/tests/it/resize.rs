use std::time::Duration;

use api::resources::{EVENTS, PODS};
use client::{PatchKind, Target, WriteOptions};
use envtest::{Cluster, Failure, Options, check};
use serde_json::{Value, json};

async fn run(cluster: &Cluster, name: &str, cpu: &str, policy: &str) -> Result<(), Failure> {
    let pod = json!({"metadata": {"name": name}, "spec": {"containers": [{
        "name": "c", "image": "example.org/web:v1", "resources": {"requests": {"cpu": cpu}},
        "resizePolicy": [{"resourceName": "cpu", "restartPolicy": policy}],
    }]}});
    cluster.client().create(PODS, "default", pod).await?;
    container_becomes(cluster, name, |container| container["ready"] == true).await.map(|_| ())
}

async fn resize(cluster: &Cluster, name: &str, cpu: &str) -> Result<(), apimachinery::ApiError> {
    let patch = json!({"spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": cpu}}}]}});
    let target = Target::object(PODS, "default", name).subresource("resize");
    let options = WriteOptions::default();
    cluster.client().transport().patch(target, PatchKind::Strategic, patch, &options).await.map(|_| ())
}

fn status(cluster: &Cluster, name: &str) -> Value {
    cluster.get(PODS, "default", name).map(|pod| pod.value()["status"].clone()).unwrap_or_default()
}

async fn container_becomes(cluster: &Cluster, name: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value, Failure> {
    let look = || match status(cluster, name)["containerStatuses"][0].clone() {
        container if wanted(&container) => Ok(container),
        container => Err(container.to_string()),
    };
    cluster.eventually(&format!("the container of {name} is as it should be"), look).await
}

/// The condition that says that a resize is on its way, if there is one.
fn condition(cluster: &Cluster, name: &str) -> Option<Value> {
    let conditions = status(cluster, name)["conditions"].as_array().cloned().unwrap_or_default();
    conditions.into_iter().find(|c| c["type"].as_str().is_some_and(|kind| kind.starts_with("PodResize")))
}

fn runs_with(cpu: &str) -> impl Fn(&Value) -> bool {
    move |container| {
        container["ready"] == true
            && container["resources"]["requests"]["cpu"] == cpu
            && container["allocatedResources"]["cpu"] == cpu
    }
}

#[test]
fn a_container_gets_more_while_it_runs() {
    check(&Options::new(61), async |cluster| {
        run(cluster, "p", "1", "NotRequired").await?;
        // Events of one instant have one name.
        cluster.pass(Duration::from_secs(1)).await?;
        resize(cluster, "p", "2").await?;
        let container = container_becomes(cluster, "p", runs_with("2")).await?;
        assert_eq!(container["restartCount"], 0);
        let told = || {
            let all = cluster.list(EVENTS, "default");
            let found = all.iter().map(|event| event.value()).find(|event| event["reason"] == "ResizeStarted");
            found.ok_or_else(|| format!("{} Events", all.len()))
        };
        let event = cluster.eventually("an Event tells of it", told).await?;
        assert_eq!(
            event["message"],
            "Pod resize started: {\"containers\":[{\"name\":\"c\",\"resources\":{\"requests\":{\"cpu\":\"2\"}}}],\
             \"generation\":2}"
        );
        assert_eq!(condition(cluster, "p"), None);
        Ok(())
    });
}

#[test]
fn a_container_that_wants_to_is_started_anew() {
    check(&Options::new(62).outages(), async |cluster| {
        run(cluster, "p", "1", "RestartContainer").await?;
        resize(cluster, "p", "2").await?;
        let container = container_becomes(cluster, "p", runs_with("2")).await?;
        assert_eq!(container["restartCount"], 1);
        Ok(())
    });
}

#[test]
fn what_the_node_does_not_have_waits_until_it_has() {
    check(&Options::new(63).nodes(1).outages(), async |cluster| {
        run(cluster, "large", "3", "NotRequired").await?;
        run(cluster, "small", "500m", "NotRequired").await?;
        let refused = resize(cluster, "small", "5").await.err().map(|error| error.message).unwrap_or_default();
        assert!(refused.ends_with("allocatable resources: cpu, requested: 5000, allocatable: 4000"), "{refused}");
        resize(cluster, "small", "2").await?;
        let pending = || condition(cluster, "small").ok_or_else(|| status(cluster, "small").to_string());
        let pending = cluster.eventually("the resize is pending", pending).await?;
        assert_eq!((&pending["type"], &pending["reason"]), (&json!("PodResizePending"), &json!("Deferred")));
        assert_eq!(
            pending["message"],
            "Node didn't have enough resource: cpu, requested: 2000, used: 3000, capacity: 4000"
        );
        assert_eq!(status(cluster, "small")["containerStatuses"][0]["resources"]["requests"]["cpu"], "500m");
        cluster.delete(PODS, "default", "large").await?;
        container_becomes(cluster, "small", runs_with("2")).await?;
        let gone = || condition(cluster, "small").map_or(Ok(()), |condition| Err(condition.to_string()));
        cluster.eventually("the condition is gone", gone).await
    });
}

#[test]
fn what_was_granted_holds_over_a_restart_of_the_kubelet() {
    check(&Options::new(64).nodes(1).outages(), async |cluster| {
        run(cluster, "p", "1", "NotRequired").await?;
        resize(cluster, "p", "2").await?;
        container_becomes(cluster, "p", runs_with("2")).await?;
        let node = &cluster.nodes()[0];
        node.kill_kubelet();
        resize(cluster, "p", "3").await?;
        assert_eq!(status(cluster, "p")["containerStatuses"][0]["allocatedResources"]["cpu"], "2");
        node.start_kubelet();
        let container = container_becomes(cluster, "p", runs_with("3")).await?;
        assert_eq!(container["restartCount"], 0);
        Ok(())
    });
}
