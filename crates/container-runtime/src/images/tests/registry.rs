//! A registry in this process: what was pushed, behind the login that a test wants.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::images::spec::Digest;
use crate::images::unpack::tests::Layer;

/// Which login the registry wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Login {
    None,
    Basic,
    /// Anybody gets a token.
    AnonymousToken,
    /// `user` with `secret`, or the identity token `identity`, get one.
    Token,
}

#[derive(Debug)]
pub(super) struct Contents {
    pub(super) login: Login,
    pub(super) blobs: BTreeMap<String, Bytes>,
    manifests: BTreeMap<String, (&'static str, Bytes)>,
    /// Method, path and query of every request.
    pub(super) requests: Vec<String>,
    /// The next so many answers with blobs break off in the middle.
    pub(super) broken: u32,
    /// Such paths are not answered.
    pub(super) hang: BTreeSet<String>,
    /// Paths that are answered with this status.
    pub(super) fail: BTreeMap<String, StatusCode>,
}

/// Serves until it is dropped.
#[derive(Debug)]
pub(super) struct TestRegistry {
    pub(super) address: SocketAddr,
    pub(super) contents: Arc<Mutex<Contents>>,
    _tasks: JoinSet<()>,
}

/// How a layer is compressed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Compression {
    None,
    Gzip,
    Zstd,
}

pub(super) fn compress(bytes: &[u8], compression: Compression) -> Vec<u8> {
    match compression {
        Compression::None => bytes.to_vec(),
        Compression::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(bytes).expect("memory");
            encoder.finish().expect("memory")
        }
        Compression::Zstd => zstd::stream::encode_all(bytes, 1).expect("memory"),
    }
}

/// An image as it would be pushed.
#[derive(Debug, Clone)]
pub(super) struct TestImage {
    pub(super) config: Vec<u8>,
    pub(super) manifest: Vec<u8>,
    pub(super) media_type: &'static str,
    pub(super) layers: Vec<Vec<u8>>,
}

pub(super) const OCI: &str = "application/vnd.oci.image.manifest.v1+json";
pub(super) const SCHEMA_2: &str = "application/vnd.docker.distribution.manifest.v2+json";

impl TestImage {
    pub(super) fn new(media_type: &'static str, layers: Vec<(Layer, Compression)>) -> Self {
        let tars: Vec<_> = layers.into_iter().map(|(layer, compression)| (layer.bytes(), compression)).collect();
        let diff_ids: Vec<_> = tars.iter().map(|(tar, _)| Digest::of(tar)).collect();
        let layers: Vec<_> = tars.iter().map(|(tar, compression)| compress(tar, *compression)).collect();
        let config = json!({
            "architecture": "amd64", "os": "linux",
            "config": {"Env": ["A=b"], "Cmd": ["/app"], "User": "7"},
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        });
        let config = config.to_string().into_bytes();
        let manifest = Self::manifest_of(media_type, &config, &layers);
        Self { config, manifest, media_type, layers }
    }

    pub(super) fn manifest_of(media_type: &str, config: &[u8], layers: &[Vec<u8>]) -> Vec<u8> {
        let layers: Vec<_> = layers
            .iter()
            .map(|layer| json!({"mediaType": "x", "digest": Digest::of(layer), "size": layer.len()}))
            .collect();
        let config = json!({"mediaType": "x", "digest": Digest::of(config), "size": config.len()});
        json!({"schemaVersion": 2, "mediaType": media_type, "config": config, "layers": layers})
            .to_string()
            .into_bytes()
    }

    pub(super) fn id(&self) -> String {
        Digest::of(&self.config).to_string()
    }

    pub(super) fn digest(&self) -> String {
        Digest::of(&self.manifest).to_string()
    }
}

impl TestRegistry {
    pub(super) async fn start(login: Login) -> Self {
        Self::start_with(login, None).await
    }

    pub(super) async fn start_with(login: Login, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let address = listener.local_addr().expect("bound");
        let contents = Arc::new(Mutex::new(Contents {
            login,
            blobs: BTreeMap::new(),
            manifests: BTreeMap::new(),
            requests: Vec::new(),
            broken: 0,
            hang: BTreeSet::new(),
            fail: BTreeMap::new(),
        }));
        let mut tasks = JoinSet::new();
        let of_task = contents.clone();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (contents, tls) = (of_task.clone(), tls.clone());
                connections.spawn(async move {
                    let service = service_fn(move |request| answer(contents.clone(), address, request));
                    let builder = hyper::server::conn::http1::Builder::new();
                    // A client that goes away or refuses the certificate is what some tests are about.
                    match tls {
                        None => drop(builder.serve_connection(TokioIo::new(stream), service).await),
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                let _ = builder.serve_connection(TokioIo::new(stream), service).await;
                            }
                        }
                    }
                });
            }
        });
        Self { address, contents, _tasks: tasks }
    }

    pub(super) fn push(&self, repository: &str, tag: &str, image: &TestImage) {
        let mut contents = self.contents.lock();
        for blob in image.layers.iter().chain([&image.config]) {
            contents.blobs.insert(Digest::of(blob).to_string(), blob.clone().into());
        }
        for reference in [tag, &image.digest()] {
            let manifest = (image.media_type, image.manifest.clone().into());
            contents.manifests.insert(format!("{repository}/manifests/{reference}"), manifest);
        }
    }

    /// An index with these images, by platform; returns its digest.
    pub(super) fn push_index(&self, repository: &str, tag: &str, images: &[(&str, &TestImage)]) -> String {
        let mut manifests = Vec::new();
        for (architecture, image) in images {
            self.push(repository, &image.digest(), image);
            manifests.push(json!({
                "mediaType": image.media_type, "digest": image.digest(), "size": image.manifest.len(),
                "platform": {"os": "linux", "architecture": architecture},
            }));
        }
        let media_type = "application/vnd.oci.image.index.v1+json";
        let index = json!({"schemaVersion": 2, "mediaType": media_type, "manifests": manifests}).to_string();
        let digest = Digest::of(index.as_bytes()).to_string();
        let mut contents = self.contents.lock();
        for reference in [tag, &digest] {
            contents
                .manifests
                .insert(format!("{repository}/manifests/{reference}"), (media_type, index.clone().into()));
        }
        digest
    }

    /// How often paths with this in them were asked for.
    pub(super) fn count(&self, part: &str) -> usize {
        self.contents.lock().requests.iter().filter(|request| request.contains(part)).count()
    }
}

type Body = BoxBody<Bytes, std::io::Error>;

fn respond(status: StatusCode, body: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Full::new(body.into()).map_err(|never| match never {}).boxed());
    *response.status_mut() = status;
    response
}

async fn answer(
    contents: Arc<Mutex<Contents>>,
    address: SocketAddr,
    request: Request<Incoming>,
) -> Result<Response<Body>, std::io::Error> {
    let path = request.uri().path().to_owned();
    let query = request.uri().query().unwrap_or_default().to_owned();
    let header = |name: http::HeaderName| {
        request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
    };
    let (authorization, range) = (header(http::header::AUTHORIZATION), header(http::header::RANGE));
    let hangs = {
        let mut contents = contents.lock();
        contents.requests.push(format!("{} {path}?{query}", request.method()));
        contents.hang.iter().any(|part| path.contains(part.as_str()))
    };
    if hangs {
        std::future::pending::<()>().await;
    }
    let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    // user:secret
    let knows = authorization == "Basic dXNlcjpzZWNyZXQ=";
    let mut contents = contents.lock();
    if let Some(status) = contents.fail.iter().find(|(part, _)| path.contains(part.as_str())).map(|(_, status)| *status)
    {
        return Ok(respond(status, r#"{"errors": [{"code": "TOOMANYREQUESTS", "message": "slow down"}]}"#));
    }
    if path == "/token" {
        let identity = String::from_utf8_lossy(&body).contains("refresh_token=identity");
        return Ok(match contents.login {
            Login::AnonymousToken => respond(StatusCode::OK, r#"{"token": "t0ken"}"#),
            Login::Token if knows || identity => {
                respond(StatusCode::OK, r#"{"access_token": "t0ken", "expires_in": 60}"#)
            }
            _ => respond(StatusCode::UNAUTHORIZED, ""),
        });
    }
    let (granted, challenge) = match contents.login {
        Login::None => (true, String::new()),
        Login::Basic => (knows, "Basic realm=\"test\"".to_owned()),
        Login::Token | Login::AnonymousToken => {
            let repository = path.trim_start_matches("/v2/").rsplitn(3, '/').nth(2).unwrap_or_default().to_owned();
            let challenge = format!(
                "Bearer realm=\"http://{address}/token\",service=\"test\",scope=\"repository:{repository}:pull\""
            );
            (authorization == "Bearer t0ken", challenge)
        }
    };
    if !granted {
        let mut response = respond(StatusCode::UNAUTHORIZED, r#"{"errors": [{"code": "UNAUTHORIZED"}]}"#);
        let challenge = challenge.parse().expect("a header");
        response.headers_mut().insert(http::header::WWW_AUTHENTICATE, challenge);
        return Ok(response);
    }
    let what = path.strip_prefix("/v2/").unwrap_or(&path);
    if let Some((media_type, manifest)) = contents.manifests.get(what) {
        let mut response = respond(StatusCode::OK, manifest.clone());
        response.headers_mut().insert(http::header::CONTENT_TYPE, media_type.parse().expect("a header"));
        return Ok(response);
    }
    let blob = what.rsplit_once("/blobs/").and_then(|(_, digest)| contents.blobs.get(digest)).cloned();
    let Some(blob) = blob else { return Ok(respond(StatusCode::NOT_FOUND, "")) };
    let from: Option<usize> =
        range.strip_prefix("bytes=").and_then(|range| range.strip_suffix('-')).and_then(|from| from.parse().ok());
    let (status, rest) = match from {
        Some(from) => (StatusCode::PARTIAL_CONTENT, blob.slice(from..)),
        None => (StatusCode::OK, blob),
    };
    let length = rest.len();
    let mut response = respond(status, rest.clone());
    if contents.broken > 0 && length > 1000 {
        contents.broken -= 1;
        // Less than the header says: the connection is closed.
        let half = hyper::body::Frame::data(rest.slice(..length / 2));
        let pieces = [Ok(half), Err(std::io::Error::other("broken off"))];
        *response.body_mut() = BodyExt::boxed(StreamBody::new(futures_util::stream::iter(pieces)));
    }
    response.headers_mut().insert(http::header::CONTENT_LENGTH, length.into());
    Ok(response)
}
