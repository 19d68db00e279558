//! exec and attach over WebSocket: the channel protocol `v5.channel.k8s.io` and `v4.channel.k8s.io`
//! (upstream: `apimachinery/pkg/util/remotecommand`). Each binary message begins with its channel's number.

use std::io;

use apimachinery::ApiError;
use base64::Engine as _;
use component_base::Shutdown;
use cri::{ByteReader, ByteWriter, ExecSession, RuntimeError, Terminal, TerminalSize};
use futures_util::{SinkExt, StreamExt};
use http::header::{CONNECTION, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, UPGRADE};
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};

use super::body::{Body, whole};

const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const ERROR: u8 = 3;
const RESIZE: u8 = 4;
/// v5: the payload names a channel that the client has closed.
const CLOSE: u8 = 255;
/// What RFC 6455 appends to the client's key.
const ACCEPT_SUFFIX: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// Messages that wait to be sent: with [`CHUNK`] bytes each, 512 KiB a session.
const QUEUE_MAX: usize = 16;
/// The most bytes in one message.
const CHUNK: usize = 32 << 10;

/// A request that asks for a WebSocket.
pub(crate) struct Upgrade {
    on_upgrade: OnUpgrade,
    accept: String,
    protocol: &'static str,
}

/// Checks that `request` asks for a WebSocket with a protocol that is served.
pub(crate) fn accept(mut request: Request<Incoming>) -> Result<Upgrade, ApiError> {
    let header = |name: http::HeaderName| {
        request.headers().get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned()
    };
    let upgrade = header(UPGRADE);
    if !upgrade.eq_ignore_ascii_case("websocket") {
        return Err(ApiError::bad_request(format!(
            "Upgrade request required: this server speaks exec and attach over WebSocket, and was asked for {upgrade:?}"
        )));
    }
    let offered: Vec<String> = request
        .headers()
        .get_all(SEC_WEBSOCKET_PROTOCOL)
        .iter()
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(',').map(|p| p.trim().to_owned()).collect::<Vec<_>>())
        .collect();
    let protocol = ["v5.channel.k8s.io", "v4.channel.k8s.io"].into_iter().find(|p| offered.iter().any(|o| o == p));
    let protocol = protocol.ok_or_else(|| {
        ApiError::bad_request(format!(
            "none of the WebSocket protocols {offered:?} is served; served are v5.channel.k8s.io and v4.channel.k8s.io"
        ))
    })?;
    let key = header(SEC_WEBSOCKET_KEY);
    if key.is_empty() {
        return Err(ApiError::bad_request("the WebSocket handshake has no Sec-WebSocket-Key"));
    }
    let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, format!("{key}{ACCEPT_SUFFIX}").as_bytes());
    let accept = base64::prelude::BASE64_STANDARD.encode(hash);
    Ok(Upgrade { on_upgrade: hyper::upgrade::on(&mut request), accept, protocol })
}

/// Switches protocols and carries `session` until the process ends.
#[allow(clippy::disallowed_methods, reason = "the relay lives and ends with its connection, which is supervised")]
pub(crate) fn relay(upgrade: Upgrade, session: ExecSession, shutdown: Shutdown) -> Response<Body> {
    let Upgrade { on_upgrade, accept, protocol } = upgrade;
    tokio::spawn(async move {
        let stream = match on_upgrade.await {
            Ok(stream) => stream,
            Err(error) => return tracing::debug!(error = %error, "the client did not switch to WebSocket"),
        };
        let socket = WebSocketStream::from_raw_socket(TokioIo::new(stream), Role::Server, None).await;
        let carried = carry(socket, session, protocol == "v5.channel.k8s.io");
        tokio::select! {
            result = carried => if let Err(error) = result {
                tracing::debug!(error = %error, "exec session ended early");
            },
            () = shutdown.requested() => {}
        }
    });
    let mut response = Response::new(whole(""));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocol));
    if let Ok(value) = HeaderValue::from_str(&accept) {
        headers.insert(SEC_WEBSOCKET_ACCEPT, value);
    }
    response
}

type Socket = WebSocketStream<TokioIo<hyper::upgrade::Upgraded>>;

async fn carry(socket: Socket, session: ExecSession, closes_channels: bool) -> io::Result<()> {
    let (mut sink, mut stream) = socket.split();
    let (sender, mut outgoing) = mpsc::channel::<Message>(QUEUE_MAX);
    let ExecSession { stdin, stdout, stderr, terminal, exit } = session;
    let output = async {
        let copies =
            [(STDOUT, stdout), (STDERR, stderr)].map(|(channel, reader)| copy_out(channel, reader, sender.clone()));
        futures_util::future::join_all(copies).await;
        let status = exit_status(exit.await);
        let _ = sender.send(channel_message(ERROR, status.to_string().as_bytes())).await;
        let normal = CloseFrame { code: CloseCode::Normal, reason: "".into() };
        let _ = sender.send(Message::Close(Some(normal))).await;
    };
    let write = async {
        while let Some(message) = outgoing.recv().await {
            let last = message.is_close();
            if sink.send(message).await.is_err() || last {
                break;
            }
        }
        let _ = sink.close().await;
    };
    let input = copy_in(&mut stream, stdin, terminal, closes_channels);
    // The process' end ends the session. The client's end of input does not: output may still come.
    let (output, input) = (std::pin::pin!(output), std::pin::pin!(input));
    let finish = async {
        tokio::join!(output, write);
    };
    tokio::select! {
        () = finish => Ok(()),
        gone = input => gone,
    }
}

fn channel_message(channel: u8, bytes: &[u8]) -> Message {
    Message::Binary([&[channel], bytes].concat().into())
}

async fn copy_out(channel: u8, reader: Option<ByteReader>, sender: mpsc::Sender<Message>) {
    let Some(mut reader) = reader else { return };
    let mut buffer = vec![0; CHUNK];
    loop {
        match reader.read(&mut buffer).await {
            // A terminal whose other side is closed reads as an error: that is its end of file.
            Ok(0) | Err(_) => return,
            Ok(count) => {
                if sender.send(channel_message(channel, &buffer[..count])).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// Takes the client's messages; returns when the client is gone.
async fn copy_in(
    stream: &mut futures_util::stream::SplitStream<Socket>,
    mut stdin: Option<ByteWriter>,
    terminal: Option<Box<dyn Terminal>>,
    closes_channels: bool,
) -> io::Result<()> {
    while let Some(message) = stream.next().await {
        let message = message.map_err(io::Error::other)?;
        let bytes = match message {
            Message::Binary(bytes) => bytes,
            Message::Text(text) => bytes::Bytes::from(text),
            Message::Close(_) => return Ok(()),
            _ => continue,
        };
        match bytes.split_first() {
            Some((&STDIN, [])) if !closes_channels => {}
            Some((&STDIN, data)) => {
                if let Some(writer) = &mut stdin
                    && writer.write_all(data).await.is_err()
                {
                    // The process has closed its input; what it still says is worth waiting for.
                    stdin = None;
                }
            }
            Some((&RESIZE, data)) => resize(terminal.as_deref(), data),
            Some((&CLOSE, [STDIN])) if closes_channels => {
                if let Some(mut writer) = stdin.take() {
                    let _ = writer.shutdown().await;
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn resize(terminal: Option<&dyn Terminal>, data: &[u8]) {
    let Ok(size) = serde_json::from_slice::<Value>(data) else { return };
    let cells = |key: &str| size[key].as_u64().and_then(|n| u16::try_from(n).ok()).unwrap_or(0);
    if let Some(terminal) = terminal {
        let _ = terminal.resize(TerminalSize { width: cells("Width"), height: cells("Height") });
    }
}

/// What the error channel says at the end.
fn exit_status(exit: Result<i32, RuntimeError>) -> Value {
    match exit {
        Ok(0) => json!({"metadata": {}, "status": "Success"}),
        Ok(code) => json!({
            "metadata": {}, "status": "Failure", "reason": "NonZeroExitCode",
            "message": format!("command terminated with non-zero exit code: exit status {code}"),
            "details": {"causes": [{"reason": "ExitCode", "message": code.to_string()}]},
        }),
        Err(error) => json!({
            "metadata": {}, "status": "Failure", "reason": "InternalError",
            "message": format!("Internal error occurred: {error}"),
            "details": {"causes": [{"message": error.to_string()}]}, "code": 500,
        }),
    }
}
