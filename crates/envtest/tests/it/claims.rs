//! Pods with claims, from the scheduler to the kubelet. What the binder does by itself is in `storage`.

use std::time::Duration;

use api::resources::{
    EVENTS, PERSISTENTVOLUMECLAIMS as CLAIMS, PERSISTENTVOLUMES as VOLUMES, PODS, PRIORITYCLASSES, STORAGECLASSES,
};
use client::PatchKind;
use envtest::{Cluster, Failure, Options, check};
use serde_json::{Value, json};

const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";

/// A class whose claims wait for a Pod.
async fn class(cluster: &Cluster, name: &str, provisioner: &str) -> Result<(), Failure> {
    let class = json!({"metadata": {"name": name}, "provisioner": provisioner,
        "volumeBindingMode": "WaitForFirstConsumer"});
    cluster.client().create(STORAGECLASSES, "", class).await?;
    Ok(())
}

async fn claim(cluster: &Cluster, name: &str, class: &str, mode: &str) -> Result<(), Failure> {
    let spec = json!({"accessModes": [mode], "resources": {"requests": {"storage": "1Gi"}}, "storageClassName": class});
    cluster.client().create(CLAIMS, "default", json!({"metadata": {"name": name}, "spec": spec})).await?;
    Ok(())
}

/// A volume that is a directory of one node.
fn local(name: &str, class: &str, node: &str) -> Value {
    let expression = json!({"key": "kubernetes.io/hostname", "operator": "In", "values": [node]});
    json!({"metadata": {"name": name}, "spec": {
        "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": class,
        "local": {"path": "/tmp"},
        "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}},
    }})
}

/// A Pod whose container mounts `volume`, which is called `data`.
fn pod(name: &str, volume: Value) -> Value {
    let mut volume = volume;
    volume["name"] = json!("data");
    json!({"metadata": {"name": name}, "spec": {
        "terminationGracePeriodSeconds": 1, "volumes": [volume],
        "containers": [{"name": "c", "image": "example.org/web:v1",
            "volumeMounts": [{"name": "data", "mountPath": "/data"}]}],
    }})
}

fn of(claim: &str) -> Value {
    json!({"persistentVolumeClaim": {"claimName": claim}})
}

async fn make(cluster: &Cluster, pod: Value) -> Result<(), Failure> {
    cluster.client().create(PODS, "default", pod).await?;
    Ok(())
}

fn found(cluster: &Cluster, name: &str) -> Value {
    cluster.get(PODS, "default", name).map(|pod| pod.value()).unwrap_or_default()
}

fn the_claim(cluster: &Cluster, name: &str) -> Value {
    cluster.get(CLAIMS, "default", name).map(|claim| claim.value()).unwrap_or_default()
}

/// Waits until a Pod runs; gives its node.
async fn runs(cluster: &Cluster, name: &str) -> Result<String, Failure> {
    let look = || match found(cluster, name) {
        pod if pod["status"]["phase"] == "Running" => {
            Ok(pod["spec"]["nodeName"].as_str().unwrap_or_default().to_owned())
        }
        pod => Err(pod["status"].to_string()),
    };
    cluster.eventually(&format!("{name} runs"), look).await
}

/// Waits for an Event about a Pod whose text begins so.
async fn told(cluster: &Cluster, pod: &str, reason: &str, begin: &str) -> Result<String, Failure> {
    let look = || {
        let all: Vec<Value> = cluster.list(EVENTS, "default").iter().map(|event| event.value()).collect();
        let of_pod = all.iter().filter(|event| event["reason"] == reason && event["involvedObject"]["name"] == pod);
        let texts: Vec<&str> = of_pod.filter_map(|event| event["message"].as_str()).collect();
        texts.iter().find(|text| text.starts_with(begin)).map(|text| (*text).to_owned()).ok_or_else(|| texts.join("\n"))
    };
    cluster.eventually(&format!("{reason}: {begin}"), look).await
}

/// Waits until a claim's volume is to be made on a node; gives that.
async fn selected(cluster: &Cluster, claim: &str) -> Result<String, Failure> {
    let look = || match the_claim(cluster, claim)["metadata"]["annotations"][SELECTED_NODE].as_str() {
        Some(node) => Ok(node.to_owned()),
        None => Err(the_claim(cluster, claim).to_string()),
    };
    cluster.eventually("a node is chosen", look).await
}

#[test]
fn pods_go_where_their_volumes_are_and_each_gets_its_own() {
    check(&Options::new(401).nodes(3), async |cluster| {
        class(cluster, "by-hand", "kubernetes.io/no-provisioner").await?;
        for number in 0..6 {
            let (name, node) = (format!("v{number}"), format!("node-{}", number % 3));
            cluster.client().create(VOLUMES, "", local(&name, "by-hand", &node)).await?;
        }
        for number in 0..7 {
            claim(cluster, &format!("c{number}"), "by-hand", "ReadWriteOnce").await?;
            make(cluster, pod(&format!("p{number}"), of(&format!("c{number}")))).await?;
        }
        let no_volume = "0/3 nodes are available: 3 node(s) didn't find available persistent volumes to bind. preemption: \
            0/3 nodes are available: 3 Preemption is not helpful for scheduling.";
        let mut refused = Vec::new();
        for number in 0..7 {
            let name = format!("p{number}");
            let look = || {
                let pod = found(cluster, &name);
                let refused = pod["status"]["conditions"][0]["message"] == no_volume;
                if pod["status"]["phase"] == "Running" || refused {
                    Ok(refused)
                } else {
                    Err(pod["status"].to_string())
                }
            };
            if cluster.eventually(&format!("{name} runs or is refused"), look).await? {
                refused.push(name);
            } else {
                let volume = the_claim(cluster, &format!("c{number}"))["spec"]["volumeName"].clone();
                let volume = cluster.get(VOLUMES, "", volume.as_str().unwrap_or_default()).map(|v| v.value());
                let terms = &volume.unwrap_or_default()["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"];
                let node = &terms[0]["matchExpressions"][0]["values"][0];
                assert_eq!(*node, found(cluster, &name)["spec"]["nodeName"], "{name}");
            }
        }
        let [last] = refused.as_slice() else { panic!("six volumes are enough for six, but not for {refused:?}") };
        let began = cluster.now();
        cluster.client().create(VOLUMES, "", local("late", "by-hand", "node-1")).await?;
        assert_eq!(runs(cluster, last).await?, "node-1");
        assert!(cluster.now().duration_since(began).as_secs() < 5, "it was woken by the volume");
        Ok(())
    });
}

#[test]
fn a_pod_that_waits_for_its_volume_keeps_nobody_else_waiting() {
    check(&Options::new(402).nodes(2), async |cluster| {
        make(cluster, pod("waits", of("data"))).await?;
        let missing = "0/2 nodes are available: persistentvolumeclaim \"data\" not found. preemption: 0/2 nodes are \
            available: 2 Preemption is not helpful for scheduling.";
        assert_eq!(told(cluster, "waits", "FailedScheduling", "0/2").await?, missing);
        class(cluster, "disks", "example.com/disks").await?;
        claim(cluster, "data", "disks", "ReadWriteOnce").await?;
        let node = selected(cluster, "data").await?;
        make(cluster, pod("other", json!({"emptyDir": {}}))).await?;
        runs(cluster, "other").await?;
        assert!(found(cluster, "waits")["spec"]["nodeName"].is_null());
        // The test makes the volume, as a provisioner would.
        let mut volume = local("made", "disks", &node);
        let claim = the_claim(cluster, "data");
        volume["spec"]["claimRef"] = json!({"kind": "PersistentVolumeClaim", "namespace": "default", "name": "data",
            "uid": claim["metadata"]["uid"]});
        cluster.client().create(VOLUMES, "", volume).await?;
        assert_eq!(runs(cluster, "waits").await?, node);
        Ok(())
    });
}

#[test]
fn a_provisioner_that_can_not_gets_another_try_and_nobody_waits_forever() {
    check(&Options::new(403).nodes(2), async |cluster| {
        class(cluster, "disks", "example.com/disks").await?;
        claim(cluster, "data", "disks", "ReadWriteOnce").await?;
        make(cluster, pod("p", of("data"))).await?;
        selected(cluster, "data").await?;
        let refuse = json!({"metadata": {"annotations": {SELECTED_NODE: null, "example.com/tried": "yes"}}});
        cluster.client().patch(CLAIMS, "default", "data", PatchKind::Merge, refuse).await?;
        let prefix = "running PreBind plugin \"VolumeBinding\": binding volumes:";
        told(cluster, "p", "FailedScheduling", &format!("{prefix} provisioning failed for PVC \"data\"")).await?;
        assert_eq!(found(cluster, "p")["status"]["conditions"][0]["reason"], "SchedulerError");
        selected(cluster, "data").await?;
        cluster.pass(Duration::from_secs(601)).await?;
        told(cluster, "p", "FailedScheduling", &format!("{prefix} context deadline exceeded")).await?;
        // One that is deleted while it waits is forgotten.
        cluster.delete(PODS, "default", "p").await?;
        make(cluster, pod("q", of("data"))).await?;
        cluster.pass(Duration::from_secs(30)).await?;
        assert!(found(cluster, "q")["spec"]["nodeName"].is_null() && found(cluster, "p").is_null());
        Ok(())
    });
}

#[test]
fn a_claim_for_one_pod_goes_to_the_more_important_one() {
    check(&Options::new(404).nodes(2), async |cluster| {
        let important = json!({"metadata": {"name": "important"}, "value": 100});
        cluster.client().create(PRIORITYCLASSES, "", important).await?;
        class(cluster, "by-hand", "kubernetes.io/no-provisioner").await?;
        let mut volume = local("v", "by-hand", "node-1");
        volume["spec"]["accessModes"] = json!(["ReadWriteOncePod"]);
        cluster.client().create(VOLUMES, "", volume).await?;
        claim(cluster, "data", "by-hand", "ReadWriteOncePod").await?;
        make(cluster, pod("first", of("data"))).await?;
        assert_eq!(runs(cluster, "first").await?, "node-1");
        make(cluster, pod("second", of("data"))).await?;
        let in_use = "0/2 nodes are available: 2 node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod \
            access mode already in-use by another pod.";
        told(cluster, "second", "FailedScheduling", in_use).await?;
        let mut third = pod("third", of("data"));
        third["spec"]["priorityClassName"] = json!("important");
        make(cluster, third).await?;
        assert_eq!(runs(cluster, "third").await?, "node-1");
        assert!(found(cluster, "first").is_null());
        cluster.delete(PODS, "default", "third").await?;
        runs(cluster, "second").await.map(|_| ())
    });
}

#[test]
fn an_ephemeral_volume_comes_and_goes_with_its_pod() {
    check(&Options::new(405).nodes(2), async |cluster| {
        let spec = json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}});
        let template = json!({"metadata": {"labels": {"of": "p"}}, "spec": spec});
        make(cluster, pod("p", json!({"ephemeral": {"volumeClaimTemplate": template}}))).await?;
        let node = runs(cluster, "p").await?;
        let claim = the_claim(cluster, "p-data");
        assert_eq!((&claim["status"]["phase"], &claim["metadata"]["labels"]["of"]), (&json!("Bound"), &json!("p")));
        assert_eq!(claim["metadata"]["annotations"][SELECTED_NODE], json!(node));
        assert_eq!(cluster.volume_directories(&node).len(), 1);
        cluster.delete(PODS, "default", "p").await?;
        let gone = || match (the_claim(cluster, "p-data"), cluster.list(VOLUMES, "").len()) {
            (Value::Null, 0) => Ok(()),
            (claim, volumes) => Err(format!("{volumes} volumes, {claim}")),
        };
        cluster.eventually("claim and volume are gone", gone).await?;
        assert_eq!(cluster.volume_directories(&node), Vec::<String>::new());
        // A claim that is somebody else's is not taken.
        self::claim(cluster, "p-data", "standard", "ReadWriteOnce").await?;
        make(cluster, pod("p", json!({"ephemeral": {"volumeClaimTemplate": {"spec": spec}}}))).await?;
        let not_its = "ephemeral volume data: PVC default/p-data was not created for pod default/p (pod is not owner)";
        told(cluster, "p", "FailedBinding", not_its).await.map(|_| ())
    });
}

#[test]
fn a_pod_starts_when_its_claim_is_bound_and_its_volume_is_one_that_is_served() {
    check(&Options::new(406).nodes(1), async |cluster| {
        let on_node = |name: &str, claim: &str| {
            let mut pod = pod(name, of(claim));
            pod["spec"]["nodeName"] = json!("node-0");
            pod
        };
        let volume = |name: &str, source: &str, what: Value| {
            let mut volume = local(name, name, "node-0");
            volume["spec"]["local"] = Value::Null;
            volume["spec"]["nodeAffinity"] = Value::Null;
            volume["spec"][source] = what;
            volume
        };
        make(cluster, on_node("early", "host")).await?;
        let missing = "failed to fetch PVC from API server: persistentvolumeclaims \"host\" not found";
        let begin = "Unable to attach or mount volumes: unmounted volumes=[data], unattached volumes=[], failed to process \
            volumes=[data]: error processing PVC default/host:";
        assert_eq!(told(cluster, "early", "FailedMount", "").await?, format!("{begin} {missing}"));
        cluster.pass(Duration::from_secs(300)).await?;
        for name in ["host", "nfs", "far"] {
            claim(cluster, name, name, "ReadWriteOnce").await?;
            make(cluster, on_node(name, name)).await?;
        }
        assert_eq!(told(cluster, "host", "FailedMount", "").await?, format!("{begin} PVC is not bound"));
        cluster.pass(Duration::from_secs(300)).await?;
        let began = cluster.now();
        cluster.client().create(VOLUMES, "", volume("host", "hostPath", json!({"path": "/tmp"}))).await?;
        runs(cluster, "host").await?;
        runs(cluster, "early").await?;
        assert!(cluster.now().duration_since(began).as_secs() < 1, "they were told of the claim");
        let nfs = json!({"server": "nfs.example.com", "path": "/"});
        cluster.client().create(VOLUMES, "", volume("nfs", "nfs", nfs)).await?;
        told(cluster, "nfs", "FailedMount", "MountVolume.FindPluginBySpec failed for volume \"nfs\" : ").await?;
        cluster.client().create(VOLUMES, "", local("far", "far", "node-9")).await?;
        let far = "MountVolume.NodeAffinity check failed for volume \"far\" : no matching NodeSelectorTerms";
        told(cluster, "far", "FailedMount", far).await.map(|_| ())
    });
}
