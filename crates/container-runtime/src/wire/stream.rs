//! The asking end: frames on tokio.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream as BlockingUnixStream;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::Interest;
use tokio::net::UnixStream;

use super::{Inbox, encode, send, widen};

/// A connected socket. Sending and receiving may go on at the same time; each by one task at a time.
#[derive(Debug)]
pub(crate) struct FrameStream {
    socket: UnixStream,
}

impl FrameStream {
    /// Takes over a connected socket. Call it inside a tokio runtime.
    pub(crate) fn new(socket: BlockingUnixStream) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        widen(socket.as_fd());
        Ok(Self { socket: UnixStream::from_std(socket)? })
    }

    /// Sends a frame, waiting for room.
    pub(crate) async fn send<T: Serialize>(&self, message: &T, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        let bytes = encode(message, fds.len())?;
        let (mut sent, mut fds) = (0, fds);
        while sent < bytes.len() {
            let attempt = || send(self.socket.as_fd(), &bytes[sent..], fds).map_err(io::Error::from);
            sent += self.socket.async_io(Interest::WRITABLE, attempt).await?;
            fds = &[];
        }
        Ok(())
    }

    /// Receives a frame. `UnexpectedEof` means that the peer is gone.
    pub(crate) async fn receive<T: DeserializeOwned>(&self, inbox: &mut Inbox) -> io::Result<(T, Vec<OwnedFd>)> {
        loop {
            if let Some(frame) = inbox.next()? {
                return Ok(frame);
            }
            self.socket.async_io(Interest::READABLE, || inbox.read(self.socket.as_fd())).await?;
        }
    }
}
