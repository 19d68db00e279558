//! The tutorial as a scenario: what a learner does with a Deployment, with the numbers that upstream shows each time.

use std::collections::BTreeSet;
use std::time::Duration;

use api::resources::{DEPLOYMENTS, ENDPOINTSLICES, PODS, REPLICASETS, SERVICES};
use cri::fake::{FakeImage, PullFailure};
use cri::{PodSandboxFilter, RuntimeService};
use serde_json::Value;

use crate::cluster::{Cluster, deployment_row, is_true};
use crate::failure::Failure;
use crate::faults::Faults;
use crate::fixtures::NAMESPACE;
use crate::options::Options;

const NAME: &str = "kubernetes-bootcamp";
const V1: &str = "gcr.io/google-samples/kubernetes-bootcamp:v1";
const V2: &str = "docker.io/jocatalin/kubernetes-bootcamp:v2";
/// No registry has it.
const V10: &str = "gcr.io/google-samples/kubernetes-bootcamp:v10";
const NODES: usize = 20;
/// Fewer, so that a kubelet that is killed has Pods.
const NODES_WITH_FAULTS: usize = 4;
/// Some reflector may wait half a minute, a pull five, and more than once.
const PATIENCE_WITH_FAULTS: Duration = Duration::from_secs(1800);
/// How long a stuck rollout is looked at: longer than all of a pull's first back-offs.
const STUCK: Duration = Duration::from_secs(45);
/// How long a pull takes, at most.
const PULL_MAX_MILLIS: u64 = 1500;

/// What `kubectl create deployment kubernetes-bootcamp --image=… --replicas=2` and `kubectl expose` make.
const CREATE: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: kubernetes-bootcamp, labels: {app: kubernetes-bootcamp}}
spec:
  replicas: 2
  selector: {matchLabels: {app: kubernetes-bootcamp}}
  strategy: {}
  template:
    metadata: {labels: {app: kubernetes-bootcamp}}
    spec:
      containers:
      - {name: kubernetes-bootcamp, image: 'gcr.io/google-samples/kubernetes-bootcamp:v1', resources: {}}
---
apiVersion: v1
kind: Service
metadata: {name: kubernetes-bootcamp, labels: {app: kubernetes-bootcamp}}
spec:
  type: NodePort
  selector: {app: kubernetes-bootcamp}
  ports: [{port: 8080, protocol: TCP, targetPort: 8080}]
";

/// Twenty nodes on which nothing takes equally long twice.
pub fn options(seed: u64) -> Options {
    Options::new(seed).nodes(NODES).faults(Faults::jitter())
}

/// Four nodes on which much goes wrong, each seed something else, and the patience for that.
pub fn options_with_faults(seed: u64) -> Options {
    Options::new(seed).nodes(NODES_WITH_FAULTS).faults(Faults::of_seed(seed)).patience(PATIENCE_WITH_FAULTS)
}

/// Plays it.
pub async fn play(cluster: &Cluster) -> Result<(), Failure> {
    publish(cluster);
    cluster.note("create deployment and service");
    cluster.apply(CREATE).await?;
    at_rest(cluster, 2, V1).await?;
    for replicas in [4, 2, 0, 2] {
        cluster.note(&format!("scale to {replicas}"));
        cluster.scale(NAME, replicas).await?;
        at_rest(cluster, replicas, V1).await?;
    }
    update(cluster).await?;
    get_stuck(cluster).await?;
    scale_stuck(cluster).await?;
    cluster.note("undo");
    cluster.rollout_undo(NAME).await?;
    at_rest(cluster, 5, V2).await?;
    revision_is(cluster, "4")?;
    cluster.note("scale to 2");
    cluster.scale(NAME, 2).await?;
    at_rest(cluster, 2, V2).await?;
    clean_up(cluster).await
}

/// Says how long pulls take, and what can't be pulled.
fn publish(cluster: &Cluster) {
    for (index, image) in [V1, V2].into_iter().enumerate() {
        // By seed, but known before: 0 to 1.5 s.
        let millis = (cluster.seed().wrapping_mul(2_654_435_761) >> (8 * index)) % PULL_MAX_MILLIS;
        let latency = Duration::from_millis(millis);
        cluster.publish_image(image, &FakeImage { latency, ..FakeImage::default() });
    }
    cluster.publish_image(V10, &FakeImage { always: Some(PullFailure::NotFound), ..FakeImage::default() });
}

/// Everything is there, available, of this image, and in the Service; nothing else is left.
async fn at_rest(cluster: &Cluster, replicas: u32, image: &str) -> Result<(), Failure> {
    cluster.rolled_out(NAME).await?;
    cluster.row_becomes(NAME, &format!("{replicas}/{replicas} {replicas} {replicas}")).await?;
    let what = format!("{replicas} Pods of {image} serve, and no other");
    cluster
        .eventually(&what, || serving(cluster, replicas as usize, |pods| pods.iter().all(|pod| has(pod, image))))
        .await?;
    cluster.runtimes_agree().await
}

fn has(pod: &Value, image: &str) -> bool {
    pod["spec"]["containers"][0]["image"] == image
}

/// Whether `count` Pods are in the Service as ready, `all` of them are as they should be, and no others are ready.
fn serving(cluster: &Cluster, count: usize, all: impl Fn(&[Value]) -> bool) -> Result<(), String> {
    let pods: Vec<Value> = cluster.pods().into_iter().filter(|pod| is_true(pod, "Ready")).collect();
    if pods.len() != count || !all(&pods) {
        return Err(format!("{} Pods are ready", pods.len()));
    }
    let addresses: BTreeSet<String> = pods.iter().map(|pod| text(&pod["status"]["podIP"])).collect();
    let slices = cluster.list(ENDPOINTSLICES, NAMESPACE);
    let of_service = slices
        .iter()
        .filter(|slice| slice.meta().labels.get("kubernetes.io/service-name").is_some_and(|service| service == NAME));
    let endpoints: Vec<Value> =
        of_service.flat_map(|slice| slice.value()["endpoints"].as_array().cloned().unwrap_or_default()).collect();
    let ready = endpoints.iter().filter(|endpoint| endpoint["conditions"]["ready"] == true);
    let served: BTreeSet<String> = ready.map(|endpoint| text(&endpoint["addresses"][0])).collect();
    if served == addresses { Ok(()) } else { Err(format!("the Service leads to {served:?} and not to {addresses:?}")) }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The names of the Pods of an image that are not being deleted.
fn names_of(cluster: &Cluster, image: &str) -> BTreeSet<String> {
    cluster.pods().iter().filter(|pod| has(pod, image)).map(|pod| text(&pod["metadata"]["name"])).collect()
}

/// The rows that the Deployment has shown since entry `from` of the log, each once in a row.
fn rows(cluster: &Cluster, from: usize) -> Vec<String> {
    let history = cluster.log().history(&format!("/registry/deployments/{NAMESPACE}/{NAME}"), from);
    let mut rows: Vec<String> = history.iter().map(deployment_row).collect();
    rows.dedup();
    rows
}

/// Whether a node was not ready since entry `from` of the log.
fn a_node_was_lost(cluster: &Cluster, from: usize) -> bool {
    let is_lost = |node: &Value| {
        let conditions = node["status"]["conditions"].as_array().cloned().unwrap_or_default();
        conditions.iter().any(|condition| condition["type"] == "Ready" && condition["status"] != "True")
    };
    cluster
        .nodes()
        .iter()
        .any(|node| cluster.log().history(&format!("/registry/minions/{}", node.name), from).iter().any(is_lost))
}

/// A rolling update of two: one more at a time, and never fewer than two available (25 % of 2, up and down).
async fn update(cluster: &Cluster) -> Result<(), Failure> {
    cluster.note("set image v2");
    let from = cluster.log().len();
    cluster.set_image(NAME, V2).await?;
    at_rest(cluster, 2, V2).await?;
    revision_is(cluster, "2")?;
    let rows = rows(cluster, from);
    let updated = |row: &String| row.split(' ').nth(1).and_then(|n| n.parse::<u32>().ok());
    let after_start: Vec<Option<u32>> = rows.iter().map(updated).skip_while(|n| *n == Some(2)).collect();
    // The rollout keeps both available; a node that is lost does not.
    let unavailable = rows.iter().any(|row| !row.starts_with("2/2") && !row.starts_with("3/2"));
    let wrong = (unavailable && !a_node_was_lost(cluster, from)) || !after_start.is_sorted();
    if wrong { Err(Failure::Wrong(format!("the rollout showed {rows:?}"))) } else { Ok(()) }
}

/// An image that nobody has: one new Pod waits for ever, the old ones serve on.
async fn get_stuck(cluster: &Cluster) -> Result<(), Failure> {
    cluster.note("set image v10");
    let old = names_of(cluster, V2);
    cluster.set_image(NAME, V10).await?;
    cluster
        .eventually("the new Pod backs off", || {
            let waiting = cluster.pods().into_iter().filter(|pod| has(pod, V10));
            let reasons: Vec<String> =
                waiting.map(|pod| text(&pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"])).collect();
            if reasons == ["ImagePullBackOff"] { Ok(()) } else { Err(format!("{reasons:?}")) }
        })
        .await?;
    cluster.row_becomes(NAME, "2/2 1 2").await?;
    cluster.pass(STUCK).await?;
    cluster.row_becomes(NAME, "2/2 1 2").await?;
    if names_of(cluster, V2) != old {
        return Err(Failure::Wrong("the old Pods did not stay".to_owned()));
    }
    cluster.eventually("the old Pods serve", || serving(cluster, 2, |pods| pods.iter().all(|pod| has(pod, V2)))).await
}

/// The stuck rollout to five. Both sets grow in proportion: with a surge of 2 (25 % of 5, up) seven are allowed, of which
/// the old set of 2 (of 3) gets 5 and the new one 2. Then one may be unavailable (25 % of 5, down): the old set gives one
/// up, the new one takes it. What is left is 4 old ones, available, and 3 new ones that wait.
async fn scale_stuck(cluster: &Cluster) -> Result<(), Failure> {
    cluster.note("scale the stuck rollout to 5");
    cluster.scale(NAME, 5).await?;
    cluster.row_becomes(NAME, "4/5 3 4").await?;
    cluster.pass(STUCK).await?;
    cluster.row_becomes(NAME, "4/5 3 4").await?;
    let sizes = (names_of(cluster, V2).len(), names_of(cluster, V10).len());
    if sizes == (4, 3) { Ok(()) } else { Err(Failure::Wrong(format!("there are {sizes:?} old and new Pods"))) }
}

fn revision_is(cluster: &Cluster, revision: &str) -> Result<(), Failure> {
    let deployment = cluster.get(DEPLOYMENTS, NAMESPACE, NAME);
    let found = deployment.and_then(|d| d.meta().annotations.get("deployment.kubernetes.io/revision").cloned());
    if found.as_deref() == Some(revision) {
        return Ok(());
    }
    Err(Failure::Wrong(format!("the revision is {found:?} instead of {revision}")))
}

/// Without the Deployment there is nothing, neither in the API nor on the nodes.
async fn clean_up(cluster: &Cluster) -> Result<(), Failure> {
    cluster.note("delete deployment and service");
    cluster.delete(SERVICES, NAMESPACE, NAME).await?;
    cluster.delete(DEPLOYMENTS, NAMESPACE, NAME).await?;
    cluster
        .eventually("everything is gone", || {
            let left: Vec<String> = [DEPLOYMENTS, REPLICASETS, PODS, SERVICES, ENDPOINTSLICES]
                .into_iter()
                .flat_map(|resource| cluster.list(resource, NAMESPACE))
                .map(|object| object.meta().name.clone())
                .collect();
            if left.is_empty() { Ok(()) } else { Err(format!("there are {left:?}")) }
        })
        .await?;
    for node in cluster.nodes() {
        let sandboxes = node.runtime.list_pod_sandboxes(&PodSandboxFilter::default()).await.unwrap_or_default();
        if !sandboxes.is_empty() {
            return Err(Failure::Wrong(format!("{} has {} sandboxes left", node.name, sandboxes.len())));
        }
    }
    Ok(())
}
