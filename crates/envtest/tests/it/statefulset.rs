use std::time::Duration;

use api::resources::{CONTROLLERREVISIONS, PERSISTENTVOLUMECLAIMS, PODS, STATEFULSETS};
use client::{DeleteOptions, PatchKind, Propagation};
use envtest::{Cluster, Failure, Options, check};
use serde_json::{Value, json};

const DB: &str = "
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  replicas: 3
  serviceName: db
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      containers:
      - {name: db, image: 'example.org/db:v1'}
";

async fn patch(cluster: &Cluster, patch: Value) -> Result<(), Failure> {
    cluster.client().patch(STATEFULSETS, "default", "db", PatchKind::Strategic, patch).await?;
    Ok(())
}

async fn set_image(cluster: &Cluster, image: &str) -> Result<(), Failure> {
    let containers = json!([{"name": "db", "image": image}]);
    patch(cluster, json!({"spec": {"template": {"spec": {"containers": containers}}}})).await
}

/// `name=version` of all Pods, those that leave included, in their order.
fn pods(cluster: &Cluster) -> Vec<String> {
    let pods = cluster.list(PODS, "default");
    let shown = pods.iter().map(|pod| {
        let value = pod.value();
        let image = value["spec"]["containers"][0]["image"].as_str().unwrap_or("?").to_owned();
        let leaves = if pod.meta().deletion_timestamp.is_some() { "-" } else { "" };
        format!("{leaves}{}={}", pod.meta().name, image.rsplit(':').next().unwrap_or_default())
    });
    shown.collect()
}

async fn pods_become(cluster: &Cluster, wanted: &[&str]) -> Result<(), Failure> {
    let look = || if pods(cluster) == wanted { Ok(()) } else { Err(format!("{:?}", pods(cluster))) };
    cluster.eventually(&format!("the Pods are {wanted:?}"), look).await
}

/// Waits until all replicas are ready and the status says that nothing is left to do.
async fn settled(cluster: &Cluster, count: i64) -> Result<Value, Failure> {
    cluster
        .eventually(&format!("{count} replicas are settled"), || {
            let set = cluster.get(STATEFULSETS, "default", "db").ok_or("it does not exist")?.value();
            let status = &set["status"];
            let number = |field: &str| status[field].as_i64().unwrap_or(0);
            let numbers = ["replicas", "readyReplicas", "availableReplicas"].map(number);
            let seen = number("observedGeneration") == set["metadata"]["generation"].as_i64().unwrap_or(0);
            if seen && numbers == [count; 3] { Ok(set.clone()) } else { Err(status.to_string()) }
        })
        .await
}

/// The Pods that were deleted since entry `from` of the log, in order.
fn deleted(cluster: &Cluster, from: usize) -> Vec<String> {
    let keys = cluster.log().deleted(from);
    let pods = keys.iter().filter(|key| key.starts_with("/registry/pods/"));
    pods.filter_map(|key| key.rsplit('/').next()).map(str::to_owned).collect()
}

/// The Pods in the order in which they were made.
fn creations(cluster: &Cluster) -> Vec<(i64, String)> {
    let pods = cluster.list(PODS, "default");
    let mut made: Vec<(i64, String)> = pods
        .iter()
        .map(|pod| (pod.meta().creation_timestamp.map_or(0, |at| at.as_second()), pod.meta().name.clone()))
        .collect();
    made.sort();
    made
}

#[test]
fn pods_come_in_their_order_with_names_of_their_own() {
    check(&Options::new(51).outages(), async |cluster| {
        cluster.apply(DB).await?;
        patch(cluster, json!({"spec": {"minReadySeconds": 10, "ordinals": {"start": 4}}})).await?;
        settled(cluster, 3).await?;
        let made = creations(cluster);
        assert_eq!(made.iter().map(|(_, name)| name.as_str()).collect::<Vec<_>>(), ["db-4", "db-5", "db-6"]);
        assert!(made.windows(2).all(|pair| pair[1].0 - pair[0].0 >= 10), "{made:?}");
        let pod = cluster.get(PODS, "default", "db-5").map(|pod| pod.value()).unwrap_or_default();
        let revision = cluster.list(CONTROLLERREVISIONS, "default")[0].meta().name.clone();
        assert_eq!(
            pod["metadata"]["labels"],
            json!({"app": "db", "statefulset.kubernetes.io/pod-name": "db-5", "apps.kubernetes.io/pod-index": "5",
                   "controller-revision-hash": revision})
        );
        assert_eq!((&pod["spec"]["hostname"], &pod["spec"]["subdomain"]), (&json!("db-5"), &json!("db")));
        let set = cluster.get(STATEFULSETS, "default", "db").map(|set| set.value()).unwrap_or_default();
        assert_eq!(
            set["status"],
            json!({"observedGeneration": 2, "replicas": 3, "readyReplicas": 3, "availableReplicas": 3,
                   "currentReplicas": 3, "updatedReplicas": 3, "currentRevision": revision,
                   "updateRevision": revision, "collisionCount": 0})
        );
        Ok(())
    });
}

#[test]
fn a_smaller_set_loses_its_last_pods_one_after_the_other() {
    check(&Options::new(52).outages(), async |cluster| {
        cluster.apply(DB).await?;
        settled(cluster, 3).await?;
        let from = cluster.log().len();
        patch(cluster, json!({"spec": {"replicas": 1}})).await?;
        settled(cluster, 1).await?;
        assert_eq!(pods(cluster), ["db-0=v1"]);
        assert_eq!(deleted(cluster, from), ["db-2", "db-1"]);
        Ok(())
    });
}

#[test]
fn a_parallel_set_does_all_at_once() {
    check(&Options::new(53).outages(), async |cluster| {
        cluster.apply(&DB.replace("serviceName: db", "serviceName: db\n  podManagementPolicy: Parallel")).await?;
        settled(cluster, 3).await?;
        let made = creations(cluster);
        assert_eq!(made[0].0, made[2].0, "all in the same second");
        patch(cluster, json!({"spec": {"replicas": 0}})).await?;
        settled(cluster, 0).await?;
        Ok(())
    });
}

#[test]
fn an_update_goes_from_the_last_pod_to_the_partition() {
    check(&Options::new(54).outages(), async |cluster| {
        cluster.apply(DB).await?;
        settled(cluster, 3).await?;
        patch(cluster, json!({"spec": {"updateStrategy": {"rollingUpdate": {"partition": 1}}}})).await?;
        let from = cluster.log().len();
        set_image(cluster, "example.org/db:v2").await?;
        pods_become(cluster, &["db-0=v1", "db-1=v2", "db-2=v2"]).await?;
        assert_eq!(deleted(cluster, from), ["db-2", "db-1"]);
        let set = settled(cluster, 3).await?;
        assert_eq!((&set["status"]["currentReplicas"], &set["status"]["updatedReplicas"]), (&json!(1), &json!(2)));
        assert_ne!(set["status"]["currentRevision"], set["status"]["updateRevision"]);
        // Below the partition a Pod comes back as it was.
        let from = cluster.log().len();
        cluster.delete(PODS, "default", "db-0").await?;
        cluster
            .eventually("it is gone", || if deleted(cluster, from).is_empty() { Err("no".into()) } else { Ok(()) })
            .await?;
        pods_become(cluster, &["db-0=v1", "db-1=v2", "db-2=v2"]).await?;
        patch(cluster, json!({"spec": {"updateStrategy": {"rollingUpdate": {"partition": 0}}}})).await?;
        pods_become(cluster, &["db-0=v2", "db-1=v2", "db-2=v2"]).await?;
        let done = |cluster: &Cluster| {
            let set = cluster.get(STATEFULSETS, "default", "db").map(|set| set.value()).unwrap_or_default();
            set["status"]["currentRevision"] == set["status"]["updateRevision"]
        };
        cluster.eventually("the update is over", || if done(cluster) { Ok(()) } else { Err("no".into()) }).await?;
        // Back again: the first revision becomes the newest.
        set_image(cluster, "example.org/db:v1").await?;
        pods_become(cluster, &["db-0=v1", "db-1=v1", "db-2=v1"]).await?;
        let revisions = cluster.list(CONTROLLERREVISIONS, "default");
        let mut numbers: Vec<i64> = revisions.iter().filter_map(|r| r.value()["revision"].as_i64()).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, [2, 3]);
        Ok(())
    });
}

#[test]
fn on_delete_waits_for_the_user() {
    check(&Options::new(55).outages(), async |cluster| {
        cluster.apply(DB).await?;
        patch(cluster, json!({"spec": {"updateStrategy": {"type": "OnDelete", "rollingUpdate": null}}})).await?;
        settled(cluster, 3).await?;
        set_image(cluster, "example.org/db:v2").await?;
        cluster.pass(Duration::from_secs(60)).await?;
        cluster.delete(PODS, "default", "db-1").await?;
        pods_become(cluster, &["db-0=v1", "db-1=v2", "db-2=v1"]).await
    });
}

#[test]
fn a_failed_pod_is_made_again() {
    check(&Options::new(56).outages(), async |cluster| {
        cluster.apply(DB).await?;
        settled(cluster, 3).await?;
        let uid = |cluster: &Cluster| cluster.get(PODS, "default", "db-1").map(|pod| pod.meta().uid.clone());
        let before = uid(cluster);
        let failed = json!({"status": {"phase": "Failed", "reason": "Evicted"}});
        cluster.client().patch_status(PODS, "default", "db-1", PatchKind::Merge, failed).await?;
        cluster
            .eventually("another db-1", || match uid(cluster) {
                Some(uid) if Some(&uid) != before.as_ref() => Ok(()),
                other => Err(format!("{other:?}")),
            })
            .await?;
        settled(cluster, 3).await?;
        Ok(())
    });
}

#[test]
fn orphans_and_their_revision_are_taken_over() {
    check(&Options::new(58).outages(), async |cluster| {
        cluster.apply(DB).await?;
        settled(cluster, 3).await?;
        let uids = |cluster: &Cluster| {
            let all = [cluster.list(PODS, "default"), cluster.list(CONTROLLERREVISIONS, "default")].concat();
            all.iter().map(|object| object.meta().uid.clone()).collect::<Vec<_>>()
        };
        let before = uids(cluster);
        let options = DeleteOptions { propagation: Some(Propagation::Orphan), ..DeleteOptions::default() };
        cluster.client().delete(STATEFULSETS, "default", "db", &options).await?;
        cluster
            .eventually("the set is gone", || match cluster.get(STATEFULSETS, "default", "db") {
                None => Ok(()),
                Some(_) => Err("not yet".to_owned()),
            })
            .await?;
        cluster.apply(DB).await?;
        settled(cluster, 3).await?;
        assert_eq!(uids(cluster), before);
        // A Pod that no longer matches is let go, and comes again under its name once that is free.
        let other = json!({"metadata": {"labels": {"app": "other"}}});
        cluster.client().patch(PODS, "default", "db-1", PatchKind::Merge, other).await?;
        cluster
            .eventually("it is let go", || match cluster.get(PODS, "default", "db-1") {
                Some(pod) if pod.meta().owner_references.is_empty() => Ok(()),
                _ => Err("not yet".to_owned()),
            })
            .await?;
        cluster.delete(PODS, "default", "db-1").await?;
        settled(cluster, 3).await?;
        assert_ne!(uids(cluster), before);
        Ok(())
    });
}

#[test]
fn claims_are_made_for_pods_and_go_as_the_policy_says() {
    check(&Options::new(57).outages(), async |cluster| {
        let claims = "serviceName: db
  podManagementPolicy: Parallel
  persistentVolumeClaimRetentionPolicy: {whenDeleted: Delete, whenScaled: Delete}
  volumeClaimTemplates:
  - metadata: {name: data, labels: {tier: disk}}
    spec:
      accessModes: [ReadWriteOnce]
      resources: {requests: {storage: 1Gi}}";
        cluster.apply(&DB.replace("serviceName: db", claims)).await?;
        let names = |cluster: &Cluster| {
            let claims = cluster.list(PERSISTENTVOLUMECLAIMS, "default");
            claims.iter().map(|claim| claim.meta().name.clone()).collect::<Vec<_>>()
        };
        let owner = |cluster: &Cluster, name: &str| {
            let claim = cluster.get(PERSISTENTVOLUMECLAIMS, "default", name)?;
            claim.meta().controller().map(|owner| format!("{} {}", owner.kind, owner.name))
        };
        cluster
            .eventually("each Pod has its claim, which the set owns", || {
                let owners = ["data-db-0", "data-db-1", "data-db-2"].map(|name| owner(cluster, name));
                if owners == ["StatefulSet db"; 3].map(|o| Some(o.to_owned())) {
                    Ok(())
                } else {
                    Err(format!("{owners:?}"))
                }
            })
            .await?;
        let claim = cluster.get(PERSISTENTVOLUMECLAIMS, "default", "data-db-1").map(|c| c.value()).unwrap_or_default();
        assert_eq!(claim["metadata"]["labels"], json!({"app": "db", "tier": "disk"}));
        let pod = cluster.get(PODS, "default", "db-1").map(|pod| pod.value()).unwrap_or_default();
        let volumes = pod["spec"]["volumes"].as_array().cloned().unwrap_or_default();
        assert!(volumes.contains(&json!({"name": "data", "persistentVolumeClaim": {"claimName": "data-db-1"}})));
        patch(cluster, json!({"spec": {"replicas": 1}})).await?;
        cluster
            .eventually("the claims of the others go with them", || {
                if names(cluster) == ["data-db-0"] { Ok(()) } else { Err(format!("{:?}", names(cluster))) }
            })
            .await?;
        cluster.delete(STATEFULSETS, "default", "db").await?;
        cluster
            .eventually("all goes with the set", || {
                if names(cluster).is_empty() { Ok(()) } else { Err(format!("{:?}", names(cluster))) }
            })
            .await
    });
}

#[test]
fn updates_come_to_their_end_with_any_one_fault() {
    for options in crate::faults::one_by_one(70) {
        check(&options.outages(), async |cluster| {
            for version in ["v1", "v2", "v1"] {
                cluster.apply(&DB.replace("db:v1", &format!("db:{version}"))).await?;
                let pods = ["db-0", "db-1", "db-2"].map(|name| format!("{name}={version}"));
                pods_become(cluster, &pods.each_ref().map(String::as_str)).await?;
                settled(cluster, 3).await?;
            }
            let revisions = cluster.list(CONTROLLERREVISIONS, "default").len();
            assert_eq!(revisions, 2, "none is made twice");
            Ok(())
        });
    }
}
