//! `bench pod`: how long a Pod takes from the create call to Ready, as a watch tells it.

use anyhow::Result;
use futures_util::{StreamExt as _, TryStreamExt as _};

use super::cluster::{Cluster, PODS, PodWatch, create, pod};
use super::samples::{self, Samples, Stopwatch};

/// Pods one after the other, and then at once.
const COUNT: usize = 50;
/// Connections over which Pods are created at once.
const CONNECTIONS: usize = 4;

pub(super) async fn measure(cluster: &Cluster) -> Result<String> {
    cluster.start()?;
    let api = cluster.api()?;
    let mut pods = PodWatch::open(&api).await?;
    let mut one = Samples::new("create call to Ready, one after the other");
    for number in 0..COUNT {
        let watch = Stopwatch::start();
        create(&api, PODS, &pod(&format!("one-{number}"))).await?;
        pods.until_ready(1).await?;
        one.add(watch.elapsed());
    }
    api.request(http::Method::DELETE, PODS, &[], bytes::Bytes::new()).await?;
    pods.until_gone(COUNT).await?;
    let mut all = Samples::new("create call to Ready, 50 at once");
    let watch = Stopwatch::start();
    let created = futures_util::stream::iter(0..COUNT)
        .map(|number| {
            let api = &api;
            async move { create(api, PODS, &pod(&format!("all-{number}"))).await }
        })
        .buffer_unordered(CONNECTIONS)
        .try_for_each(|_| std::future::ready(Ok(())));
    let ready = async {
        for _ in 0..COUNT {
            pods.until_ready(1).await?;
            all.add(watch.elapsed());
        }
        Ok(())
    };
    tokio::try_join!(async { created.await.map_err(anyhow::Error::from) }, ready)?;
    Ok(samples::table(&[one, all]))
}
