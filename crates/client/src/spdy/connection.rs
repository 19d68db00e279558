//! One connection: a reader that hands frames to streams, and a writer that sends what streams say.
//!
//! Who writes: whoever holds a stream's writer, through one bounded queue, so that frames of one stream keep their order. Who
//! reads: whoever holds a stream's reader, from a bounded queue of its own.

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::sync::mpsc;

use super::Headers;
use super::frame::{Decoder, Encoder, Frame, HEAD_BYTES, Head};

/// The most bytes that are read, and then said, at once.
const CHUNK: usize = 32 << 10;
/// Frames that wait to be sent: with 32 KiB each, 512 KiB a connection.
const FRAMES_MAX: usize = 16;
/// Pieces of a stream that wait to be read: with 32 KiB each, 512 KiB a stream.
const CHUNKS_MAX: usize = 16;
/// Streams that wait to be taken.
const STREAMS_WAITING_MAX: usize = 16;
/// Streams of one connection at once: two for each forwarded connection, so 500 of those.
const STREAMS_MAX: usize = 1000;
/// How long the client may take to hang up after the farewell. If we hung up first, what is under way could be lost.
const LINGER: Duration = Duration::from_secs(5);

/// RST_STREAM: the client broke the rules; the server takes no more streams; nobody wants this any more.
const PROTOCOL_ERROR: u32 = 1;
const REFUSED_STREAM: u32 = 3;
const CANCEL: u32 = 5;

/// A stream that the client has opened.
#[derive(Debug)]
pub struct Stream {
    /// Its number, odd.
    pub id: u32,
    /// What it is for.
    pub headers: Headers,
    /// What the other side says.
    pub reader: StreamReader,
    /// What this side says.
    pub writer: StreamWriter,
}

/// What the other side says on a stream.
#[derive(Debug)]
pub struct StreamReader {
    chunks: mpsc::Receiver<Bytes>,
    current: Bytes,
}

impl AsyncRead for StreamReader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.current.is_empty() {
            match ready!(self.chunks.poll_recv(context)) {
                Some(chunk) => self.current = chunk,
                None => return Poll::Ready(Ok(())),
            }
        }
        let count = self.current.len().min(buffer.remaining());
        buffer.put_slice(&self.current[..count]);
        self.current.advance(count);
        Poll::Ready(Ok(()))
    }
}

/// What this side says on a stream. An error means that the connection is gone.
#[derive(Debug, Clone)]
pub struct StreamWriter {
    id: u32,
    frames: mpsc::Sender<Frame>,
}

impl StreamWriter {
    async fn send(&self, frame: Frame) -> io::Result<()> {
        self.frames.send(frame).await.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    /// Says something.
    pub async fn write(&self, bytes: Bytes) -> io::Result<()> {
        self.send(Frame::Data { id: self.id, fin: false, bytes }).await
    }

    /// Says all that `reader` gives, to its end. A reader's error is its end too: a terminal whose other side is closed reads as
    /// one.
    pub async fn copy_from(&self, reader: &mut (impl AsyncRead + Unpin)) -> io::Result<()> {
        let mut buffer = vec![0; CHUNK];
        while let Ok(count @ 1..) = reader.read(&mut buffer).await {
            self.write(Bytes::copy_from_slice(&buffer[..count])).await?;
        }
        Ok(())
    }

    /// Says nothing more; the other side may go on.
    pub async fn finish(&self) -> io::Result<()> {
        self.send(Frame::Data { id: self.id, fin: true, bytes: Bytes::new() }).await
    }

    /// Ends the stream both ways.
    pub async fn reset(&self) -> io::Result<()> {
        self.send(Frame::RstStream { id: self.id, status: CANCEL }).await
    }
}

/// Ends the connection when all that was said before is sent.
#[derive(Debug)]
pub struct Farewell {
    frames: mpsc::Sender<Frame>,
}

impl Farewell {
    /// Says it.
    pub async fn say(self) {
        // Whoever is gone needs none.
        let _ = self.frames.send(Frame::GoAway { last: 0 }).await;
    }
}

/// Serves a connection: gives the streams as they are opened, the way to end it, and the work itself, which is over when the
/// connection is.
pub fn serve<R, W>(reader: R, writer: W) -> (mpsc::Receiver<Stream>, Farewell, impl Future<Output = ()> + Send)
where
    R: AsyncRead + Send + Unpin,
    W: AsyncWrite + Send + Unpin,
{
    let (frames, queue) = mpsc::channel(FRAMES_MAX);
    let (opened, streams) = mpsc::channel(STREAMS_WAITING_MAX);
    let farewell = Farewell { frames: frames.clone() };
    let side = Side::Server { opened, last: 0 };
    (streams, farewell, carry(reader, writer, queue, Reading { frames, side, open: Arc::default() }))
}

/// Opens streams on a connection, one after the other.
#[derive(Debug)]
pub struct Opener {
    frames: mpsc::Sender<Frame>,
    open: Open,
    next: u32,
}

impl Opener {
    /// Opens a stream. An error means that the connection is gone.
    pub async fn open(&mut self, headers: Headers) -> io::Result<Stream> {
        let id = self.next;
        self.next = id.checked_add(2).ok_or_else(|| io::Error::other("a SPDY connection is out of streams"))?;
        let (chunks, receiver) = mpsc::channel(CHUNKS_MAX);
        self.open.lock().insert(id, chunks);
        let writer = StreamWriter { id, frames: self.frames.clone() };
        writer.send(Frame::SynStream { id, fin: false, headers: headers.clone() }).await?;
        Ok(Stream { id, headers, reader: StreamReader { chunks: receiver, current: Bytes::new() }, writer })
    }
}

/// The client's side of a connection: opens streams; and the work itself, which is over when the connection is.
pub fn connect<R, W>(reader: R, writer: W) -> (Opener, impl Future<Output = ()> + Send)
where
    R: AsyncRead + Send + Unpin,
    W: AsyncWrite + Send + Unpin,
{
    let (frames, queue) = mpsc::channel(FRAMES_MAX);
    let open = Open::default();
    let opener = Opener { frames: frames.clone(), open: open.clone(), next: 1 };
    (opener, carry(reader, writer, queue, Reading { frames, side: Side::Client, open }))
}

/// Reads and writes until the connection is over.
async fn carry<R, W>(reader: R, writer: W, queue: mpsc::Receiver<Frame>, state: Reading)
where
    R: AsyncRead + Send + Unpin,
    W: AsyncWrite + Send + Unpin,
{
    let open = state.open.clone();
    let (mut reading, mut writing) = (std::pin::pin!(state.run(reader)), std::pin::pin!(write(writer, queue)));
    let result = tokio::select! {
        result = &mut reading => result,
        result = &mut writing => match result {
            // Over if the other side does not hang up: there is nothing more to say about it.
            Ok(()) => tokio::time::timeout(LINGER, reading).await.unwrap_or(Ok(())),
            failed => failed,
        },
    };
    // Whoever reads a stream learns that nothing more comes.
    open.lock().clear();
    if let Err(error) = result {
        tracing::debug!(error = %error, "a SPDY connection ended early");
    }
}

/// Streams on which the other side has not finished.
type Open = Arc<Mutex<BTreeMap<u32, mpsc::Sender<Bytes>>>>;

/// Which side of the connection this is.
#[derive(Debug)]
enum Side {
    /// It takes streams, whose numbers grow.
    Server { opened: mpsc::Sender<Stream>, last: u32 },
    /// It opens them.
    Client,
}

struct Reading {
    frames: mpsc::Sender<Frame>,
    side: Side,
    open: Open,
}

impl Reading {
    /// Reads until the other side hangs up.
    async fn run(mut self, mut reader: impl AsyncRead + Unpin) -> io::Result<()> {
        let mut decoder = Decoder::new();
        loop {
            let mut head = [0; HEAD_BYTES];
            match reader.read_exact(&mut head).await {
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
                other => other?,
            };
            let head = Head::parse(head).map_err(io::Error::other)?;
            let mut payload = BytesMut::zeroed(head.length);
            reader.read_exact(&mut payload).await?;
            self.take(decoder.decode(head, payload.freeze()).map_err(io::Error::other)?).await?;
        }
    }

    async fn take(&mut self, frame: Frame) -> io::Result<()> {
        match frame {
            Frame::SynStream { id, fin, headers } => self.opened(id, fin, headers).await,
            Frame::Data { id, fin, bytes } => {
                let stream = self.open.lock().get(&id).cloned();
                if let Some(stream) = stream
                    && !bytes.is_empty()
                {
                    // Nobody may want to read it.
                    let _ = stream.send(bytes).await;
                }
                if fin {
                    self.open.lock().remove(&id);
                }
                Ok(())
            }
            Frame::RstStream { id, .. } => {
                self.open.lock().remove(&id);
                Ok(())
            }
            // The numbers of the client's pings are odd. What answers a ping of ours has our parity, and there is none.
            Frame::Ping { id } if id.is_multiple_of(2) == matches!(self.side, Side::Client) => {
                self.send(Frame::Ping { id }).await
            }
            Frame::Ping { .. } | Frame::SynReply { .. } | Frame::GoAway { .. } | Frame::Other => Ok(()),
        }
    }

    async fn opened(&mut self, id: u32, fin: bool, headers: Headers) -> io::Result<()> {
        let Side::Server { opened, last } = &mut self.side else {
            return self.send(Frame::RstStream { id, status: REFUSED_STREAM }).await;
        };
        if id.is_multiple_of(2) || id <= *last {
            return self.send(Frame::RstStream { id, status: PROTOCOL_ERROR }).await;
        }
        *last = id;
        let (opened, full) = (opened.clone(), {
            let mut open = self.open.lock();
            open.retain(|_, stream| !stream.is_closed());
            open.len() >= STREAMS_MAX
        });
        if full {
            return self.send(Frame::RstStream { id, status: REFUSED_STREAM }).await;
        }
        let (chunks, receiver) = mpsc::channel(CHUNKS_MAX);
        if !fin {
            self.open.lock().insert(id, chunks);
        }
        self.send(Frame::SynReply { id, headers: Headers::new() }).await?;
        let reader = StreamReader { chunks: receiver, current: Bytes::new() };
        let stream = Stream { id, headers, reader, writer: StreamWriter { id, frames: self.frames.clone() } };
        if opened.send(stream).await.is_err() {
            return self.send(Frame::RstStream { id, status: REFUSED_STREAM }).await;
        }
        Ok(())
    }

    async fn send(&mut self, frame: Frame) -> io::Result<()> {
        self.frames.send(frame).await.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

/// Sends frames until the farewell.
async fn write<W: AsyncWrite + Unpin>(mut writer: W, mut frames: mpsc::Receiver<Frame>) -> io::Result<()> {
    let mut encoder = Encoder::new().map_err(io::Error::other)?;
    let mut bytes = BytesMut::new();
    while let Some(frame) = frames.recv().await {
        encoder.encode(&frame, &mut bytes).map_err(io::Error::other)?;
        writer.write_all(&bytes).await?;
        bytes.clear();
        let last = matches!(frame, Frame::GoAway { .. });
        if last || frames.is_empty() {
            writer.flush().await?;
        }
        if last {
            break;
        }
    }
    writer.shutdown().await
}

#[cfg(test)]
mod tests;
