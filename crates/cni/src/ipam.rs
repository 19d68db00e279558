//! Which address a pod gets.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An address range, with host bits zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cidr {
    network: IpAddr,
    prefix: u8,
}

/// Not a range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid CIDR {0:?}: want an address, a slash and a prefix length, as 10.244.0.0/24")]
pub struct CidrError(String);

impl Cidr {
    /// The range of `prefix` bits that `address` lies in; none if there are not that many bits.
    #[must_use]
    pub fn new(address: IpAddr, prefix: u8) -> Option<Self> {
        let bits = bits(address);
        if prefix > bits {
            return None;
        }
        let mask = mask(bits, prefix);
        Some(Self { network: from_number(to_number(address) & mask, bits), prefix })
    }

    /// Its first address.
    #[must_use]
    pub fn network(&self) -> IpAddr {
        self.network
    }

    /// Its length in bits.
    #[must_use]
    pub fn prefix(&self) -> u8 {
        self.prefix
    }

    /// Whether `address` lies in it.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        Self::new(address, self.prefix).is_some_and(|own| own == *self && bits(address) == bits(self.network))
    }

    /// The address `offset` above the first; none beyond its end.
    #[must_use]
    pub fn nth(&self, offset: u128) -> Option<IpAddr> {
        let bits = bits(self.network);
        let address = to_number(self.network).checked_add(offset)?;
        (offset & mask(bits, self.prefix) == 0).then(|| from_number(address, bits))
    }

    /// Its netmask, in the bytes of an address.
    #[must_use]
    pub fn netmask(&self) -> Vec<u8> {
        let bits = bits(self.network);
        octets(from_number(mask(bits, self.prefix), bits))
    }
}

pub(crate) fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

fn bits(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn mask(bits: u8, prefix: u8) -> u128 {
    let all = if bits == 32 { u128::from(u32::MAX) } else { u128::MAX };
    // Shifting by all 128 bits overflows, and means no bit at all.
    all & all.checked_shl(u32::from(bits - prefix)).unwrap_or(0)
}

fn to_number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address),
    }
}

fn from_number(number: u128, bits: u8) -> IpAddr {
    if bits == 32 {
        IpAddr::V4(Ipv4Addr::from(u32::try_from(number & u128::from(u32::MAX)).expect("masked to 32 bits")))
    } else {
        IpAddr::V6(Ipv6Addr::from(number))
    }
}

impl FromStr for Cidr {
    type Err = CidrError;

    fn from_str(text: &str) -> Result<Self, CidrError> {
        let parsed =
            text.split_once('/').and_then(|(address, prefix)| Self::new(address.parse().ok()?, prefix.parse().ok()?));
        parsed.ok_or_else(|| CidrError(text.into()))
    }
}

impl TryFrom<String> for Cidr {
    type Error = CidrError;

    fn try_from(text: String) -> Result<Self, CidrError> {
        text.parse()
    }
}

impl From<Cidr> for String {
    fn from(cidr: Cidr) -> Self {
        cidr.to_string()
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.prefix)
    }
}

/// Why no address was given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IpamError {
    /// All are in use.
    #[error("no IP addresses available in range {0}")]
    Exhausted(Cidr),
    /// Somebody else has it.
    #[error("IP address {address} is already allocated to {owner:?}")]
    Taken {
        /// The address.
        address: IpAddr,
        /// Who has it.
        owner: String,
    },
    /// It is not in the range.
    #[error("IP address {address} is not in range {range}")]
    OutOfRange {
        /// The address.
        address: IpAddr,
        /// The range.
        range: Cidr,
    },
}

/// The addresses of one node's pod range. Pure: whoever owns it persists it, or rebuilds it from the sandboxes on disk
/// with [`Ipam::reserve`].
///
/// Addresses are given round-robin, so that one that was just freed is not given at once to another pod while somebody
/// may still talk to the former owner (upstream's `host-local` does the same).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ipam {
    range: Cidr,
    last: u128,
    owners: BTreeMap<IpAddr, String>,
}

impl Ipam {
    /// Nothing given yet.
    #[must_use]
    pub fn new(range: Cidr) -> Self {
        Self { range, last: 0, owners: BTreeMap::new() }
    }

    /// The range.
    #[must_use]
    pub fn range(&self) -> Cidr {
        self.range
    }

    /// Offsets that pods may have: not the network's own address, and in IPv4 not the broadcast address.
    fn usable(&self) -> u128 {
        let free_bits = bits(self.range.network) - self.range.prefix;
        let size = 1u128.checked_shl(u32::from(free_bits)).unwrap_or(u128::MAX);
        size.saturating_sub(if self.range.network.is_ipv4() { 2 } else { 1 })
    }

    /// Gives the next free address to `owner`; the one it has, if it has one.
    ///
    /// # Errors
    /// [`IpamError::Exhausted`].
    pub fn allocate(&mut self, owner: &str) -> Result<IpAddr, IpamError> {
        if let Some((address, _)) = self.owners.iter().find(|(_, name)| *name == owner) {
            return Ok(*address);
        }
        let usable = self.usable();
        if self.owners.len() as u128 >= usable {
            return Err(IpamError::Exhausted(self.range));
        }
        loop {
            self.last = self.last % usable + 1;
            let address = self.range.nth(self.last).expect("usable offsets lie in the range");
            if let Entry::Vacant(free) = self.owners.entry(address) {
                free.insert(owner.into());
                return Ok(address);
            }
        }
    }

    /// Notes that `owner` has `address`, as after a restart.
    ///
    /// # Errors
    /// [`IpamError::Taken`], [`IpamError::OutOfRange`].
    pub fn reserve(&mut self, owner: &str, address: IpAddr) -> Result<(), IpamError> {
        if !self.range.contains(address) {
            return Err(IpamError::OutOfRange { address, range: self.range });
        }
        match self.owners.get(&address) {
            Some(other) if other != owner => Err(IpamError::Taken { address, owner: other.clone() }),
            _ => {
                let offset = to_number(address) - to_number(self.range.network);
                self.last = self.last.max(offset);
                self.owners.insert(address, owner.into());
                Ok(())
            }
        }
    }

    /// Takes back whatever `owner` has.
    pub fn release(&mut self, owner: &str) {
        self.owners.retain(|_, name| name != owner);
    }
}

#[cfg(test)]
mod tests;
