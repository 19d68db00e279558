//! exec and attach over WebSocket: the channel protocols, from `v5.channel.k8s.io` down to `channel.k8s.io`
//! (upstream: `apimachinery/pkg/util/remotecommand`, `k8s.io/streaming/pkg/httpstream/wsstream`). Each message begins
//! with its channel's number; in the forms for browsers that is a digit, and the rest is base64. Also logs.

use std::io;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use cri::{ByteReader, ByteWriter, ExecSession, Terminal};
use futures_util::{SinkExt, StreamExt};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};

use super::remote_command::{Session, exit_status, resize};
use super::upgrade::{CHUNK, Served};
use crate::node_connector::LogBytes;

const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const ERROR: u8 = 3;
const RESIZE: u8 = 4;
/// v5: the payload names a channel that the client has closed.
const CLOSE: u8 = 255;
/// Messages that wait to be sent: with [`CHUNK`] bytes each, 512 KiB a session.
const QUEUE_MAX: usize = 16;
/// How long a client may take to hang up once it has been told how its process ended.
const GOODBYE_MAX: Duration = Duration::from_secs(5);

type Socket = WebSocketStream<TokioIo<hyper::upgrade::Upgraded>>;

async fn socket(connection: Upgraded) -> Socket {
    WebSocketStream::from_raw_socket(TokioIo::new(connection), Role::Server, None).await
}

/// A WebSocket as a stream of bytes: the binary messages one after the other. The writer's shutdown is the closing handshake.
pub(crate) async fn bytes(connection: Upgraded) -> (impl AsyncRead + Send + Unpin, impl AsyncWrite + Send + Unpin) {
    client::rest::bytes(socket(connection).await)
}

/// The protocols of logs.
pub(crate) const LOG_PROTOCOLS: Served = Served { web_socket: &["binary.k8s.io", "base64.binary.k8s.io"], spdy: &[] };

/// Sends a log, a message a piece, and then says goodbye.
pub(crate) async fn send_log(connection: Upgraded, mut bytes: LogBytes, protocol: &str) {
    let mut socket = socket(connection).await;
    while let Some(Ok(piece)) = bytes.next().await {
        let message = match protocol {
            "base64.binary.k8s.io" => Message::Text(BASE64_STANDARD.encode(&piece).into()),
            _ => Message::Binary(piece),
        };
        if socket.send(message).await.is_err() {
            return;
        }
    }
    let normal = CloseFrame { code: CloseCode::Normal, reason: "".into() };
    // Whoever is gone need not be told.
    let _ = socket.close(Some(normal)).await;
}

/// What differs between the protocols of channels.
#[derive(Debug, Clone, Copy)]
struct Form {
    /// The client may close a channel (v5).
    closes_channels: bool,
    /// The end is told as a Status; else a failure as text.
    tells_status: bool,
    base64: bool,
}

impl Form {
    fn of(protocol: &str) -> Self {
        Self {
            closes_channels: protocol.starts_with("v5."),
            tells_status: protocol.starts_with("v5.") || protocol.starts_with("v4."),
            base64: protocol.contains("base64"),
        }
    }

    fn message(self, channel: u8, bytes: &[u8]) -> Message {
        match self.base64 {
            true => Message::Text(format!("{channel}{}", BASE64_STANDARD.encode(bytes)).into()),
            false => Message::Binary([&[channel], bytes].concat().into()),
        }
    }

    /// Channel and payload of what the client sends.
    fn parse(self, bytes: Bytes) -> Option<(u8, Bytes)> {
        let (&channel, payload) = bytes.split_first()?;
        if !self.base64 {
            return Some((channel, bytes.slice(1..)));
        }
        Some((channel.checked_sub(b'0')?, BASE64_STANDARD.decode(payload).ok()?.into()))
    }
}

/// Carries a session over WebSocket until the process ends or the client hangs up.
pub(crate) async fn carry(connection: Upgraded, session: Session, protocol: &str) {
    if let Err(error) = exchange(socket(connection).await, session, Form::of(protocol)).await {
        tracing::debug!(error = %error, "exec session ended early");
    }
}

async fn exchange(socket: Socket, session: Session, form: Form) -> io::Result<()> {
    let (mut sink, mut stream) = socket.split();
    let (sender, mut outgoing) = mpsc::channel::<Message>(QUEUE_MAX);
    let Session { streams: ExecSession { stdin, stdout, stderr, terminal, exit }, tells_exit_code } = session;
    let output = async {
        let copies = [(STDOUT, stdout), (STDERR, stderr)]
            .map(|(channel, reader)| copy_out(form, channel, reader, sender.clone()));
        futures_util::future::join_all(copies).await;
        let status = exit_status(exit.await, tells_exit_code);
        let said = match (form.tells_status, status["message"].as_str()) {
            (true, _) => Some(status.to_string()),
            (false, message) => message.map(str::to_owned),
        };
        if let Some(said) = said {
            let _ = sender.send(form.message(ERROR, said.as_bytes())).await;
        }
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
    let input = copy_in(&mut stream, stdin, terminal, form);
    // The process' end ends the session. The client's end of input does not: output may still come.
    let (output, mut input) = (std::pin::pin!(output), std::pin::pin!(input));
    let finish = async {
        tokio::join!(output, write);
    };
    tokio::select! {
        () = finish => {}
        gone = input.as_mut() => return gone,
    }
    // What the client still sends is taken: closing before that resets the connection, and the status might be lost.
    let _ = tokio::time::timeout(GOODBYE_MAX, input).await;
    Ok(())
}

async fn copy_out(form: Form, channel: u8, reader: Option<ByteReader>, sender: mpsc::Sender<Message>) {
    let Some(mut reader) = reader else { return };
    let mut buffer = vec![0; CHUNK];
    loop {
        match reader.read(&mut buffer).await {
            // A terminal whose other side is closed reads as an error: that is its end of file.
            Ok(0) | Err(_) => return,
            Ok(count) => {
                if sender.send(form.message(channel, &buffer[..count])).await.is_err() {
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
    form: Form,
) -> io::Result<()> {
    while let Some(message) = stream.next().await {
        let message = message.map_err(io::Error::other)?;
        let bytes = match message {
            Message::Binary(bytes) => bytes,
            Message::Text(text) => bytes::Bytes::from(text),
            Message::Close(_) => return Ok(()),
            _ => continue,
        };
        let Some((channel, data)) = form.parse(bytes) else { continue };
        match (channel, data.as_ref()) {
            (STDIN, []) if !form.closes_channels => {}
            (STDIN, data) => {
                if let Some(writer) = &mut stdin
                    && writer.write_all(data).await.is_err()
                {
                    // The process has closed its input; what it still says is worth waiting for.
                    stdin = None;
                }
            }
            (RESIZE, data) => resize(terminal.as_deref(), data),
            (CLOSE, [STDIN]) if form.closes_channels => {
                if let Some(mut writer) = stdin.take() {
                    let _ = writer.shutdown().await;
                }
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Form, Message, STDIN, STDOUT};

    #[test]
    fn forms_for_browsers_are_digits_and_base64() {
        let plain = Form::of("channel.k8s.io");
        assert_eq!(plain.message(STDOUT, b"hi"), Message::Binary(b"\x01hi".to_vec().into()));
        assert_eq!(plain.parse(b"\x00hi".to_vec().into()), Some((STDIN, b"hi".to_vec().into())));
        let browser = Form::of("v4.base64.channel.k8s.io");
        assert_eq!(browser.message(STDOUT, b"hi"), Message::Text("1aGk=".into()));
        assert_eq!(browser.parse(b"0aGk=".to_vec().into()), Some((STDIN, b"hi".to_vec().into())));
        assert_eq!(browser.parse(b"0?".to_vec().into()), None);
        assert!(browser.tells_status && !plain.tells_status && Form::of("v5.channel.k8s.io").closes_channels);
    }
}
