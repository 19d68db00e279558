//! Commits batches, and reads what others have.

use rustix::io::Errno;
use rustix::net::{RecvFlags, netlink, sockopt};

use super::batch::{Batch, Family, Hook, NFNL_SUBSYS, Policy};
use crate::netlink::{NLM_F_DUMP, NLM_F_REQUEST, NLMSG_DONE, NetlinkError, Socket, Writer, attributes, messages};

const GETCHAIN: u16 = 4;
const GETRULE: u16 = 7;
const GETGEN: u16 = 16;
/// Room for one batch: 1,000 services with three endpoints each take about 2 MiB.
const BATCH_BYTES_MAX: usize = 64 << 20;

/// A batch was not committed. Nothing of it took effect.
#[derive(Debug, thiserror::Error)]
pub enum NftError {
    /// The socket failed.
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
    /// The kernel refused one of its steps.
    #[error("nftables refused to {operation}")]
    Refused {
        /// The step.
        operation: String,
        /// The kernel's error.
        #[source]
        errno: std::io::Error,
    },
}

impl NftError {
    /// The kernel's error number.
    #[must_use]
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Netlink(error) => error.errno(),
            Self::Refused { errno, .. } => errno.raw_os_error(),
        }
    }

    /// Whether the ruleset was changed by somebody since the generation that the batch was made for.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        const ERESTART: i32 = 85;
        self.errno() == Some(ERESTART)
    }
}

/// A chain, of anybody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// Family of its table.
    pub family: Family,
    /// Its table.
    pub table: String,
    /// Its name.
    pub name: String,
    /// Where the kernel calls it; none for one that rules jump to.
    pub hook: Option<Hook>,
    /// Its policy, for those that the kernel calls.
    pub policy: Option<Policy>,
}

/// A rule, as far as it has to be recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Its number in its table.
    pub handle: u64,
    /// Its comment.
    pub comment: Option<String>,
}

/// A socket to nftables of the network namespace in which it was opened. It owns the tables it made with
/// [`super::TableFlags::owner`].
#[derive(Debug)]
pub struct NftSocket {
    socket: Socket,
    sequence: u32,
}

impl NftSocket {
    /// A socket in the current network namespace.
    ///
    /// # Errors
    /// [`NetlinkError::Open`].
    pub fn open() -> Result<Self, NetlinkError> {
        let socket = Socket::open(Some(netlink::NETFILTER), 0)?;
        // Without the privilege to force them the buffers stay at the system's size, enough for small batches.
        let _ = sockopt::set_socket_send_buffer_size_force(&socket.fd, BATCH_BYTES_MAX);
        let _ = sockopt::set_socket_recv_buffer_size_force(&socket.fd, BATCH_BYTES_MAX);
        Ok(Self { socket, sequence: 0 })
    }

    /// Commits a batch: all of it, or nothing.
    ///
    /// # Errors
    /// [`NftError::Refused`] with the first step that the kernel refused.
    pub fn commit(&mut self, mut batch: Batch) -> Result<(), NftError> {
        if batch.is_empty() {
            return Ok(());
        }
        let failed = |errno| NetlinkError::socket("commit an nftables batch", errno);
        let (bytes, last) = batch.finish();
        self.socket.send(bytes).map_err(failed)?;
        let mut first_error = None;
        // Errors come in order, one for each refused step; the acknowledgement of the last step comes only without any.
        loop {
            let flags = if first_error.is_some() { RecvFlags::DONTWAIT } else { RecvFlags::empty() };
            let datagram = match self.socket.receive(flags) {
                Ok(datagram) => datagram,
                Err(Errno::AGAIN) => break,
                // More errors than the buffer holds: the first ones were read.
                Err(Errno::NOBUFS) if first_error.is_some() => break,
                Err(errno) => return Err(failed(errno).into()),
            };
            let mut acknowledged = false;
            for message in messages(datagram) {
                match message.error() {
                    Some(Some(errno)) if first_error.is_none() => first_error = Some((message.sequence, errno)),
                    Some(None) if message.sequence == last => acknowledged = true,
                    _ => {}
                }
            }
            if acknowledged {
                break;
            }
        }
        match first_error {
            None => Ok(()),
            Some((sequence, errno)) => {
                Err(NftError::Refused { operation: batch.operation(sequence).to_owned(), errno: errno.into() })
            }
        }
    }

    /// The ruleset's generation: it grows with every commit of anybody.
    ///
    /// # Errors
    /// The socket failed.
    pub fn generation(&mut self) -> Result<u32, NetlinkError> {
        let mut generation = None;
        self.dump(
            "read the nftables generation",
            GETGEN,
            0,
            0,
            |_| {},
            |_, body| {
                let id = attributes(body).find(|(kind, _)| *kind == 1).and_then(|(_, data)| data.try_into().ok());
                generation = id.map(u32::from_be_bytes);
            },
        )?;
        Ok(generation.unwrap_or_default())
    }

    /// All chains of all tables.
    ///
    /// # Errors
    /// The socket failed.
    pub fn chains(&mut self) -> Result<Vec<Chain>, NetlinkError> {
        let mut chains = vec![];
        self.dump(
            "list nftables chains",
            GETCHAIN,
            NLM_F_DUMP,
            0,
            |_| {},
            |family, body| {
                let Some(family) = Family::from_number(family) else { return };
                let mut chain = Chain { family, table: String::new(), name: String::new(), hook: None, policy: None };
                for (kind, data) in attributes(body) {
                    match kind {
                        1 => chain.table = text(data),
                        3 => chain.name = text(data),
                        4 => {
                            let number = attributes(data).find(|(kind, _)| *kind == 1);
                            chain.hook = number.and_then(|(_, data)| Hook::from_number(number_be(data)));
                        }
                        5 => chain.policy = Some(if number_be(data) == 0 { Policy::Drop } else { Policy::Accept }),
                        _ => {}
                    }
                }
                chains.push(chain);
            },
        )?;
        Ok(chains)
    }

    /// The rules of a chain, in order.
    ///
    /// # Errors
    /// The socket failed.
    pub fn rules(&mut self, family: Family, table: &str, chain: &str) -> Result<Vec<Rule>, NetlinkError> {
        let mut rules = vec![];
        let question = |writer: &mut Writer| {
            writer.string(1, table);
            writer.string(2, chain);
        };
        self.dump("list nftables rules", GETRULE, NLM_F_DUMP, family.number(), question, |_, body| {
            let mut rule = Rule { handle: 0, comment: None };
            for (kind, data) in attributes(body) {
                match kind {
                    3 => rule.handle = data.try_into().map_or(0, u64::from_be_bytes),
                    7 => rule.comment = comment(data),
                    _ => {}
                }
            }
            rules.push(rule);
        })?;
        Ok(rules)
    }

    fn dump(
        &mut self,
        operation: &str,
        kind: u16,
        flags: u16,
        family: u8,
        question: impl FnOnce(&mut Writer),
        mut on_object: impl FnMut(u8, &[u8]),
    ) -> Result<(), NetlinkError> {
        self.sequence += 1;
        let mut writer = Writer::default();
        let mark = writer.begin_message(NFNL_SUBSYS | kind, NLM_F_REQUEST | flags, self.sequence);
        writer.bytes.extend_from_slice(&[family, 0, 0, 0]);
        question(&mut writer);
        writer.end_message(mark);
        let failed = |errno| NetlinkError::socket(operation, errno);
        self.socket.send(&writer.bytes).map_err(failed)?;
        loop {
            let sequence = self.sequence;
            let datagram = self.socket.receive(RecvFlags::empty()).map_err(failed)?;
            for message in messages(datagram).filter(|message| message.sequence == sequence) {
                match message.error() {
                    Some(Some(errno)) => return Err(NetlinkError::refused(operation, errno)),
                    Some(None) => return Ok(()),
                    None if message.kind == NLMSG_DONE => return Ok(()),
                    None => {
                        if let Some((header, body)) = message.body.split_first_chunk::<4>() {
                            on_object(header[0], body);
                        }
                        if flags & NLM_F_DUMP == 0 {
                            return Ok(());
                        }
                    }
                }
            }
        }
    }
}

fn text(data: &[u8]) -> String {
    String::from_utf8_lossy(data).trim_end_matches('\0').into()
}

fn number_be(data: &[u8]) -> u32 {
    data.try_into().map_or(0, u32::from_be_bytes)
}

/// The comment in a rule's user data: records of type, length and bytes.
fn comment(mut data: &[u8]) -> Option<String> {
    while let [kind, length, rest @ ..] = data {
        let (value, after) = rest.split_at_checked(usize::from(*length))?;
        if *kind == 0 {
            return Some(text(value));
        }
        data = after;
    }
    None
}
