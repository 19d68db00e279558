//! Streams of processes, from descriptors: bytes do not pass through supervisors.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use cri::{ByteReader, ByteWriter, Terminal, TerminalSize};
use rustix::io::Errno;
use rustix::termios::{Winsize, tcsetwinsize};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::unix::pipe;

/// The reading end of a pipe.
pub(super) fn reader(fd: OwnedFd) -> io::Result<ByteReader> {
    Ok(Box::new(pipe::Receiver::from_owned_fd(fd)?))
}

/// The writing end of a pipe.
pub(super) fn writer(fd: OwnedFd) -> io::Result<ByteWriter> {
    Ok(Box::new(pipe::Sender::from_owned_fd(fd)?))
}

/// A terminal's other end. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct TerminalStream {
    fd: Arc<AsyncFd<OwnedFd>>,
}

impl TerminalStream {
    pub(super) fn new(fd: OwnedFd) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&fd, true)?;
        Ok(Self { fd: Arc::new(crate::sys::readiness::register(fd)?) })
    }
}

impl Terminal for TerminalStream {
    fn resize(&self, size: TerminalSize) -> io::Result<()> {
        let size = Winsize { ws_row: size.height, ws_col: size.width, ws_xpixel: 0, ws_ypixel: 0 };
        Ok(tcsetwinsize(self.fd.get_ref().as_fd(), size)?)
    }
}

impl AsyncRead for TerminalStream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            let mut guard = ready!(self.fd.poll_read_ready(context))?;
            let read = guard.try_io(|fd| Ok(rustix::io::read(fd.get_ref(), buffer.initialize_unfilled())?));
            match read {
                Err(_would_block) => {}
                Ok(Ok(length)) => {
                    buffer.advance(length);
                    return Poll::Ready(Ok(()));
                }
                // The last user of the terminal is gone: that is its end of file.
                Ok(Err(error)) if error.raw_os_error() == Some(Errno::IO.raw_os_error()) => return Poll::Ready(Ok(())),
                Ok(Err(error)) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for TerminalStream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            let mut guard = ready!(self.fd.poll_write_ready(context))?;
            if let Ok(written) = guard.try_io(|fd| Ok(rustix::io::write(fd.get_ref(), bytes)?)) {
                return Poll::Ready(written);
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A terminal has no half-close; end of input is a character that the user sends.
        Poll::Ready(Ok(()))
    }
}
