//! Makes the kernel agree with a ruleset: one nftables table, addresses of the uplink, one route.
//!
//! Who writes: whoever holds the [`Kernel`]; nobody else touches what it makes. All calls block.

mod table;

use std::net::{IpAddr, Ipv4Addr};

use cni::NetlinkError;
use cni::nftables::{NftError, NftSocket};
use cni::plan::{Address, RouteTo};
use cni::rtnetlink::{LinkAddress, RouteSocket};

use crate::plan::NodeFacts;
use crate::ruleset::{Changes, Ruleset, diff};

/// Marks the addresses that are ours among those of a link (`IFA_PROTO`; the kernel itself uses 1 to 3).
const ADDRESS_PROTOCOL: u8 = 0x53;

/// The kernel does not (fully) have what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// A netlink socket.
    #[error("failed to open a netlink socket for the node's rules")]
    Open(#[source] NetlinkError),
    /// The table.
    #[error("failed to change the table of Services")]
    Table(#[source] NftError),
    /// The uplink.
    #[error(
        "no network link has the node's address {0}: add it to one, or start the proxy with an address of this node"
    )]
    NoUplink(Ipv4Addr),
    /// Addresses of load balancers.
    #[error("failed to change the addresses of load balancers on link {link}")]
    Addresses {
        /// The uplink's number.
        link: u32,
        /// What the kernel says.
        #[source]
        source: NetlinkError,
    },
    /// A bug of ours.
    #[error("applying the node's rules panicked; the log has the panic")]
    Panicked,
    /// Looking for the uplink.
    #[error("failed to list the node's addresses")]
    ListAddresses(#[source] NetlinkError),
    /// The route to the Services' range.
    #[error("failed to set the route to the range of Services {range}")]
    Route {
        /// The range.
        range: cni::Cidr,
        /// What the kernel says.
        #[source]
        source: NetlinkError,
    },
}

/// What the kernel was made to do so far.
#[derive(Debug)]
enum State {
    /// Unknown: the next change replaces everything.
    Unknown,
    /// This, by way of that uplink.
    Applied { ruleset: Box<Ruleset>, uplink: u32 },
}

/// The kernel's side of a node's Services, in the network namespace in which it was opened.
#[derive(Debug)]
pub struct Kernel {
    nft: NftSocket,
    route: RouteSocket,
    node: NodeFacts,
    state: State,
}

impl Kernel {
    /// Opens the sockets; changes nothing yet. What an earlier process left is replaced at once by the first
    /// [`Kernel::apply`].
    ///
    /// # Errors
    /// [`ApplyError::Open`].
    pub fn open(node: NodeFacts) -> Result<Self, ApplyError> {
        let nft = NftSocket::open().map_err(ApplyError::Open)?;
        let route = RouteSocket::open().map_err(ApplyError::Open)?;
        Ok(Self { nft, route, node, state: State::Unknown })
    }

    /// Makes the kernel do what `ruleset` says. The table changes in one transaction.
    ///
    /// A change that the kernel refuses is followed by a full replacement; if that fails too, the next call is a full one.
    ///
    /// # Errors
    /// The full replacement failed. The table is as before; addresses and route may be partly changed.
    pub fn apply(&mut self, ruleset: Ruleset) -> Result<(), ApplyError> {
        let applied = match std::mem::replace(&mut self.state, State::Unknown) {
            State::Unknown => self.replace(&ruleset),
            State::Applied { ruleset: before, uplink } => {
                let changes = diff(&before, &ruleset);
                self.change(uplink, &changes).map(|()| uplink).or_else(|error| {
                    let error: &dyn std::error::Error = &error;
                    tracing::warn!(error, "a change of the Services' rules failed, replacing them all");
                    self.replace(&ruleset)
                })
            }
        };
        let uplink = applied?;
        self.state = State::Applied { ruleset: Box::new(ruleset), uplink };
        Ok(())
    }

    /// Replaces everything; gives the uplink.
    fn replace(&mut self, ruleset: &Ruleset) -> Result<u32, ApplyError> {
        let changes = diff(&Ruleset::default(), ruleset);
        self.nft.commit(table::replace(&self.node, &changes)).map_err(ApplyError::Table)?;
        let known = self.route.addresses().map_err(ApplyError::ListAddresses)?;
        let has_node_ip = |entry: &&LinkAddress| entry.address.ip == IpAddr::V4(self.node.node_ip);
        let uplink = known.iter().find(has_node_ip).ok_or(ApplyError::NoUplink(self.node.node_ip))?.link;
        let stale = known.iter().filter(|entry| entry.protocol == ADDRESS_PROTOCOL).filter(|entry| {
            !matches!(entry.address.ip, IpAddr::V4(ip) if entry.link == uplink && ruleset.addresses.contains(&ip))
        });
        for entry in stale {
            let deleted = self.route.delete_address(entry.link, &entry.address);
            deleted.map_err(|source| ApplyError::Addresses { link: entry.link, source })?;
        }
        let added: Vec<Ipv4Addr> = ruleset.addresses.iter().copied().collect();
        self.change_addresses(uplink, &[], &added)?;
        // A node without a default route could not send to a cluster IP at all; and what it sends has its own address.
        let range = self.node.service_cidr;
        let route = RouteTo { destination: range, gateway: None, source: Some(self.node.node_ip.into()) };
        self.route.set_route(uplink, &route).map_err(|source| ApplyError::Route { range, source })?;
        Ok(uplink)
    }

    fn change(&mut self, uplink: u32, changes: &Changes) -> Result<(), ApplyError> {
        if !changes.keep_table() {
            self.nft.commit(table::change(&self.node, changes)).map_err(ApplyError::Table)?;
        }
        let added: Vec<Ipv4Addr> = changes.addresses.add.iter().map(|(ip, ())| *ip).collect();
        self.change_addresses(uplink, &changes.addresses.remove, &added)
    }

    fn change_addresses(&mut self, link: u32, remove: &[Ipv4Addr], add: &[Ipv4Addr]) -> Result<(), ApplyError> {
        let single = |ip: &Ipv4Addr| Address { ip: (*ip).into(), prefix: 32 };
        let failed = |source| ApplyError::Addresses { link, source };
        for ip in remove {
            self.route.delete_address(link, &single(ip)).map_err(failed)?;
        }
        for ip in add {
            self.route.add_address_as(link, &single(ip), ADDRESS_PROTOCOL).map_err(failed)?;
        }
        Ok(())
    }
}

/// Takes away all that a proxy has left in the network namespace of the caller: the table, addresses, the route. Blocks.
///
/// # Errors
/// See [`ApplyError`]; what is left can be taken away by calling it again.
pub fn remove(node: &NodeFacts) -> Result<(), ApplyError> {
    let mut kernel = Kernel::open(node.clone())?;
    kernel.nft.commit(table::remove()).map_err(ApplyError::Table)?;
    let known = kernel.route.addresses().map_err(ApplyError::ListAddresses)?;
    for entry in known.iter().filter(|entry| entry.protocol == ADDRESS_PROTOCOL) {
        let deleted = kernel.route.delete_address(entry.link, &entry.address);
        deleted.map_err(|source| ApplyError::Addresses { link: entry.link, source })?;
    }
    let range = node.service_cidr;
    if let Some(uplink) = known.iter().find(|entry| entry.address.ip == IpAddr::V4(node.node_ip)) {
        let route = RouteTo { destination: range, gateway: None, source: Some(node.node_ip.into()) };
        let deleted = kernel.route.delete_route(uplink.link, &route);
        deleted.map_err(|source| ApplyError::Route { range, source })?;
    }
    Ok(())
}
