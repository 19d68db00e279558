//! Capability sets, by name.

/// Capabilities in the kernel's order; index is number.
const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// What a container has unless its pod says otherwise: containerd's and Docker's fourteen.
const DEFAULT: [&str; 14] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FSETID",
    "FOWNER",
    "MKNOD",
    "NET_RAW",
    "SETGID",
    "SETUID",
    "SETFCAP",
    "SETPCAP",
    "NET_BIND_SERVICE",
    "SYS_CHROOT",
    "KILL",
    "AUDIT_WRITE",
];

/// A set of capabilities, bit n for number n.
pub(crate) type CapabilityMask = u64;

/// A name that is no capability.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown capability {0:?}")]
pub(crate) struct UnknownCapability(String);

/// All capabilities that this code knows; the kernel may know fewer.
pub(crate) const fn all() -> CapabilityMask {
    (1 << NAMES.len()) - 1
}

/// The bit of a name; `CAP_` in front and lower case are fine.
pub(crate) fn bit(name: &str) -> Result<CapabilityMask, UnknownCapability> {
    let upper = name.to_ascii_uppercase();
    let bare = upper.strip_prefix("CAP_").unwrap_or(&upper);
    let number = NAMES.iter().position(|known| *known == bare);
    number.map(|number| 1 << number).ok_or_else(|| UnknownCapability(name.into()))
}

/// The capabilities of a container. `ALL` in `add` or `drop` means all; additions are applied after removals, so that
/// `drop: [ALL], add: [NET_BIND_SERVICE]` leaves one.
pub(crate) fn resolve(privileged: bool, changes: &cri::Capabilities) -> Result<CapabilityMask, UnknownCapability> {
    if privileged {
        return Ok(all());
    }
    let is_all = |name: &String| name.eq_ignore_ascii_case("ALL");
    let mut mask = DEFAULT.iter().map(|name| bit(name).expect("the default names are known")).fold(0, |a, b| a | b);
    if changes.add.iter().any(is_all) {
        mask = all();
    }
    if changes.drop.iter().any(is_all) {
        mask = 0;
    }
    for name in changes.drop.iter().filter(|name| !is_all(name)) {
        mask &= !bit(name)?;
    }
    for name in changes.add.iter().filter(|name| !is_all(name)) {
        mask |= bit(name)?;
    }
    Ok(mask)
}

#[cfg(test)]
mod tests;
