//! Volumes of claims on real containers: what is written stays as long as the claim.

use serde_json::Value;

use crate::cluster::Cluster;
use crate::{image, rows, text};

const CLAIM: &str = "
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec:
  accessModes: [ReadWriteOnce]
  resources: {requests: {storage: 1Gi}}
";

const POD: &str = "
apiVersion: v1
kind: Pod
metadata: {name: p}
spec:
  terminationGracePeriodSeconds: 1
  volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]
  containers:
  - name: c
    image: 'gcr.io/google-samples/kubernetes-bootcamp:v1'
    volumeMounts: [{name: data, mountPath: /data}]
";

const DATABASE: &str = "
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  serviceName: db
  replicas: 2
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: c
        image: 'gcr.io/google-samples/kubernetes-bootcamp:v1'
        volumeMounts: [{name: data, mountPath: /data}]
  volumeClaimTemplates:
  - metadata: {name: data}
    spec:
      accessModes: [ReadWriteOnce]
      resources: {requests: {storage: 1Gi}}
";

#[track_caller]
fn apply(cluster: &Cluster, objects: &str) {
    cluster.kubectl_reading(&["apply", "-f", "-"], objects).ok();
}

#[track_caller]
fn write(cluster: &Cluster, pod: &str, word: &str) {
    cluster.kubectl(&["exec", pod, "--", "/app", "write", "/data/word", word]).ok();
}

#[track_caller]
fn read(cluster: &Cluster, pod: &str) -> String {
    cluster.kubectl(&["exec", pod, "--", "/app", "read", "/data/word"]).ok().trim().to_owned()
}

#[track_caller]
fn ready(cluster: &Cluster, pod: &str) {
    cluster.kubectl(&["wait", "--for=condition=Ready", pod, "--timeout=60s"]).ok();
}

/// The directories of the cluster's volumes, as the host sees them.
fn directories(cluster: &Cluster) -> Vec<String> {
    cluster.files(&format!("clusters/{}/volumes", cluster.profile))
}

#[test]
fn what_a_pod_writes_stays_as_long_as_its_claim() {
    let cluster = Cluster::start();
    let table = cluster.kubectl(&["get", "sc"]).ok();
    let class = ["standard", "(default)", "skiff/local-path", "Delete", "WaitForFirstConsumer", "false"];
    assert_eq!(rows(&table)[0][..6], class, "{table}");
    apply(&cluster, CLAIM);
    let waits = "waiting for first consumer to be created before binding";
    cluster.eventually("the claim waits for a Pod", || {
        cluster.kubectl(&["describe", "pvc", "data"]).stdout.contains(waits).then_some(())
    });
    apply(&cluster, POD);
    ready(&cluster, "pod/p");
    let table = cluster.kubectl(&["get", "pvc", "data"]).ok();
    let row = &rows(&table)[0];
    assert_eq!((row[1], &row[3..6]), ("Bound", ["1Gi", "RWO", "standard"].as_slice()), "{table}");
    let volume = row[2].to_owned();
    assert_eq!(directories(&cluster), [volume.as_str()]);
    write(&cluster, "p", "kept");

    cluster.kubectl(&["delete", "pod", "p"]).ok();
    apply(&cluster, POD);
    ready(&cluster, "pod/p");
    assert_eq!(read(&cluster, "p"), "kept", "another Pod finds it");
    cluster.skiff(&["stop"]).ok();
    cluster.start_again();
    cluster.eventually("the Pod runs again", || {
        let status = &cluster.get(&["pod", "p"])["status"]["containerStatuses"][0];
        (status["ready"] == true && status["restartCount"] == 1).then_some(())
    });
    assert_eq!(read(&cluster, "p"), "kept", "a stopped cluster keeps it");

    cluster.kubectl(&["delete", "pvc", "data", "--wait=false"]).ok();
    let claim = cluster.get(&["pvc", "data"]);
    assert_eq!(text(&claim, "/metadata/finalizers/0"), "kubernetes.io/pvc-protection", "a Pod has it");
    assert_eq!(read(&cluster, "p"), "kept");
    cluster.kubectl(&["delete", "pod", "p"]).ok();
    cluster.kubectl(&["wait", "--for=delete", "pvc/data", &format!("pv/{volume}"), "--timeout=60s"]).ok();
    assert_eq!(directories(&cluster), [""; 0]);
}

#[test]
fn the_pods_of_a_stateful_set_have_a_volume_each() {
    let cluster = Cluster::start();
    apply(&cluster, DATABASE);
    cluster.kubectl(&["rollout", "status", "statefulset/db", "--timeout=60s"]).ok();
    write(&cluster, "db-0", "zero");
    write(&cluster, "db-1", "one");
    cluster.kubectl(&["scale", "statefulset/db", "--replicas=0"]).ok();
    cluster.kubectl(&["wait", "--for=delete", "pod/db-0", "pod/db-1", "--timeout=60s"]);
    cluster.kubectl(&["scale", "statefulset/db", "--replicas=2"]).ok();
    cluster.kubectl(&["rollout", "status", "statefulset/db", "--timeout=60s"]).ok();
    assert_eq!([read(&cluster, "db-0"), read(&cluster, "db-1")], ["zero", "one"]);
}

#[test]
fn a_retained_volume_keeps_its_data_when_the_claim_is_gone() {
    let cluster = Cluster::start();
    let kept = cluster.path("kept");
    let volume = format!(
        "
apiVersion: v1
kind: PersistentVolume
metadata: {{name: kept}}
spec:
  capacity: {{storage: 5Gi}}
  accessModes: [ReadWriteOnce]
  persistentVolumeReclaimPolicy: Retain
  storageClassName: by-hand
  hostPath: {{path: {kept}, type: DirectoryOrCreate}}
---{}  storageClassName: by-hand
---{POD}",
        CLAIM
    );
    apply(&cluster, &volume);
    ready(&cluster, "pod/p");
    let of =
        |claim: &Value| [text(claim, "/spec/volumeName"), text(claim, "/status/capacity/storage")].map(str::to_owned);
    assert_eq!(of(&cluster.get(&["pvc", "data"])), ["kept", "5Gi"]);
    write(&cluster, "p", image::V1);
    cluster.kubectl(&["delete", "pod/p", "pvc/data"]).ok();
    cluster.eventually("the volume is released", || {
        (text(&cluster.get(&["pv", "kept"]), "/status/phase") == "Released").then_some(())
    });
    assert_eq!(cluster.read("kept/word"), image::V1.as_bytes());
}
