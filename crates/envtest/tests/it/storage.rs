use std::time::Duration;

use api::resources::{
    CLUSTERROLES, EVENTS, PERSISTENTVOLUMECLAIMS as CLAIMS, PERSISTENTVOLUMES as VOLUMES, PODS, STATEFULSETS,
    STORAGECLASSES,
};
use client::PatchKind;
use cri::fake::FakeImage;
use envtest::{Cluster, Failure, Faults, Options, check};
use serde_json::{Value, json};

/// A volume of 5 Gi called `v`, of no class.
fn volume(policy: &str) -> Value {
    json!({"metadata": {"name": "v"}, "spec": {
        "capacity": {"storage": "5Gi"}, "accessModes": ["ReadWriteOnce"], "persistentVolumeReclaimPolicy": policy,
        "hostPath": {"path": "/tmp"},
    }})
}

/// A claim for 1 Gi called `data`; a class of `null` is left to the cluster.
fn claim(class: Value) -> Value {
    json!({"metadata": {"name": "data"}, "spec": {
        "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, "storageClassName": class,
    }})
}

/// A Pod called `p` that has the claim `data`.
fn pod() -> Value {
    json!({"metadata": {"name": "p"}, "spec": {
        "terminationGracePeriodSeconds": 1,
        "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
        "containers": [{
            "name": "c", "image": "example.org/web:v1", "volumeMounts": [{"name": "data", "mountPath": "/data"}],
        }],
    }})
}

/// A StatefulSet of three with a claim each.
const DATABASE: &str = "
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
      terminationGracePeriodSeconds: 1
      containers:
      - name: db
        image: 'example.org/web:v1'
        volumeMounts: [{name: data, mountPath: /data}]
  volumeClaimTemplates:
  - metadata: {name: data}
    spec:
      accessModes: [ReadWriteOnce]
      resources: {requests: {storage: 1Gi}}
";

fn the_pod(cluster: &Cluster) -> Value {
    cluster.get(PODS, "default", "p").map(|pod| pod.value()).unwrap_or_default()
}

fn the_claim(cluster: &Cluster) -> Value {
    cluster.get(CLAIMS, "default", "data").map(|claim| claim.value()).unwrap_or_default()
}

fn the_volume(cluster: &Cluster) -> Value {
    cluster.list(VOLUMES, "").first().map(|volume| volume.value()).unwrap_or_default()
}

async fn becomes(cluster: &Cluster, of: impl Fn(&Cluster) -> Value, phase: &str) -> Result<Value, Failure> {
    let look = || {
        let object = of(cluster);
        if object["status"]["phase"] == phase { Ok(object) } else { Err(object.to_string()) }
    };
    cluster.eventually(&format!("it is {phase}"), look).await
}

async fn gone(cluster: &Cluster, of: impl Fn(&Cluster) -> Value) -> Result<(), Failure> {
    let look = || if of(cluster).is_null() { Ok(()) } else { Err(of(cluster).to_string()) };
    cluster.eventually("it is gone", look).await
}

/// An Event with this reason about `name`; gives its text.
async fn told(cluster: &Cluster, name: &str, reason: &str) -> Result<String, Failure> {
    let look = || {
        let all = cluster.list(EVENTS, "default");
        let mut all = all.iter().map(|event| event.value());
        let event = all.find(|event| event["reason"] == reason && event["involvedObject"]["name"] == name);
        event.map(|event| event["message"].as_str().unwrap_or_default().to_owned()).ok_or_else(|| "no Event".to_owned())
    };
    cluster.eventually(reason, look).await
}

#[test]
fn a_claim_gets_a_volume_that_is_there_and_leaves_it_released() {
    check(&Options::new(301), async |cluster| {
        cluster.client().create(CLAIMS, "default", claim(json!(""))).await?;
        let text = told(cluster, "data", "FailedBinding").await?;
        assert_eq!(text, "no persistent volumes available for this claim and no storage class is set");
        assert_eq!(the_claim(cluster)["status"]["phase"], "Pending");
        cluster.client().create(VOLUMES, "", volume("Retain")).await?;
        let claim = becomes(cluster, the_claim, "Bound").await?;
        assert_eq!(claim["spec"]["volumeName"], "v");
        assert_eq!(claim["status"]["capacity"]["storage"], "5Gi");
        assert_eq!(claim["status"]["accessModes"], json!(["ReadWriteOnce"]));
        assert_eq!(claim["metadata"]["finalizers"], json!(["kubernetes.io/pvc-protection"]));
        let volume = becomes(cluster, the_volume, "Bound").await?;
        assert_eq!(volume["spec"]["claimRef"]["uid"], claim["metadata"]["uid"]);
        assert_eq!(volume["metadata"]["finalizers"], json!(["kubernetes.io/pv-protection"]));
        // A volume that is bound stays until its claim goes.
        cluster.delete(VOLUMES, "", "v").await?;
        assert_eq!(the_volume(cluster)["status"]["phase"], "Bound");
        cluster.delete(CLAIMS, "default", "data").await?;
        gone(cluster, the_claim).await?;
        gone(cluster, the_volume).await
    });
}

#[test]
fn a_retained_volume_is_released_and_given_to_nobody_else() {
    check(&Options::new(302), async |cluster| {
        cluster.client().create(VOLUMES, "", volume("Retain")).await?;
        cluster.client().create(CLAIMS, "default", claim(json!(""))).await?;
        becomes(cluster, the_claim, "Bound").await?;
        cluster.delete(CLAIMS, "default", "data").await?;
        becomes(cluster, the_volume, "Released").await?;
        cluster.client().create(CLAIMS, "default", claim(json!(""))).await?;
        told(cluster, "data", "FailedBinding").await?;
        assert_eq!(the_claim(cluster)["status"]["phase"], "Pending");
        // The administrator gives it back.
        let free = json!({"spec": {"claimRef": null}});
        cluster.client().patch(VOLUMES, "", "v", PatchKind::Merge, free).await?;
        becomes(cluster, the_claim, "Bound").await.map(|_| ())
    });
}

#[test]
fn a_claim_without_a_class_gets_the_default_one_also_later() {
    check(&Options::new(303), async |cluster| {
        let classes = cluster.list(STORAGECLASSES, "");
        assert_eq!(classes.len(), 1);
        let class = classes[0].value();
        assert_eq!(class["metadata"]["name"], "standard");
        assert_eq!(class["metadata"]["annotations"]["storageclass.kubernetes.io/is-default-class"], "true");
        assert_eq!((&class["provisioner"], &class["reclaimPolicy"]), (&json!("skiff/local-path"), &json!("Delete")));
        assert_eq!(class["volumeBindingMode"], "WaitForFirstConsumer");
        cluster.client().create(CLAIMS, "default", claim(Value::Null)).await?;
        assert_eq!(the_claim(cluster)["spec"]["storageClassName"], "standard");
        let text = told(cluster, "data", "WaitForFirstConsumer").await?;
        assert_eq!(text, "waiting for first consumer to be created before binding");
        cluster.delete(CLAIMS, "default", "data").await?;
        gone(cluster, the_claim).await?;
        // Without the class a claim waits until there is one again.
        cluster.delete(STORAGECLASSES, "", "standard").await?;
        // Events of one instant have one name.
        cluster.pass(Duration::from_secs(1)).await?;
        cluster.client().create(CLAIMS, "default", claim(Value::Null)).await?;
        told(cluster, "data", "FailedBinding").await?;
        assert_eq!(the_claim(cluster)["spec"]["storageClassName"], Value::Null);
        let mut again = class.clone();
        again["metadata"] = json!({"name": "again", "annotations": class["metadata"]["annotations"]});
        cluster.client().create(STORAGECLASSES, "", again).await?;
        let look = || match the_claim(cluster)["spec"]["storageClassName"] == "again" {
            true => Ok(()),
            false => Err(the_claim(cluster).to_string()),
        };
        cluster.eventually("it has the class", look).await
    });
}

#[test]
fn a_claim_names_the_pod_that_has_no_node() {
    check(&Options::new(316), async |cluster| {
        cluster.client().create(CLAIMS, "default", claim(Value::Null)).await?;
        told(cluster, "data", "WaitForFirstConsumer").await?;
        cluster.pass(Duration::from_secs(1)).await?;
        let mut nowhere = pod();
        nowhere["spec"]["nodeSelector"] = json!({"disk": "none"});
        cluster.client().create(PODS, "default", nowhere).await?;
        let text = told(cluster, "data", "WaitForPodScheduled").await?;
        assert_eq!(text, "waiting for pod p to be scheduled");
        assert_eq!(cluster.list(VOLUMES, "").len(), 0);
        Ok(())
    });
}

#[test]
fn the_class_is_made_once_in_a_clusters_life() {
    check(&Options::new(304), async |cluster| {
        let names =
            || cluster.list(STORAGECLASSES, "").iter().map(|class| class.meta().name.clone()).collect::<Vec<_>>();
        let is_default = "storageclass.kubernetes.io/is-default-class";
        let change = json!({"metadata": {"annotations": {is_default: "false"}}});
        cluster.client().patch(STORAGECLASSES, "", "standard", PatchKind::Merge, change).await?;
        cluster.crash().await?;
        let class = cluster.get(STORAGECLASSES, "", "standard").map(|class| class.value()).unwrap_or_default();
        assert_eq!(class["metadata"]["annotations"][is_default], "false", "as the user changed it");
        cluster.delete(STORAGECLASSES, "", "standard").await?;
        cluster.crash().await?;
        assert_eq!(names(), [""; 0], "the user deleted it");
        // A cluster from before there was a provisioner has a default class of the user's.
        cluster.delete(CLUSTERROLES, "", "skiff:local-path-provisioner").await?;
        let own = json!({"metadata": {"name": "own", "annotations": {is_default: "true"}}, "provisioner": "x/y"});
        cluster.client().create(STORAGECLASSES, "", own).await?;
        cluster.crash().await?;
        assert_eq!(names(), ["own", "standard"]);
        let class = cluster.get(STORAGECLASSES, "", "standard");
        assert!(class.is_some_and(|class| class.meta().annotations.is_empty()), "the user's stays the default");
        Ok(())
    });
}

#[test]
fn a_claim_grows_where_its_class_allows_it_and_waits_for_others() {
    check(&Options::new(309).nodes(1), async |cluster| {
        cluster.client().create(CLAIMS, "default", claim(Value::Null)).await?;
        cluster.client().create(PODS, "default", pod()).await?;
        becomes(cluster, the_claim, "Bound").await?;
        let grow = || json!({"spec": {"resources": {"requests": {"storage": "2Gi"}}}});
        let refused = cluster.client().patch(CLAIMS, "default", "data", PatchKind::Merge, grow()).await;
        let text = refused.err().map(|error| error.message).unwrap_or_default();
        assert!(text.contains("only dynamically provisioned pvc can be resized"), "{text}");
        let allow = json!({"allowVolumeExpansion": true});
        cluster.client().patch(STORAGECLASSES, "", "standard", PatchKind::Merge, allow).await?;
        cluster.pass(Duration::from_secs(1)).await?;
        cluster.client().patch(CLAIMS, "default", "data", PatchKind::Merge, grow()).await?;
        let text = told(cluster, "data", "ExternalExpanding").await?;
        assert_eq!(text, "waiting for an external controller to expand this PVC");
        assert_eq!(the_claim(cluster)["status"]["capacity"]["storage"], "1Gi");
        Ok(())
    });
}

#[test]
fn a_volume_is_made_where_its_first_pod_runs_and_goes_with_its_claim() {
    check(&Options::new(305).outages(), async |cluster| {
        let latency = Duration::from_secs(1);
        cluster.publish_image("example.org/web:v1", &FakeImage { latency, ..FakeImage::default() });
        cluster.client().create(CLAIMS, "default", claim(Value::Null)).await?;
        told(cluster, "data", "WaitForFirstConsumer").await?;
        cluster.pass(Duration::from_secs(1)).await?;
        cluster.client().create(PODS, "default", pod()).await?;
        let running = becomes(cluster, the_pod, "Running").await?;
        let claim = becomes(cluster, the_claim, "Bound").await?;
        let volume = becomes(cluster, the_volume, "Bound").await?;
        let name = format!("pvc-{}", claim["metadata"]["uid"].as_str().unwrap_or_default());
        assert_eq!((&volume["metadata"]["name"], &claim["spec"]["volumeName"]), (&json!(name), &json!(name)));
        let node = running["spec"]["nodeName"].as_str().unwrap_or_default();
        let expression = &volume["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"][0]["matchExpressions"][0];
        assert_eq!(expression["values"], json!([node]));
        assert_eq!(cluster.volume_directories(node), [name]);
        let annotations = &claim["metadata"]["annotations"];
        assert_eq!(annotations["volume.kubernetes.io/storage-provisioner"], "skiff/local-path");
        assert_eq!(volume["metadata"]["annotations"]["pv.kubernetes.io/provisioned-by"], "skiff/local-path");
        // In use, it stays.
        cluster.delete(CLAIMS, "default", "data").await?;
        cluster.pass(Duration::from_secs(20)).await?;
        let claim = the_claim(cluster);
        assert_eq!(claim["metadata"]["finalizers"], json!(["kubernetes.io/pvc-protection"]));
        assert_eq!(the_pod(cluster)["status"]["phase"], "Running");
        cluster.delete(PODS, "default", "p").await?;
        gone(cluster, the_claim).await?;
        gone(cluster, the_volume).await?;
        assert_eq!(cluster.volume_directories(node), [""; 0]);
        Ok(())
    });
}

#[test]
fn a_volume_that_is_deleted_before_its_claim_leaves_no_directory() {
    check(&Options::new(306).nodes(1), async |cluster| {
        cluster.client().create(CLAIMS, "default", claim(Value::Null)).await?;
        cluster.client().create(PODS, "default", pod()).await?;
        becomes(cluster, the_pod, "Running").await?;
        let volume = becomes(cluster, the_volume, "Bound").await?;
        cluster.delete(VOLUMES, "", volume["metadata"]["name"].as_str().unwrap_or_default()).await?;
        assert!(becomes(cluster, the_volume, "Bound").await?["metadata"]["deletionTimestamp"].is_string());
        cluster.delete(PODS, "default", "p").await?;
        cluster.delete(CLAIMS, "default", "data").await?;
        gone(cluster, the_volume).await?;
        assert_eq!(cluster.volume_directories("node-0"), [""; 0]);
        Ok(())
    });
}

#[test]
fn a_claim_says_whether_a_pod_wants_it() {
    check(&Options::new(307), async |cluster| {
        cluster.client().create(VOLUMES, "", volume("Retain")).await?;
        cluster.client().create(CLAIMS, "default", claim(json!(""))).await?;
        let unused = |status: &'static str, reason: &'static str| {
            move || {
                let claim = the_claim(cluster);
                let conditions = claim["status"]["conditions"].as_array().cloned().unwrap_or_default();
                let said = conditions.iter().any(|c| {
                    (&c["type"], &c["status"], &c["reason"]) == (&json!("Unused"), &json!(status), &json!(reason))
                });
                if said { Ok(()) } else { Err(claim.to_string()) }
            }
        };
        cluster.eventually("it is unused", unused("True", "NoPodsUsingPVC")).await?;
        cluster.client().create(PODS, "default", pod()).await?;
        cluster.eventually("it is used", unused("False", "PodUsingPVC")).await?;
        becomes(cluster, the_pod, "Running").await?;
        cluster.delete(PODS, "default", "p").await?;
        cluster.eventually("it is unused again", unused("True", "NoPodsUsingPVC")).await
    });
}

#[test]
fn the_pods_of_a_stateful_set_find_their_volumes_again() {
    check(&Options::new(308).outages(), async |cluster| {
        cluster.apply(DATABASE).await?;
        let ready = |wanted: i64| {
            move || {
                let set = cluster.get(STATEFULSETS, "default", "db").map(|set| set.value()).unwrap_or_default();
                let ready = set["status"]["readyReplicas"].as_i64().unwrap_or(0);
                let all = cluster.pods().len();
                if ready == wanted && all as i64 == wanted { Ok(()) } else { Err(set["status"].to_string()) }
            }
        };
        let bindings = || -> Vec<(String, Value)> {
            let claims = cluster.list(CLAIMS, "default");
            claims
                .iter()
                .map(|claim| (claim.meta().name.clone(), claim.value()["spec"]["volumeName"].clone()))
                .collect()
        };
        cluster.eventually("three are ready", ready(3)).await?;
        let before = bindings();
        let names: Vec<&str> = before.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["data-db-0", "data-db-1", "data-db-2"]);
        assert!(before.iter().all(|(_, volume)| volume.is_string()), "{before:?}");
        let where_they_run = || -> Vec<(Value, Value)> {
            let pods = cluster.pods();
            pods.iter().map(|pod| (pod["metadata"]["name"].clone(), pod["spec"]["nodeName"].clone())).collect()
        };
        let nodes = where_they_run();
        let scale = |replicas: i64| json!({"spec": {"replicas": replicas}});
        cluster.client().patch(STATEFULSETS, "default", "db", PatchKind::Merge, scale(1)).await?;
        cluster.eventually("one is left", ready(1)).await?;
        assert_eq!(bindings(), before, "the claims stay");
        cluster.client().patch(STATEFULSETS, "default", "db", PatchKind::Merge, scale(3)).await?;
        cluster.eventually("three are ready again", ready(3)).await?;
        assert_eq!(bindings(), before);
        assert_eq!(where_they_run(), nodes, "each is where its volume is");
        Ok(())
    });
}

/// Each fault alone: every Pod gets a volume of its own, and nothing is left of any.
#[test]
fn claims_come_and_go_with_any_one_fault() {
    let none = Faults::jitter();
    let faults = [
        Faults { refused: 0.2, ..none.clone() },
        Faults { conflicts: 0.5, ..none.clone() },
        Faults { lost_watches: 0.3, ..none.clone() },
        Faults { expired_watches: 0.2, ..none.clone() },
        Faults { kubelet_restarts: Some(Duration::from_secs(3)), ..none.clone() },
        Faults { crashes: Some(Duration::from_millis(2500)), ..none },
    ];
    for (seed, faults) in (310..).zip(faults) {
        let options = Options::new(seed).outages().faults(faults).patience(Duration::from_secs(900));
        check(&options, async |cluster| {
            cluster.apply(DATABASE).await?;
            let ready = || {
                let set = cluster.get(STATEFULSETS, "default", "db").map(|set| set.value()).unwrap_or_default();
                if set["status"]["readyReplicas"] == 3 { Ok(()) } else { Err(set["status"].to_string()) }
            };
            cluster.eventually("three are ready", ready).await?;
            assert_eq!(cluster.list(VOLUMES, "").len(), 3);
            cluster.delete(STATEFULSETS, "default", "db").await?;
            for claim in cluster.list(CLAIMS, "default") {
                cluster.delete(CLAIMS, "default", &claim.meta().name).await?;
            }
            let left = || match (cluster.list(CLAIMS, "default").len(), cluster.list(VOLUMES, "").len()) {
                (0, 0) => Ok(()),
                (claims, volumes) => Err(format!("{claims} claims, {volumes} volumes")),
            };
            cluster.eventually("all are gone", left).await?;
            for node in cluster.nodes() {
                assert_eq!(cluster.volume_directories(&node.name), [""; 0]);
            }
            Ok(())
        });
    }
}
