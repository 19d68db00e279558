//! One request and its response.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use component_base::Supervisor;
use container_runtime::Dial;
use http::header::{ACCEPT, CONTENT_TYPE, HOST, HeaderName, HeaderValue, USER_AGENT};
use http::{Method, Request, Uri, Version};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, timeout};

use super::Failure;
use super::arguments::Options;

/// Where HTTP servers listen.
const PORT: u16 = 80;

/// How far a transfer is, for the message when its time is over.
#[derive(Default)]
struct Progress {
    /// Zero until connected, then one more than the bytes received.
    received: AtomicU64,
}

/// Fetches `url` and writes what the options ask for.
pub(super) async fn fetch(
    url: &str,
    options: &Options,
    dial: &dyn Dial,
    output: &mut impl Write,
) -> Result<(), Failure> {
    let request = request(url, options)?;
    let progress = Progress::default();
    let started = Instant::now();
    let transfer = transfer(request, options, dial, output, &progress, started);
    let Some(limit) = options.max_time else { return transfer.await };
    timeout(limit, transfer).await.unwrap_or_else(|_| {
        let elapsed = started.elapsed().as_millis();
        let message = match progress.received.load(Ordering::Relaxed) {
            0 => format!("Connection timed out after {elapsed} milliseconds"),
            more => format!("Operation timed out after {elapsed} milliseconds with {} bytes received", more - 1),
        };
        Err(Failure::new(28, message))
    })
}

struct Prepared {
    host: String,
    port: u16,
    request: Request<Full<Bytes>>,
}

fn request(url: &str, options: &Options) -> Result<Prepared, Failure> {
    let rejected = |why: &str| Failure::new(3, format!("URL rejected: {why}"));
    let full = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
    let (scheme, _) = full.split_once("://").unwrap_or_default();
    if !scheme.eq_ignore_ascii_case("http") {
        return Err(Failure::new(1, format!("Protocol \"{scheme}\" not supported")));
    }
    // A fragment is not for the server.
    let uri: Uri = full
        .split('#')
        .next()
        .unwrap_or_default()
        .parse()
        .map_err(|_| rejected("Malformed input to a URL function"))?;
    let authority = uri.authority().ok_or_else(|| rejected("No host part in the URL"))?;
    if uri.host().is_none_or(str::is_empty) {
        return Err(rejected("No host part in the URL"));
    }
    if authority.as_str().contains('@') {
        return Err(rejected("Credentials in a URL are not supported; use -H 'Authorization: …'"));
    }
    let port = match authority.as_str().rsplit_once(':').filter(|(_, port)| !port.contains(']')) {
        Some((_, port)) => {
            port.parse().map_err(|_| rejected("Port number was not a decimal number between 0 and 65535"))?
        }
        None => PORT,
    };
    let method = match (&options.method, options.head, options.data.is_empty()) {
        (Some(method), ..) => {
            Method::from_bytes(method.as_bytes()).map_err(|_| Failure::new(43, "Bad request method"))?
        }
        (None, true, _) => Method::HEAD,
        (None, false, false) => Method::POST,
        (None, false, true) => Method::GET,
    };
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let mut request = Request::new(Full::new(Bytes::from(options.data.join("&"))));
    *request.method_mut() = method;
    *request.uri_mut() = path.parse().map_err(|_| rejected("Malformed input to a URL function"))?;
    *request.version_mut() = Version::HTTP_11;
    let headers = request.headers_mut();
    let host = HeaderValue::from_str(authority.as_str()).map_err(|_| rejected("Bad host"))?;
    headers.insert(HOST, host);
    headers.insert(USER_AGENT, HeaderValue::from_static("curl (skiff)"));
    headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
    if !options.data.is_empty() {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
    }
    let mut replaced: Vec<HeaderName> = Vec::new();
    for header in &options.headers {
        let bad = || Failure::new(43, format!("{header:?} is no header; write 'Name: value'"));
        let (name, value) = header.split_once(':').ok_or_else(bad)?;
        let name = HeaderName::from_bytes(name.trim().as_bytes()).map_err(|_| bad())?;
        let value = HeaderValue::from_str(value.trim()).map_err(|_| bad())?;
        if !replaced.contains(&name) {
            headers.remove(&name);
            replaced.push(name.clone());
        }
        if !value.is_empty() {
            headers.append(name, value);
        }
    }
    Ok(Prepared { host: uri.host().unwrap_or_default().to_owned(), port, request })
}

async fn connect(
    host: &str,
    port: u16,
    dial: &dyn Dial,
    started: Instant,
) -> Result<Box<dyn container_runtime::Connection>, Failure> {
    let error = match dial.dial(host, port).await {
        Ok(stream) => return Ok(stream),
        // This name needs no file and no server (RFC 6761); a file may still say otherwise.
        Err(error) if error.target.is_empty() && host.eq_ignore_ascii_case("localhost") => {
            match dial.dial("127.0.0.1", port).await {
                Ok(stream) => return Ok(stream),
                Err(error) => error,
            }
        }
        Err(error) => error,
    };
    if error.target.is_empty() {
        return Err(Failure::new(6, format!("Could not resolve host: {host}")));
    }
    let elapsed = started.elapsed().as_millis();
    let message = format!("Failed to connect to {host} port {port} after {elapsed} ms: Couldn't connect to server");
    Err(Failure::new(7, message))
}

async fn transfer(
    prepared: Prepared,
    options: &Options,
    dial: &dyn Dial,
    output: &mut impl Write,
    progress: &Progress,
    started: Instant,
) -> Result<(), Failure> {
    let stream = connect(&prepared.host, prepared.port, dial, started).await?;
    progress.received.store(1, Ordering::Relaxed);
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|e| receive_failure(&e))?;
    let tasks = Supervisor::new();
    // Its errors come back through the request.
    let driver = tasks.spawn_until_shutdown("connection", async move {
        let _ = connection.await;
    });
    let response =
        sender.send_request(prepared.request).await.map_err(|error| match error.is_incomplete_message() {
            true => Failure::new(52, "Empty reply from server"),
            false => receive_failure(&error),
        })?;
    let status = response.status();
    let failed = options.fail && status.as_u16() >= 400;
    if options.include || options.head {
        let mut head = format!("{:?} {status}\r\n", response.version()).into_bytes();
        for (name, value) in response.headers() {
            head.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
        }
        head.extend(b"\r\n");
        output.write_all(&head).map_err(write_failure)?;
    }
    if failed {
        return Err(Failure::new(22, format!("The requested URL returned error: {}", status.as_u16())));
    }
    let mut body = response.into_body();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| match is_cut(&error) {
            true => Failure::new(18, "transfer closed with outstanding read data remaining"),
            false => receive_failure(&error),
        })?;
        if let Some(bytes) = frame.data_ref() {
            progress.received.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            output.write_all(bytes).and_then(|()| output.flush()).map_err(write_failure)?;
        }
    }
    tasks.begin_shutdown();
    driver.join().await;
    Ok(())
}

/// If the connection ended before the message did. In a body, hyper says so by the cause.
fn is_cut(error: &hyper::Error) -> bool {
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<io::Error>());
    error.is_incomplete_message() || cause.is_some_and(|cause| cause.kind() == io::ErrorKind::UnexpectedEof)
}

fn receive_failure(error: &hyper::Error) -> Failure {
    let cause = std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string);
    Failure::new(56, format!("Recv failure: {cause}"))
}

pub(super) fn write_failure(error: io::Error) -> Failure {
    Failure::new(23, format!("Failure writing output to destination: {error}"))
}
