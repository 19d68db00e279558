//! The API server as a whole: engine, authentication, authorisation, and what a fresh cluster holds.

use std::sync::Arc;

use apimachinery::conversion::Converter;
use apimachinery::{Admission, ApiError, Object, Reader, RemoteAdmission, UserInfo};
use client::Target;
use component_base::metrics::{Counter, Histogram, Registry};
use component_base::{Clock, Random, Supervisor};
use datastore::Datastore;
use parking_lot::RwLock;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::aggregation::{Aggregator, RemoteServers};
use crate::authentication::Authenticator;
use crate::authorization::Authorizer;
use crate::cache::Caches;
use crate::engine::{Engine, RequestContext};
use crate::http::OpenApi;
use crate::node_connector::NodeConnector;
use crate::service_network::ServiceNetwork;
use crate::token::TokenAuthority;

/// How long Events are kept (upstream's `--event-ttl`).
const EVENT_TTL_SECONDS: i64 = 3600;
/// How often expired Events are looked for.
const EVENT_SWEEP: std::time::Duration = std::time::Duration::from_secs(300);
/// Bounds of the request duration histogram, upstream's.
const DURATION_BUCKETS: &[f64] =
    &[0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 5.0, 10.0, 30.0, 60.0];

/// What a server is made of.
#[derive(Debug)]
pub struct ServerConfig {
    /// Where everything is kept.
    pub datastore: Arc<dyn Datastore>,
    /// The admission plugins, in the order in which they run.
    pub admission: Vec<Box<dyn Admission>>,
    /// Who is asked over the network after them.
    pub remote_admission: Arc<dyn RemoteAdmission>,
    /// Who brings custom resources from one version into another.
    pub converter: Arc<dyn Converter>,
    /// The way to API servers behind Services.
    pub remote_servers: Arc<dyn RemoteServers>,
    /// Wall time.
    pub clock: Arc<dyn Clock>,
    /// Names and uids.
    pub random: Arc<Random>,
    /// Signs service account tokens.
    pub authority: Arc<TokenAuthority>,
    /// Cluster addresses and node ports.
    pub service_network: ServiceNetwork,
    /// `host:port` that clients should use, for discovery.
    pub external_address: String,
    /// Where metrics are counted.
    pub metrics: Registry,
}

/// Counters of the HTTP front.
#[derive(Debug)]
pub(crate) struct ServerMetrics {
    pub(crate) requests: Counter,
    pub(crate) seconds: Histogram,
}

/// The API server.
#[derive(Debug)]
pub struct ApiServer {
    engine: Engine,
    caches: Arc<Caches>,
    authenticator: Authenticator,
    aggregator: Aggregator,
    clock: Arc<dyn Clock>,
    node_connector: RwLock<Option<Arc<dyn NodeConnector>>>,
    external_address: String,
    openapi: OpenApi,
    registry: Registry,
    pub(crate) metrics: ServerMetrics,
    ready: watch::Sender<bool>,
}

impl ApiServer {
    /// Loads the datastore and starts following it. Call [`ApiServer::bootstrap`] before serving.
    pub fn start(config: ServerConfig, supervisor: &Supervisor) -> Result<Arc<Self>, datastore::ReadError> {
        let (caches, at) = Caches::load(&*config.datastore, config.converter)?;
        let caches = Arc::new(caches);
        supervisor.spawn_until_shutdown("watch-cache", caches.clone().publish(config.datastore.clone(), at));
        let metrics = ServerMetrics {
            requests: config.metrics.counter(
                "apiserver_request_total",
                "Counter of apiserver requests broken out for each verb, group, version, resource, scope and HTTP response code.",
                &["verb", "group", "version", "resource", "subresource", "code"],
            ),
            seconds: config.metrics.histogram(
                "apiserver_request_duration_seconds",
                "Response latency distribution in seconds for each verb, group, version and resource.",
                &["verb", "group", "version", "resource", "subresource"],
                DURATION_BUCKETS,
            ),
        };
        let engine = Engine::new(
            config.datastore,
            caches.clone(),
            config.admission,
            config.remote_admission,
            config.clock.clone(),
            config.random,
            config.service_network,
        );
        let server = Arc::new(Self {
            engine,
            aggregator: Aggregator::new(config.remote_servers, caches.clone()),
            authenticator: Authenticator::new(config.authority, caches.clone(), config.clock.clone()),
            caches,
            clock: config.clock,
            node_connector: RwLock::new(None),
            external_address: config.external_address,
            openapi: OpenApi::default(),
            registry: config.metrics,
            metrics,
            ready: watch::Sender::new(false),
        });
        let expiring = server.clone();
        supervisor.spawn_until_shutdown("event-ttl", async move {
            loop {
                tokio::time::sleep(EVENT_SWEEP).await;
                expiring.expire_events().await;
            }
        });
        Ok(server)
    }

    /// Makes what every cluster has and this one lacks: namespaces, roles, priority classes …. An object that is there
    /// stays as it is. Writes run side by side, so that they share the datastore's syncs.
    pub async fn bootstrap(&self) -> Result<(), ApiError> {
        let objects = api::openapi::bootstrap_objects();
        let skipped = ["ServiceAccount", "ServiceCIDR"];
        let (namespaces, rest): (Vec<Value>, Vec<Value>) = objects
            .into_iter()
            .filter(|o| !skipped.contains(&o["kind"].as_str().unwrap_or_default()))
            .partition(|o| o["kind"] == "Namespace");
        let cidr = json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR", "metadata": {"name": "kubernetes"},
            "spec": {"cidrs": [self.engine.service_network.cidr().to_string()]},
        });
        for group in [namespaces, rest, vec![cidr]] {
            let made = futures_util::future::join_all(group.into_iter().map(|object| self.bootstrap_one(object))).await;
            made.into_iter().collect::<Result<Vec<()>, ApiError>>()?;
        }
        self.ready.send_replace(true);
        Ok(())
    }

    async fn bootstrap_one(&self, object: Value) -> Result<(), ApiError> {
        let version = object["apiVersion"].as_str().unwrap_or_default();
        let (group, version) = version.split_once('/').unwrap_or(("", version));
        let kind = object["kind"].as_str().unwrap_or_default();
        let resource = api::find_kind(group, version, kind)
            .ok_or_else(|| ApiError::internal(format!("the bootstrap object's kind {kind} is not served")))?;
        let meta = &object["metadata"];
        let namespace = meta["namespace"].as_str().unwrap_or_default().to_owned();
        let name = meta["name"].as_str().unwrap_or_default().to_owned();
        if self.caches.get(resource, &namespace, &name).is_some() {
            return Ok(());
        }
        let mut context = RequestContext::of(Arc::new(UserInfo::new("system:apiserver", &["system:masters"])));
        match self.engine.create(&mut context, Target::collection(resource, &namespace), object).await {
            Err(error) if error.reason != apimachinery::Reason::AlreadyExists => Err(error),
            _ => Ok(()),
        }
    }

    async fn expire_events(&self) {
        let now = self.clock.now();
        let old = |object: &Object| {
            object.meta().creation_timestamp.is_some_and(|at| now.duration_since(at).as_secs() > EVENT_TTL_SECONDS)
        };
        self.engine.expire(api::resources::EVENTS, old).await;
    }

    /// The engine.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The watch cache.
    pub fn caches(&self) -> &Arc<Caches> {
        &self.caches
    }

    /// The authorizer.
    pub fn authorizer(&self) -> &Authorizer {
        &self.engine.authorizer
    }

    /// Sets the way to kubelets. Until then requests for containers are answered "unavailable".
    pub fn set_node_connector(&self, connector: Arc<dyn NodeConnector>) {
        *self.node_connector.write() = Some(connector);
    }

    pub(crate) fn node_connector(&self) -> Result<Arc<dyn NodeConnector>, ApiError> {
        let connector = self.node_connector.read().clone();
        connector.ok_or_else(|| ApiError::unavailable("no node is connected to this API server yet"))
    }

    /// Asks the server behind the APIService `name` whether it serves that; says why not.
    pub async fn probe(&self, name: &str) -> Result<(), String> {
        self.aggregator.probe(name).await
    }

    pub(crate) fn aggregator(&self) -> &Aggregator {
        &self.aggregator
    }

    pub(crate) fn authenticator(&self) -> &Authenticator {
        &self.authenticator
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    pub(crate) fn now_text(&self) -> String {
        apimachinery::metav1_time(self.clock.now())
    }

    pub(crate) fn external_address(&self) -> &str {
        &self.external_address
    }

    pub(crate) fn openapi(&self) -> &OpenApi {
        &self.openapi
    }

    pub(crate) fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Whether [`ApiServer::bootstrap`] has ended.
    pub fn is_ready(&self) -> bool {
        *self.ready.borrow()
    }
}
