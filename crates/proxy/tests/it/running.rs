//! The running proxy: it follows the API, and serves `localhost`.

use std::future::Future;
use std::io::ErrorKind;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use api::resources::{ENDPOINTSLICES, PODS, SERVICES};
use client::{Client, Informers};
use component_base::{Random, Supervisor};
use proxy::{Proxy, ProxyConfig, StartError};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::api_server::ApiServer;
use crate::rules::{service, slice};
use crate::world::{NODE_IP, PATIENCE, World};

const NODE_PORT: u16 = 30080;
const DEADLINE: Duration = Duration::from_secs(30);

struct Running {
    api: Arc<ApiServer>,
    informers: Informers,
    proxy: Proxy,
}

impl Running {
    /// Waits until the proxy has done what was put into the API.
    async fn settle(&self) {
        for (resource, selector) in [(SERVICES, ""), (ENDPOINTSLICES, ""), (PODS, "spec.nodeName=here")] {
            if let Some(newest) = self.api.newest(resource.plural) {
                self.informers.selected(resource, selector).caught_up(newest).await;
            }
        }
        self.proxy.settled().await;
    }
}

fn config(informers: Informers, supervisor: Supervisor) -> ProxyConfig {
    ProxyConfig {
        node_name: "here".into(),
        node_ip: NODE_IP.to_string(),
        pod_cidr: "10.244.0.0/24".into(),
        service_cidr: "10.96.0.0/16".into(),
        informers,
        random: Arc::new(Random::from_seed(1)),
        supervisor,
    }
}

/// Runs a test with a proxy in the node, all on this thread but for what blocks.
fn with_proxy<F: Future<Output = ()>>(test: impl FnOnce(Running) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
    runtime.block_on(async {
        let api = ApiServer::new();
        let supervisor = Supervisor::new();
        let client = Client::new(api.clone());
        let informers = Informers::new(client, supervisor.clone(), Arc::new(Random::from_seed(1)));
        let proxy = proxy::start(config(informers.clone(), supervisor.clone())).expect("start");
        tokio::time::timeout(DEADLINE, proxy.ready()).await.expect("ready");
        tokio::time::timeout(DEADLINE, test(Running { api, informers, proxy })).await.expect("in time");
        assert!(supervisor.drain(PATIENCE).await.is_ok(), "every task ends at the shutdown");
    });
}

async fn local() -> std::io::Result<TcpStream> {
    TcpStream::connect((Ipv4Addr::LOCALHOST, NODE_PORT)).await
}

async fn is_refused() -> bool {
    matches!(local().await, Err(error) if error.kind() == ErrorKind::ConnectionRefused)
}

#[test]
fn a_node_port_on_localhost_comes_and_goes_with_its_service() {
    let world = World::new(1);
    let [pod] = &world.pods[..] else { panic!("one Pod") };
    let listener = pod.listener.try_clone().expect("clone");
    listener.set_nonblocking(true).expect("non-blocking");
    with_proxy(async |running| {
        let backend = TcpListener::from_std(listener).expect("listener");
        assert!(is_refused().await, "no Service yet");
        running.api.put("services", service(&json!({})));
        running.settle().await;
        assert!(is_refused().await, "no endpoint yet");
        running.api.put("endpointslices", slice(&[pod.ip]));
        running.settle().await;

        let mut client = local().await.expect("connect");
        let (mut server, _) = backend.accept().await.expect("accept");
        client.write_all(b"question").await.expect("write");
        client.shutdown().await.expect("half-close");
        let mut question = String::new();
        server.read_to_string(&mut question).await.expect("the end of one direction is passed on");
        assert_eq!(question, "question");
        server.write_all(b"answer").await.expect("the other direction is still open");

        running.api.delete("services", "default/web");
        running.settle().await;
        assert!(is_refused().await, "the Service is gone");
        assert!(world.is_refused(&world.host, (NODE_IP, NODE_PORT)));
        drop(server);
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.expect("a connection outlives the Service");
        assert_eq!(answer, "answer");
    });
}

#[test]
fn host_ports_of_the_node_s_pods_are_served() {
    let world = World::new(1);
    with_proxy(async |running| {
        let mut pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": "default", "name": "a"},
            "spec": {"nodeName": "here", "containers": [
                {"name": "c", "ports": [{"containerPort": 8080, "hostPort": 8000}]},
            ]},
            "status": {"phase": "Running", "podIP": world.pods[0].ip},
        });
        running.api.put("pods", pod.clone());
        running.settle().await;
        world.reach(&world.host, (NODE_IP, 8000)).expect("connect");
        pod["status"]["phase"] = json!("Succeeded");
        running.api.put("pods", pod);
        running.settle().await;
        assert!(world.is_refused(&world.host, (NODE_IP, 8000)), "the Pod has ended");
    });
}

#[test]
fn a_wrong_configuration_is_named() {
    let supervisor = Supervisor::new();
    let client = Client::new(ApiServer::new());
    let informers = Informers::new(client, supervisor.clone(), Arc::new(Random::from_seed(1)));
    let start = |change: fn(&mut ProxyConfig)| {
        let mut config = config(informers.clone(), supervisor.clone());
        change(&mut config);
        proxy::start(config).expect_err("wrong")
    };
    let error = start(|config| config.node_ip = "here".into());
    assert_eq!(error.to_string(), "invalid node address \"here\": want an IPv4 address, as 192.168.49.2");
    let error = start(|config| config.service_cidr = "fd00::/64".into());
    assert!(matches!(error, StartError::Range { what: "service range", .. }));
}
