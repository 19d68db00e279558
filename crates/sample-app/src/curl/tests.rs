use std::ffi::OsString;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use component_base::Supervisor;
use container_runtime::{LocalSockets, TcpDial};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::Failure;
use super::arguments::{Command, Options, parse};
use super::transfer::fetch;

fn arguments(text: &str) -> Result<Command, String> {
    parse(&text.split_whitespace().map(OsString::from).collect::<Vec<_>>())
}

fn options(text: &str) -> Options {
    match arguments(text) {
        Ok(Command::Transfer(options)) => options,
        other => panic!("{other:?}"),
    }
}

#[test]
fn options_may_stand_together() {
    let parsed = options("-sSifm1.5 -XPUT --header A:b -o out -da=1 --data b=2 web -- -x");
    assert!(parsed.silent && parsed.show_error && parsed.include && parsed.fail && !parsed.head);
    assert_eq!(parsed.max_time, Some(Duration::from_millis(1500)));
    assert_eq!((parsed.method.as_deref(), parsed.headers), (Some("PUT"), vec!["A:b".to_owned()]));
    assert_eq!((parsed.data.join("&"), parsed.urls), ("a=1&b=2".to_owned(), vec!["web".to_owned(), "-x".to_owned()]));
}

#[test]
fn wrong_arguments_are_named() {
    for (text, message) in [
        ("-L web", "curl: option -L: is unknown"),
        ("--insecure web", "curl: option --insecure: is unknown"),
        ("web -m", "curl: option -m: requires parameter"),
        ("web -m soon", "curl: option -m: expected a proper numerical parameter"),
        ("-s", "curl: (2) no URL specified"),
    ] {
        let error = arguments(text).expect_err(text);
        assert_eq!(error.lines().next(), Some(message));
    }
}

/// A server that reads one request head and its body of `body` bytes, writes `reply` and closes; gives what it read.
async fn serve(tasks: &Supervisor, body: usize, reply: &'static str) -> (SocketAddr, component_base::Task<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    let task = tasks.spawn("server", async move {
        let (mut stream, _) = listener.accept().await.expect("accepted");
        let mut read = Vec::new();
        while !read.ends_with(b"\r\n\r\n") {
            read.push(stream.read_u8().await.expect("the request goes on"));
        }
        let mut rest = vec![0; body];
        stream.read_exact(&mut rest).await.expect("the body");
        read.extend(rest);
        stream.write_all(reply.as_bytes()).await.expect("sent");
        String::from_utf8(read).expect("text")
    });
    (address, task)
}

async fn run(url: &str, text: &str) -> (String, Result<(), Failure>) {
    let dial = TcpDial::with_files(Arc::new(LocalSockets), "/nonexistent".into(), "/nonexistent".into());
    let mut output = Vec::new();
    let result = fetch(url, &options(&format!("{text} x")), &dial, &mut output).await;
    (String::from_utf8(output).expect("text"), result)
}

#[tokio::test]
async fn a_page_is_fetched() {
    let tasks = Supervisor::new();
    let (address, server) = serve(&tasks, 0, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi\n").await;
    let (output, result) = run(&format!("localhost:{}/a?b=c#d", address.port()), "").await;
    assert_eq!((output.as_str(), result), ("hi\n", Ok(())));
    let request = server.join().await.expect("a request");
    assert!(request.starts_with("GET /a?b=c HTTP/1.1\r\n"), "{request}");
    assert!(request.contains(&format!("host: localhost:{}\r\n", address.port())), "{request}");
}

#[tokio::test]
async fn data_is_posted_and_headers_are_replaced() {
    let tasks = Supervisor::new();
    let (address, server) = serve(&tasks, 7, "HTTP/1.1 201 Created\r\nX-A: 1\r\nContent-Length: 0\r\n\r\n").await;
    let (output, result) = run(&format!("http://{address}"), "-i -da=1 -db=2 -HAccept: -HX-B:2").await;
    assert_eq!((output.as_str(), result), ("HTTP/1.1 201 Created\r\nx-a: 1\r\ncontent-length: 0\r\n\r\n", Ok(())));
    let request = server.join().await.expect("a request");
    assert!(request.starts_with("POST / HTTP/1.1\r\n") && request.ends_with("\r\n\r\na=1&b=2"), "{request}");
    assert!(request.contains("x-b: 2\r\n") && !request.contains("accept:"), "{request}");
}

#[tokio::test]
async fn only_the_head_is_asked_for() {
    let tasks = Supervisor::new();
    let (address, server) = serve(&tasks, 0, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n").await;
    let (output, result) = run(&format!("http://{address}"), "-I").await;
    assert_eq!((output.as_str(), result), ("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n", Ok(())));
    assert!(server.join().await.expect("a request").starts_with("HEAD / "));
}

#[tokio::test]
async fn failures_have_the_codes_of_curl() {
    let tasks = Supervisor::new();
    let (address, _server) = serve(&tasks, 0, "HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\n\r\nno\n").await;
    let (output, result) = run(&format!("http://{address}"), "--fail").await;
    let failure = result.expect_err("it is a 404");
    assert_eq!(
        (output.as_str(), failure.to_string().as_str()),
        ("", "curl: (22) The requested URL returned error: 404")
    );

    let (address, _server) = serve(&tasks, 0, "").await;
    let failure = run(&format!("http://{address}"), "").await.1.expect_err("nothing came");
    assert_eq!(failure.to_string(), "curl: (52) Empty reply from server");

    let (address, _server) = serve(&tasks, 0, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi\n").await;
    let (output, result) = run(&format!("http://{address}"), "").await;
    assert_eq!((output.as_str(), result.expect_err("it is cut").code), ("hi\n", 18));

    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    let failure = run(&format!("http://{address}"), "-m 0.05").await.1.expect_err("nothing ever comes");
    assert!(failure.to_string().starts_with("curl: (28) Operation timed out after "), "{failure}");
    drop(listener);
    let failure = run(&format!("http://localhost:{}", address.port()), "").await.1.expect_err("nobody listens");
    let text = failure.to_string();
    let start = format!("curl: (7) Failed to connect to localhost port {} after ", address.port());
    assert!(text.starts_with(&start) && text.ends_with(" ms: Couldn't connect to server"), "{text}");
}

#[tokio::test]
async fn urls_are_checked() {
    for (url, message) in [
        ("https://web", "curl: (1) Protocol \"https\" not supported"),
        ("http://", "curl: (3) URL rejected: Malformed input to a URL function"),
        ("http://web:99999/", "curl: (3) URL rejected: Port number was not a decimal number between 0 and 65535"),
    ] {
        assert_eq!(run(url, "").await.1.expect_err(url).to_string(), message);
    }
}

#[tokio::test]
async fn an_unknown_host_is_named() {
    // A label that is too long is refused before any server is asked.
    let host = "a".repeat(64);
    let failure = run(&format!("http://{host}/"), "").await.1.expect_err("there is no such host");
    assert_eq!(failure.to_string(), format!("curl: (6) Could not resolve host: {host}"));
}
