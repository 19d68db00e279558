use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA};
use hickory_proto::rr::{RData, Record, RecordType};
use tokio::net::{TcpStream, UdpSocket};

use super::resolve::{Hosts, ResolverConfig};
use super::{Dial, LocalSockets, Sockets, TcpDial};

#[test]
fn hosts_and_resolv_conf_are_read_as_the_c_library_does() {
    let hosts = Hosts::parse(
        "# comment\n127.0.0.1 localhost LocalHost.localdomain # more\n::1 localhost\nbad name\n10.0.0.1 a\n",
    );
    assert_eq!(
        hosts.find("LOCALHOST."),
        ["127.0.0.1".parse::<IpAddr>().expect("valid"), "::1".parse().expect("valid")]
    );
    assert_eq!(hosts.find("name"), Vec::<IpAddr>::new());

    let config = ResolverConfig::parse(
        "; x\nnameserver 10.0.0.1\nnameserver fe80::1\nnameserver 10.0.0.2\nnameserver 10.0.0.3\nsearch a.b c.\noptions ndots:2 timeout:0 attempts:9 rotate\n",
    );
    assert_eq!(
        config.servers,
        ["10.0.0.1:53", "[fe80::1]:53", "10.0.0.2:53"].map(|s| s.parse::<SocketAddr>().expect("valid"))
    );
    assert_eq!((config.ndots, config.timeout, config.attempts), (2, Duration::from_secs(1), 5));
    assert_eq!(config.search, ["a.b", "c."]);
    assert_eq!(ResolverConfig::parse("").servers, ["127.0.0.1:53".parse::<SocketAddr>().expect("valid")]);
}

/// Sends every question to a server of the test's, and every connection to loopback.
#[derive(Debug)]
struct TestSockets {
    server: SocketAddr,
    port: u16,
}

#[async_trait]
impl Sockets for TestSockets {
    async fn connect(&self, address: SocketAddr) -> std::io::Result<TcpStream> {
        if address.ip() != IpAddr::from([192, 0, 2, 7]) {
            return Err(std::io::ErrorKind::ConnectionRefused.into());
        }
        LocalSockets.connect(SocketAddr::from(([127, 0, 0, 1], self.port))).await
    }

    async fn datagram(&self, _: SocketAddr) -> std::io::Result<UdpSocket> {
        LocalSockets.datagram(self.server).await
    }
}

/// Knows `registry.example.`, and fails on `broken.example.`.
async fn serve(socket: UdpSocket) {
    let mut buffer = [0; 1500];
    loop {
        let (count, from) = socket.recv_from(&mut buffer).await.expect("loopback");
        let question = Message::from_vec(&buffer[..count]).expect("a question");
        let query = question.queries[0].clone();
        let mut answer = Message::response(question.metadata.id, question.metadata.op_code);
        answer.add_query(query.clone());
        match (query.name().to_string().as_str(), query.query_type()) {
            ("registry.example.", RecordType::A) => {
                for address in [[192, 0, 2, 6], [192, 0, 2, 7]] {
                    answer.answers.push(Record::from_rdata(query.name().clone(), 60, RData::A(A(address.into()))));
                }
            }
            ("registry.example.", _) => {
                let address = RData::AAAA(AAAA("2001:db8::1".parse().expect("valid")));
                answer.answers.push(Record::from_rdata(query.name().clone(), 60, address));
            }
            ("broken.example.", _) => answer.metadata.response_code = ResponseCode::ServFail,
            _ => answer.metadata.response_code = ResponseCode::NXDomain,
        }
        // What does not answer the question is passed over.
        socket.send_to(b"noise", from).await.expect("loopback");
        socket.send_to(&answer.to_vec().expect("an answer"), from).await.expect("loopback");
    }
}

#[tokio::test]
async fn names_are_resolved_and_addresses_tried_in_turn() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("loopback");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let sockets = Arc::new(TestSockets {
        server: socket.local_addr().expect("bound"),
        port: listener.local_addr().expect("bound").port(),
    });
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(serve(socket));
    let dial = TcpDial::with_files(sockets, PathBuf::from("/nonexistent"), PathBuf::from("/nonexistent"));
    let (connection, accepted) = tokio::join!(dial.dial("registry.example", 443), listener.accept());
    assert!(connection.is_ok() && accepted.is_ok(), "the second address answers");
    let error = |host: &'static str| {
        let dial = dial.clone();
        async move { dial.dial(host, 443).await.err().expect("it fails").to_string() }
    };
    assert_eq!(error("nowhere.example").await, "dial tcp: lookup nowhere.example: no such host");
    assert_eq!(error("broken.example").await, "dial tcp: lookup broken.example on 127.0.0.1:53: server misbehaving");
    assert_eq!(error("192.0.2.9").await, "dial tcp 192.0.2.9:443: connect: connection refused");
    assert_eq!(error("[::1]").await, "dial tcp [::1]:443: connect: connection refused");
}
