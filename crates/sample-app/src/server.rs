//! The web server of the tutorial ("Kubernetes Bootcamp"): says which Pod answers.

use std::convert::Infallible;
use std::ffi::OsString;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use component_base::{Clock, Shutdown, Supervisor, SystemClock};
use futures_util::FutureExt as _;
use http::header::{CONTENT_TYPE, HeaderValue};
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;

use crate::dispatch::{block_on, complain};

/// Where the tutorial expects it.
const PORT: u16 = 8080;
/// Connections at once; further ones wait in the kernel.
const CONNECTIONS_MAX: usize = 1024;
/// How long requests in flight may take after SIGTERM: less than a Pod's default grace of 30 s.
const DRAIN_MAX: Duration = Duration::from_secs(25);
/// How long a new connection may take to ask its first question when the server is about to end.
const FIRST_REQUEST_MAX: Duration = Duration::from_secs(1);
/// Pause after a failed accept: descriptors have run out, and nothing tells when they come back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
const VERSION_VARIABLE: &str = "BOOTCAMP_VERSION";

/// Where the log goes, a line at a time.
type Log = Arc<dyn Fn(&str) + Send + Sync>;

struct App {
    pod: String,
    version: String,
    clock: Arc<dyn Clock>,
    started: Instant,
    requests: AtomicU64,
    log: Log,
}

/// `bootcamp [v1|v2]`: serves until SIGTERM or SIGINT.
pub(crate) fn main(args: &[OsString]) -> u8 {
    let argument = match args {
        [] => std::env::var(VERSION_VARIABLE).unwrap_or_else(|_| "v1".to_owned()),
        [version] => version.to_string_lossy().into_owned(),
        _ => String::new(),
    };
    let Some(version) = argument.strip_prefix('v').filter(|v| !v.is_empty() && v.bytes().all(|b| b.is_ascii_digit()))
    else {
        complain("bootcamp: name one version, as v1 or v2, or none");
        return 2;
    };
    let log: Log = Arc::new(|line| {
        let _ = writeln!(io::stdout(), "{line}");
    });
    match block_on(serve_until_signal(version.to_owned(), log)) {
        Ok(Ok(())) => 0,
        Ok(Err(error)) | Err(error) => {
            complain(&format!("bootcamp: failed to serve port {PORT}: {error}"));
            1
        }
    }
}

async fn serve_until_signal(version: String, log: Log) -> io::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT))).await?;
    let app = App::new(hostname(), version, Arc::new(SystemClock), log);
    let tasks = Supervisor::new();
    let accepting = tasks.spawn("accept", accept(listener, app, tasks.clone()));
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    // Who is not done by then is cut off.
    let _ = tasks.drain(DRAIN_MAX).await;
    drop(accepting);
    Ok(())
}

/// The Pod's name: its host name.
pub(crate) fn hostname() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

impl App {
    fn new(pod: String, version: String, clock: Arc<dyn Clock>, log: Log) -> Arc<Self> {
        let app = Self { pod, version, clock, started: Instant::now(), requests: AtomicU64::new(0), log };
        (app.log)(&format!("Kubernetes Bootcamp App Started At: {} | Running On:  {}\n", app.now(), app.pod));
        Arc::new(app)
    }

    /// As JavaScript prints a time.
    fn now(&self) -> String {
        self.clock.now().strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
    }

    fn answer(&self) -> http::Response<Full<Bytes>> {
        let total = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        let uptime = Duration::from_millis(u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX));
        (self.log)(&format!(
            "Running On: {} | Total Requests: {total} | App Uptime: {} seconds | Log Time: {}",
            self.pod,
            uptime.as_secs_f64(),
            self.now(),
        ));
        let text = format!("Hello Kubernetes bootcamp! | Running on: {} | v={}\n", self.pod, self.version);
        let mut response = http::Response::new(Full::new(Bytes::from(text)));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        response
    }
}

/// Takes connections until the shutdown, and then those that the kernel has taken already; the listener is closed after
/// that.
async fn accept(listener: TcpListener, app: Arc<App>, tasks: Supervisor) {
    let shutdown = tasks.shutdown();
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let next = async {
            let place = places.clone().acquire_owned().await;
            (place, listener.accept().await)
        };
        let next = tokio::select! {
            next = next => Some(next),
            () = shutdown.requested() => None,
        };
        let (place, accepted) = match next {
            Some(next) => next,
            None => match (places.clone().acquire_owned().now_or_never(), listener.accept().now_or_never()) {
                (Some(place), Some(accepted)) => (place, accepted),
                _ => return,
            },
        };
        match accepted {
            Ok((stream, _)) => {
                let (app, shutdown) = (app.clone(), shutdown.clone());
                tasks.spawn("connection", async move {
                    serve(stream, app, shutdown).await;
                    drop(place);
                });
            }
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

/// Answers the requests of a connection. At shutdown the one in flight is finished and the connection closed; the first
/// request of a new connection counts as in flight for a moment although nothing of it has come.
async fn serve(stream: TcpStream, app: Arc<App>, shutdown: Shutdown) {
    let first = Arc::new(Notify::new());
    let asked = first.clone();
    let service = service_fn(move |_| {
        asked.notify_one();
        let response = app.answer();
        async move { Ok::<_, Infallible>(response) }
    });
    let mut builder = http1::Builder::new();
    builder.title_case_headers(true).timer(TokioTimer::new());
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
    let end = async {
        shutdown.requested().await;
        // The permit is there from the first request on.
        let _ = tokio::time::timeout(FIRST_REQUEST_MAX, first.notified()).await;
    };
    // A connection that ends in an error is the client's affair.
    tokio::select! {
        _ = connection.as_mut() => {}
        () = end => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}

#[cfg(test)]
mod tests;
