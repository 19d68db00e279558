//! Netlink messages and sockets, as far as rtnetlink and nftables share them.

use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, netlink::SocketAddrNetlink};

pub(crate) const NLM_F_REQUEST: u16 = 1;
pub(crate) const NLM_F_ACK: u16 = 4;
pub(crate) const NLM_F_DUMP: u16 = 0x300;
pub(crate) const NLM_F_EXCL: u16 = 0x200;
pub(crate) const NLM_F_CREATE: u16 = 0x400;
pub(crate) const NLM_F_REPLACE: u16 = 0x100;
pub(crate) const NLM_F_APPEND: u16 = 0x800;
pub(crate) const NLMSG_ERROR: u16 = 2;
pub(crate) const NLMSG_DONE: u16 = 3;
/// Length of a message's header.
pub(crate) const HEADER_LEN: usize = 16;
const NLA_F_NESTED: u16 = 0x8000;
const NLA_TYPE_MASK: u16 = 0x3fff;
/// Bytes of one received datagram: the kernel fills dumps up to 32 KiB at a time.
const RECEIVE_MAX: usize = 64 << 10;

/// The kernel refused, or could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum NetlinkError {
    /// No socket.
    #[error("failed to open a netlink socket")]
    Open(#[source] std::io::Error),
    /// The kernel refused.
    #[error("failed to {operation}")]
    Refused {
        /// What was tried on what.
        operation: String,
        /// The kernel's error.
        #[source]
        errno: std::io::Error,
    },
    /// The socket failed.
    #[error("netlink socket failed while trying to {operation}")]
    Socket {
        /// What was tried on what.
        operation: String,
        /// The kernel's error.
        #[source]
        errno: std::io::Error,
    },
    /// The link is not there.
    #[error("no network link called {0:?}")]
    NoSuchLink(String),
    /// A name that the kernel can't take.
    #[error("{0:?} is not a name of a network link: 1 to 15 bytes, no '/' and no space")]
    InvalidName(String),
}

impl NetlinkError {
    pub(crate) fn refused(operation: impl Into<String>, errno: Errno) -> Self {
        Self::Refused { operation: operation.into(), errno: errno.into() }
    }

    pub(crate) fn socket(operation: impl Into<String>, errno: Errno) -> Self {
        Self::Socket { operation: operation.into(), errno: errno.into() }
    }

    /// The kernel's error number, if it gave one.
    #[must_use]
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Refused { errno, .. } | Self::Socket { errno, .. } | Self::Open(errno) => errno.raw_os_error(),
            Self::NoSuchLink(_) => Some(Errno::NODEV.raw_os_error()),
            Self::InvalidName(_) => None,
        }
    }

    /// Whether what was to be made is there already.
    #[must_use]
    pub fn already_exists(&self) -> bool {
        self.errno() == Some(Errno::EXIST.raw_os_error())
    }

    /// Whether what was to be changed or removed is not there.
    #[must_use]
    pub fn not_found(&self) -> bool {
        [Errno::NODEV, Errno::NOENT, Errno::SRCH, Errno::ADDRNOTAVAIL]
            .iter()
            .any(|e| self.errno() == Some(e.raw_os_error()))
    }
}

/// Bytes being written: headers and attributes, each padded to four bytes.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    pub(crate) bytes: Vec<u8>,
}

/// Where something began, so that its length can be filled in.
#[derive(Debug, Clone, Copy)]
#[must_use]
pub(crate) struct Mark(usize);

impl Writer {
    pub(crate) fn begin_message(&mut self, kind: u16, flags: u16, sequence: u32) -> Mark {
        let mark = Mark(self.bytes.len());
        self.bytes.extend_from_slice(&0u32.to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(&flags.to_ne_bytes());
        self.bytes.extend_from_slice(&sequence.to_ne_bytes());
        self.bytes.extend_from_slice(&0u32.to_ne_bytes());
        mark
    }

    pub(crate) fn end_message(&mut self, mark: Mark) {
        let length = u32::try_from(self.bytes.len() - mark.0).expect("a batch is far below 4 GiB");
        self.bytes[mark.0..mark.0 + 4].copy_from_slice(&length.to_ne_bytes());
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    pub(crate) fn attribute(&mut self, kind: u16, data: &[u8]) {
        let length = u16::try_from(data.len() + 4).expect("callers keep attributes below 64 KiB");
        self.bytes.extend_from_slice(&length.to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(data);
        self.pad();
    }

    /// A string with its terminating zero.
    pub(crate) fn string(&mut self, kind: u16, text: &str) {
        let mut data = Vec::with_capacity(text.len() + 1);
        data.extend_from_slice(text.as_bytes());
        data.push(0);
        self.attribute(kind, &data);
    }

    pub(crate) fn u32_ne(&mut self, kind: u16, value: u32) {
        self.attribute(kind, &value.to_ne_bytes());
    }

    pub(crate) fn u32_be(&mut self, kind: u16, value: u32) {
        self.attribute(kind, &value.to_be_bytes());
    }

    pub(crate) fn u64_be(&mut self, kind: u16, value: u64) {
        self.attribute(kind, &value.to_be_bytes());
    }

    pub(crate) fn begin_nest(&mut self, kind: u16) -> Mark {
        let mark = Mark(self.bytes.len());
        self.bytes.extend_from_slice(&[0, 0]);
        self.bytes.extend_from_slice(&(kind | NLA_F_NESTED).to_ne_bytes());
        mark
    }

    pub(crate) fn end_nest(&mut self, mark: Mark) {
        let length = u16::try_from(self.bytes.len() - mark.0).expect("callers split lists below 64 KiB");
        self.bytes[mark.0..mark.0 + 2].copy_from_slice(&length.to_ne_bytes());
    }

    /// Bytes written since `mark`.
    pub(crate) fn since(&self, mark: Mark) -> usize {
        self.bytes.len() - mark.0
    }
}

/// One received message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Message<'a> {
    pub(crate) kind: u16,
    pub(crate) sequence: u32,
    pub(crate) body: &'a [u8],
}

impl Message<'_> {
    /// For an error message: the error, none for an acknowledgement.
    pub(crate) fn error(&self) -> Option<Option<Errno>> {
        if self.kind != NLMSG_ERROR {
            return None;
        }
        let code = self.body.get(..4).and_then(|b| b.try_into().ok()).map_or(0, i32::from_ne_bytes);
        Some((code != 0).then(|| Errno::from_raw_os_error(-code)))
    }
}

/// The messages in a datagram.
pub(crate) fn messages(mut datagram: &[u8]) -> impl Iterator<Item = Message<'_>> {
    std::iter::from_fn(move || {
        let header: &[u8; HEADER_LEN] = datagram.first_chunk()?;
        let word = |at: usize| [header[at], header[at + 1], header[at + 2], header[at + 3]];
        let length = u32::from_ne_bytes(word(0)) as usize;
        let body = datagram.get(HEADER_LEN..length)?;
        let message =
            Message { kind: u16::from_ne_bytes([header[4], header[5]]), sequence: u32::from_ne_bytes(word(8)), body };
        datagram = datagram.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(message)
    })
}

/// The attributes in `data`, as (type, payload).
pub(crate) fn attributes(mut data: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let header: &[u8; 4] = data.first_chunk()?;
        let length = u16::from_ne_bytes([header[0], header[1]]) as usize;
        let kind = u16::from_ne_bytes([header[2], header[3]]) & NLA_TYPE_MASK;
        let payload = data.get(4..length)?;
        data = data.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, payload))
    })
}

/// A blocking netlink socket. It stays in the network namespace in which it was opened, whatever namespace its owner enters.
#[derive(Debug)]
pub(crate) struct Socket {
    pub(crate) fd: OwnedFd,
    buffer: Vec<u8>,
}

impl Socket {
    pub(crate) fn open(protocol: Option<Protocol>, groups: u32) -> Result<Self, NetlinkError> {
        let open = |e: Errno| NetlinkError::Open(e.into());
        let fd = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, protocol)
            .map_err(open)?;
        rustix::net::bind(&fd, &SocketAddrNetlink::new(0, groups)).map_err(open)?;
        Ok(Self { fd, buffer: vec![] })
    }

    pub(crate) fn send(&self, bytes: &[u8]) -> Result<(), Errno> {
        rustix::io::retry_on_intr(|| rustix::net::send(&self.fd, bytes, SendFlags::empty())).map(drop)
    }

    /// One datagram.
    pub(crate) fn receive(&mut self, flags: RecvFlags) -> Result<&[u8], Errno> {
        // Grown on first use: supervisors open sockets that they use only briefly.
        self.buffer.resize(RECEIVE_MAX, 0);
        let Self { fd, buffer } = self;
        let (length, _) = rustix::io::retry_on_intr(|| rustix::net::recv(&*fd, buffer.as_mut_slice(), flags))?;
        Ok(&self.buffer[..length])
    }
}

#[cfg(test)]
mod tests;
