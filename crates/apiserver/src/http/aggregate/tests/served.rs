//! A whole server, and another one behind it: real HTTP on streams in memory.

use std::convert::Infallible;
use std::sync::Arc;

use api::resources::{APISERVICES, SERVICES};
use apimachinery::conversion::{ConversionWebhook, Converter};
use apimachinery::{AdmissionRequest, ApiError, Reader, RemoteAdmission, UserInfo};
use async_trait::async_trait;
use bytes::Bytes;
use client::Client;
use component_base::metrics::Registry;
use component_base::{Random, Supervisor, SystemClock};
use datastore::{EmbeddedStore, Mode, Options, SimulatedDisk};
use http::header::{ACCEPT, CONNECTION, CONTENT_TYPE, UPGRADE};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http1 as from;
use hyper::server::conn::http1 as to;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;

use super::super::super::body::{streaming, whole};
use super::super::super::service::serve_request;
use crate::aggregation::{RemoteBody, RemoteServer, RemoteServers};
use crate::{ApiServer, LocalTransport, NODE_PORTS, ServerConfig, ServiceCidr, ServiceNetwork, TokenAuthority};

const NAME: &str = "v1.weather.example.com";
const CLOUDS: &str = "/apis/weather.example.com/v1/namespaces/default/clouds";
/// How much a stream in memory holds.
const BUFFER: usize = 64 << 10;

/// No webhooks.
#[derive(Debug)]
struct Nobody;

#[async_trait]
impl RemoteAdmission for Nobody {
    async fn admit(&self, _: &mut AdmissionRequest<'_>, _: &dyn Reader) -> Result<bool, ApiError> {
        Ok(false)
    }

    async fn validate(&self, _: &mut AdmissionRequest<'_>, _: &dyn Reader) -> Result<(), ApiError> {
        Ok(())
    }
}

#[async_trait]
impl Converter for Nobody {
    async fn convert(
        &self,
        _: &ConversionWebhook,
        _: &str,
        objects: Vec<Value>,
        _: &dyn Reader,
    ) -> Result<Vec<Value>, ApiError> {
        Ok(objects)
    }
}

/// The server behind the Service.
#[derive(Debug)]
struct Weather {
    supervisor: Supervisor,
    /// Lets a watch go on.
    more: Arc<Notify>,
}

impl Weather {
    async fn answer(more: Arc<Notify>, supervisor: Supervisor, mut request: Request<Incoming>) -> Response<RemoteBody> {
        let json = |value: Value| {
            let mut response = Response::new(whole(value.to_string()));
            response.headers_mut().insert(CONTENT_TYPE, "application/json".parse().expect("it is a value"));
            response
        };
        let path = request.uri().path().to_owned();
        if request.headers().contains_key(UPGRADE) {
            let switching = hyper::upgrade::on(&mut request);
            supervisor.spawn("echo", async move {
                let mut stream = TokioIo::new(switching.await.expect("the client switches"));
                let mut word = [0; 4];
                stream.read_exact(&mut word).await.expect("the client speaks");
                word.reverse();
                stream.write_all(&word).await.expect("the client listens");
            });
            let response = Response::builder().status(101).header(UPGRADE, "echo").header(CONNECTION, "Upgrade");
            return response.body(whole("")).expect("it is a response");
        }
        match (path.as_str(), request.uri().query()) {
            // It does not know the newer form of discovery.
            ("/apis", _) => {
                let response = Response::builder().status(406).body(whole(""));
                response.expect("it is a response")
            }
            ("/apis/weather.example.com/v1", _) => json(json!({"kind": "APIResourceList", "resources": [
                {"name": "clouds", "singularName": "cloud", "namespaced": true, "kind": "Cloud", "verbs": ["get"]},
            ]})),
            ("/openapi/v3", _) => json(json!({"paths": {
                "apis/weather.example.com/v1": {"serverRelativeURL": "/openapi/v3/apis/weather.example.com/v1?hash=A"},
                "apis": {"serverRelativeURL": "/openapi/v3/apis?hash=B"},
            }})),
            (CLOUDS, Some("watch=1")) => {
                let lines = futures_util::stream::unfold(0, move |at| {
                    let more = more.clone();
                    async move {
                        if at == 1 {
                            more.notified().await;
                        }
                        (at < 2).then(|| (Ok(Bytes::from(format!("line {at}\n"))), at + 1))
                    }
                });
                let lines = parking_lot::Mutex::new(Box::pin(lines));
                let lines = futures_util::stream::poll_fn(move |context| {
                    futures_util::Stream::poll_next(lines.lock().as_mut(), context)
                });
                Response::new(streaming(lines))
            }
            ("/apis/weather.example.com/v1/elsewhere", _) => {
                let response = Response::builder().status(302).header("location", "https://example.org/");
                response.body(whole("")).expect("it is a response")
            }
            _ => {
                let (parts, body) = request.into_parts();
                let body = body.collect().await.expect("the client sends all").to_bytes();
                let headers: Vec<String> = parts
                    .headers
                    .iter()
                    .filter(|(name, _)| {
                        name.as_str().starts_with("x-remote") || ["authorization", "audit-id"].contains(&name.as_str())
                    })
                    .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap_or_default()))
                    .collect();
                json(json!({
                    "method": parts.method.as_str(), "path": parts.uri.to_string(), "headers": headers,
                    "body": String::from_utf8_lossy(&body),
                }))
            }
        }
    }
}

#[async_trait]
impl RemoteServers for Weather {
    async fn send(&self, server: &RemoteServer, request: Request<RemoteBody>) -> Result<Response<RemoteBody>, String> {
        assert_eq!((server.name.as_str(), server.insecure), ("weather.default.svc", true));
        let (near, far) = tokio::io::duplex(BUFFER);
        let (more, supervisor) = (self.more.clone(), self.supervisor.clone());
        let app = service_fn(move |request| {
            let (more, supervisor) = (more.clone(), supervisor.clone());
            async move { Ok::<_, Infallible>(Self::answer(more, supervisor, request).await) }
        });
        let serving = to::Builder::new().serve_connection(TokioIo::new(far), app).with_upgrades();
        self.supervisor.spawn("weather", async move { drop(serving.await) });
        let (mut sender, connection) = from::handshake(TokioIo::new(near)).await.map_err(|error| error.to_string())?;
        self.supervisor.spawn("to-weather", async move { drop(connection.with_upgrades().await) });
        let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
        Ok(response.map(|body| body.map_err(std::io::Error::other).boxed()))
    }
}

struct World {
    server: Arc<ApiServer>,
    supervisor: Supervisor,
    more: Arc<Notify>,
}

impl World {
    /// A server with the APIService, which is available or not.
    async fn new(available: bool) -> Self {
        let supervisor = Supervisor::inline();
        let options = Options { mode: Mode::Inline, ..Options::default() };
        let disk = Arc::new(SimulatedDisk::new(1));
        let key = TokenAuthority::generate_key().expect("there is randomness");
        let more = Arc::new(Notify::new());
        let config = ServerConfig {
            datastore: Arc::new(EmbeddedStore::open(disk, options).expect("an empty disk is fine")),
            admission: Vec::new(),
            remote_admission: Arc::new(Nobody),
            converter: Arc::new(Nobody),
            remote_servers: Arc::new(Weather { supervisor: supervisor.clone(), more: more.clone() }),
            clock: Arc::new(SystemClock),
            random: Arc::new(Random::from_seed(1)),
            authority: Arc::new(TokenAuthority::new("https://kubernetes".to_owned(), &key).expect("the key is good")),
            service_network: ServiceNetwork::new(ServiceCidr { base: [10, 96, 0, 0].into(), prefix: 16 }, NODE_PORTS),
            external_address: "10.0.0.1:6443".to_owned(),
            metrics: Registry::new(),
        };
        let server = ApiServer::start(config, &supervisor).expect("the store can be read");
        server.bootstrap().await.expect("the first objects can be made");
        let user = UserInfo::new("root", &["system:masters"]);
        let client = Client::new(Arc::new(LocalTransport::new(server.clone(), user)));
        let service = json!({"metadata": {"name": "weather"}, "spec": {"ports": [{"port": 443}]}});
        client.create(SERVICES, "default", service).await.expect("it is a Service");
        let api_service = json!({
            "metadata": {"name": NAME},
            "spec": {
                "group": "weather.example.com", "version": "v1", "groupPriorityMinimum": 19000, "versionPriority": 10,
                "insecureSkipTLSVerify": true, "service": {"name": "weather", "namespace": "default"},
            },
        });
        let made = client.create(APISERVICES, "", api_service).await.expect("it is an APIService");
        let mut body = made.value();
        let status = if available { "True" } else { "False" };
        body["status"] = json!({"conditions": [{"type": "Available", "status": status}]});
        client.update_status(APISERVICES, "", NAME, body).await.expect("it has a status");
        Self { server, supervisor, more }
    }

    async fn send(&self, user: UserInfo, request: Request<Full<Bytes>>) -> Response<Incoming> {
        let (near, far) = tokio::io::duplex(BUFFER);
        let (server, user, shutdown) = (self.server.clone(), Arc::new(user), self.supervisor.shutdown());
        let service = service_fn(move |request| {
            let (server, user, shutdown) = (server.clone(), user.clone(), shutdown.clone());
            async move { Ok::<_, Infallible>(serve_request(server, Some(user), shutdown, request).await) }
        });
        let serving = to::Builder::new().serve_connection(TokioIo::new(far), service).with_upgrades();
        self.supervisor.spawn("server", async move { drop(serving.await) });
        let (mut sender, connection) = from::handshake(TokioIo::new(near)).await.expect("the server listens");
        self.supervisor.spawn("client", async move { drop(connection.with_upgrades().await) });
        sender.send_request(request).await.expect("the server answers")
    }

    async fn get(&self, path: &str, accept: &str) -> (StatusCode, String) {
        let request = Request::get(path).header(ACCEPT, accept).body(Full::default()).expect("it is a request");
        told(self.send(root(), request).await).await
    }

    async fn json(&self, path: &str, accept: &str) -> Value {
        let (status, text) = self.get(path, accept).await;
        assert_eq!(status, StatusCode::OK, "{path}: {text}");
        serde_json::from_str(&text).expect("it is JSON")
    }
}

fn root() -> UserInfo {
    UserInfo::new("root", &["system:masters"])
}

async fn told(response: Response<Incoming>) -> (StatusCode, String) {
    let status = response.status();
    let body = response.into_body().collect().await.expect("the body is whole").to_bytes();
    (status, String::from_utf8_lossy(&body).into_owned())
}

/// The next piece of a body that has not broken off.
async fn next(body: &mut Incoming) -> Option<Bytes> {
    let frame: Frame<Bytes> = body.frame().await?.expect("the watch goes on");
    frame.into_data().ok()
}

const JSON: &str = "application/json";
const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

#[tokio::test]
async fn a_request_is_passed_on_with_its_user() {
    let world = World::new(true).await;
    let request = Request::post(format!("{CLOUDS}?dryRun=All"))
        .header("authorization", "Bearer secret")
        .header("x-remote-user", "somebody else")
        .body(Full::from("{\"kind\":\"Cloud\"}"))
        .expect("it is a request");
    let response = world.send(root(), request).await;
    let id = response.headers().get("audit-id").and_then(|id| id.to_str().ok()).map(|id| format!("audit-id: {id}"));
    let (status, text) = told(response).await;
    let passed: Value = serde_json::from_str(&text).expect("it is JSON");
    let id = id.expect("the request has a name");
    let headers =
        [id.as_str(), "x-remote-user: root", "x-remote-group: system:masters", "x-remote-group: system:authenticated"];
    let wanted = json!({
        "method": "POST", "path": format!("{CLOUDS}?dryRun=All"), "headers": headers, "body": "{\"kind\":\"Cloud\"}",
    });
    assert_eq!((status, passed), (StatusCode::OK, wanted));
}

#[tokio::test]
async fn whoever_may_not_is_refused_here() {
    let world = World::new(true).await;
    let request = Request::get(CLOUDS).body(Full::default()).expect("it is a request");
    let (status, text) = told(world.send(UserInfo::new("jane", &[]), request).await).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    let why = "clouds.weather.example.com is forbidden: User \\\"jane\\\" cannot list resource \\\"clouds\\\" in API group \
               \\\"weather.example.com\\\" in the namespace \\\"default\\\"";
    assert!(text.contains(why), "{text}");
}

#[tokio::test]
async fn one_that_is_not_available_is_not_asked() {
    let world = World::new(false).await;
    let answer = (StatusCode::SERVICE_UNAVAILABLE, "service unavailable\n".to_owned());
    for path in [CLOUDS, "/apis/weather.example.com/v1", "/openapi/v3/apis/weather.example.com/v1"] {
        assert_eq!(world.get(path, JSON).await, answer);
    }
    let discovered = world.json("/apis", AGGREGATED).await;
    let wanted =
        json!({"metadata": {"name": "weather.example.com"}, "versions": [{"version": "v1", "freshness": "Stale"}]});
    assert_eq!(discovered["items"][1], wanted);
}

#[tokio::test]
async fn a_redirect_is_not_passed_back() {
    let world = World::new(true).await;
    let why = "the backend attempted to redirect this request, which is not permitted\n".to_owned();
    let told = world.get("/apis/weather.example.com/v1/elsewhere", JSON).await;
    assert_eq!(told, (StatusCode::BAD_GATEWAY, why));
}

#[tokio::test]
async fn a_watch_comes_as_it_is_written() {
    let world = World::new(true).await;
    let request = Request::get(format!("{CLOUDS}?watch=1")).body(Full::default()).expect("it is a request");
    let mut body = world.send(root(), request).await.into_body();
    assert_eq!(next(&mut body).await.as_deref(), Some(&b"line 0\n"[..]));
    // The second line is not written before the first one was read.
    world.more.notify_one();
    assert_eq!(next(&mut body).await.as_deref(), Some(&b"line 1\n"[..]));
    assert_eq!(next(&mut body).await, None);
}

#[tokio::test]
async fn a_watch_ends_with_this_server() {
    let world = World::new(true).await;
    let request = Request::get(format!("{CLOUDS}?watch=1")).body(Full::default()).expect("it is a request");
    let mut body = world.send(root(), request).await.into_body();
    assert_eq!(next(&mut body).await.as_deref(), Some(&b"line 0\n"[..]));
    world.supervisor.begin_shutdown();
    assert_eq!(next(&mut body).await, None);
}

#[tokio::test]
async fn a_connection_may_switch_to_another_protocol() {
    let world = World::new(true).await;
    let request = Request::get(format!("{CLOUDS}/a/connect")).header(CONNECTION, "Upgrade").header(UPGRADE, "echo");
    let mut response = world.send(root(), request.body(Full::default()).expect("it is a request")).await;
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    let mut stream = TokioIo::new(hyper::upgrade::on(&mut response).await.expect("the connection switches"));
    stream.write_all(b"rain").await.expect("the server listens");
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).await.expect("the server speaks");
    assert_eq!(&answer, b"niar");
}

#[tokio::test]
async fn discovery_and_openapi_tell_of_it() {
    let world = World::new(true).await;
    let resource = json!({
        "resource": "clouds", "responseKind": {"group": "", "version": "", "kind": "Cloud"}, "scope": "Namespaced",
        "singularResource": "cloud", "verbs": ["get"],
    });
    let wanted = json!({
        "metadata": {"name": "weather.example.com"},
        "versions": [{"version": "v1", "freshness": "Current", "resources": [resource]}],
    });
    let discovered = world.json("/apis", AGGREGATED).await;
    assert_eq!(discovered["items"][0]["metadata"]["name"], "apiregistration.k8s.io");
    assert_eq!(discovered["items"][1], wanted);
    let version = json!({"groupVersion": "weather.example.com/v1", "version": "v1"});
    let group = json!({"name": "weather.example.com", "versions": [version], "preferredVersion": version});
    assert_eq!(world.json("/apis", JSON).await["groups"][1], group);
    let list = world.json("/apis/weather.example.com/v1", JSON).await;
    assert_eq!(list["resources"][0]["name"], "clouds");
    let index = world.json("/openapi/v3", JSON).await;
    let place = "/openapi/v3/apis/weather.example.com/v1?hash=A";
    assert_eq!(index["paths"]["apis/weather.example.com/v1"]["serverRelativeURL"], place);
    assert_ne!(
        index["paths"]["apis"]["serverRelativeURL"], "/openapi/v3/apis?hash=B",
        "it speaks for its version only"
    );
    assert_eq!(world.json(place, JSON).await["path"], place);
    assert_eq!(world.server.probe(NAME).await, Ok(()));
}
