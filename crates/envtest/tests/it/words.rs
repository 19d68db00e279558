//! What the kubelet says of Pods that do not run as somebody meant.

use std::time::Duration;

use api::resources::{EVENTS, PODS};
use cri::fake::{Script, Selector};
use envtest::{Cluster, Failure, Options, check};
use serde_json::{Value, json};

async fn made(cluster: &Cluster, name: &str, container: Value, security: Value) -> Result<String, Failure> {
    let mut container = container;
    container["name"] = json!("c");
    if container["image"].is_null() {
        container["image"] = json!("example.org/web:v1");
    }
    let spec = json!({"containers": [container], "securityContext": security});
    let pod = cluster.client().create(PODS, "default", json!({"metadata": {"name": name}, "spec": spec})).await?;
    Ok(pod.meta().uid.clone())
}

/// Waits for an Event about `pod` with this reason, and gives its message.
async fn said(cluster: &Cluster, pod: &str, reason: &str) -> Result<String, Failure> {
    let look = || {
        let mut events = cluster.list(EVENTS, "default").into_iter().map(|event| event.value());
        let event = events.find(|event| event["involvedObject"]["name"] == pod && event["reason"] == reason);
        event.map(|event| event["message"].as_str().unwrap_or_default().to_owned()).ok_or("no such Event".to_owned())
    };
    cluster.eventually(&format!("{reason} of {pod}"), look).await
}

fn container(cluster: &Cluster, pod: &str) -> Value {
    let pod = cluster.get(PODS, "default", pod).map(|pod| pod.value()).unwrap_or_default();
    pod["status"]["containerStatuses"][0].clone()
}

#[test]
fn a_container_that_may_not_be_root_is_named() {
    check(&Options::new(101).nodes(1), async |cluster| {
        let uid = made(cluster, "root", json!({}), json!({"runAsNonRoot": true})).await?;
        let text = format!(
            "Error: container has runAsNonRoot and image will run as root (pod: \"root_default({uid})\", container: c)"
        );
        assert_eq!(said(cluster, "root", "Failed").await?, text);
        Ok(())
    });
}

#[test]
fn an_image_without_a_name_is_said_to_have_none() {
    check(&Options::new(102).nodes(1), async |cluster| {
        made(cluster, "odd", json!({"image": "Web:v1"}), Value::Null).await?;
        let text = said(cluster, "odd", "InspectFailed").await?;
        let begin = "Failed to apply default image tag \"Web:v1\": couldn't parse image name \"Web:v1\": ";
        assert!(text.starts_with(begin), "{text}");
        Ok(())
    });
}

#[test]
fn a_container_that_could_not_be_asked_is_neither_well_nor_ill() {
    check(&Options::new(103).nodes(1), async |cluster| {
        let probe = json!({"tcpSocket": {"port": "db"}, "periodSeconds": 1, "failureThreshold": 1});
        made(cluster, "probed", json!({"livenessProbe": probe}), Value::Null).await?;
        let text = "Liveness probe errored and resulted in unknown state: strconv.Atoi: parsing \"db\": invalid syntax";
        assert_eq!(said(cluster, "probed", "Unhealthy").await?, text);
        cluster.pass(Duration::from_secs(60)).await?;
        assert_eq!(container(cluster, "probed")["restartCount"], 0);
        Ok(())
    });
}

#[test]
fn a_container_that_never_ran_has_begun_at_the_beginning_of_time() {
    check(&Options::new(104).nodes(1), async |cluster| {
        let script = Script { start_error: Some("no such program".to_owned()), ..Script::default() };
        cluster.node("node-0")?.runtime.script(Selector::default(), script);
        made(cluster, "broken", json!({}), Value::Null).await?;
        let ended = || match &container(cluster, "broken")["lastState"]["terminated"] {
            Value::Null => Err(container(cluster, "broken").to_string()),
            ended => Ok(ended.clone()),
        };
        let ended = cluster.eventually("it has ended", ended).await?;
        assert_eq!((&ended["reason"], &ended["exitCode"]), (&json!("StartError"), &json!(128)));
        assert_eq!(ended["startedAt"], "1970-01-01T00:00:00Z");
        Ok(())
    });
}
