//! Commands in containers over a WebSocket (upstream: `client-go/tools/remotecommand`, protocol `v5.channel.k8s.io`).

use std::convert::Infallible;
use std::io::Read as _;

use bytes::Bytes;
use client::RestClient;
use component_base::Supervisor;
use futures_util::{Sink, SinkExt as _, Stream, StreamExt as _};
use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::{self, Message};

use crate::error::KubectlError;
use crate::printer::Printer;
use crate::terminal::{Detacher, RawMode, Size, size};

/// The protocol that upstream's client speaks first: the fifth, which can close single streams.
const PROTOCOL: &str = "v5.channel.k8s.io";

/// The channels: the first byte of each message.
const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const ERROR: u8 = 3;
const RESIZE: u8 = 4;
const CLOSE: u8 = 255;

/// What is read of standard input at once: upstream's buffer.
const INPUT_BYTES: usize = 32 * 1024;
/// How many pieces of input, or sizes, wait to be sent.
const QUEUE: usize = 1;

/// Where a stream of the command goes.
#[derive(Debug)]
pub(crate) enum Output {
    /// Standard output.
    Out(Printer),
    /// Standard error.
    Err(Printer),
    /// To whoever reads the other end.
    Pipe(mpsc::Sender<Bytes>),
    /// Nowhere.
    Discard,
}

impl Output {
    async fn write(&self, data: Bytes) -> Result<(), KubectlError> {
        match self {
            Self::Out(printer) => printer.out(data),
            Self::Err(printer) => {
                printer.err(data);
                Ok(())
            }
            Self::Pipe(sender) => sender.send(data).await.map_err(|_| KubectlError::ReaderGone),
            Self::Discard => Ok(()),
        }
    }
}

/// What a command is connected to.
#[derive(Debug)]
pub(crate) struct Session {
    /// Its input; its end closes the command's.
    pub(crate) input: Option<mpsc::Receiver<Bytes>>,
    /// Its standard output.
    pub(crate) output: Output,
    /// Its standard error.
    pub(crate) errors: Output,
    /// The sizes of its terminal, the present one first.
    pub(crate) sizes: Option<mpsc::Receiver<Size>>,
}

impl Session {
    /// Runs until the command ends, or the server ends the session. A command that fails is an error with its exit code.
    pub(crate) async fn run(self, client: &RestClient, path_and_query: &str) -> Result<(), KubectlError> {
        let Self { input, output, errors, sizes } = self;
        let socket = client.websocket(path_and_query, &[PROTOCOL]).await?;
        if socket.protocol != PROTOCOL {
            return Err(KubectlError::new(format!(
                "unable to upgrade connection: the server does not speak {PROTOCOL}, but {:?}",
                socket.protocol
            )));
        }
        let (sender, receiver) = socket.stream.split();
        // Reading must go on while a write waits: a command may stop reading until its output is taken.
        tokio::select! {
            outcome = receive(receiver, &output, &errors) => outcome,
            never = send(sender, input, sizes) => match never {},
        }
    }
}

/// Sends input and sizes for as long as that goes.
async fn send(
    mut socket: impl Sink<Message, Error = tungstenite::Error> + Unpin,
    mut input: Option<mpsc::Receiver<Bytes>>,
    mut sizes: Option<mpsc::Receiver<Size>>,
) -> Infallible {
    async fn next<T>(receiver: &mut Option<mpsc::Receiver<T>>) -> Option<T> {
        match receiver {
            Some(receiver) => receiver.recv().await,
            None => std::future::pending().await,
        }
    }
    loop {
        let message = tokio::select! {
            chunk = next(&mut input) => match chunk {
                Some(chunk) => [&[STDIN], chunk.as_ref()].concat(),
                None => {
                    input = None;
                    vec![CLOSE, STDIN]
                }
            },
            size = next(&mut sizes) => match size {
                Some(Size { width, height }) => {
                    [&[RESIZE], serde_json::json!({"Width": width, "Height": height}).to_string().as_bytes()].concat()
                }
                None => {
                    sizes = None;
                    continue;
                }
            },
        };
        // A command may end before it has read all: the receiver knows how, and whether the connection broke.
        if socket.send(Message::binary(message)).await.is_err() {
            drop((input, sizes));
            return std::future::pending().await;
        }
    }
}

/// Hands output on until the server closes, and says how the command ended.
async fn receive(
    mut socket: impl Stream<Item = Result<Message, tungstenite::Error>> + Unpin,
    output: &Output,
    errors: &Output,
) -> Result<(), KubectlError> {
    let mut status = Vec::new();
    loop {
        let mut data = match socket.next().await {
            Some(Ok(Message::Binary(data))) => data,
            Some(Ok(Message::Close(_))) | None => return ended(&status),
            Some(Ok(_)) => continue,
            // A server may drop the connection once it has said how the command ended.
            Some(Err(_)) if !status.is_empty() => return ended(&status),
            Some(Err(error)) => return Err(KubectlError::new(format!("error reading from the container: {error}"))),
        };
        if data.is_empty() {
            continue;
        }
        let channel = data.split_to(1)[0];
        match channel {
            STDOUT if !data.is_empty() => output.write(data).await?,
            STDERR if !data.is_empty() => errors.write(data).await?,
            ERROR => status.extend_from_slice(&data),
            _ => {}
        }
    }
}

/// What the status on the error channel says; nothing is success.
fn ended(status: &[u8]) -> Result<(), KubectlError> {
    if status.is_empty() {
        return Ok(());
    }
    let shown = || String::from_utf8_lossy(status).into_owned();
    let fault = |text: String| Err(KubectlError::new(format!("error stream protocol error: {text}")));
    let status: Value = match serde_json::from_slice(status) {
        Ok(status) => status,
        Err(error) => return fault(format!("{error} in {:?}", shown())),
    };
    match status["status"].as_str() {
        Some("Success") => Ok(()),
        Some("Failure") if status["reason"] == "NonZeroExitCode" => {
            let causes = status["details"]["causes"].as_array();
            let cause = causes.into_iter().flatten().find(|cause| cause["reason"] == "ExitCode");
            let Some(text) = cause.map(|cause| cause["message"].as_str().unwrap_or_default()) else {
                return fault("no ExitCode cause given".to_owned());
            };
            match text.parse::<u8>() {
                Ok(code) => Err(KubectlError::Exit { text: format!("command terminated with exit code {code}"), code }),
                Err(_) => fault(format!("invalid exit code value {text:?}")),
            }
        }
        Some("Failure") => Err(KubectlError::new(status["message"].as_str().unwrap_or_default())),
        other => fault(format!("unknown status {:?}", other.unwrap_or_default())),
    }
}

/// Standard input in pieces, up to its end or to the keys that detach.
pub(crate) fn standard_input(supervisor: &Supervisor, mut detacher: Option<Detacher>) -> mpsc::Receiver<Bytes> {
    let (sender, receiver) = mpsc::channel(QUEUE);
    let reader = supervisor.clone();
    supervisor.spawn("standard input", async move {
        loop {
            let read = || {
                let mut buffer = vec![0; INPUT_BYTES];
                let length = std::io::stdin().lock().read(&mut buffer).unwrap_or(0);
                buffer.truncate(length);
                buffer
            };
            let Some(typed) = reader.blocking(read).await.filter(|typed| !typed.is_empty()) else {
                return;
            };
            let (handed_on, detached) = match &mut detacher {
                Some(detacher) => detacher.filter(&typed),
                None => (typed, false),
            };
            if (!handed_on.is_empty() && sender.send(handed_on.into()).await.is_err()) || detached {
                return;
            }
        }
    });
    receiver
}

/// The sizes of the terminal: `first` ones, then one whenever it changes.
pub(crate) fn sizes(supervisor: &Supervisor, first: Vec<Size>) -> mpsc::Receiver<Size> {
    let (sender, receiver) = mpsc::channel(QUEUE);
    supervisor.spawn("terminal size", async move {
        for size in first {
            if sender.send(size).await.is_err() {
                return;
            }
        }
        let Ok(mut changes) = signal(SignalKind::window_change()) else {
            return;
        };
        while changes.recv().await.is_some() {
            if let Some(size) = size()
                && sender.send(size).await.is_err()
            {
                return;
            }
        }
    });
    receiver
}

/// Runs `session` with the terminal in raw mode where `raw` is set. It is put back however this ends, also by a signal.
pub(crate) async fn in_terminal(
    raw: bool,
    session: impl Future<Output = Result<(), KubectlError>>,
) -> Result<(), KubectlError> {
    if !raw {
        return session.await;
    }
    let mode = RawMode::begin()?;
    let interrupted = async {
        let listen = |kind| signal(kind).map_err(|error| KubectlError::new(error.to_string()));
        let mut hangup = listen(SignalKind::hangup())?;
        let mut interrupt = listen(SignalKind::interrupt())?;
        let mut terminate = listen(SignalKind::terminate())?;
        let mut quit = listen(SignalKind::quit())?;
        tokio::select! {
            _ = hangup.recv() => {}
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = quit.recv() => {}
        }
        Err(KubectlError::Exit { text: String::new(), code: 1 })
    };
    let outcome = tokio::select! {
        outcome = session => outcome,
        outcome = interrupted => outcome,
    };
    drop(mode);
    outcome
}

#[cfg(test)]
mod tests;
