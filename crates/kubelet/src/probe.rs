//! Probes: whether a container has started, is alive, is ready (upstream: `pkg/kubelet/prober`).
//!
//! One task a probe, from the container's start to its end. Its verdicts go to the Pod's worker.

mod grpc;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use apimachinery::gotext::{self, dial_error, io_error};
use client::TlsSettings;
use component_base::Random;
use cri::{ContainerId, DuplexStream, RuntimeError, RuntimeService};
use futures_util::future::BoxFuture;
use k8s_openapi::api::core::v1::{Container, Probe};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

/// The most bytes of an answer that are read (upstream: 10 KiB).
const BODY_MAX: usize = 10 << 10;

/// Opens connections to Pods: from inside the node's network.
pub trait ProbeDialer: Send + Sync + std::fmt::Debug {
    /// Connects, within the caller's time.
    fn dial(&self, address: SocketAddr) -> BoxFuture<'_, std::io::Result<Box<dyn DuplexStream>>>;
}

/// Connects from the process' own network namespace.
#[derive(Debug, Clone, Copy, Default)]
pub struct TcpProbeDialer;

impl ProbeDialer for TcpProbeDialer {
    fn dial(&self, address: SocketAddr) -> BoxFuture<'_, std::io::Result<Box<dyn DuplexStream>>> {
        Box::pin(async move {
            let stream: Box<dyn DuplexStream> = Box::new(TcpStream::connect(address).await?);
            Ok(stream)
        })
    }
}

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ProbeKind {
    Startup,
    Liveness,
    Readiness,
}

impl ProbeKind {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Startup => "Startup",
            Self::Liveness => "Liveness",
            Self::Readiness => "Readiness",
        }
    }
}

/// A probe's verdict, when it changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) container: String,
    pub(crate) id: ContainerId,
    pub(crate) kind: ProbeKind,
    pub(crate) passed: bool,
}

/// One failed try, for the Event `Unhealthy`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unhealthy {
    pub(crate) container: String,
    pub(crate) text: String,
}

/// What probe tasks send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ProbeEvent {
    Verdict(Verdict),
    Unhealthy(Unhealthy),
}

/// Why a try did not succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Failure {
    /// The container answered otherwise, or not at all.
    Failed(String),
    /// It could not be asked, which says nothing of it.
    Errored(String),
}

/// So often is asked again at once if the container could not be asked (upstream: `maxProbeRetries`).
const TRIES: usize = 3;

/// What a probe task needs.
#[derive(Clone)]
pub(crate) struct ProbeTask {
    pub(crate) runtime: Arc<dyn RuntimeService>,
    pub(crate) dialer: Arc<dyn ProbeDialer>,
    pub(crate) random: Arc<Random>,
    pub(crate) container: Container,
    pub(crate) id: ContainerId,
    pub(crate) pod_ip: String,
    pub(crate) kind: ProbeKind,
    pub(crate) probe: Probe,
    pub(crate) events: mpsc::Sender<ProbeEvent>,
}

impl ProbeTask {
    /// Probes until dropped. A startup probe ends with its success; a liveness probe with its failure.
    pub(crate) async fn run(self) {
        let seconds = |value: Option<i32>, default: u64| value.and_then(|n| u64::try_from(n).ok()).unwrap_or(default);
        let period = Duration::from_secs(seconds(self.probe.period_seconds, 10).max(1));
        let timeout = Duration::from_secs(seconds(self.probe.timeout_seconds, 1).max(1));
        let (success, failure) =
            (seconds(self.probe.success_threshold, 1).max(1), seconds(self.probe.failure_threshold, 3).max(1));
        tokio::time::sleep(Duration::from_secs(seconds(self.probe.initial_delay_seconds, 0))).await;
        let (mut run, mut last, mut told) = (0, None, None);
        loop {
            let result = self.ask(timeout).await;
            let passed = result.is_ok();
            let (counts, said) = match result {
                Ok(()) => (true, None),
                Err(Failure::Failed(output)) => (true, Some(format!("failed: {output}"))),
                Err(Failure::Errored(error)) => {
                    (false, Some(format!("errored and resulted in unknown state: {error}")))
                }
            };
            if let Some(said) = said {
                let text = format!("{} probe {said}", self.kind.word());
                let _ = self
                    .events
                    .send(ProbeEvent::Unhealthy(Unhealthy { container: self.container.name.clone(), text }))
                    .await;
            }
            if counts {
                run = if last == Some(passed) { run + 1 } else { 1 };
                last = Some(passed);
            }
            let enough = counts && run >= if passed { success } else { failure };
            if enough && told != Some(passed) {
                told = Some(passed);
                let verdict =
                    Verdict { container: self.container.name.clone(), id: self.id.clone(), kind: self.kind, passed };
                let _ = self.events.send(ProbeEvent::Verdict(verdict)).await;
                match (self.kind, passed) {
                    (ProbeKind::Startup, _) | (ProbeKind::Liveness, false) => return,
                    _ => {}
                }
            }
            // A little jitter, lest all probes of a node that has just started come at once for ever.
            let jitter = period.mul_f64(0.02 * self.random.unit());
            tokio::time::sleep(period + jitter).await;
        }
    }

    /// Asks the container, again if that was not possible.
    async fn ask(&self, timeout: Duration) -> Result<(), Failure> {
        let mut result = Ok(());
        for _ in 0..TRIES {
            result = match tokio::time::timeout(timeout, self.once(timeout)).await {
                Ok(result) => result,
                Err(_) => Err(Failure::Failed(self.out_of_time(timeout))),
            };
            if !matches!(result, Err(Failure::Errored(_))) {
                break;
            }
        }
        result
    }

    /// What is said of a probe that got no answer in time.
    fn out_of_time(&self, timeout: Duration) -> String {
        let port =
            |port: &IntOrString| port_number(port, &self.container).map_or_else(|text| text, |port| port.to_string());
        let host =
            |host: &Option<String>| host.clone().filter(|h| !h.is_empty()).unwrap_or_else(|| self.pod_ip.clone());
        if let Some(exec) = &self.probe.exec {
            let command = exec.command.as_deref().unwrap_or_default().join(" ");
            let given = crate::images::go_duration(timeout);
            format!("command timed out: {} timed out after {given}", gotext::quote(&command))
        } else if let Some(http) = &self.probe.http_get {
            let scheme = http.scheme.as_deref().unwrap_or("HTTP").to_lowercase();
            let path = http.path.as_deref().unwrap_or("/");
            let url = format!("{scheme}://{}:{}{path}", host(&http.host), port(&http.port));
            format!("Get {url:?}: context deadline exceeded (Client.Timeout exceeded while awaiting headers)")
        } else if let Some(tcp) = &self.probe.tcp_socket {
            format!("dial tcp {}:{}: i/o timeout", host(&tcp.host), port(&tcp.port))
        } else {
            format!("timeout: health rpc did not complete within {}", crate::images::go_duration(timeout))
        }
    }

    async fn once(&self, timeout: Duration) -> Result<(), Failure> {
        if let Some(exec) = &self.probe.exec {
            let argv = exec.command.clone().unwrap_or_default();
            return match self.runtime.exec_sync(&self.id, &argv, Some(timeout)).await {
                Ok(output) if output.exit_code == 0 => Ok(()),
                Ok(output) => {
                    let text = [output.stdout, output.stderr].concat();
                    Err(Failure::Failed(String::from_utf8_lossy(&text[..text.len().min(BODY_MAX)]).into_owned()))
                }
                Err(RuntimeError::ExecTimeout { .. }) => Err(Failure::Failed(self.out_of_time(timeout))),
                Err(error) => Err(Failure::Errored(error.to_string())),
            };
        }
        if let Some(http) = &self.probe.http_get {
            let port = port_number(&http.port, &self.container).map_err(Failure::Errored)?;
            let host = http.host.clone().filter(|h| !h.is_empty()).unwrap_or_else(|| self.pod_ip.clone());
            let path = http.path.clone().unwrap_or_else(|| "/".to_owned());
            let headers: Vec<(String, String)> =
                http.http_headers.iter().flatten().map(|h| (h.name.clone(), h.value.clone())).collect();
            let https = http.scheme.as_deref() == Some("HTTPS");
            let get = HttpGet { https, host: &host, port, path: &path, headers: &headers };
            return get.send(&*self.dialer).await.map_err(Failure::Failed);
        }
        if let Some(tcp) = &self.probe.tcp_socket {
            let port = port_number(&tcp.port, &self.container).map_err(Failure::Errored)?;
            let host = tcp.host.clone().filter(|h| !h.is_empty()).unwrap_or_else(|| self.pod_ip.clone());
            let address = address(&host, port).map_err(Failure::Failed)?;
            let dialed = self.dialer.dial(address).await;
            return dialed.map(|_| ()).map_err(|error| Failure::Failed(dial_error(address, &error)));
        }
        let Some(health) = &self.probe.grpc else {
            return Err(Failure::Errored(format!("missing probe handler for {}", self.container.name)));
        };
        let port = u16::try_from(health.port).map_err(|_| Failure::Failed(format!("{} is no port", health.port)))?;
        let address = address(&self.pod_ip, port).map_err(Failure::Failed)?;
        let stream = self.dialer.dial(address).await.map_err(|error| {
            let why = dial_error(address, &error);
            Failure::Failed(format!("error: failed to connect service at {:?}: {why}", address.to_string()))
        })?;
        let service = health.service.as_deref().unwrap_or_default();
        grpc::check(stream, &address.to_string(), service).await.map_err(Failure::Failed)
    }
}

/// A port by number, or by the name that the container gives it.
pub(crate) fn port_number(port: &IntOrString, container: &Container) -> Result<u16, String> {
    let number = match port {
        IntOrString::Int(number) => *number,
        IntOrString::String(text) => {
            let mut ports = container.ports.iter().flatten();
            let named = ports.find(|p| p.name.as_deref() == Some(text)).map(|p| p.container_port);
            // Go's words for what is no number either.
            let unknown = || format!("strconv.Atoi: parsing {}: invalid syntax", gotext::quote(text));
            named.or_else(|| text.parse().ok()).ok_or_else(unknown)?
        }
    };
    let fits = u16::try_from(number).ok().filter(|number| *number > 0);
    fits.ok_or_else(|| format!("invalid port number: {number}"))
}

fn address(host: &str, port: u16) -> Result<SocketAddr, String> {
    let ip = if host == "localhost" { Ok(std::net::Ipv4Addr::LOCALHOST.into()) } else { host.parse() };
    ip.map(|ip| SocketAddr::new(ip, port)).map_err(|_| format!("{host:?} is not an address"))
}

/// A GET that succeeds with any status from 200 to 399. Small enough to be written by hand: one request a connection,
/// and of the answer only the status line and the first kilobytes count.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HttpGet<'a> {
    /// Over TLS, whatever the server's certificate says: as upstream, nobody has told the node whom to trust.
    pub(crate) https: bool,
    pub(crate) host: &'a str,
    pub(crate) port: u16,
    pub(crate) path: &'a str,
    pub(crate) headers: &'a [(String, String)],
}

impl HttpGet<'_> {
    /// Sends it; an error says why it failed.
    pub(crate) async fn send(&self, dialer: &dyn ProbeDialer) -> Result<(), String> {
        let Self { https, host, port, path, headers } = *self;
        let url = format!("{}://{host}:{port}{path}", if https { "https" } else { "http" });
        let address = address(host, port)?;
        let failed = |error: std::io::Error| format!("Get {url:?}: {}", dial_error(address, &error));
        let stream = dialer.dial(address).await.map_err(failed)?;
        let request = request(host, port, path, headers);
        let answer = if https {
            let settings = TlsSettings { insecure_skip_verify: true, ..TlsSettings::default() };
            let stream = client::secure(stream, &settings, host).await.map_err(|e| format!("Get {url:?}: {e}"))?;
            exchange(stream, &request).await
        } else {
            exchange(stream, &request).await
        };
        let answer = answer.map_err(|error| format!("Get {url:?}: {}", io_error(&error)))?;
        let text = String::from_utf8_lossy(&answer);
        let status = text.split_whitespace().nth(1).and_then(|code| code.parse::<u16>().ok());
        match status {
            Some(code) if (200..400).contains(&code) => Ok(()),
            Some(code) => Err(format!("HTTP probe failed with statuscode: {code}")),
            None => Err(format!("Get {url:?}: malformed HTTP response")),
        }
    }
}

fn request(host: &str, port: u16, path: &str, headers: &[(String, String)]) -> String {
    let has = |name: &str| headers.iter().any(|(key, _)| key.eq_ignore_ascii_case(name));
    let mut request = format!("GET {path} HTTP/1.1\r\n");
    if !has("host") {
        request.push_str(&format!("Host: {host}:{port}\r\n"));
    }
    if !has("user-agent") {
        request.push_str("User-Agent: kube-probe/1.37\r\n");
    }
    if !has("accept") {
        request.push_str("Accept: */*\r\n");
    }
    for (key, value) in headers {
        request.push_str(&format!("{key}: {value}\r\n"));
    }
    request.push_str("Connection: close\r\n\r\n");
    request
}

async fn exchange(mut stream: impl DuplexStream, request: &str) -> std::io::Result<Vec<u8>> {
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    match stream.take(BODY_MAX as u64).read_to_end(&mut answer).await {
        // Many servers of TLS hang up without a word.
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof && !answer.is_empty() => Ok(answer),
        Err(error) => Err(error),
        Ok(_) => Ok(answer),
    }
}

#[cfg(test)]
mod tests;
