use std::time::Duration;

use api::resources::{EVENTS, PODS, REPLICATIONCONTROLLERS};
use client::PatchKind;
use envtest::{Cluster, Failure, Options, check};
use serde_json::{Value, json};

const RC: &str = "
apiVersion: v1
kind: ReplicationController
metadata: {name: web}
spec:
  replicas: 2
  selector: {app: web}
  template:
    metadata: {labels: {app: web, tier: front}}
    spec:
      containers:
      - {name: web, image: 'example.org/web:v1'}
";

async fn ready(cluster: &Cluster, count: i64) -> Result<Value, Failure> {
    cluster
        .eventually(&format!("{count} replicas are ready"), || {
            let rc = cluster.get(REPLICATIONCONTROLLERS, "default", "web").ok_or("it does not exist")?.value();
            let status = &rc["status"];
            let settled = status["observedGeneration"] == rc["metadata"]["generation"]
                && status["replicas"].as_i64() == Some(count)
                && status["readyReplicas"].as_i64().unwrap_or(0) == count
                && cluster.pods().len() as i64 == count;
            if settled { Ok(rc) } else { Err(status.to_string()) }
        })
        .await
}

#[test]
fn a_replication_controller_makes_and_deletes_its_pods() {
    check(&Options::new(31).outages(), async |cluster| {
        cluster.apply(RC).await?;
        let rc = ready(cluster, 2).await?;
        assert_eq!(
            rc["status"],
            json!({"replicas": 2, "fullyLabeledReplicas": 2, "readyReplicas": 2, "availableReplicas": 2,
                   "observedGeneration": 1})
        );
        for pod in cluster.pods() {
            assert_eq!(pod["metadata"]["ownerReferences"][0]["kind"], "ReplicationController");
            assert_eq!(pod["metadata"]["ownerReferences"][0]["apiVersion"], "v1");
        }
        // Events of one object are told apart by their time.
        cluster.pass(Duration::from_secs(1)).await?;
        let patch = json!({"spec": {"replicas": 1}});
        cluster.client().patch(REPLICATIONCONTROLLERS, "default", "web", PatchKind::Merge, patch).await?;
        ready(cluster, 1).await?;
        let of = |reason: &str| {
            let events = cluster.list(EVENTS, "default").into_iter().map(|event| event.value());
            events.filter(|event| event["reason"] == reason).collect::<Vec<_>>()
        };
        cluster
            .eventually("events", || if of("SuccessfulDelete").len() == 1 { Ok(()) } else { Err("none".into()) })
            .await?;
        assert_eq!(of("SuccessfulDelete")[0]["source"]["component"], "replication-controller");
        Ok(())
    });
}

#[test]
fn a_pod_that_no_longer_matches_is_released_and_a_matching_orphan_is_taken() {
    check(&Options::new(32).outages(), async |cluster| {
        let orphan = json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "stray", "labels": {"app": "web"}},
            "spec": {"containers": [{"name": "web", "image": "example.org/web:v1"}]}});
        cluster.client().create(PODS, "default", orphan).await?;
        cluster.apply(RC).await?;
        ready(cluster, 2).await?;
        let owner = |name: &str| {
            let pod = cluster.get(PODS, "default", name)?;
            Some(pod.meta().controller()?.name.clone())
        };
        assert_eq!(owner("stray").as_deref(), Some("web"));
        let patch = json!({"metadata": {"labels": {"app": "other"}}});
        cluster.client().patch(PODS, "default", "stray", PatchKind::Merge, patch).await?;
        cluster
            .eventually("it is released and replaced", || {
                let made = cluster.pods().len();
                if owner("stray").is_none() && made == 3 { Ok(()) } else { Err(format!("{made} Pods")) }
            })
            .await
    });
}
