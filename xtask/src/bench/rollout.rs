//! `bench rollout`: rolling updates under load, through the node port from the host and the cluster address in the node.

use std::net::SocketAddr;
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use serde_json::json;
use tokio::io::AsyncReadExt as _;
use tokio::sync::oneshot;

use super::cluster::{Cluster, DEPLOYMENTS, IMAGES, Watch, create, deployment, expose, is_rolled_out, patch};
use super::load::{self, Tally};
use super::samples::{self, Samples, Stopwatch};

const REPLICAS: u32 = 4;
const UPDATES: usize = 10;
/// Requests a second on each of the two ways.
const RATE: u32 = 500;

pub(super) async fn measure(cluster: &Cluster) -> Result<String> {
    cluster.start()?;
    let api = cluster.api()?;
    let (cluster_ip, port) = expose(&api).await?;
    create(&api, DEPLOYMENTS, &deployment(REPLICAS)).await?;
    let mut watch = Watch::open(&api, DEPLOYMENTS).await?;
    watch.until(is_rolled_out).await?;

    let node_port: SocketAddr = format!("{}:{port}", cluster.node_address()?).parse()?;
    let (stop, stopped) = oneshot::channel::<()>();
    let outside = load::run(node_port, RATE, async {
        // It ends when the sender is gone.
        let _ = stopped.await;
    });
    let inside = Inside::start(cluster, &format!("{cluster_ip}:8080"))?;
    let mut samples = Samples::new("image changed to rolled out, under load");
    let updates = async {
        for number in 0..UPDATES {
            let image = IMAGES[(number + 1) % IMAGES.len()];
            let container = json!({"name": "app", "image": image, "ports": [{"containerPort": 8080}],
                "readinessProbe": {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1}});
            let change = json!({"spec": {"template": {"spec": {"containers": [container]}}}});
            let stopwatch = Stopwatch::start();
            let changed = patch(&api, &format!("{DEPLOYMENTS}/web"), &change).await?;
            let generation = changed["metadata"]["generation"].as_u64();
            let rolled_out = |object: &serde_json::Value| {
                object["metadata"]["generation"].as_u64() >= generation && is_rolled_out(object)
            };
            watch.until(rolled_out).await?;
            samples.add(stopwatch.elapsed());
        }
        drop(stop);
        Ok::<_, anyhow::Error>(())
    };
    let (outside, updated) = tokio::join!(outside, updates);
    let inside = inside.finish().await?;
    updated?;
    let table = samples::table(&[samples]);
    let outside = outside.line(&format!("node port from the host, {RATE}/s"));
    let inside = inside.line(&format!("cluster address in the node, {RATE}/s"));
    Ok(format!("{table}{outside}{inside}"))
}

/// The requests from inside the node, by this very program.
struct Inside {
    child: tokio::process::Child,
}

impl Inside {
    fn start(cluster: &Cluster, address: &str) -> Result<Self> {
        let own = std::env::current_exe().context("failed to find xtask's own executable")?;
        let own = own.to_str().context("xtask lies in a place whose name is no text")?;
        let command = cluster.command(&["ssh", "--", own, "load", address, &RATE.to_string()]);
        let mut command = tokio::process::Command::from(command);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        Ok(Self { child: command.spawn().context("failed to run skiff ssh")? })
    }

    async fn finish(mut self) -> Result<Tally> {
        drop(self.child.stdin.take());
        let mut text = String::new();
        self.child.stdout.take().context("it is piped")?.read_to_string(&mut text).await?;
        if !self.child.wait().await?.success() {
            bail!("the load in the node failed");
        }
        serde_json::from_str(&text).with_context(|| format!("the load in the node printed {text:?}"))
    }
}
