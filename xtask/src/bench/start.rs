//! `bench start`: from nothing to a node that is Ready, to the first Pod, and back to nothing.

use anyhow::Result;

use super::cluster::{Cluster, PODS, PodWatch, create, pod};
use super::samples::{self, Samples, Stopwatch};

/// How often.
const RUNS: usize = 10;
/// Pods that run when the cluster is deleted.
const PODS_AT_DELETE: usize = 10;

pub(super) async fn measure(cluster: &Cluster) -> Result<String> {
    let mut ready = Samples::new("skiff start: to node Ready");
    let mut first_pod = Samples::new("then: to the first Pod of a loaded image Ready");
    let mut deleted = Samples::new("skiff delete, with 10 Pods running");
    for _ in 0..RUNS {
        let watch = Stopwatch::start();
        cluster.skiff(&["start"])?;
        ready.add(watch.elapsed());
        cluster.skiff(&["demo", "--load-only"])?;
        let api = cluster.api()?;
        let mut pods = PodWatch::open(&api).await?;
        let watch = Stopwatch::start();
        create(&api, PODS, &pod("first")).await?;
        pods.until_ready(1).await?;
        first_pod.add(watch.elapsed());
        for number in 1..PODS_AT_DELETE {
            create(&api, PODS, &pod(&format!("more-{number}"))).await?;
        }
        pods.until_ready(PODS_AT_DELETE - 1).await?;
        let watch = Stopwatch::start();
        cluster.skiff(&["delete"])?;
        deleted.add(watch.elapsed());
    }
    Ok(samples::table(&[ready, first_pod, deleted]))
}
