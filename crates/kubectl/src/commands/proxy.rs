//! `kubectl proxy` (upstream: `kubectl/pkg/cmd/proxy`, `kubectl/pkg/proxy`).

mod filter;

use std::convert::Infallible;
use std::fs;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};

use bytes::Bytes;
use clap::Args;
use client::RestClient;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use http::header::{CONTENT_TYPE, HOST, UPGRADE};
use http::uri::PathAndQuery;
use http::{Request, Response, StatusCode, Uri};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};

use crate::context::Context;
use crate::error::KubectlError;
use filter::{Filter, below, expressions};

/// The port unless another is asked for.
const PORT: u16 = 8001;
/// Connections that are served at once.
const CONNECTIONS_MAX: usize = 512;

type Body = BoxBody<Bytes, hyper::Error>;

/// Run a proxy to the API server.
#[derive(Debug, Args)]
pub(crate) struct ProxyCommand {
    /// The hosts that requests may name, as regular expressions
    #[arg(long, default_value = r"^localhost$,^127\.0\.0\.1$,^\[::1\]$")]
    accept_hosts: String,
    /// The paths that are passed on, as regular expressions
    #[arg(long, default_value = "^.*")]
    accept_paths: String,
    /// The IP address to listen on
    #[arg(long, default_value = "127.0.0.1")]
    address: String,
    /// The path below which the API is found
    #[arg(long, default_value = "/")]
    api_prefix: String,
    /// Pass on every request; dangerous where others can reach the port
    #[arg(long)]
    disable_filter: bool,
    /// The port to listen on; 0 for any that is free
    #[arg(long, short, default_value_t = PORT)]
    port: u16,
    /// The methods that are not passed on, as regular expressions
    #[arg(long, default_value = "^$")]
    reject_methods: String,
    /// The paths that are not passed on, as regular expressions
    #[arg(long, default_value = "^/api/.*/pods/.*/exec,^/api/.*/pods/.*/attach")]
    reject_paths: String,
    /// A Unix socket to listen on
    #[arg(long, short)]
    unix_socket: Option<String>,
}

/// What serves a request.
#[derive(Debug)]
struct Proxy {
    client: RestClient,
    filter: Option<Filter>,
    prefix: String,
}

impl ProxyCommand {
    /// Runs the command; ends only where it can't begin.
    pub(crate) async fn run(self, context: &Context) -> Result<(), KubectlError> {
        if self.unix_socket.is_some() && self.port != PORT {
            return Err(KubectlError::new("cannot set --unix-socket and --port at the same time"));
        }
        let proxy = Proxy {
            client: context.client()?.clone(),
            filter: self.filter(context)?,
            prefix: format!("{}/", self.api_prefix.trim_end_matches('/')),
        };
        let failed = |error: std::io::Error| KubectlError::new(error.to_string());
        let began = |at: &str| context.printer.line(format!("Starting to serve on {at}"));
        match &self.unix_socket {
            Some(path) => {
                if fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket()) {
                    fs::remove_file(path).map_err(failed)?;
                }
                let listener = UnixListener::bind(path).map_err(|error| listen_error("unix", path, &error))?;
                // Whoever may connect acts as the user.
                fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(failed)?;
                began(path)?;
                proxy.serve(async || listener.accept().await.map(|(stream, _)| stream)).await
            }
            None => {
                let at = format!("{}:{}", self.address, self.port);
                let listener = TcpListener::bind(&at).await.map_err(|error| listen_error("tcp", &at, &error))?;
                began(&listener.local_addr().map_err(failed)?.to_string())?;
                proxy.serve(async || listener.accept().await.map(|(stream, _)| stream)).await
            }
        }
    }

    fn filter(&self, context: &Context) -> Result<Option<Filter>, KubectlError> {
        if self.disable_filter {
            if self.unix_socket.is_none() {
                let text = "Request filter disabled, your proxy is vulnerable to XSRF attacks, please be cautious";
                context.klog_warning(text);
            }
            return Ok(None);
        }
        if self.reject_paths.is_empty() || self.reject_methods.is_empty() {
            let text = "Request filter has been relaxed, your proxy may be vulnerable to attacks, please be cautious";
            context.klog_warning(text);
        }
        let parsed = |text: &str| expressions(text).map_err(KubectlError::new);
        Ok(Some(Filter {
            accept_paths: parsed(&self.accept_paths)?,
            reject_paths: parsed(&self.reject_paths)?,
            accept_hosts: parsed(&self.accept_hosts)?,
            reject_methods: parsed(&self.reject_methods)?,
        }))
    }
}

fn listen_error(network: &str, at: &str, error: &std::io::Error) -> KubectlError {
    let why = error.to_string().split(" (os error").next().unwrap_or_default().to_lowercase();
    KubectlError::new(format!("listen {network} {at}: bind: {why}"))
}

impl Proxy {
    /// Serves all connections, side by side in this task.
    async fn serve<S>(&self, accept: impl AsyncFn() -> std::io::Result<S>) -> Result<(), KubectlError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut connections = FuturesUnordered::new();
        loop {
            tokio::select! {
                accepted = accept(), if connections.len() < CONNECTIONS_MAX => {
                    // A connection that was gone before it was taken is nobody's loss.
                    let Ok(stream) = accepted else { continue };
                    connections.push(async move {
                        let service = service_fn(async |request| Ok::<_, Infallible>(self.answer(request).await));
                        let served = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                        // Whoever hangs up early needs no answer.
                        let _ = served.with_upgrades().await;
                    });
                }
                Some(()) = connections.next(), if !connections.is_empty() => {}
            }
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let path = request.uri().path();
        let Some(rest) = below(&self.prefix, path).map(str::to_owned) else {
            return text(StatusCode::NOT_FOUND, "404 page not found\n");
        };
        let host = request.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        if self.filter.as_ref().is_some_and(|filter| !filter.accepts(request.method().as_str(), &rest, host)) {
            return text(StatusCode::FORBIDDEN, "Forbidden\n");
        }
        match self.pass(request, &rest).await {
            Ok(response) => response,
            Err(why) => text(StatusCode::INTERNAL_SERVER_ERROR, &format!("{why}\n")),
        }
    }

    async fn pass(&self, mut request: Request<Incoming>, path: &str) -> Result<Response<Body>, String> {
        let whole = match request.uri().query() {
            Some(query) => format!("{path}?{query}"),
            None => path.to_owned(),
        };
        let whole: PathAndQuery = whole.parse().map_err(|error| format!("{error}"))?;
        *request.uri_mut() = Uri::from(whole);
        let switches = request.headers().contains_key(UPGRADE);
        let ours = switches.then(|| hyper::upgrade::on(&mut request));
        let mut response = self.client.forward(request).await.map_err(|error| error.to_string())?;
        if let Some(ours) = ours.filter(|_| response.status() == StatusCode::SWITCHING_PROTOCOLS) {
            let theirs = hyper::upgrade::on(&mut response);
            join(ours, theirs);
        }
        Ok(response.map(|body| body.boxed()))
    }
}

/// Carries a session between two connections that have switched protocols.
#[allow(clippy::disallowed_methods, reason = "a session lives and ends with its two connections")]
fn join(ours: hyper::upgrade::OnUpgrade, theirs: hyper::upgrade::OnUpgrade) {
    tokio::spawn(async move {
        if let (Ok(ours), Ok(theirs)) = (ours.await, theirs.await) {
            let (mut ours, mut theirs) = (TokioIo::new(ours), TokioIo::new(theirs));
            // However it ends, it is over.
            let _ = tokio::io::copy_bidirectional(&mut ours, &mut theirs).await;
        }
    });
}

fn text(status: StatusCode, text: &str) -> Response<Body> {
    let body = Full::new(Bytes::copy_from_slice(text.as_bytes())).map_err(|never| match never {});
    let mut response = Response::new(body.boxed());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
