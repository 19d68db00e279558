//! Links, addresses, routes, neighbours and rules, synchronously.
//!
//! A [`RouteSocket`] acts in the network namespace in which it was opened, whatever namespace its owner enters later.

use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::net::RecvFlags;

use crate::ipam::octets;
use crate::netlink::{
    Message, NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_REQUEST, NLMSG_DONE, NetlinkError,
    Socket, Writer, attributes, messages,
};
use crate::plan::{Address, LINK_NAME_MAX, RouteTo, Veth};

const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const RTM_GETLINK: u16 = 18;
const RTM_NEWADDR: u16 = 20;
const RTM_DELADDR: u16 = 21;
const RTM_GETADDR: u16 = 22;
const RTM_NEWROUTE: u16 = 24;
const RTM_DELROUTE: u16 = 25;
const RTM_GETROUTE: u16 = 26;
const RTM_NEWNEIGH: u16 = 28;
const RTM_DELNEIGH: u16 = 29;
const RTM_NEWRULE: u16 = 32;
const RTM_DELRULE: u16 = 33;

const IFF_UP: u32 = 1;
const IF_OPER_UP: u8 = 6;
const RTMGRP_LINK: u32 = 1;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
const RT_TABLE_MAIN: u8 = 254;

/// A link as the kernel has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its number in its namespace.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Whether it was set up.
    pub is_up: bool,
    /// Whether it can carry packets now (operational state UP).
    pub is_operational: bool,
    /// Bytes of the largest packet.
    pub mtu: u32,
}

/// An address of a link, as the kernel has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkAddress {
    /// Number of its link.
    pub link: u32,
    /// The address.
    pub address: Address,
    /// Who added it (`IFA_PROTO`, Linux 5.18 and later); 0 is unknown.
    pub protocol: u8,
}

/// A neighbour table entry that never expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Neighbour {
    /// Its IP address.
    pub ip: IpAddr,
    /// Its link layer address.
    pub mac: [u8; 6],
}

/// A policy routing rule: packets from `source` use `table`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Where packets come from; none means anywhere.
    pub source: Option<crate::Cidr>,
    /// Firewall mark and mask they carry.
    pub mark: Option<(u32, u32)>,
    /// Routing table that they use.
    pub table: u32,
    /// Lower goes first.
    pub priority: u32,
}

/// A socket to the kernel's routing subsystem.
#[derive(Debug)]
pub struct RouteSocket {
    socket: Socket,
    sequence: u32,
}

impl RouteSocket {
    /// A socket in the current network namespace.
    ///
    /// # Errors
    /// [`NetlinkError::Open`].
    pub fn open() -> Result<Self, NetlinkError> {
        Ok(Self { socket: Socket::open_route(0)?, sequence: 0 })
    }

    /// Makes a veth pair with everything on both ends. `self` acts outside, `inner` inside, `inner_namespace` is the
    /// network namespace in which `inner` was opened. Kernel switches are not written: that takes being inside.
    ///
    /// On an error the pair is removed again.
    ///
    /// # Errors
    /// See [`NetlinkError`].
    pub fn create(
        &mut self,
        inner: &mut RouteSocket,
        inner_namespace: BorrowedFd<'_>,
        veth: &Veth,
    ) -> Result<(), NetlinkError> {
        let bridge = veth.bridge.as_deref().map(|name| self.link(name)).transpose()?;
        self.create_veth(&veth.outer.name, &veth.inner.name, inner_namespace)?;
        let furnish = |outer: &mut Self, inner: &mut RouteSocket| {
            let (outside, inside) = (outer.link(&veth.outer.name)?, inner.link(&veth.inner.name)?);
            if let Some(bridge) = &bridge {
                outer.set_bridge(outside.index, bridge.index)?;
            }
            if let Some(mtu) = veth.mtu {
                outer.set_mtu(outside.index, mtu)?;
                inner.set_mtu(inside.index, mtu)?;
            }
            let loopback = inner.link("lo")?;
            inner.set_up(loopback.index)?;
            inner.set_up(inside.index)?;
            outer.set_up(outside.index)?;
            for (socket, link, end) in [(&mut *outer, &outside, &veth.outer), (inner, &inside, &veth.inner)] {
                for address in &end.addresses {
                    socket.add_address(link.index, address)?;
                }
                for route in &end.routes {
                    socket.set_route(link.index, route)?;
                }
            }
            Ok(())
        };
        furnish(self, inner).inspect_err(|_| {
            // The first error is the one to tell.
            let _ = self.delete_link(&veth.outer.name);
        })
    }

    // === links

    /// The link of that name.
    ///
    /// # Errors
    /// [`NetlinkError::NoSuchLink`].
    pub fn link(&mut self, name: &str) -> Result<Link, NetlinkError> {
        check_name(name)?;
        let operation = format!("look up link {name}");
        let mut found = None;
        let asked = self.request(
            &operation,
            RTM_GETLINK,
            0,
            |writer| {
                writer.bytes.extend_from_slice(&link_header(0, 0, 0));
                writer.string(3, name);
            },
            |message| {
                if message.kind == RTM_NEWLINK {
                    found = parse_link(message.body);
                }
            },
        );
        match asked {
            Err(error) if error.not_found() => Err(NetlinkError::NoSuchLink(name.into())),
            Err(error) => Err(error),
            Ok(()) => found.ok_or_else(|| NetlinkError::NoSuchLink(name.into())),
        }
    }

    /// All links.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn links(&mut self) -> Result<Vec<Link>, NetlinkError> {
        let mut links = vec![];
        self.request(
            "list links",
            RTM_GETLINK,
            NLM_F_DUMP,
            |writer| {
                writer.bytes.extend_from_slice(&link_header(0, 0, 0));
            },
            |message| links.extend(parse_link(message.body)),
        )?;
        Ok(links)
    }

    /// A veth pair whose peer is made directly in another namespace, so that it never shows up in this one.
    ///
    /// # Errors
    /// The name is taken, or invalid.
    pub fn create_veth(&mut self, name: &str, peer: &str, peer_namespace: BorrowedFd<'_>) -> Result<(), NetlinkError> {
        check_name(name)?;
        check_name(peer)?;
        let operation = format!("create veth pair {name}");
        self.change(&operation, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, |writer| {
            // Not up yet, neither end: the kernel refuses a peer that is up from its creation.
            writer.bytes.extend_from_slice(&link_header(0, 0, 0));
            writer.string(3, name);
            let info = writer.begin_nest(18);
            writer.string(1, "veth");
            let data = writer.begin_nest(2);
            let inner = writer.begin_nest(1);
            writer.bytes.extend_from_slice(&link_header(0, 0, 0));
            writer.string(3, peer);
            writer.u32_ne(28, peer_namespace.as_raw_fd().cast_unsigned());
            writer.end_nest(inner);
            writer.end_nest(data);
            writer.end_nest(info);
        })
    }

    /// A bridge, up.
    ///
    /// # Errors
    /// The name is taken, or invalid.
    pub fn create_bridge(&mut self, name: &str) -> Result<(), NetlinkError> {
        check_name(name)?;
        self.change(&format!("create bridge {name}"), RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, |writer| {
            writer.bytes.extend_from_slice(&link_header(0, IFF_UP, IFF_UP));
            writer.string(3, name);
            let info = writer.begin_nest(18);
            writer.string(1, "bridge");
            writer.end_nest(info);
        })
    }

    /// Removes a link, and with it its peer, addresses and routes. One that is not there is fine.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn delete_link(&mut self, name: &str) -> Result<(), NetlinkError> {
        check_name(name)?;
        let deleted = self.change(&format!("delete link {name}"), RTM_DELLINK, 0, |writer| {
            writer.bytes.extend_from_slice(&link_header(0, 0, 0));
            writer.string(3, name);
        });
        match deleted {
            Err(error) if error.not_found() => Ok(()),
            other => other,
        }
    }

    /// Sets a link up.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn set_up(&mut self, index: u32) -> Result<(), NetlinkError> {
        self.change(&format!("set link {index} up"), RTM_NEWLINK, 0, |writer| {
            writer.bytes.extend_from_slice(&link_header(index, IFF_UP, IFF_UP));
        })
    }

    /// Sets a link's largest packet.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn set_mtu(&mut self, index: u32, mtu: u32) -> Result<(), NetlinkError> {
        self.change(&format!("set the MTU of link {index}"), RTM_NEWLINK, 0, |writer| {
            writer.bytes.extend_from_slice(&link_header(index, 0, 0));
            writer.u32_ne(4, mtu);
        })
    }

    /// Makes a link a port of a bridge.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn set_bridge(&mut self, index: u32, bridge: u32) -> Result<(), NetlinkError> {
        self.change(&format!("add link {index} to bridge {bridge}"), RTM_NEWLINK, 0, |writer| {
            writer.bytes.extend_from_slice(&link_header(index, 0, 0));
            writer.u32_ne(10, bridge);
        })
    }

    /// Waits until a link can carry packets: a new veth is not operational at once, and a SYN sent too early is lost for a
    /// second. Call it from inside the namespace of this socket.
    ///
    /// # Errors
    /// [`NetlinkError::Refused`] with ETIMEDOUT after `patience`.
    pub fn wait_until_operational(&mut self, name: &str, patience: Duration) -> Result<Link, NetlinkError> {
        let operation = format!("wait for link {name} to become operational");
        // Subscribed before looking, so that no change falls between.
        let mut events = Socket::open_route(RTMGRP_LINK)?;
        let began = monotonic();
        loop {
            let link = self.link(name)?;
            if link.is_operational {
                return Ok(link);
            }
            if !wait_readable(&events.fd, patience.saturating_sub(monotonic().saturating_sub(began)))
                .map_err(|errno| NetlinkError::socket(&operation, errno))?
            {
                return Err(NetlinkError::refused(operation, Errno::TIMEDOUT));
            }
            // What it says does not matter: the link is looked at again. An overrun of the queue (ENOBUFS) says the same.
            let _ = events.receive(RecvFlags::DONTWAIT);
        }
    }

    // === addresses

    /// Adds an address; one that is there is fine.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn add_address(&mut self, index: u32, address: &Address) -> Result<(), NetlinkError> {
        self.add_address_as(index, address, 0)
    }

    /// The same, marked with a number by which [`RouteSocket::addresses`] tells whose it is.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn add_address_as(&mut self, index: u32, address: &Address, protocol: u8) -> Result<(), NetlinkError> {
        self.address(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, "add", index, address, protocol)
    }

    /// All addresses of all links.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn addresses(&mut self) -> Result<Vec<LinkAddress>, NetlinkError> {
        let mut addresses = vec![];
        self.request(
            "list addresses",
            RTM_GETADDR,
            NLM_F_DUMP,
            |writer| writer.bytes.extend_from_slice(&[0; 8]),
            |message| addresses.extend(parse_address(message.body)),
        )?;
        Ok(addresses)
    }

    /// Removes an address; one that is not there is fine.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn delete_address(&mut self, index: u32, address: &Address) -> Result<(), NetlinkError> {
        match self.address(RTM_DELADDR, 0, "delete", index, address, 0) {
            Err(error) if error.not_found() => Ok(()),
            other => other,
        }
    }

    fn address(
        &mut self,
        kind: u16,
        flags: u16,
        verb: &str,
        index: u32,
        address: &Address,
        protocol: u8,
    ) -> Result<(), NetlinkError> {
        let operation = format!("{verb} address {}/{}", address.ip, address.prefix);
        self.change(&operation, kind, flags, |writer| {
            // IFA_F_NODAD: no duplicate can be on a point-to-point link, and detection takes a second.
            let nodad = if address.ip.is_ipv6() { 2 } else { 0 };
            writer.bytes.extend_from_slice(&[family(address.ip), address.prefix, nodad, 0]);
            writer.bytes.extend_from_slice(&index.to_ne_bytes());
            let bytes = octets(address.ip);
            writer.attribute(2, &bytes);
            writer.attribute(1, &bytes);
            if protocol != 0 {
                writer.attribute(11, &[protocol]);
            }
        })
    }

    // === routes

    /// Adds or replaces a route in the main table.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn set_route(&mut self, index: u32, route: &RouteTo) -> Result<(), NetlinkError> {
        self.route(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, "set", index, route)
    }

    /// Removes a route; one that is not there is fine.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn delete_route(&mut self, index: u32, route: &RouteTo) -> Result<(), NetlinkError> {
        match self.route(RTM_DELROUTE, 0, "delete", index, route) {
            Err(error) if error.not_found() => Ok(()),
            other => other,
        }
    }

    fn route(&mut self, kind: u16, flags: u16, verb: &str, index: u32, route: &RouteTo) -> Result<(), NetlinkError> {
        let operation = format!("{verb} route to {}", route.destination);
        self.change(&operation, kind, flags, |writer| {
            const PROTOCOL_BOOT: u8 = 3;
            const UNICAST: u8 = 1;
            const ONLINK: u32 = 4;
            let destination = route.destination;
            let scope = if route.gateway.is_some() || destination.network().is_ipv6() { 0 } else { 253 };
            let family = family(destination.network());
            writer.bytes.extend_from_slice(&[
                family,
                destination.prefix(),
                0,
                0,
                RT_TABLE_MAIN,
                PROTOCOL_BOOT,
                scope,
                UNICAST,
            ]);
            let onlink = if route.gateway.is_some() { ONLINK } else { 0 };
            writer.bytes.extend_from_slice(&onlink.to_ne_bytes());
            if destination.prefix() > 0 {
                writer.attribute(1, &octets(destination.network()));
            }
            if let Some(gateway) = route.gateway {
                writer.attribute(5, &octets(gateway));
            }
            writer.u32_ne(4, index);
            if let Some(source) = route.source {
                writer.attribute(7, &octets(source));
            }
        })
    }

    /// Numbers of the links that default routes of the main table go through: the host's uplinks.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn uplinks(&mut self) -> Result<Vec<u32>, NetlinkError> {
        let mut uplinks = vec![];
        for family in [AF_INET, AF_INET6] {
            self.request(
                "list routes",
                RTM_GETROUTE,
                NLM_F_DUMP,
                |writer| {
                    writer.bytes.extend_from_slice(&[family, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
                },
                |message| {
                    let Some(header) = message.body.first_chunk::<12>() else { return };
                    if header[1] == 0 && header[4] == RT_TABLE_MAIN {
                        let output = attributes(&message.body[12..]).find(|(kind, _)| *kind == 4);
                        let index = output.and_then(|(_, data)| data.try_into().ok()).map(u32::from_ne_bytes);
                        uplinks.extend(index);
                    }
                },
            )?;
        }
        uplinks.sort_unstable();
        uplinks.dedup();
        Ok(uplinks)
    }

    // === neighbours

    /// Adds or replaces a permanent neighbour.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn set_neighbour(&mut self, index: u32, neighbour: &Neighbour) -> Result<(), NetlinkError> {
        self.neighbour(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, "set", index, neighbour)
    }

    /// Removes a neighbour; one that is not there is fine.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn delete_neighbour(&mut self, index: u32, neighbour: &Neighbour) -> Result<(), NetlinkError> {
        match self.neighbour(RTM_DELNEIGH, 0, "delete", index, neighbour) {
            Err(error) if error.not_found() => Ok(()),
            other => other,
        }
    }

    fn neighbour(
        &mut self,
        kind: u16,
        flags: u16,
        verb: &str,
        index: u32,
        entry: &Neighbour,
    ) -> Result<(), NetlinkError> {
        self.change(&format!("{verb} neighbour {}", entry.ip), kind, flags, |writer| {
            const PERMANENT: u16 = 0x80;
            writer.bytes.extend_from_slice(&[family(entry.ip), 0, 0, 0]);
            writer.bytes.extend_from_slice(&index.to_ne_bytes());
            writer.bytes.extend_from_slice(&PERMANENT.to_ne_bytes());
            writer.bytes.extend_from_slice(&[0, 0]);
            writer.attribute(1, &octets(entry.ip));
            writer.attribute(2, &entry.mac);
        })
    }

    // === rules

    /// Adds a policy routing rule; one that is there is fine.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn add_rule(&mut self, rule: &Rule) -> Result<(), NetlinkError> {
        match self.rule(RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, "add", rule) {
            Err(error) if error.already_exists() => Ok(()),
            other => other,
        }
    }

    /// Removes a policy routing rule; one that is not there is fine.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn delete_rule(&mut self, rule: &Rule) -> Result<(), NetlinkError> {
        match self.rule(RTM_DELRULE, 0, "delete", rule) {
            Err(error) if error.not_found() => Ok(()),
            other => other,
        }
    }

    fn rule(&mut self, kind: u16, flags: u16, verb: &str, rule: &Rule) -> Result<(), NetlinkError> {
        self.change(&format!("{verb} routing rule {}", rule.priority), kind, flags, |writer| {
            const TO_TABLE: u8 = 1;
            let source = rule.source;
            let family = source.map_or(AF_INET, |source| family(source.network()));
            writer.bytes.extend_from_slice(&[
                family,
                0,
                source.map_or(0, |s| s.prefix()),
                0,
                0,
                0,
                0,
                TO_TABLE,
                0,
                0,
                0,
                0,
            ]);
            if let Some(source) = source {
                writer.attribute(2, &octets(source.network()));
            }
            writer.u32_ne(6, rule.priority);
            if let Some((mark, mask)) = rule.mark {
                writer.u32_ne(10, mark);
                writer.u32_ne(16, mask);
            }
            writer.u32_ne(15, rule.table);
        })
    }

    // === exchange

    fn change(
        &mut self,
        operation: &str,
        kind: u16,
        flags: u16,
        body: impl FnOnce(&mut Writer),
    ) -> Result<(), NetlinkError> {
        self.request(operation, kind, flags | NLM_F_ACK, body, |_| {})
    }

    fn request(
        &mut self,
        operation: &str,
        kind: u16,
        flags: u16,
        body: impl FnOnce(&mut Writer),
        mut on_message: impl FnMut(Message<'_>),
    ) -> Result<(), NetlinkError> {
        self.sequence += 1;
        let mut writer = Writer::default();
        let flags = if flags & NLM_F_DUMP == NLM_F_DUMP { flags } else { flags | NLM_F_ACK };
        let mark = writer.begin_message(kind, NLM_F_REQUEST | flags, self.sequence);
        body(&mut writer);
        writer.end_message(mark);
        let socket_failed = |errno| NetlinkError::socket(operation, errno);
        self.socket.send(&writer.bytes).map_err(socket_failed)?;
        loop {
            let sequence = self.sequence;
            let datagram = self.socket.receive(RecvFlags::empty()).map_err(socket_failed)?;
            for message in messages(datagram).filter(|message| message.sequence == sequence) {
                match message.error() {
                    Some(None) => return Ok(()),
                    Some(Some(errno)) => return Err(NetlinkError::refused(operation, errno)),
                    None if message.kind == NLMSG_DONE => return Ok(()),
                    None => on_message(message),
                }
            }
        }
    }
}

impl AsFd for RouteSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.fd.as_fd()
    }
}

impl Socket {
    /// NETLINK_ROUTE is protocol 0.
    fn open_route(groups: u32) -> Result<Self, NetlinkError> {
        Self::open(None, groups)
    }
}

/// True when `fd` became readable before `patience` ended.
fn wait_readable(fd: &OwnedFd, patience: Duration) -> Result<bool, Errno> {
    let timeout = Timespec::try_from(patience).map_err(|_| Errno::INVAL)?;
    let mut polled = [PollFd::new(fd, PollFlags::IN)];
    match rustix::event::poll(&mut polled, Some(&timeout)) {
        Err(Errno::INTR) => Ok(true),
        other => other.map(|ready| ready > 0),
    }
}

/// Time since boot.
fn monotonic() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    Duration::new(now.tv_sec.cast_unsigned(), u32::try_from(now.tv_nsec).unwrap_or(0))
}

fn family(ip: IpAddr) -> u8 {
    if ip.is_ipv4() { AF_INET } else { AF_INET6 }
}

fn check_name(name: &str) -> Result<(), NetlinkError> {
    let fits =
        !name.is_empty() && name.len() <= LINK_NAME_MAX && !name.contains(|c: char| c == '/' || c.is_whitespace());
    if fits { Ok(()) } else { Err(NetlinkError::InvalidName(name.into())) }
}

/// `struct ifinfomsg`.
fn link_header(index: u32, flags: u32, change: u32) -> [u8; 16] {
    let mut header = [0; 16];
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    header[8..12].copy_from_slice(&flags.to_ne_bytes());
    header[12..16].copy_from_slice(&change.to_ne_bytes());
    header
}

fn parse_link(body: &[u8]) -> Option<Link> {
    let header = body.first_chunk::<16>()?;
    let word = |at: usize| u32::from_ne_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    let mut link =
        Link { index: word(4), name: String::new(), is_up: word(8) & IFF_UP != 0, is_operational: false, mtu: 0 };
    for (kind, data) in attributes(&body[16..]) {
        match kind {
            3 => link.name = String::from_utf8_lossy(data).trim_end_matches('\0').into(),
            4 => link.mtu = data.try_into().map_or(0, u32::from_ne_bytes),
            16 => link.is_operational = data.first() == Some(&IF_OPER_UP),
            _ => {}
        }
    }
    Some(link)
}

fn parse_address(body: &[u8]) -> Option<LinkAddress> {
    let header = body.first_chunk::<8>()?;
    let link = u32::from_ne_bytes([header[4], header[5], header[6], header[7]]);
    let (mut ip, mut local, mut protocol) = (None, None, 0);
    for (kind, data) in attributes(&body[8..]) {
        match kind {
            1 => ip = address_of(data),
            // On point-to-point links the address is the peer's, and this one is ours.
            2 => local = address_of(data),
            11 => protocol = data.first().copied().unwrap_or(0),
            _ => {}
        }
    }
    Some(LinkAddress { link, address: Address { ip: local.or(ip)?, prefix: header[1] }, protocol })
}

fn address_of(data: &[u8]) -> Option<IpAddr> {
    let v4 = || <[u8; 4]>::try_from(data).ok().map(IpAddr::from);
    v4().or_else(|| <[u8; 16]>::try_from(data).ok().map(IpAddr::from))
}

#[cfg(test)]
mod tests;
