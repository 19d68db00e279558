//! Forwarding of a Pod's ports: over SPDY, or over a WebSocket that carries SPDY's bytes
//! (upstream: `k8s.io/cri-streaming/pkg/streaming/portforward`, `k8s.io/apiserver/pkg/util/proxy/streamtunnel.go`).
//!
//! A connection to a port is a pair of streams with one `requestid`: `data`, and `error` for what goes wrong.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use client::spdy::{self, Stream};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::upgrade::{Served, Transport};
use super::websocket;
use crate::node_connector::{ContainerTarget, NodeConnector};

/// The protocols of port-forward.
pub(crate) const SERVED: Served =
    Served { web_socket: &["SPDY/3.1+portforward.k8s.io"], spdy: &["portforward.k8s.io"] };
/// How long the client may take to open the second stream of a pair.
const PAIR_WITHIN: Duration = Duration::from_secs(30);

/// Which Pod, and the way to it.
pub(crate) struct Forwarder {
    pub(crate) target: ContainerTarget,
    pub(crate) connector: Arc<dyn NodeConnector>,
}

/// A pair that is not complete.
#[derive(Debug)]
struct Pair {
    data: Option<Stream>,
    error: Option<Stream>,
    until: Instant,
}

impl Forwarder {
    /// Forwards until the client hangs up.
    pub(crate) async fn run(self, connection: Upgraded, transport: Transport) {
        match transport {
            Transport::Spdy => {
                let (reader, writer) = tokio::io::split(TokioIo::new(connection));
                self.over(reader, writer).await;
            }
            Transport::WebSocket => {
                let (reader, writer) = websocket::bytes(connection).await;
                self.over(reader, writer).await;
            }
        }
    }

    async fn over<R, W>(&self, reader: R, writer: W)
    where
        R: AsyncRead + Send + Unpin,
        W: AsyncWrite + Send + Unpin,
    {
        // The client alone ends the connection.
        let (opened, _farewell, work) = spdy::serve(reader, writer);
        tokio::select! {
            () = work => {}
            () = self.pair(opened) => {}
        }
    }

    /// Finds the pairs and carries them.
    async fn pair(&self, mut opened: mpsc::Receiver<Stream>) {
        let mut pairs: BTreeMap<String, Pair> = BTreeMap::new();
        let mut forwards = FuturesUnordered::new();
        loop {
            let late = pairs.values().map(|pair| pair.until).min();
            let stream = tokio::select! {
                stream = opened.recv() => stream,
                Some(()) = forwards.next(), if !forwards.is_empty() => continue,
                () = tokio::time::sleep_until(late.unwrap_or_else(Instant::now)), if late.is_some() => {
                    give_up(&mut pairs).await;
                    continue;
                }
            };
            let Some(stream) = stream else { return };
            let Some((request, is_data)) = request(&stream) else {
                // It is the client's rules that it breaks; a connection that is gone needs no answer.
                let _ = stream.writer.reset().await;
                continue;
            };
            let fresh = || Pair { data: None, error: None, until: Instant::now() + PAIR_WITHIN };
            let mut pair = pairs.remove(&request).unwrap_or_else(fresh);
            *(if is_data { &mut pair.data } else { &mut pair.error }) = Some(stream);
            match pair {
                Pair { data: Some(data), error: Some(error), .. } => forwards.push(self.forward(data, error)),
                half => drop(pairs.insert(request, half)),
            }
        }
    }

    /// One connection to a port.
    async fn forward(&self, data: Stream, error: Stream) {
        let port = port(&data).unwrap_or(0);
        match self.connector.port_forward(&self.target, port).await {
            Ok(connection) => {
                let (mut from, mut to) = tokio::io::split(connection);
                let Stream { mut reader, writer, .. } = data;
                let there = async {
                    // The port may be closed for good while the client still speaks.
                    let _ = tokio::io::copy(&mut reader, &mut to).await;
                    let _ = to.shutdown().await;
                    std::future::pending::<()>().await;
                };
                tokio::select! {
                    () = there => {}
                    // Whoever is gone need not be told.
                    _ = writer.copy_from(&mut from) => {}
                }
                let _ = writer.finish().await;
            }
            Err(failure) => {
                let ContainerTarget { pod, pod_uid, .. } = &self.target;
                // Of an internal error only the cause is the kubelet's own word.
                let why = failure.causes.first().map_or(&failure.message, |cause| &cause.message);
                let text = format!("error forwarding port {port} to pod {pod}, uid {pod_uid}: {why}");
                let _ = error.writer.write(text.into()).await;
                let _ = data.writer.reset().await;
            }
        }
        let _ = error.writer.finish().await;
    }
}

fn port(stream: &Stream) -> Option<u16> {
    stream.headers.get("port")?.parse().ok().filter(|port| *port > 0)
}

/// To which request a stream belongs, and whether it is the one for data. `None` if it is neither, or has no port.
fn request(stream: &Stream) -> Option<(String, bool)> {
    port(stream)?;
    let is_data = match stream.headers.get("streamtype")?.as_str() {
        "data" => true,
        "error" => false,
        _ => return None,
    };
    // Clients before 1.2 give none, and open the stream for data right after the one for errors.
    let by_number = || (if is_data { stream.id.saturating_sub(2) } else { stream.id }).to_string();
    Some((stream.headers.get("requestid").cloned().unwrap_or_else(by_number), is_data))
}

/// Ends the pairs whose second stream did not come in time.
async fn give_up(pairs: &mut BTreeMap<String, Pair>) {
    let now = Instant::now();
    let late: Vec<String> = pairs.iter().filter(|(_, pair)| pair.until <= now).map(|(id, _)| id.clone()).collect();
    for id in late {
        let Some(pair) = pairs.remove(&id) else { continue };
        if let Some(error) = &pair.error {
            let _ = error.writer.write(format!("(request={id}) timed out waiting for streams").into()).await;
        }
        for stream in [pair.data, pair.error].into_iter().flatten() {
            let _ = stream.writer.reset().await;
        }
    }
}
