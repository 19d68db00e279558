//! System call filters: profiles, and their compilation to BPF.
//!
//! A profile is compiled to a binary search over ranges of system call numbers with equal treatment: some 70 instructions
//! instead of 2,000 in a row.

mod compile;
mod oci;
mod runtime_default;
mod syscalls;

pub(crate) use compile::compile;
pub(crate) use oci::parse;
pub(crate) use runtime_default::runtime_default;

/// What happens to a system call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// It is made.
    Allow,
    /// It fails with this error number.
    Errno(u16),
    /// The thread is killed with SIGSYS.
    KillThread,
    /// The process is killed with SIGSYS.
    KillProcess,
    /// SIGSYS can be handled.
    Trap,
    /// It is made and logged.
    Log,
}

/// How an argument is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    /// After keeping the mask's bits.
    MaskedEqual,
}

/// What an argument has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Condition {
    /// 0 to 5.
    pub(crate) argument: u8,
    pub(crate) comparison: Comparison,
    pub(crate) value: u64,
    /// For [`Comparison::MaskedEqual`].
    pub(crate) mask: u64,
}

/// Treatment of some system calls whose arguments fulfil all conditions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) names: Vec<String>,
    pub(crate) action: Action,
    pub(crate) conditions: Vec<Condition>,
}

/// A whole filter. A rule without conditions wins over those with; among several with conditions the first that fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Profile {
    pub(crate) default: Action,
    pub(crate) rules: Vec<Rule>,
}

#[cfg(test)]
mod tests;
