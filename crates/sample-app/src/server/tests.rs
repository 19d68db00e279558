use std::sync::Arc;
use std::time::Duration;

use component_base::{SimulatedClock, Supervisor};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{App, Log, accept};

struct Running {
    address: std::net::SocketAddr,
    tasks: Supervisor,
    lines: Arc<Mutex<Vec<String>>>,
}

async fn start() -> Running {
    let lines: Arc<Mutex<Vec<String>>> = Arc::default();
    let sink = lines.clone();
    let log: Log = Arc::new(move |line| sink.lock().push(line.to_owned()));
    let clock = SimulatedClock::starting_at("2026-01-13T22:36:45.256Z".parse().expect("a time"));
    let app = App::new("web-1".into(), "1".into(), Arc::new(clock), log);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    let tasks = Supervisor::new();
    tasks.spawn("accept", accept(listener, app, tasks.clone()));
    Running { address, tasks, lines }
}

/// Reads one response with a body of known length.
async fn response(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    while !text.ends_with(b"v=1\n") {
        text.push(stream.read_u8().await.expect("the response goes on"));
    }
    String::from_utf8(text).expect("it is text")
}

#[tokio::test]
async fn each_request_is_answered_and_logged() {
    let running = start().await;
    let mut stream = TcpStream::connect(running.address).await.expect("connected");
    for _ in 0..2 {
        stream.write_all(b"GET /any HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("sent");
        let text = response(&mut stream).await;
        assert!(text.starts_with("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"), "{text}");
        assert!(text.ends_with("\r\n\r\nHello Kubernetes bootcamp! | Running on: web-1 | v=1\n"), "{text}");
    }
    let lines = running.lines.lock().clone();
    assert_eq!(lines[0], "Kubernetes Bootcamp App Started At: 2026-01-13T22:36:45.256Z | Running On:  web-1\n");
    assert!(lines[2].starts_with("Running On: web-1 | Total Requests: 2 | App Uptime: "), "{}", lines[2]);
    assert!(lines[2].contains(" seconds | Log Time: 2026-01-13T22:36:"), "{}", lines[2]);
    // The connection is kept alive, and still nothing holds up the end.
    assert_eq!(running.tasks.drain(Duration::from_secs(5)).await, Ok(()));
    assert_eq!(stream.read(&mut [0; 1]).await.expect("it is closed properly"), 0);
}

#[tokio::test]
async fn a_request_in_flight_is_finished() {
    let running = start().await;
    let mut stream = TcpStream::connect(running.address).await.expect("connected");
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("sent");
    response(&mut stream).await;
    let mut second = TcpStream::connect(running.address).await.expect("connected");
    second.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n").await.expect("sent");
    // Once a later connection is answered, the earlier one has been accepted, too.
    let mut third = TcpStream::connect(running.address).await.expect("connected");
    third.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("sent");
    response(&mut third).await;
    running.tasks.begin_shutdown();
    // The idle connection is closed: the shutdown has been noticed.
    assert_eq!(stream.read(&mut [0; 1]).await.expect("it is closed properly"), 0);
    second.write_all(b"\r\n").await.expect("sent");
    let mut text = String::new();
    second.read_to_string(&mut text).await.expect("it is closed properly");
    assert!(text.ends_with("| Running on: web-1 | v=1\n"), "{text}");
    assert_eq!(running.tasks.drain(Duration::from_secs(5)).await, Ok(()));
    assert!(TcpStream::connect(running.address).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn a_connection_that_was_made_in_time_is_answered() {
    let running = start().await;
    // The kernel has taken it; whether the server has is a race that must not matter.
    let mut stream = TcpStream::connect(running.address).await.expect("connected");
    running.tasks.begin_shutdown();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("sent");
    assert!(response(&mut stream).await.starts_with("HTTP/1.1 200 OK\r\n"));
    assert_eq!(running.tasks.drain(Duration::from_secs(5)).await, Ok(()));
    assert_eq!(stream.read(&mut [0; 1]).await.expect("it is closed properly"), 0);
}
