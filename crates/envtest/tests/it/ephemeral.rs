use api::resources::PODS;
use client::{Target, WriteOptions};
use envtest::{Cluster, Failure, Options, check};
use serde_json::{Value, json};

fn pod() -> Value {
    json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "example.org/web:v1"}]}})
}

async fn add(cluster: &Cluster, container: Value) -> Result<(), Failure> {
    let mut pod = cluster.client().get(PODS, "default", "p").await?.value();
    let mut all = pod["spec"]["ephemeralContainers"].as_array().cloned().unwrap_or_default();
    all.push(container);
    pod["spec"]["ephemeralContainers"] = json!(all);
    let target = Target::object(PODS, "default", "p").subresource("ephemeralcontainers");
    cluster.client().transport().update(target, pod, &WriteOptions::default()).await?;
    Ok(())
}

/// The state of an ephemeral container becomes `wanted`; gives its whole status.
async fn becomes(cluster: &Cluster, name: &str, wanted: &str) -> Result<Value, Failure> {
    let look = || {
        let pod = cluster.get(PODS, "default", "p").map(|pod| pod.value()).unwrap_or_default();
        let all = pod["status"]["ephemeralContainerStatuses"].as_array().cloned().unwrap_or_default();
        let status = all.into_iter().find(|status| status["name"] == name).unwrap_or_default();
        if status["state"][wanted].is_null() { Err(status.to_string()) } else { Ok(status) }
    };
    cluster.eventually(&format!("{name} is {wanted}"), look).await
}

#[test]
fn a_container_joins_a_pod_that_runs() {
    check(&Options::new(51), async |cluster| {
        cluster.client().create(PODS, "default", pod()).await?;
        let ready = || {
            let pod = cluster.get(PODS, "default", "p").map(|pod| pod.value()).unwrap_or_default();
            if pod["status"]["containerStatuses"][0]["ready"] == true { Ok(()) } else { Err(pod.to_string()) }
        };
        cluster.eventually("the Pod is ready", ready).await?;
        add(cluster, json!({"name": "debugger", "image": "example.org/web:v1", "targetContainerName": "c"})).await?;
        let status = becomes(cluster, "debugger", "running").await?;
        assert_eq!((&status["ready"], &status["restartCount"]), (&json!(false), &json!(0)));
        add(cluster, json!({"name": "second", "image": "example.org/web:v1"})).await?;
        becomes(cluster, "second", "running").await?;
        let pod = cluster.get(PODS, "default", "p").map(|pod| pod.value()).unwrap_or_default();
        assert_eq!(pod["status"]["phase"], "Running");
        assert_eq!(pod["status"]["containerStatuses"][0]["restartCount"], 0);
        assert_eq!(pod["metadata"]["generation"], 3);
        cluster.delete(PODS, "default", "p").await?;
        let gone = || if cluster.get(PODS, "default", "p").is_none() { Ok(()) } else { Err("still there".to_owned()) };
        cluster.eventually("the Pod is gone", gone).await
    });
}
