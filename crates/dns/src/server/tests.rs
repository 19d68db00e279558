//! Over loopback sockets, with the informers fed by a transport that has fixed objects.

use std::sync::Arc;
use std::time::Duration;

use apimachinery::{ApiError, Object};
use async_trait::async_trait;
use client::{Client, DeleteOptions, ListOptions, ObjectList, PatchKind, Target, Transport, WatchStream, WriteOptions};
use component_base::{Random, SystemClock};
use futures_util::StreamExt;
use hickory_proto::op::{Edns, Message, Query, ResponseCode};
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{Name, RData, Record, RecordType};
use serde_json::{Value, json};

use super::*;
use crate::answer::tests::{service_json, slice_json};
use crate::forward::{Sockets, UpstreamForwarder};

/// A cluster that does not change.
#[derive(Debug)]
struct Fixed;

fn objects(plural: &str) -> Vec<Value> {
    let named =
        |kind, name| json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "resourceVersion": "1"}});
    match plural {
        "namespaces" => vec![named("Namespace", "default")],
        "services" => vec![
            service_json("web", json!({"clusterIP": "10.96.0.10", "ports": [{"name": "http", "port": 80}]})),
            service_json("many", json!({"clusterIP": "None", "ports": [{"port": 1}]})),
            service_json("outside", json!({"type": "ExternalName", "externalName": "www.example.com"})),
        ],
        _ => {
            let endpoint = |n: u8| json!({"addresses": [format!("10.244.0.{n}")], "conditions": {"ready": true}});
            vec![slice_json("many", json!([{"port": 1}]), (1..=200).map(endpoint).collect())]
        }
    }
}

#[async_trait]
impl Transport for Fixed {
    async fn list(&self, target: Target<'_>, _: &ListOptions) -> Result<ObjectList, ApiError> {
        let objects = objects(target.resource.plural);
        let items = objects.iter().map(|value| Arc::new(Object::from_value(value).expect("an object"))).collect();
        Ok(ObjectList { items, resource_version: 1, ..ObjectList::default() })
    }
    async fn watch(&self, _: Target<'_>, _: &ListOptions) -> Result<WatchStream, ApiError> {
        Ok(futures_util::stream::pending().boxed())
    }
    async fn get(&self, _: Target<'_>) -> Result<Arc<Object>, ApiError> {
        unreachable!("informers list and watch")
    }
    async fn create(&self, _: Target<'_>, _: Value, _: &WriteOptions) -> Result<Arc<Object>, ApiError> {
        unreachable!("DNS writes nothing")
    }
    async fn update(&self, _: Target<'_>, _: Value, _: &WriteOptions) -> Result<Arc<Object>, ApiError> {
        unreachable!("DNS writes nothing")
    }
    async fn patch(&self, _: Target<'_>, _: PatchKind, _: Value, _: &WriteOptions) -> Result<Arc<Object>, ApiError> {
        unreachable!("DNS writes nothing")
    }
    async fn delete(&self, _: Target<'_>, _: &DeleteOptions) -> Result<u64, ApiError> {
        unreachable!("DNS writes nothing")
    }
    async fn delete_collection(&self, _: Target<'_>, _: &DeleteOptions, _: &ListOptions) -> Result<(), ApiError> {
        unreachable!("DNS writes nothing")
    }
}

/// Sockets of this process.
#[derive(Debug)]
struct Loopback;

#[async_trait]
impl Sockets for Loopback {
    async fn connect(&self, address: SocketAddr) -> io::Result<TcpStream> {
        TcpStream::connect(address).await
    }
    async fn datagram(&self, address: SocketAddr) -> io::Result<UdpSocket> {
        let socket = UdpSocket::bind("127.0.0.1:0").await?;
        socket.connect(address).await?;
        Ok(socket)
    }
}

const LOOPBACK: &str = "127.0.0.1:0";

/// A resolver that truncates each datagram and answers on streams.
struct Upstream {
    address: SocketAddr,
    /// How many streams it has answered.
    asked: tokio::sync::watch::Receiver<u32>,
}

fn upstream(tasks: &Supervisor) -> Upstream {
    let (address, datagrams, streams) = bind(LOOPBACK.parse().expect("an address")).expect("it is free");
    let (count, asked) = tokio::sync::watch::channel(0);
    tasks.spawn_until_shutdown("upstream-udp", async move {
        let mut buffer = [0; 2048];
        while let Ok((length, peer)) = datagrams.recv_from(&mut buffer).await {
            let query = Message::from_vec(&buffer[..length]).expect("a query");
            let mut reply = query.into_response();
            reply.metadata.truncation = true;
            datagrams.send_to(&reply.to_vec().expect("a reply"), peer).await.expect("sent");
        }
    });
    tasks.spawn_until_shutdown("upstream-tcp", async move {
        while let Ok((mut stream, _)) = streams.accept().await {
            let query = read_message(&mut stream, usize::from(u16::MAX)).await.expect("a query");
            let mut reply = Message::from_vec(&query).expect("a query").into_response();
            let name = reply.queries[0].name().clone();
            reply.add_answer(Record::from_rdata(name, 300, RData::A(A::new(192, 0, 2, 1))));
            let bytes = reply.to_vec().expect("a reply");
            stream.write_u16(bytes.len() as u16).await.expect("sent");
            stream.write_all(&bytes).await.expect("sent");
            count.send_modify(|n| *n += 1);
        }
    });
    Upstream { address, asked }
}

fn serve(tasks: &Supervisor, upstreams: Option<Vec<SocketAddr>>) -> SocketAddr {
    let random = Arc::new(Random::from_seed(1));
    let forwarder = upstreams.map(|servers| {
        Arc::new(UpstreamForwarder::new(servers, Arc::new(Loopback), random.clone())) as Arc<dyn Forwarder>
    });
    let handle = start(DnsConfig {
        listen: vec![LOOPBACK.parse().expect("an address")],
        cluster_domain: "cluster.local".into(),
        forwarder,
        informers: Informers::new(Client::new(Arc::new(Fixed)), tasks.clone(), random),
        clock: Arc::new(SystemClock),
        supervisor: tasks.clone(),
    });
    handle.expect("it starts").addresses()[0]
}

fn query(name: &str, kind: RecordType) -> Message {
    let mut message = Message::query();
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name).expect("a name"), kind));
    message
}

async fn datagram(server: SocketAddr, bytes: &[u8]) -> Message {
    let socket = Loopback.datagram(server).await.expect("a socket");
    socket.send(bytes).await.expect("sent");
    let mut buffer = vec![0; 65_535];
    let length = timeout(Duration::from_secs(10), socket.recv(&mut buffer)).await.expect("in time").expect("a reply");
    Message::from_vec(&buffer[..length]).expect("a message")
}

async fn ask(server: SocketAddr, name: &str, kind: RecordType) -> Message {
    let query = query(name, kind);
    let reply = datagram(server, &query.to_vec().expect("a query")).await;
    assert_eq!(reply.metadata.id, query.metadata.id);
    assert_eq!(reply.queries, query.queries);
    reply
}

fn data(message: &Message) -> Vec<String> {
    message.answers.iter().map(|record| record.data.to_string()).collect()
}

async fn end(tasks: Supervisor) {
    assert!(tasks.drain(Duration::from_secs(5)).await.is_ok(), "all tasks end");
}

#[tokio::test]
async fn a_service_is_found_by_datagram_and_by_stream() {
    let tasks = Supervisor::new();
    let server = serve(&tasks, None);
    let reply = ask(server, "web.default.svc.cluster.local.", RecordType::A).await;
    assert_eq!(data(&reply), ["10.96.0.10"]);
    assert!(reply.metadata.authoritative && reply.metadata.recursion_desired);
    let mut stream = TcpStream::connect(server).await.expect("connected");
    for _ in 0..2 {
        let bytes = query("10.0.96.10.in-addr.arpa.", RecordType::PTR).to_vec().expect("a query");
        stream.write_u16(bytes.len() as u16).await.expect("sent");
        stream.write_all(&bytes).await.expect("sent");
        let reply = Message::from_vec(&read_message(&mut stream, usize::from(u16::MAX)).await.expect("a reply"))
            .expect("a message");
        assert_eq!(data(&reply), ["web.default.svc.cluster.local."]);
    }
    end(tasks).await;
}

#[tokio::test]
async fn what_does_not_fit_is_truncated_and_comes_whole_by_stream() {
    let tasks = Supervisor::new();
    let server = serve(&tasks, None);
    let name = "many.default.svc.cluster.local.";
    let reply = ask(server, name, RecordType::A).await;
    assert!(reply.metadata.truncation && reply.answers.len() < 200);
    let mut with_edns = query(name, RecordType::A);
    let mut edns = Edns::new();
    edns.set_max_payload(4096);
    with_edns.set_edns(edns);
    let more = datagram(server, &with_edns.to_vec().expect("a query")).await;
    assert!(more.metadata.truncation && more.answers.len() > reply.answers.len() && more.edns.is_some());
    let mut stream = TcpStream::connect(server).await.expect("connected");
    let bytes = query(name, RecordType::A).to_vec().expect("a query");
    stream.write_u16(bytes.len() as u16).await.expect("sent");
    stream.write_all(&bytes).await.expect("sent");
    let reply = Message::from_vec(&read_message(&mut stream, usize::from(u16::MAX)).await.expect("a reply"))
        .expect("a message");
    assert_eq!((reply.answers.len(), reply.metadata.truncation), (200, false));
    end(tasks).await;
}

#[tokio::test]
async fn other_names_are_forwarded_once_and_then_known() {
    let tasks = Supervisor::new();
    let upstream = upstream(&tasks);
    let server = serve(&tasks, Some(vec![upstream.address]));
    for _ in 0..2 {
        let reply = ask(server, "www.example.com.", RecordType::A).await;
        assert_eq!(data(&reply), ["192.0.2.1"]);
        assert!(!reply.metadata.authoritative && reply.metadata.recursion_available);
    }
    // The alias leads to the same name, which is known by now.
    let reply = ask(server, "outside.default.svc.cluster.local.", RecordType::A).await;
    assert_eq!(data(&reply), ["www.example.com.", "192.0.2.1"]);
    assert_eq!(*upstream.asked.borrow(), 1);
    end(tasks).await;
}

#[tokio::test]
async fn nobody_answers() {
    let tasks = Supervisor::new();
    // A port that was free a moment ago: the kernel says that nobody listens.
    let (nobody, ..) = bind(LOOPBACK.parse().expect("an address")).expect("it is free");
    let server = serve(&tasks, Some(vec![nobody]));
    let reply = ask(server, "www.example.com.", RecordType::A).await;
    assert_eq!(reply.metadata.response_code, ResponseCode::ServFail);
    let working = upstream(&tasks);
    let server = serve(&tasks, Some(vec![nobody, working.address]));
    assert_eq!(data(&ask(server, "www.example.com.", RecordType::A).await), ["192.0.2.1"]);
    let server = serve(&tasks, None);
    let reply = ask(server, "www.example.com.", RecordType::A).await;
    assert_eq!(reply.metadata.response_code, ResponseCode::Refused);
    end(tasks).await;
}

#[tokio::test]
async fn nonsense_is_refused() {
    let tasks = Supervisor::new();
    let server = serve(&tasks, None);
    let mut bytes = query("web.default.svc.cluster.local.", RecordType::A).to_vec().expect("a query");
    bytes.truncate(20);
    assert_eq!(datagram(server, &bytes).await.metadata.response_code, ResponseCode::FormErr);
    let no_question = Message::query().to_vec().expect("a query");
    assert_eq!(datagram(server, &no_question).await.metadata.response_code, ResponseCode::FormErr);
    end(tasks).await;
}

#[tokio::test]
async fn a_taken_address_and_a_wrong_domain_are_named() {
    let tasks = Supervisor::new();
    let (taken, _datagrams, _streams) = bind(LOOPBACK.parse().expect("an address")).expect("it is free");
    let error = bind(taken).expect_err("it is taken");
    assert_eq!(error.to_string(), format!("failed to listen for DNS on {taken}/udp"));
    let config = DnsConfig {
        listen: vec![],
        cluster_domain: "a..b".into(),
        forwarder: None,
        informers: Informers::new(Client::new(Arc::new(Fixed)), tasks.clone(), Arc::new(Random::from_seed(1))),
        clock: Arc::new(SystemClock),
        supervisor: tasks.clone(),
    };
    let error = start(config).expect_err("that is no domain");
    assert_eq!(error.to_string(), "\"a..b\" is no domain name; name one as cluster.local");
    end(tasks).await;
}
