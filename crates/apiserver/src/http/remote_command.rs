//! exec and attach: what both transports have in common, and how a session is carried over SPDY
//! (upstream: `k8s.io/cri-streaming/pkg/streaming/remotecommand`).

use std::time::Duration;

use client::spdy::{self, Stream, StreamReader, StreamWriter};
use cri::{ByteReader, ExecOptions, ExecSession, RuntimeError, Terminal, TerminalSize};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::sync::mpsc;

use super::upgrade::Served;

/// The protocols of exec and attach.
pub(crate) const SERVED: Served = Served {
    web_socket: &[
        "v5.channel.k8s.io",
        "v4.channel.k8s.io",
        "v4.base64.channel.k8s.io",
        "channel.k8s.io",
        "base64.channel.k8s.io",
    ],
    spdy: &["v4.channel.k8s.io"],
};
/// How long the client may take to open its streams.
const STREAMS_WITHIN: Duration = Duration::from_secs(30);

/// A session and how its end is told.
pub(crate) struct Session {
    pub(crate) streams: ExecSession,
    /// Whether the exit code is told: attach only says that it is over.
    pub(crate) tells_exit_code: bool,
}

/// Sets a terminal's size from what the client says: `{"Width":80,"Height":24}`.
pub(crate) fn resize(terminal: Option<&dyn Terminal>, data: &[u8]) {
    let Ok(size) = serde_json::from_slice::<Value>(data) else { return };
    let cells = |key: &str| size[key].as_u64().and_then(|n| u16::try_from(n).ok()).unwrap_or(0);
    if let Some(terminal) = terminal {
        // A terminal that is closed has no size.
        let _ = terminal.resize(TerminalSize { width: cells("Width"), height: cells("Height") });
    }
}

/// What the client is told at the end.
pub(crate) fn exit_status(exit: Result<i32, RuntimeError>, tells_exit_code: bool) -> Value {
    match exit {
        Ok(code) if code != 0 && tells_exit_code => json!({
            "metadata": {}, "status": "Failure", "reason": "NonZeroExitCode",
            "message": format!("command terminated with non-zero exit code: exit status {code}"),
            "details": {"causes": [{"reason": "ExitCode", "message": code.to_string()}]},
        }),
        Ok(_) => json!({"metadata": {}, "status": "Success"}),
        Err(error) => {
            let doing = if tells_exit_code { "executing command in" } else { "attaching to" };
            let text = format!("error {doing} container: {error}");
            json!({
                "metadata": {}, "status": "Failure", "reason": "InternalError",
                "message": format!("Internal error occurred: {text}"),
                "details": {"causes": [{"message": text}]}, "code": 500,
            })
        }
    }
}

/// The streams of one session, each if it was asked for.
#[derive(Default)]
struct Streams {
    error: Option<StreamWriter>,
    stdin: Option<StreamReader>,
    stdout: Option<StreamWriter>,
    stderr: Option<StreamWriter>,
    resize: Option<StreamReader>,
}

impl Streams {
    /// Waits for all streams that the request has announced.
    async fn collect(opened: &mut mpsc::Receiver<Stream>, options: &ExecOptions) -> Option<Self> {
        let flags = [options.stdin, options.stdout, options.stderr && !options.tty, options.tty];
        let wanted = 1 + flags.into_iter().filter(|flag| *flag).count();
        let mut streams = Self::default();
        let mut count = 0;
        while count < wanted {
            let Stream { headers, reader, writer, .. } = opened.recv().await?;
            match headers.get("streamtype").map(String::as_str) {
                Some("error") => streams.error = Some(writer),
                Some("stdin") => streams.stdin = Some(reader),
                Some("stdout") => streams.stdout = Some(writer),
                Some("stderr") => streams.stderr = Some(writer),
                Some("resize") => streams.resize = Some(reader),
                _ => {
                    writer.reset().await.ok()?;
                    continue;
                }
            }
            count += 1;
        }
        Some(streams)
    }
}

/// Carries a session over SPDY until the process ends or the client hangs up.
pub(crate) async fn over_spdy(connection: Upgraded, session: Session, options: ExecOptions) {
    let (reader, writer) = tokio::io::split(TokioIo::new(connection));
    let (mut opened, farewell, work) = spdy::serve(reader, writer);
    let session = async {
        match tokio::time::timeout(STREAMS_WITHIN, Streams::collect(&mut opened, &options)).await {
            Ok(Some(streams)) => carry(streams, session).await,
            Ok(None) => {}
            Err(_) => tracing::debug!("the client did not open its streams in time"),
        }
        farewell.say().await;
        // The connection's end is the end.
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = work => {}
        () = session => {}
    }
}

async fn carry(streams: Streams, session: Session) {
    let Session { streams: ExecSession { stdin, stdout, stderr, terminal, exit }, tells_exit_code } = session;
    let input = async {
        if let (Some(mut from), Some(mut to)) = (streams.stdin, stdin) {
            // A process that has closed its input may still say something.
            let _ = tokio::io::copy(&mut from, &mut to).await;
            let _ = to.shutdown().await;
        }
    };
    let sizes = async {
        let Some(from) = streams.resize else { return };
        let mut lines = BufReader::new(from).split(b'\n');
        while let Ok(Some(line)) = lines.next_segment().await {
            resize(terminal.as_deref(), &line);
        }
    };
    let output = async {
        tokio::join!(copy_out(stdout, streams.stdout), copy_out(stderr, streams.stderr));
        let status = exit_status(exit.await, tells_exit_code).to_string();
        if let Some(error) = streams.error {
            // Whoever is gone need not be told.
            let _ = error.write(status.into()).await;
            let _ = error.finish().await;
        }
    };
    let forever = async {
        tokio::join!(input, sizes);
        std::future::pending::<()>().await;
    };
    // The process' end ends the session. The client's end of input does not: output may still come.
    tokio::select! {
        () = output => {}
        () = forever => {}
    }
}

async fn copy_out(reader: Option<ByteReader>, writer: Option<StreamWriter>) {
    let Some(writer) = writer else { return };
    if let Some(mut reader) = reader
        && writer.copy_from(&mut reader).await.is_err()
    {
        return;
    }
    // Whoever is gone need not be told.
    let _ = writer.finish().await;
}
