//! exec and attach over WebSocket: the channel protocol `v5.channel.k8s.io` and `v4.channel.k8s.io`
//! (upstream: `apimachinery/pkg/util/remotecommand`). Each binary message begins with its channel's number.

use std::io;

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
use tokio_util::io::{CopyToBytes, SinkWriter, StreamReader};

use super::remote_command::{Session, exit_status, resize};
use super::upgrade::CHUNK;

const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const ERROR: u8 = 3;
const RESIZE: u8 = 4;
/// v5: the payload names a channel that the client has closed.
const CLOSE: u8 = 255;
/// Messages that wait to be sent: with [`CHUNK`] bytes each, 512 KiB a session.
const QUEUE_MAX: usize = 16;

type Socket = WebSocketStream<TokioIo<hyper::upgrade::Upgraded>>;

async fn socket(connection: Upgraded) -> Socket {
    WebSocketStream::from_raw_socket(TokioIo::new(connection), Role::Server, None).await
}

/// A WebSocket as a stream of bytes: the binary messages one after the other. The writer's shutdown is the closing handshake.
pub(crate) async fn bytes(connection: Upgraded) -> (impl AsyncRead + Send + Unpin, impl AsyncWrite + Send + Unpin) {
    let (sink, stream) = socket(connection).await.split();
    let messages = stream.filter_map(|message| {
        std::future::ready(match message {
            Ok(Message::Binary(bytes)) => Some(Ok(bytes)),
            Ok(_) => None,
            Err(error) => Some(Err(io::Error::other(error))),
        })
    });
    let sink = sink
        .sink_map_err(io::Error::other)
        .with(|bytes: Bytes| std::future::ready(Ok::<_, io::Error>(Message::Binary(bytes))));
    (StreamReader::new(messages), SinkWriter::new(CopyToBytes::new(sink)))
}

/// Carries a session over WebSocket until the process ends or the client hangs up.
pub(crate) async fn carry(connection: Upgraded, session: Session, protocol: &str) {
    let closes_channels = protocol == "v5.channel.k8s.io";
    if let Err(error) = exchange(socket(connection).await, session, closes_channels).await {
        tracing::debug!(error = %error, "exec session ended early");
    }
}

async fn exchange(socket: Socket, session: Session, closes_channels: bool) -> io::Result<()> {
    let (mut sink, mut stream) = socket.split();
    let (sender, mut outgoing) = mpsc::channel::<Message>(QUEUE_MAX);
    let Session { streams: ExecSession { stdin, stdout, stderr, terminal, exit }, tells_exit_code } = session;
    let output = async {
        let copies =
            [(STDOUT, stdout), (STDERR, stderr)].map(|(channel, reader)| copy_out(channel, reader, sender.clone()));
        futures_util::future::join_all(copies).await;
        let status = exit_status(exit.await, tells_exit_code);
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
