//! How pods and nodes get out: masquerade, and permission to pass where the host forbids forwarding.
//!
//! Pods are masqueraded by their node, nodes by their host. Both tables are made by node init and owned by its sockets, so
//! they go when it goes. Where a foreign chain drops what is forwarded (Docker, ufw, firewalld), no table of our own can let
//! it pass, at any priority: a packet has to be accepted by every chain of a hook. So a rule is put at the head of the
//! foreign chain, in both directions, recognised by its comment, put there again when it is missing, and removed with the
//! node.

use std::net::IpAddr;

use crate::Cidr;
use crate::ipam::octets;
use crate::nftables::{
    BaseChain, Batch, Chain, ChainKind, CmpOp, Expressions, Family, Hook, NftError, NftSocket, Policy, Reg, TableFlags,
    Verdict,
};

/// Source NAT runs here, as upstream's and everybody else's.
const PRIORITY_SOURCE_NAT: i32 = 100;
/// The chain Docker reserves for the user's own rules, called before its own.
const DOCKER_USER: &str = "DOCKER-USER";

/// What is masqueraded: packets from `sources` to anywhere but `except`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Masquerade {
    /// Name of the table.
    pub table: String,
    /// Where packets come from.
    pub sources: Vec<Cidr>,
    /// Destinations that see the true source.
    pub except: Vec<Cidr>,
}

fn load(expressions: &mut Expressions<'_>, range: Cidr, source: bool) {
    let register = Reg(0);
    match (range.network(), source) {
        (IpAddr::V4(_), true) => expressions.is_ipv4(register).ip_source(register),
        (IpAddr::V4(_), false) => expressions.is_ipv4(register).ip_destination(register),
        (IpAddr::V6(_), true) => expressions.is_ipv6(register).ip6_source(register),
        (IpAddr::V6(_), false) => expressions.is_ipv6(register).ip6_destination(register),
    };
}

/// Goes on if the packet's source (or destination) is in `range`, or is not.
fn in_range(expressions: &mut Expressions<'_>, range: Cidr, source: bool, op: CmpOp) {
    load(expressions, range, source);
    expressions.mask(Reg(0), &range.netmask()).compare(Reg(0), op, &octets(range.network()));
}

/// The masquerade table; replaces one of the same name that the same socket owns.
#[must_use]
pub fn masquerade(plan: &Masquerade) -> Batch {
    let mut batch = Batch::new(Family::Inet);
    let table = plan.table.as_str();
    batch.destroy_table(table);
    batch.add_table(table, TableFlags { owner: true, exclusive: false });
    batch.add_base_chain(
        table,
        "postrouting",
        BaseChain {
            kind: ChainKind::Nat,
            hook: Hook::Postrouting,
            priority: PRIORITY_SOURCE_NAT,
            policy: Policy::Accept,
        },
    );
    for source in &plan.sources {
        batch.add_rule(table, "postrouting", |expressions| {
            in_range(expressions, *source, true, CmpOp::Eq);
            let same_family = |range: &&Cidr| range.network().is_ipv4() == source.network().is_ipv4();
            for range in plan.except.iter().filter(same_family) {
                in_range(expressions, *range, false, CmpOp::Ne);
            }
            expressions.masquerade();
        });
    }
    batch
}

/// Chains into which a rule has to be put so that `sources` may be forwarded: those that are called for forwarded packets
/// and drop by policy; instead of the base chain, Docker's chain for users where there is one in its table.
#[must_use]
pub fn obstacles(chains: &[Chain]) -> Vec<Chain> {
    let dropping = |chain: &&Chain| chain.hook == Some(Hook::Forward) && chain.policy == Some(Policy::Drop);
    let better = |chain: &Chain| {
        let users =
            |other: &&Chain| other.family == chain.family && other.table == chain.table && other.name == DOCKER_USER;
        chains.iter().find(users).unwrap_or(chain).clone()
    };
    chains.iter().filter(dropping).map(better).collect()
}

/// Lets packets from and to `ranges` pass all obstacles. Idempotent; call it again when somebody may have reloaded his
/// rules. Returns the chains that got or have our rule, for `status` to show.
///
/// # Errors
/// nftables refused.
pub fn permit(socket: &mut NftSocket, comment: &str, ranges: &[Cidr]) -> Result<Vec<Chain>, NftError> {
    let chains = obstacles(&socket.chains()?);
    for chain in &chains {
        let ours = |rule: &crate::nftables::Rule| rule.comment.as_deref() == Some(comment);
        if socket.rules(chain.family, &chain.table, &chain.name)?.iter().any(ours) {
            continue;
        }
        let mut batch = Batch::new(chain.family);
        for range in ranges {
            if matches!((chain.family, range.network()), (Family::Ip, IpAddr::V6(_)) | (Family::Ip6, IpAddr::V4(_))) {
                continue;
            }
            for source in [true, false] {
                batch.insert_rule(&chain.table, &chain.name, comment, |expressions| {
                    in_range(expressions, *range, source, CmpOp::Eq);
                    expressions.counter().verdict(&Verdict::Accept);
                });
            }
        }
        socket.commit(batch)?;
    }
    Ok(chains)
}

/// Takes back what [`permit`] did, everywhere.
///
/// # Errors
/// nftables refused.
pub fn revoke(socket: &mut NftSocket, comment: &str) -> Result<(), NftError> {
    for chain in socket.chains()? {
        let rules = socket.rules(chain.family, &chain.table, &chain.name)?;
        let mut batch = Batch::new(chain.family);
        for rule in rules.iter().filter(|rule| rule.comment.as_deref() == Some(comment)) {
            batch.delete_rule(&chain.table, &chain.name, rule.handle);
        }
        socket.commit(batch)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
