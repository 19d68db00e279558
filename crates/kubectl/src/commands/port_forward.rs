//! `kubectl port-forward` (upstream: `kubectl/pkg/cmd/portforward`, `client-go/tools/portforward`).

mod ports;

use std::net::SocketAddr;

use clap::Args;
use client::RestError;
use client::rest::{bytes, encode_segment};
use client::spdy::{Headers, Opener, Stream, connect};
use futures_util::StreamExt as _;
use futures_util::future::{BoxFuture, FutureExt as _, select_all};
use futures_util::stream::FuturesUnordered;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};

use crate::context::Context;
use crate::error::KubectlError;
use crate::flags::values;
use crate::flags::values::GoDuration;
use crate::pods;
use ports::{Forwarded, Listen};

/// SPDY's bytes in the messages of a WebSocket, as upstream's client speaks first.
const PROTOCOL: &str = "SPDY/3.1+portforward.k8s.io";

/// Forward local ports to a Pod.
#[derive(Debug, Args)]
pub(crate) struct PortForwardCommand {
    /// The Pod, or what has Pods; the ports
    #[arg(value_name = "TYPE/NAME [LOCAL_PORT:]REMOTE_PORT")]
    arguments: Vec<String>,
    /// The addresses to listen on: IP addresses, or localhost for 127.0.0.1 and ::1
    #[arg(long = "address", default_value = "localhost")]
    address_lists: Vec<String>,
    /// How long to wait for a Pod, such as 5s, 2m or 3h
    #[arg(long, value_parser = values::duration, default_value = "1m0s", allow_negative_numbers = true)]
    pod_running_timeout: GoDuration,
}

impl PortForwardCommand {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), KubectlError> {
        let (name, ports) = match self.arguments.as_slice() {
            [name, ports @ ..] if !ports.is_empty() => (name, ports),
            _ => {
                let text = "TYPE/NAME and list of ports are required for port-forward";
                return Err(KubectlError::usage(&context.command_path, text));
            }
        };
        let Some(timeout) = self.pod_running_timeout.positive() else {
            let text = "--pod-running-timeout must be higher than zero";
            return Err(KubectlError::usage(&context.command_path, text));
        };
        let info = pods::named_or_pod(context, name).await?;
        let object = info.object.clone();
        let pod = pods::attachable_pod(context, info, timeout).await?;
        let ports = match object["kind"].as_str() {
            Some("Service") => ports::of_service(ports, &object, &pod),
            _ => ports::of_pod(ports, &pod),
        };
        let phase = pod["status"]["phase"].as_str().unwrap_or_default();
        let ports = ports.map_err(KubectlError::new)?;
        if phase != "Running" {
            let text = format!("unable to forward port because pod is not running. Current status={phase}");
            return Err(KubectlError::new(text));
        }
        let addresses = ports::addresses(&values::split_list(&self.address_lists)).map_err(KubectlError::new)?;
        let ports = ports.iter().map(|port| ports::parse(port)).collect::<Result<Vec<_>, _>>();
        forward(context, &pod, &addresses, ports.map_err(KubectlError::new)?).await
    }
}

/// Forwards until the user has enough, or the Pod is gone.
async fn forward(
    context: &Context,
    pod: &Value,
    addresses: &[Listen],
    ports: Vec<Forwarded>,
) -> Result<(), KubectlError> {
    let mut interrupted = signal(SignalKind::interrupt()).map_err(|error| KubectlError::new(error.to_string()))?;
    let text = |value: &Value| encode_segment(value.as_str().unwrap_or_default());
    let metadata = &pod["metadata"];
    let path =
        format!("/api/v1/namespaces/{}/pods/{}/portforward", text(&metadata["namespace"]), text(&metadata["name"]));
    let socket = match context.client()?.websocket(&path, &[PROTOCOL]).await {
        Ok(socket) if socket.protocol == PROTOCOL => socket,
        Ok(socket) => {
            return Err(KubectlError::new(format!(
                "unable to negotiate protocol: client supports \"portforward.k8s.io\", server returned {:?}",
                socket.protocol
            )));
        }
        Err(RestError::Api(error)) => return Err(RestError::Api(error).into()),
        Err(error) => return Err(KubectlError::new(format!("error upgrading connection: {error}"))),
    };
    let (reader, writer) = bytes(socket.stream);
    let (mut opener, carrying) = connect(reader, writer);
    // Beside this task: opening a stream waits for what is sent.
    let mut connection = Box::pin(context.supervisor.spawn("port-forward", carrying).join());
    let listeners = listen(context, addresses, &ports).await?;
    let mut forwards: FuturesUnordered<BoxFuture<'_, Result<(), String>>> = FuturesUnordered::new();
    let lost = || Err(KubectlError::new("lost connection to pod"));
    let mut requests = 0_u32;
    loop {
        tokio::select! {
            _ = interrupted.recv() => return Ok(()),
            _ = &mut connection => return lost(),
            (local, port) = accept(&listeners) => {
                context.printer.line(format!("Handling connection for {}", port.local))?;
                let Ok(streams) = open(&mut opener, port.remote, requests).await else { return lost() };
                requests += 1;
                forwards.push(carry(local, streams, port).boxed());
            }
            Some(ended) = forwards.next(), if !forwards.is_empty() => {
                if let Err(text) = ended {
                    context.printer.err_line(text);
                    return lost();
                }
            }
        }
    }
}

/// Listens on each port at all addresses, and says so. A port that can't be had is said; that none can is an error.
async fn listen(
    context: &Context,
    addresses: &[Listen],
    ports: &[Forwarded],
) -> Result<Vec<(TcpListener, Forwarded)>, KubectlError> {
    let mut listeners = Vec::new();
    let mut any = false;
    for port in ports {
        let mut port = *port;
        let (mut faults, mut refused, mut spares) = (Vec::new(), false, (0, 0));
        for Listen { address, spare } in addresses {
            let at = SocketAddr::new(*address, port.local);
            let bound = TcpListener::bind(at).await.and_then(|listener| Ok((listener.local_addr()?, listener)));
            match bound {
                Ok((at, listener)) => {
                    // Where any port will do, the other addresses take the same.
                    port.local = at.port();
                    context.printer.line(format!("Forwarding from {at} -> {}", port.remote))?;
                    listeners.push((listener, port));
                    spares.0 += u32::from(*spare);
                }
                Err(error) => {
                    let why = error.to_string();
                    let why = why.split(" (os error").next().unwrap_or_default().to_lowercase();
                    let family = if at.is_ipv4() { "tcp4" } else { "tcp6" };
                    faults.push(format!("unable to create listener: Error listen {family} {at}: bind: {why}"));
                    spares.1 += u32::from(*spare);
                    refused |= !spare;
                }
            }
        }
        if refused || (spares.0 == 0 && spares.1 > 0) {
            context.printer.err_line(format!(
                "Unable to listen on port {}: Listeners failed to create with the following errors: [{}]",
                port.local,
                faults.join(" ")
            ));
        } else {
            any = true;
        }
    }
    if any {
        return Ok(listeners);
    }
    let ports: Vec<String> = ports.iter().map(|port| format!("{{{} {}}}", port.local, port.remote)).collect();
    Err(KubectlError::new(format!("unable to listen on any of the requested ports: [{}]", ports.join(" "))))
}

/// The next connection to any of the ports.
async fn accept(listeners: &[(TcpListener, Forwarded)]) -> (TcpStream, Forwarded) {
    loop {
        let accepting = listeners.iter().map(|(listener, port)| async { (listener.accept().await, *port) }.boxed());
        if let ((Ok((stream, _)), port), ..) = select_all(accepting).await {
            return (stream, port);
        }
    }
}

/// The pair of streams of a connection: for errors and for data.
async fn open(opener: &mut Opener, port: u16, request: u32) -> std::io::Result<(Stream, Stream)> {
    let headers = |of: &str| {
        let pairs = [("streamtype", of.to_owned()), ("port", port.to_string()), ("requestid", request.to_string())];
        Headers::from(pairs.map(|(name, value)| (name.to_owned(), value)))
    };
    let errors = opener.open(headers("error")).await?;
    // Nothing is said on it from here.
    errors.writer.finish().await?;
    Ok((errors, opener.open(headers("data")).await?))
}

/// Carries one connection to its end; an error is what the other side says of it.
async fn carry(local: TcpStream, (mut errors, data): (Stream, Stream), port: Forwarded) -> Result<(), String> {
    let (mut from, mut to) = local.into_split();
    let Stream { mut reader, writer, .. } = data;
    let there = async {
        // Whoever has nothing more to say may still listen.
        if writer.copy_from(&mut from).await.is_ok() && writer.finish().await.is_ok() {
            std::future::pending::<()>().await;
        }
    };
    let back = async {
        // A program that has gone needs no answer.
        let _ = tokio::io::copy(&mut reader, &mut to).await;
        let _ = to.shutdown().await;
    };
    tokio::select! {
        () = there => {}
        () = back => {}
    }
    let _ = writer.reset().await;
    let mut said = String::new();
    let _ = errors.reader.read_to_string(&mut said).await;
    match said.as_str() {
        "" => Ok(()),
        text => Err(format!("an error occurred forwarding {} -> {}: {text}", port.local, port.remote)),
    }
}
