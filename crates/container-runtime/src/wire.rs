//! Frames with descriptors over a unix stream socket: between daemon and node init, and daemon and pod supervisors.
//!
//! A frame is its payload's length and its number of descriptors, both `u32` little-endian, then JSON. Unknown fields are
//! ignored and missing ones have defaults, so that a daemon of another version can talk to what an older one left running;
//! what can't be bridged so is refused by the version in the first exchange.

mod stream;

use std::collections::VecDeque;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sockopt,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub(crate) use stream::FrameStream;

/// Largest payload: a container's configuration with the whole environment that exec takes (2 MiB), as JSON.
pub(crate) const FRAME_BYTES_MAX: usize = 8 << 20;
/// Most descriptors in a frame: the three streams of an exec.
pub(crate) const FRAME_FDS_MAX: usize = 4;
/// Bytes that the kernel holds for a peer that does not read. One that is further behind is dropped.
const SOCKET_BUFFER_BYTES: usize = 1 << 20;
const HEADER_LEN: usize = 8;
const READ_BYTES: usize = 16 << 10;

/// Bytes of a frame.
pub(crate) fn encode<T: Serialize>(message: &T, fds: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; HEADER_LEN];
    serde_json::to_writer(&mut bytes, message)?;
    let length = bytes.len() - HEADER_LEN;
    if length > FRAME_BYTES_MAX || fds > FRAME_FDS_MAX {
        return Err(io::Error::other(format!("a frame of {length} bytes and {fds} descriptors is too big")));
    }
    bytes[..4].copy_from_slice(&u32::try_from(length).expect("checked").to_le_bytes());
    bytes[4..8].copy_from_slice(&u32::try_from(fds).expect("checked").to_le_bytes());
    Ok(bytes)
}

/// Raises the socket's buffers.
pub(crate) fn widen(fd: BorrowedFd<'_>) {
    // Without the privilege the default (208 KiB) has to do.
    let _ = sockopt::set_socket_send_buffer_size_force(fd, SOCKET_BUFFER_BYTES);
}

/// Sends some of `bytes`, with `fds` on the first of them.
pub(crate) fn send(socket: BorrowedFd<'_>, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> Result<usize, Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FRAME_FDS_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(Errno::TOOBIG);
    }
    rustix::io::retry_on_intr(|| {
        rustix::net::sendmsg(socket, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL)
    })
}

/// Collects frames from a socket.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    bytes: Vec<u8>,
    fds: VecDeque<OwnedFd>,
}

impl Inbox {
    /// Reads once. An error of kind `UnexpectedEof` means that the peer is gone.
    pub(crate) fn read(&mut self, socket: BorrowedFd<'_>) -> io::Result<()> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FRAME_FDS_MAX))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut chunk = [0; READ_BYTES];
        let received = rustix::io::retry_on_intr(|| {
            rustix::net::recvmsg(socket, &mut [IoSliceMut::new(&mut chunk)], &mut control, RecvFlags::CMSG_CLOEXEC)
        })?;
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(fds) = message {
                self.fds.extend(fds);
            }
        }
        if received.bytes == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.bytes.extend_from_slice(&chunk[..received.bytes]);
        Ok(())
    }

    /// The next whole frame, if there is one.
    pub(crate) fn next<T: DeserializeOwned>(&mut self) -> io::Result<Option<(T, Vec<OwnedFd>)>> {
        let Some(header) = self.bytes.first_chunk::<HEADER_LEN>() else { return Ok(None) };
        let word =
            |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]) as usize;
        let (length, fds) = (word(0), word(4));
        if length > FRAME_BYTES_MAX || fds > FRAME_FDS_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "malformed frame header"));
        }
        let end = HEADER_LEN + length;
        if self.bytes.len() < end {
            return Ok(None);
        }
        if self.fds.len() < fds {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a frame came without its descriptors"));
        }
        let message = serde_json::from_slice(&self.bytes[HEADER_LEN..end])?;
        self.bytes.drain(..end);
        Ok(Some((message, self.fds.drain(..fds).collect())))
    }
}

/// The serving end: non-blocking, in a poll loop.
#[derive(Debug)]
pub(crate) struct Connection {
    socket: OwnedFd,
    inbox: Inbox,
}

impl Connection {
    pub(crate) fn new(socket: OwnedFd) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&socket, true)?;
        widen(socket.as_fd());
        Ok(Self { socket, inbox: Inbox::default() })
    }

    /// Sends a whole frame or fails: whoever does not read is dropped by the caller.
    pub(crate) fn send<T: Serialize>(&self, message: &T, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        let bytes = encode(message, fds.len())?;
        if send(self.socket.as_fd(), &bytes, fds)? == bytes.len() {
            Ok(())
        } else {
            Err(io::ErrorKind::WouldBlock.into())
        }
    }

    /// Reads what is there.
    pub(crate) fn read(&mut self) -> io::Result<()> {
        match self.inbox.read(self.socket.as_fd()) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            other => other,
        }
    }

    pub(crate) fn next<T: DeserializeOwned>(&mut self) -> io::Result<Option<(T, Vec<OwnedFd>)>> {
        self.inbox.next()
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests;
