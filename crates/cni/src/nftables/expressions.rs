//! What a rule does, expression by expression.

use super::Verdict;
use super::batch::write_verdict;
use crate::netlink::Writer;

/// One of sixteen registers of four bytes. A value of n bytes takes the next n/4 of them, rounded up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reg(pub u8);

impl Reg {
    fn number(self) -> u32 {
        /// NFT_REG32_00.
        const FIRST: u32 = 8;
        FIRST + u32::from(self.0)
    }
}

/// Where a payload offset counts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PayloadBase {
    /// Ethernet header.
    Link,
    /// IP header.
    Network,
    /// TCP, UDP or SCTP header.
    Transport,
}

/// Facts about a packet that are not in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetaKey {
    /// Its mark.
    Mark,
    /// Number of the interface it came in by.
    InputInterface,
    /// Number of the interface it leaves by.
    OutputInterface,
    /// Name of the interface it came in by, 16 bytes.
    InputInterfaceName,
    /// Name of the interface it leaves by, 16 bytes.
    OutputInterfaceName,
    /// 2 for IPv4, 10 for IPv6, one byte.
    NetworkProtocol,
    /// 6 for TCP, 17 for UDP, one byte.
    TransportProtocol,
}

impl MetaKey {
    fn number(self) -> u32 {
        match self {
            Self::Mark => 3,
            Self::InputInterface => 4,
            Self::OutputInterface => 5,
            Self::InputInterfaceName => 6,
            Self::OutputInterfaceName => 7,
            Self::NetworkProtocol => 15,
            Self::TransportProtocol => 16,
        }
    }
}

/// Facts about a packet's connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CtKey {
    /// Bits of [`ct_state`].
    State,
    /// 0 for the direction of the first packet.
    Direction,
    /// Bits of [`ct_status`].
    Status,
    /// Its mark.
    Mark,
    /// IPv4 source; needs a direction.
    SourceV4,
    /// IPv4 destination; needs a direction.
    DestinationV4,
    /// Transport protocol.
    Protocol,
    /// Source port; needs a direction.
    SourcePort,
    /// Destination port; needs a direction.
    DestinationPort,
}

impl CtKey {
    fn number(self) -> u32 {
        match self {
            Self::State => 0,
            Self::Direction => 1,
            Self::Status => 2,
            Self::Mark => 3,
            Self::Protocol => 10,
            Self::SourcePort => 11,
            Self::DestinationPort => 12,
            Self::SourceV4 => 19,
            Self::DestinationV4 => 20,
        }
    }
}

/// Which packets of a connection a fact is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CtDirection {
    /// Those that go the first packet's way.
    Original,
    /// Those that come back.
    Reply,
}

/// Bits of [`CtKey::State`].
pub mod ct_state {
    /// Belongs to nothing known.
    pub const INVALID: u32 = 1;
    /// Seen in both directions.
    pub const ESTABLISHED: u32 = 2;
    /// Caused by a known connection.
    pub const RELATED: u32 = 4;
    /// First packet.
    pub const NEW: u32 = 8;
}

/// Bits of [`CtKey::Status`].
pub mod ct_status {
    /// Its source was translated.
    pub const SNAT: u32 = 0x10;
    /// Its destination was translated.
    pub const DNAT: u32 = 0x20;
}

/// How registers are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CmpOp {
    /// Equal.
    Eq,
    /// Not equal.
    Ne,
    /// Less.
    Lt,
    /// Less or equal.
    Le,
    /// Greater.
    Gt,
    /// Greater or equal.
    Ge,
}

/// Which address is translated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NatKind {
    /// The source.
    Source,
    /// The destination.
    Destination,
}

/// How a refused packet is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RejectWith {
    /// TCP reset.
    TcpReset,
    /// ICMP port unreachable, of the packet's family.
    PortUnreachable,
    /// ICMP administratively prohibited, of the packet's family.
    AdminProhibited,
}

/// The expressions of one rule, in order. Each either lets the packet go on to the next one or ends the rule.
#[derive(Debug)]
pub struct Expressions<'a> {
    pub(super) writer: &'a mut Writer,
}

impl Expressions<'_> {
    fn expression(&mut self, name: &str, body: impl FnOnce(&mut Writer)) -> &mut Self {
        let whole = self.writer.begin_nest(1);
        self.writer.string(1, name);
        let data = self.writer.begin_nest(2);
        body(self.writer);
        self.writer.end_nest(data);
        self.writer.end_nest(whole);
        self
    }

    // === loading

    /// Loads bytes of the packet.
    pub fn payload(&mut self, to: Reg, base: PayloadBase, offset: u32, length: u32) -> &mut Self {
        self.expression("payload", |writer| {
            writer.u32_be(1, to.number());
            writer.u32_be(
                2,
                match base {
                    PayloadBase::Link => 0,
                    PayloadBase::Network => 1,
                    PayloadBase::Transport => 2,
                },
            );
            writer.u32_be(3, offset);
            writer.u32_be(4, length);
        })
    }

    /// Loads the IPv4 source.
    pub fn ip_source(&mut self, to: Reg) -> &mut Self {
        self.payload(to, PayloadBase::Network, 12, 4)
    }

    /// Loads the IPv4 destination.
    pub fn ip_destination(&mut self, to: Reg) -> &mut Self {
        self.payload(to, PayloadBase::Network, 16, 4)
    }

    /// Loads the IPv6 source, into four registers.
    pub fn ip6_source(&mut self, to: Reg) -> &mut Self {
        self.payload(to, PayloadBase::Network, 8, 16)
    }

    /// Loads the IPv6 destination, into four registers.
    pub fn ip6_destination(&mut self, to: Reg) -> &mut Self {
        self.payload(to, PayloadBase::Network, 24, 16)
    }

    /// Loads the source port.
    pub fn source_port(&mut self, to: Reg) -> &mut Self {
        self.payload(to, PayloadBase::Transport, 0, 2)
    }

    /// Loads the destination port.
    pub fn destination_port(&mut self, to: Reg) -> &mut Self {
        self.payload(to, PayloadBase::Transport, 2, 2)
    }

    /// Loads a fact about the packet.
    pub fn meta(&mut self, to: Reg, key: MetaKey) -> &mut Self {
        self.expression("meta", |writer| {
            writer.u32_be(1, to.number());
            writer.u32_be(2, key.number());
        })
    }

    /// Sets the packet's mark.
    pub fn set_mark(&mut self, from: Reg) -> &mut Self {
        self.expression("meta", |writer| {
            writer.u32_be(2, MetaKey::Mark.number());
            writer.u32_be(3, from.number());
        })
    }

    /// Loads a fact about the connection.
    pub fn ct(&mut self, to: Reg, key: CtKey) -> &mut Self {
        self.expression("ct", |writer| {
            writer.u32_be(1, to.number());
            writer.u32_be(2, key.number());
        })
    }

    /// Loads a fact about one direction of the connection.
    pub fn ct_direction(&mut self, to: Reg, key: CtKey, direction: CtDirection) -> &mut Self {
        self.expression("ct", |writer| {
            writer.u32_be(1, to.number());
            writer.u32_be(2, key.number());
            writer.attribute(3, &[u8::from(direction == CtDirection::Reply)]);
        })
    }

    /// Sets the connection's mark.
    pub fn set_ct_mark(&mut self, from: Reg) -> &mut Self {
        self.expression("ct", |writer| {
            writer.u32_be(2, CtKey::Mark.number());
            writer.u32_be(4, from.number());
        })
    }

    /// Loads a constant.
    pub fn immediate(&mut self, to: Reg, data: &[u8]) -> &mut Self {
        self.expression("immediate", |writer| {
            writer.u32_be(1, to.number());
            let nest = writer.begin_nest(2);
            writer.attribute(1, data);
            writer.end_nest(nest);
        })
    }

    /// Loads a random number below `modulus`, in the host's byte order.
    pub fn random(&mut self, to: Reg, modulus: u32) -> &mut Self {
        self.expression("numgen", |writer| {
            const RANDOM: u32 = 1;
            writer.u32_be(1, to.number());
            writer.u32_be(2, modulus);
            writer.u32_be(3, RANDOM);
            writer.u32_be(4, 0);
        })
    }

    /// Loads the type of the destination address (2 is local), in the host's byte order.
    pub fn destination_type(&mut self, to: Reg) -> &mut Self {
        self.expression("fib", |writer| {
            const RESULT_ADDRTYPE: u32 = 3;
            const FLAG_DADDR: u32 = 2;
            writer.u32_be(1, to.number());
            writer.u32_be(2, RESULT_ADDRTYPE);
            writer.u32_be(3, FLAG_DADDR);
        })
    }

    // === testing

    /// Goes on only if the bytes of `register` compare so with `data`.
    pub fn compare(&mut self, register: Reg, op: CmpOp, data: &[u8]) -> &mut Self {
        self.expression("cmp", |writer| {
            writer.u32_be(1, register.number());
            writer.u32_be(
                2,
                match op {
                    CmpOp::Eq => 0,
                    CmpOp::Ne => 1,
                    CmpOp::Lt => 2,
                    CmpOp::Le => 3,
                    CmpOp::Gt => 4,
                    CmpOp::Ge => 5,
                },
            );
            let nest = writer.begin_nest(3);
            writer.attribute(1, data);
            writer.end_nest(nest);
        })
    }

    /// Keeps the bits of `mask`, then flips those of `flip`, in place.
    pub fn bitwise(&mut self, register: Reg, mask: &[u8], flip: &[u8]) -> &mut Self {
        self.expression("bitwise", |writer| {
            writer.u32_be(1, register.number());
            writer.u32_be(2, register.number());
            writer.u32_be(3, u32::try_from(mask.len()).expect("masks are addresses at most"));
            for (kind, data) in [(4, mask), (5, flip)] {
                let nest = writer.begin_nest(kind);
                writer.attribute(1, data);
                writer.end_nest(nest);
            }
        })
    }

    /// Keeps the bits of `mask`, in place.
    pub fn mask(&mut self, register: Reg, mask: &[u8]) -> &mut Self {
        self.bitwise(register, mask, &vec![0; mask.len()])
    }

    /// Goes on for IPv4 only.
    pub fn is_ipv4(&mut self, scratch: Reg) -> &mut Self {
        self.meta(scratch, MetaKey::NetworkProtocol).compare(scratch, CmpOp::Eq, &[2])
    }

    /// Goes on for IPv6 only.
    pub fn is_ipv6(&mut self, scratch: Reg) -> &mut Self {
        self.meta(scratch, MetaKey::NetworkProtocol).compare(scratch, CmpOp::Eq, &[10])
    }

    /// Goes on if the connection has any of the bits of [`ct_state`].
    pub fn has_ct_state(&mut self, scratch: Reg, bits: u32) -> &mut Self {
        self.ct(scratch, CtKey::State).mask(scratch, &bits.to_ne_bytes()).compare(scratch, CmpOp::Ne, &[0; 4])
    }

    /// Goes on if the connection has any of the bits of [`ct_status`].
    pub fn has_ct_status(&mut self, scratch: Reg, bits: u32) -> &mut Self {
        self.ct(scratch, CtKey::Status).mask(scratch, &bits.to_ne_bytes()).compare(scratch, CmpOp::Ne, &[0; 4])
    }

    /// Goes on if the key in `key` is in the set; for a map, loads its data into `to`.
    pub fn lookup(&mut self, set: &str, set_id: u32, key: Reg, to: Option<Reg>) -> &mut Self {
        self.lookup_raw(set, set_id, key, to.map(Reg::number), false)
    }

    /// Goes on if the key in `key` is not in the set.
    pub fn lookup_not(&mut self, set: &str, set_id: u32, key: Reg) -> &mut Self {
        self.lookup_raw(set, set_id, key, None, true)
    }

    /// Follows the verdict that a verdict map has for the key; goes on if it has none.
    pub fn verdict_map(&mut self, map: &str, set_id: u32, key: Reg) -> &mut Self {
        const VERDICT: u32 = 0;
        self.lookup_raw(map, set_id, key, Some(VERDICT), false)
    }

    fn lookup_raw(&mut self, set: &str, set_id: u32, key: Reg, to: Option<u32>, invert: bool) -> &mut Self {
        self.expression("lookup", |writer| {
            writer.string(1, set);
            writer.u32_be(2, key.number());
            if let Some(to) = to {
                writer.u32_be(3, to);
            }
            if set_id != 0 {
                writer.u32_be(4, set_id);
            }
            if invert {
                writer.u32_be(5, 1);
            }
        })
    }

    // === acting

    /// Ends the rule with a verdict.
    pub fn verdict(&mut self, verdict: &Verdict) -> &mut Self {
        self.expression("immediate", |writer| {
            const VERDICT: u32 = 0;
            writer.u32_be(1, VERDICT);
            let nest = writer.begin_nest(2);
            write_verdict(writer, verdict);
            writer.end_nest(nest);
        })
    }

    /// Translates to the address (and port) in registers.
    pub fn nat(&mut self, kind: NatKind, ipv6: bool, address: Reg, port: Option<Reg>) -> &mut Self {
        self.expression("nat", |writer| {
            writer.u32_be(1, u32::from(kind == NatKind::Destination));
            writer.u32_be(2, if ipv6 { 10 } else { 2 });
            writer.u32_be(3, address.number());
            if let Some(port) = port {
                writer.u32_be(5, port.number());
            }
        })
    }

    /// Translates the source to the address of the interface that the packet leaves by, with a fully random port.
    pub fn masquerade(&mut self) -> &mut Self {
        self.expression("masq", |writer| {
            const RANDOM_FULLY: u32 = 0x10;
            writer.u32_be(1, RANDOM_FULLY);
        })
    }

    /// Refuses the packet and says so.
    pub fn reject(&mut self, with: RejectWith) -> &mut Self {
        self.expression("reject", |writer| {
            const ICMPX: u32 = 2;
            match with {
                RejectWith::TcpReset => writer.u32_be(1, 1),
                RejectWith::PortUnreachable => {
                    writer.u32_be(1, ICMPX);
                    writer.attribute(2, &[1]);
                }
                RejectWith::AdminProhibited => {
                    writer.u32_be(1, ICMPX);
                    writer.attribute(2, &[3]);
                }
            }
        })
    }

    /// Puts the key (and data) in registers into a dynamic set or map, or renews it.
    pub fn dynset_update(&mut self, set: &str, key: Reg, data: Option<Reg>, timeout_ms: u64) -> &mut Self {
        self.expression("dynset", |writer| {
            const UPDATE: u32 = 1;
            writer.string(1, set);
            writer.u32_be(3, UPDATE);
            writer.u32_be(4, key.number());
            if let Some(data) = data {
                writer.u32_be(5, data.number());
            }
            writer.u64_be(6, timeout_ms);
        })
    }

    /// Counts packets and bytes that get here.
    pub fn counter(&mut self) -> &mut Self {
        self.expression("counter", |_| {})
    }
}
