//! nftables without libnftables: an encoder of batches and a socket that commits them.
//!
//! A [`Batch`] is one transaction: all of it takes effect at once, or nothing. Expressions in a rule work on registers of
//! four bytes ([`Reg`]); longer values (IPv6 addresses, concatenated keys) take several in a row, each field padded to four.
//! Traps that this encoder knows: a list of elements holds at most 64 KiB and is split; keys made by `numgen` are in the
//! host's byte order; send buffers are raised by force, for a batch has to go in one piece.

mod batch;
mod expressions;
mod socket;

pub use batch::{
    BaseChain, Batch, ChainKind, Element, ElementValue, Family, Hook, Policy, Set, SetData, TableFlags, Verdict,
};
pub use expressions::{
    CmpOp, CtDirection, CtKey, Expressions, MetaKey, NatKind, PayloadBase, Reg, RejectWith, ct_state, ct_status,
};
pub use socket::{Chain, NftError, NftSocket, Rule};

#[cfg(test)]
mod tests;
