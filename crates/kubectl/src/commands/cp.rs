//! `kubectl cp` (upstream: `kubectl/pkg/cmd/cp`): tar through `exec`, in both directions.

mod archive;
mod paths;

use std::io::{Error, Read, Result as IoResult, Write};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use clap::Args;
use serde_json::Value;
use tokio::sync::mpsc;

use self::archive::{Extraction, extract, pack};
use self::paths::{base, clean, directory, join, strip_shortcuts, strip_trailing_slash};
use super::exec::{Streams, path, refuse_ended};
use crate::context::Context;
use crate::error::KubectlError;
use crate::flags::values;
use crate::pods;
use crate::remote::{Output, Session};
use crate::resource::{Requests, Selection};
use apimachinery::gotext::quote;

/// How long the container may take to say whether a path is a directory.
const CHECK_TIMEOUT: Duration = Duration::from_secs(30);
/// How many pieces of an archive wait between the session and the disk, at up to 64 KiB each.
const QUEUE: usize = 16;
/// How much of an archive is sent at once.
const PIECE_BYTES: usize = 32 * 1024;

/// Copy files and directories to and from containers, which must have tar.
#[derive(Debug, Args)]
pub(crate) struct CpCommand {
    /// From where and to where: a path, or [NAMESPACE/]POD:PATH
    #[arg(value_name = "SOURCE DESTINATION")]
    arguments: Vec<String>,
    /// The container
    #[arg(long, short)]
    container: Option<String>,
    /// Do not keep owners and permissions in the container
    #[arg(long)]
    no_preserve: bool,
    /// How often to go on after a broken connection; negative for without end
    #[arg(long, value_parser = values::int64, default_value = "0", allow_negative_numbers = true)]
    retries: i64,
}

/// One side of a copy.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    namespace: String,
    /// Empty for a path of this machine.
    pod: String,
    path: String,
}

impl Place {
    fn parse(argument: &str) -> Result<Self, KubectlError> {
        let fault = || KubectlError::new("filespec must match the canonical format: [[namespace/]pod:]file/path");
        let Some((pod, path)) = argument.split_once(':') else {
            let path = strip_trailing_slash(argument).to_owned();
            return Ok(Self { namespace: String::new(), pod: String::new(), path });
        };
        let (namespace, pod) = match pod.split('/').collect::<Vec<_>>().as_slice() {
            [""] => return Err(fault()),
            [pod] => (String::new(), (*pod).to_owned()),
            [namespace, pod] => ((*namespace).to_owned(), (*pod).to_owned()),
            _ => return Err(fault()),
        };
        Ok(Self { namespace, pod, path: strip_trailing_slash(path).replace('\\', "/") })
    }
}

impl CpCommand {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), KubectlError> {
        let [source, destination] = self.arguments.as_slice() else {
            return Err(KubectlError::new("source and destination are required"));
        };
        let (source, destination) = (Place::parse(source)?, Place::parse(destination)?);
        if !source.pod.is_empty() && !destination.pod.is_empty() {
            return Err(KubectlError::new("one of src or dest must be a local file specification"));
        }
        if source.path.is_empty() || destination.path.is_empty() {
            return Err(KubectlError::new("filepath can not be empty"));
        }
        match (source.pod.is_empty(), destination.pod.is_empty()) {
            (false, _) => self.download(context, source, destination.path).await,
            (_, false) => self.upload(context, source.path, destination).await,
            _ => Err(KubectlError::new("one of src or dest must be a remote file specification")),
        }
    }

    async fn upload(&self, context: &Context, source: String, destination: Place) -> Result<(), KubectlError> {
        if std::fs::metadata(&source).is_err() {
            return Err(KubectlError::new(format!("{source} doesn't exist in local filesystem")));
        }
        let remote = self.remote(context, &destination).await?;
        let mut target = destination.path.clone();
        let words = ["test", "-d", &target].map(str::to_owned);
        let check = remote.run(context, &words, None, Output::Discard, Output::Discard);
        match tokio::time::timeout(CHECK_TIMEOUT, check).await {
            Err(_) => return Err(KubectlError::new("context deadline exceeded")),
            Ok(Ok(())) => target = join(&target, &base(&source)),
            Ok(Err(_)) => {}
        }
        let mut words = vec!["tar".to_owned()];
        if self.no_preserve {
            words.extend(["--no-same-permissions", "--no-same-owner"].map(str::to_owned));
        }
        words.extend(["-xmf", "-"].map(str::to_owned));
        let into = directory(&target);
        if !into.is_empty() {
            words.extend(["-C".to_owned(), into]);
        }
        let (sender, receiver) = mpsc::channel(QUEUE);
        let name = base(&clean(&target));
        let packing = context.supervisor.blocking(move || pack(&source, &name, Pipe { sender, piece: Vec::new() }));
        let output = Output::Out(context.printer.clone());
        let unpacking = remote.run(context, &words, Some(receiver), output, Output::Err(context.printer.clone()));
        let (packed, unpacked) = tokio::join!(packing, unpacking);
        // The container's tar says best why it stopped reading.
        unpacked?;
        match packed {
            Some(Err(error)) => Err(KubectlError::new(error.to_string())),
            _ => Ok(()),
        }
    }

    async fn download(&self, context: &Context, source: Place, destination: String) -> Result<(), KubectlError> {
        let remote = self.remote(context, &source).await?;
        let (sender, receiver) = mpsc::channel(QUEUE);
        let plan = Extraction {
            prefix: strip_shortcuts(&clean(source.path.trim_start_matches(['/', '\\']))).to_owned(),
            destination,
            symlink_hint: format!(
                "kubectl exec -n {} {} -- tar cf - {} | tar xf -",
                quote(&source.namespace),
                quote(&source.pod),
                quote(&source.path)
            ),
        };
        let printer = context.printer.clone();
        let reader = PipeEnd { receiver, rest: Bytes::new() };
        let extracting = context.supervisor.blocking(move || extract(&plan, reader, |text| printer.err_line(text)));
        let (extracted, sent) = tokio::join!(extracting, self.send_archive(context, &remote, &source.path, sender));
        match extracted {
            Some(Err(error)) if sent.is_ok() || sent == Err(KubectlError::ReaderGone) => {
                Err(KubectlError::new(error.to_string()))
            }
            _ => sent,
        }
    }

    /// Runs tar in the container, again from where it broke off as often as is allowed.
    async fn send_archive(
        &self,
        context: &Context,
        remote: &Remote,
        source: &str,
        sender: mpsc::Sender<Bytes>,
    ) -> Result<(), KubectlError> {
        let mut received: u64 = 0;
        let mut retries = 0;
        loop {
            let words = if self.retries == 0 {
                ["tar", "cf", "-", source].map(str::to_owned).to_vec()
            } else {
                let quoted = source.replace('\'', "'\\''");
                let script = format!("tar cf - '{quoted}' | tail -c+{}", received + 1);
                ["sh", "-c", &script].map(str::to_owned).to_vec()
            };
            let (piece_sender, mut pieces) = mpsc::channel::<Bytes>(QUEUE);
            let errors = Output::Out(context.printer.clone());
            let run = remote.run(context, &words, None, Output::Pipe(piece_sender), errors);
            let hand_on = async {
                while let Some(piece) = pieces.recv().await {
                    received += piece.len() as u64;
                    if sender.send(piece).await.is_err() {
                        return false;
                    }
                }
                true
            };
            let (outcome, is_read) = tokio::join!(run, hand_on);
            let broken = match outcome {
                Err(error @ (KubectlError::Exit { .. } | KubectlError::ReaderGone)) => return Err(error),
                Err(error) if is_read => error,
                other => return other,
            };
            if self.retries >= 0 && retries >= self.retries {
                return Err(broken);
            }
            retries += 1;
            let text = format!("Resuming copy at {received} bytes, retry {retries}/{}", self.retries);
            context.printer.line(text)?;
        }
    }

    async fn remote(&self, context: &Context, place: &Place) -> Result<Remote, KubectlError> {
        let namespace = match place.namespace.as_str() {
            "" => context.namespace()?,
            namespace => namespace,
        };
        let resource = context.resource("pods").await?;
        let requests = Requests::new(context.client()?);
        let pod = requests.get(&resource, namespace, &place.pod, &Selection::default()).await?;
        refuse_ended(&pod, "exec into")?;
        let named = self.container.as_deref().unwrap_or_default();
        let container = pods::container_or_default(context, &pod, named, false)?.clone();
        Ok(Remote { pod, container })
    }
}

/// Where commands run.
struct Remote {
    pod: Value,
    container: Value,
}

impl Remote {
    async fn run(
        &self,
        context: &Context,
        words: &[String],
        input: Option<mpsc::Receiver<Bytes>>,
        output: Output,
        errors: Output,
    ) -> Result<(), KubectlError> {
        let streams = Streams { stdin: input.is_some(), stderr: true, tty: false };
        let path = path(&self.pod, "exec", &self.container, streams, words);
        Session { input, output, errors, sizes: None }.run(context.client()?, &path).await
    }
}

/// Writes into a session's input, from a thread that may block.
struct Pipe {
    sender: mpsc::Sender<Bytes>,
    piece: Vec<u8>,
}

impl Write for Pipe {
    fn write(&mut self, data: &[u8]) -> IoResult<usize> {
        self.piece.extend_from_slice(data);
        if self.piece.len() >= PIECE_BYTES {
            self.flush()?;
        }
        Ok(data.len())
    }

    fn flush(&mut self) -> IoResult<()> {
        let piece = std::mem::take(&mut self.piece);
        if piece.is_empty() {
            return Ok(());
        }
        self.sender.blocking_send(piece.into()).map_err(|_| Error::other("the container reads no more"))
    }
}

/// Reads what a session wrote, from a thread that may block.
struct PipeEnd {
    receiver: mpsc::Receiver<Bytes>,
    rest: Bytes,
}

impl Read for PipeEnd {
    fn read(&mut self, buffer: &mut [u8]) -> IoResult<usize> {
        while self.rest.is_empty() {
            match self.receiver.blocking_recv() {
                Some(piece) => self.rest = piece,
                None => return Ok(0),
            }
        }
        let length = self.rest.len().min(buffer.len());
        self.rest.copy_to_slice(&mut buffer[..length]);
        Ok(length)
    }
}

#[cfg(test)]
mod tests;
