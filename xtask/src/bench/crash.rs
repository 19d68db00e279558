//! `bench crash`: the daemon is killed again and again while clients write and ask. What the API has acknowledged must be
//! there afterwards, Pods must not notice, and nobody may be refused.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use client::{RestClient, RestError};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use super::cluster::{Cluster, DEPLOYMENTS, PODS, Watch, create, deployment, expose, is_rolled_out, patch};
use super::load;
use super::samples::{self, Samples, Stopwatch};

const CRASHES: usize = 50;
const WRITERS: usize = 16;
/// Requests a second on the node port.
const RATE: u32 = 200;
/// Node init takes a daemon that lived for ten seconds for a healthy one and starts the next at once.
const BETWEEN: Duration = Duration::from_millis(10_500);
/// How often a new connection to the API is tried.
const KNOCK_EVERY: Duration = Duration::from_millis(10);
const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";

/// What the writers have seen.
#[derive(Debug, Default)]
struct Writes {
    acknowledged: AtomicU64,
    lost: AtomicU64,
    interrupted: AtomicU64,
}

pub(super) async fn measure(cluster: &Cluster) -> Result<String> {
    cluster.start()?;
    let api = cluster.api()?;
    let (_, port) = expose(&api).await?;
    create(&api, DEPLOYMENTS, &deployment(2)).await?;
    Watch::open(&api, DEPLOYMENTS).await?.until(is_rolled_out).await?;
    let before = containers(&api).await?;

    let node_port: SocketAddr = format!("{}:{port}", cluster.node_address()?).parse()?;
    let api_address = SocketAddr::from(([127, 0, 0, 1], api.server().port));
    let (stop, stopped) = oneshot::channel::<()>();
    let requests = load::run(node_port, RATE, async {
        // It ends when the sender is gone.
        let _ = stopped.await;
    });
    let done = AtomicBool::new(false);
    let writes = Writes::default();
    let writers = futures_util::future::try_join_all((0..WRITERS).map(|number| {
        let (writes, done) = (&writes, &done);
        async move { write(&cluster.api()?, number, writes, done).await }
    }));
    let knocks = knock(api_address, &done);
    let mut back = Samples::new("kill -9 of the daemon to an answer of the API");
    let crashes = async {
        let mut last = 0;
        for _ in 0..CRASHES {
            tokio::time::sleep(BETWEEN).await;
            last = daemon(cluster, last).await?;
            let stopwatch = Stopwatch::start();
            kill(last)?;
            answers(cluster).await?;
            back.add(stopwatch.elapsed());
        }
        // The writers look once more at what they have written.
        tokio::time::sleep(Duration::from_secs(1)).await;
        done.store(true, Ordering::Relaxed);
        drop(stop);
        Ok::<_, anyhow::Error>(())
    };
    let (crashed, written, refused, requests) = tokio::join!(crashes, writers, knocks, requests);
    crashed?;
    written?;
    let after = containers(&cluster.api()?).await?;
    let restarted = after.iter().filter(|container| !before.contains(container)).count();
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    Ok(format!(
        "{}{WRITERS} writers: {} writes acknowledged, {} interrupted, {} acknowledged ones lost\n\
         containers: {} before, {restarted} of them restarted or replaced\n\
         {}connections to the API: {} refused of {}\n",
        samples::table(&[back]),
        count(&writes.acknowledged),
        count(&writes.interrupted),
        count(&writes.lost),
        before.len(),
        requests.line(&format!("node port, {RATE}/s")),
        refused.0,
        refused.1,
    ))
}

/// Counts up in an object of its own. After an interruption it looks at what is there: the last acknowledged number, or the
/// one that was under way.
async fn write(api: &RestClient, number: usize, writes: &Writes, done: &AtomicBool) -> Result<()> {
    let name = format!("writer-{number}");
    let path = format!("{CONFIG_MAPS}/{name}");
    create(api, CONFIG_MAPS, &json!({"metadata": {"name": name}, "data": {"n": "0"}})).await?;
    let mut acknowledged: u64 = 0;
    while !done.load(Ordering::Relaxed) {
        match patch(api, &path, &json!({"data": {"n": (acknowledged + 1).to_string()}})).await {
            Ok(_) => {
                acknowledged += 1;
                writes.acknowledged.fetch_add(1, Ordering::Relaxed);
            }
            Err(RestError::Unreachable { .. }) => {
                writes.interrupted.fetch_add(1, Ordering::Relaxed);
                let found = read(api, &path).await?;
                if found < acknowledged {
                    writes.lost.fetch_add(acknowledged - found, Ordering::Relaxed);
                }
                acknowledged = found;
            }
            Err(error) => return Err(error).context("a write was refused"),
        }
    }
    let found = read(api, &path).await?;
    writes.lost.fetch_add(acknowledged.saturating_sub(found), Ordering::Relaxed);
    Ok(())
}

/// The number in an object, as soon as the API answers.
async fn read(api: &RestClient, path: &str) -> Result<u64> {
    loop {
        match api.get_json(path).await {
            Ok(object) => {
                return object["data"]["n"].as_str().context("the object has no number")?.parse().map_err(Into::into);
            }
            Err(RestError::Unreachable { .. }) => {}
            // What an acknowledged create has made is gone.
            Err(RestError::Api(error)) if error.code == 404 => return Ok(0),
            Err(error) => return Err(error).context("a read was refused"),
        }
    }
}

/// Opens connections to the API; how many were refused, and how many there were.
async fn knock(address: SocketAddr, done: &AtomicBool) -> (u64, u64) {
    let (mut refused, mut tried) = (0, 0);
    let mut ticks = tokio::time::interval(KNOCK_EVERY);
    while !done.load(Ordering::Relaxed) {
        ticks.tick().await;
        tried += 1;
        refused += u64::from(TcpStream::connect(address).await.is_err());
    }
    (refused, tried)
}

/// Returns when the API answers a new connection.
async fn answers(cluster: &Cluster) -> Result<()> {
    let api = cluster.api()?;
    loop {
        match api.get_json("/api/v1/namespaces/default").await {
            Ok(_) => return Ok(()),
            // The old daemon may still have taken the connection.
            Err(RestError::Unreachable { .. }) => {}
            Err(error) => return Err(error).context("the API is back and refuses"),
        }
    }
}

/// The daemon's process, which is another one than `not`.
async fn daemon(cluster: &Cluster, not: i32) -> Result<i32> {
    let directory = cluster.home.to_str().context("the directory's name is no text")?;
    for _ in 0..100 {
        let found = std::fs::read_dir("/proc").context("failed to read /proc")?.flatten().find_map(|entry| {
            let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
            let line = std::fs::read_to_string(entry.path().join("cmdline")).ok()?;
            let words: Vec<&str> = line.split('\0').collect();
            let is_daemon = words.get(1) == Some(&"daemon") && words.iter().any(|word| word.starts_with(directory));
            (is_daemon && pid != not).then_some(pid)
        });
        if let Some(pid) = found {
            return Ok(pid);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    bail!("no daemon runs")
}

fn kill(pid: i32) -> Result<()> {
    let pid = rustix::process::Pid::from_raw(pid).context("a process has a number above 0")?;
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).context("failed to kill the daemon")
}

/// The running containers: their identity, their start, how often they were restarted.
async fn containers(api: &RestClient) -> Result<Vec<String>> {
    let pods = api.get_json(PODS).await?;
    let statuses = pods["items"].as_array().into_iter().flatten().flat_map(|pod| {
        let list = pod["status"]["containerStatuses"].as_array().cloned();
        list.unwrap_or_default()
    });
    let identity =
        |status: Value| format!("{} {} {}", status["containerID"], status["restartCount"], status["state"]["running"]);
    Ok(statuses.map(identity).collect())
}
