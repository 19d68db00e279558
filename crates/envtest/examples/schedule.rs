//! How many Pods a second are scheduled onto 1,000 nodes: decisions alone, and through the whole control plane in one
//! thread, where each Pod is created, decided on, bound and told about. `cargo xtask bench schedule` builds and runs it.

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;

use api::resources::{NODES, PODS, SERVICEACCOUNTS};
use client::PatchKind;
use component_base::Random;
use envtest::{Cluster, Failure, Options, run};
use parking_lot::Mutex;
use scheduler::{Cache, Framework, PodInfo};
use serde_json::{Value, json};

const NODE_COUNT: usize = 1000;
const POD_COUNT: usize = 5000;

/// Real time: virtual time stands still while there is work.
#[expect(clippy::disallowed_types, reason = "measures what virtual time does not show")]
struct Stopwatch(std::time::Instant);

impl Stopwatch {
    #[expect(clippy::disallowed_types, reason = "measures what virtual time does not show")]
    fn start() -> Self {
        Self(std::time::Instant::now())
    }

    fn line(&self, what: &str) -> String {
        let seconds = self.0.elapsed().as_secs_f64();
        format!(
            "{what}: {POD_COUNT} Pods on {NODE_COUNT} nodes in {seconds:.2} s, {:.0} a second\n",
            POD_COUNT as f64 / seconds
        )
    }
}

fn node(index: usize) -> Value {
    let (name, zone) = (format!("node-{index:04}"), format!("zone-{}", index % 3));
    json!({
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, "topology.kubernetes.io/zone": zone}},
        "status": {
            "allocatable": {"cpu": "4", "memory": "16Gi", "pods": "110"},
            "capacity": {"cpu": "4", "memory": "16Gi", "pods": "110"},
            "conditions": [{"type": "Ready", "status": "True", "reason": "Measured"}],
        },
    })
}

fn pod(index: usize) -> Value {
    let name = format!("pod-{index:04}");
    let requests = json!({"cpu": "100m", "memory": "128Mi"});
    json!({
        "metadata": {"name": name, "namespace": "default", "labels": {"app": format!("app-{}", index % 10)}},
        "spec": {"containers": [{"name": "c", "image": "example.org/web:v1", "resources": {"requests": requests}}]},
    })
}

/// Decisions alone, of Pods that are spread as those of a ReplicaSet.
fn decisions() -> Result<String, serde_json::Error> {
    let (framework, random, mut cache) = (Framework::default(), Random::from_seed(1), Cache::default());
    for index in 0..NODE_COUNT {
        cache.set_node(Arc::new(serde_json::from_value(node(index))?));
    }
    let mut pods = Vec::new();
    for index in 0..POD_COUNT {
        let mut pod = pod(index);
        let (uid, set) = (pod["metadata"]["name"].clone(), format!("set-{}", index % 10));
        pod["metadata"]["uid"] = uid;
        pod["metadata"]["ownerReferences"] =
            json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": set, "uid": set, "controller": true}]);
        pods.push(Arc::new(serde_json::from_value(pod)?));
    }
    let (stopwatch, mut start, mut placed) = (Stopwatch::start(), 0, 0);
    for pod in pods {
        let info = Arc::new(PodInfo::new(pod));
        let snapshot = cache.snapshot();
        let decision = framework.schedule(&info, &snapshot, start, &random);
        drop(snapshot);
        if let Ok(decision) = decision {
            start = (start + decision.looked_at) % NODE_COUNT;
            cache.assume(&decision.node, info);
            placed += 1;
        }
    }
    let line = stopwatch.line("decisions");
    Ok(if placed == POD_COUNT { line } else { format!("only {placed} Pods were placed\n") })
}

/// From the first create call until the last Pod is bound.
async fn control_plane(cluster: &Cluster, out: &Mutex<String>) -> Result<(), Failure> {
    let account = || cluster.get(SERVICEACCOUNTS, "default", "default").map(|_| ()).ok_or_else(String::new);
    cluster.eventually("the account is there", account).await?;
    for index in 0..NODE_COUNT {
        let made = cluster.client().create(NODES, "", node(index)).await?;
        let ready = json!({"status": node(index)["status"]});
        cluster.client().patch_status(NODES, "", &made.meta().name, PatchKind::Merge, ready).await?;
    }
    let untainted = || {
        let tainted = cluster.list(NODES, "").iter().filter(|n| n.value()["spec"]["taints"].is_array()).count();
        if tainted == 0 { Ok(()) } else { Err(format!("{tainted} nodes are tainted")) }
    };
    cluster.eventually("all nodes are ready", untainted).await?;
    let stopwatch = Stopwatch::start();
    for index in 0..POD_COUNT {
        cluster.client().create(PODS, "default", pod(index)).await?;
    }
    // To look at all Pods at each commit would be most of the work.
    let last = format!("pod-{:04}", POD_COUNT - 1);
    let bound = |pod: &Value| pod["spec"]["nodeName"].is_string();
    let last_bound = || match cluster.get(PODS, "default", &last) {
        Some(pod) if bound(&pod.value()) => Ok(()),
        _ => Err("not yet".to_owned()),
    };
    cluster.eventually("the last Pod has a node", last_bound).await?;
    let line = stopwatch.line("control plane");
    let waiting = cluster.list(PODS, "default").iter().filter(|pod| !bound(&pod.value())).count();
    out.lock().push_str(&if waiting == 0 { line } else { format!("{waiting} Pods have no node\n") });
    Ok(())
}

fn main() -> ExitCode {
    let out = Mutex::new(decisions().unwrap_or_else(|error| format!("{error}\n")));
    let result = run(&Options::new(1).nodes(0).outages(), async |cluster| control_plane(cluster, &out).await).result;
    let failure = result.err().map(|failure| failure.text());
    let mut text = out.into_inner();
    text.push_str(failure.as_deref().unwrap_or_default());
    let printed = std::io::stdout().write_all(text.as_bytes());
    if failure.is_none() && printed.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
