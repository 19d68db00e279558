//! A steady stream of HTTP requests, each on a connection of its own, and what became of them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use component_base::Supervisor;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{MissedTickBehavior, interval, timeout};

/// A request that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(5);
/// Requests under way at once, at the most: two seconds of a rate of 500.
const UNDER_WAY_MAX: usize = 1000;

/// How the requests went.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Tally {
    /// Answered with 200.
    pub(crate) answered: u64,
    /// Not answered, by what happened.
    pub(crate) failed: BTreeMap<String, u64>,
}

impl Tally {
    pub(crate) fn failures(&self) -> u64 {
        self.failed.values().sum()
    }

    fn count(&mut self, result: Result<(), String>) {
        match result {
            Ok(()) => self.answered += 1,
            Err(what) => *self.failed.entry(what).or_default() += 1,
        }
    }

    /// A line of a report.
    pub(crate) fn line(&self, what: &str) -> String {
        let why: Vec<String> = self.failed.iter().map(|(what, count)| format!("{count} × {what}")).collect();
        let why = if why.is_empty() { String::new() } else { format!(" ({})", why.join(", ")) };
        format!("{what}: {} answered, {} failed{why}\n", self.answered, self.failures())
    }
}

/// Sends `rate` requests a second to `address` until `stop` is ready, and waits for the last answers.
pub(crate) async fn run(address: SocketAddr, rate: u32, stop: impl Future<Output = ()>) -> Tally {
    let mut tally = Tally::default();
    let mut ticks = interval(Duration::from_secs(1) / rate);
    // What was missed is made up for: the rate is a promise.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut under_way = FuturesUnordered::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        tokio::select! {
            biased;
            () = &mut stop => break,
            Some(result) = under_way.next(), if !under_way.is_empty() => tally.count(result),
            _ = ticks.tick(), if under_way.len() < UNDER_WAY_MAX => under_way.push(ask(address)),
        }
    }
    while let Some(result) = under_way.next().await {
        tally.count(result);
    }
    tally
}

/// One request.
async fn ask(address: SocketAddr) -> Result<(), String> {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await.map_err(|error| format!("connect: {error}"))?;
        let request = format!("GET / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.map_err(|error| format!("write: {error}"))?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.map_err(|error| format!("read: {error}"))?;
        match answer.starts_with(b"HTTP/1.1 200 ") {
            true => Ok(()),
            false if answer.is_empty() => Err("closed without an answer".to_owned()),
            false => Err("an answer other than 200".to_owned()),
        }
    };
    timeout(PATIENCE, exchange).await.unwrap_or_else(|_| Err(format!("no answer within {} s", PATIENCE.as_secs())))
}

/// What runs in the node, where cluster addresses are reached: sends requests until standard input ends, then prints the
/// tally.
pub(crate) fn serve_from_within(address: &str, rate: &str) -> Result<()> {
    let address: SocketAddr = address.parse().with_context(|| format!("{address:?} is no address"))?;
    let rate: u32 = rate.parse().with_context(|| format!("{rate:?} is no rate"))?;
    if rate == 0 {
        bail!("a rate of 0 asks for nothing");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let tally = runtime.block_on(run(address, rate, async {
        let supervisor = Supervisor::new();
        // However it ends, it has ended.
        supervisor.blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink())).await;
    }));
    crate::process::print(&serde_json::to_string(&tally)?)?;
    Ok(())
}
