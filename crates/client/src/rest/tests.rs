use std::sync::Arc;

use apimachinery::Reason;
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

/// Answers each request on one connection with the next of `answers`, and gives back what was asked.
async fn server(answers: Vec<&'static str>) -> (ServerUrl, component_base::Task<Vec<String>>, Supervisor) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let supervisor = Supervisor::new();
    let task = supervisor.spawn("server", async move {
        let (mut stream, _) = listener.accept().await.expect("a client");
        let mut asked = Vec::new();
        for answer in answers {
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(stream.read_u8().await.expect("a request"));
            }
            asked.push(String::from_utf8_lossy(&request).into_owned());
            stream.write_all(answer.as_bytes()).await.expect("a client that reads");
        }
        asked
    });
    (ServerUrl::parse(&url, false).expect("a URL"), task, supervisor)
}

#[derive(Debug, Default)]
struct Warnings(Mutex<Vec<String>>);

impl RestObserver for Warnings {
    fn warning(&self, text: &str) {
        self.0.lock().push(text.to_owned());
    }
}

#[tokio::test]
async fn one_connection_carries_requests_in_turn() {
    let ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nWarning: 299 - \"say \\\"a\\\"\", 299 - \"größe\"\r\n\r\n{}";
    let not_found = "HTTP/1.1 404 Not Found\r\nContent-Length: 100\r\n\r\n\
        {\"kind\":\"Status\",\"message\":\"pods \\\"x\\\" not found\",\"reason\":\"NotFound\",\"details\":{},\"code\":404,\"a\":1}";
    let (server, asked, supervisor) = server(vec![ok, not_found]).await;
    let warnings = Arc::new(Warnings::default());
    let mut config = RestConfig::new(server);
    config.impersonation =
        Impersonation { user: "bob".into(), groups: vec!["g1".into(), "g2".into()], ..Impersonation::default() };
    let client = RestClient::new(config, supervisor, warnings.clone()).expect("a client");
    assert_eq!(client.get_json("/version").await.expect("JSON"), serde_json::json!({}));
    let error = client.get_json("/api/v1/namespaces/default/pods/x").await.unwrap_err();
    assert_eq!(error.api().map(|e| (e.reason, e.code)), Some((Reason::NotFound, 404)));
    assert_eq!(error.to_string(), "pods \"x\" not found");
    let asked = asked.join().await.expect("no panic");
    assert!(asked[0].starts_with("GET /version HTTP/1.1\r\n"), "{}", asked[0]);
    assert!(asked[0].contains("impersonate-group: g1\r\nimpersonate-group: g2\r\n"), "{}", asked[0]);
    assert_eq!(*warnings.0.lock(), ["say \"a\"", "größe"]);
}

#[tokio::test]
async fn streams_come_line_by_line() {
    let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\na\nb\r\n2\r\nc\n\r\n1\r\nd\r\n0\r\n\r\n";
    let (server, _asked, supervisor) = server(vec![answer]).await;
    let client = RestClient::new(RestConfig::new(server), supervisor, Arc::new(())).expect("a client");
    let mut stream = client.stream(Method::GET, "/x", &[], Bytes::new()).await.expect("an answer");
    let mut lines = Vec::new();
    while let Some(line) = stream.line().await.expect("a whole stream") {
        lines.push(String::from_utf8_lossy(&line).into_owned());
    }
    assert_eq!(lines, ["a", "bc", "d"]);
}

#[tokio::test]
async fn nobody_listens() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let authority = listener.local_addr().expect("an address").to_string();
    drop(listener);
    let server = ServerUrl::parse(&authority, false).expect("a URL");
    let client = RestClient::new(RestConfig::new(server), Supervisor::new(), Arc::new(())).expect("a client");
    let error = client.get_json("/api").await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("Get \"http://{authority}/api\": dial tcp {authority}: connect: connection refused")
    );
}

#[test]
fn encoding() {
    assert_eq!(encode_query([("labelSelector", "a=b,c!=d")]), "?labelSelector=a%3Db%2Cc%21%3Dd");
    assert_eq!(encode_query(Vec::<(String, String)>::new()), "");
    assert_eq!(encode_segment("system:node a/b"), "system:node%20a%2Fb");
}
