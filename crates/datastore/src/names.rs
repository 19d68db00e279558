//! The files of a store's directory, and nothing else may be in it.

/// Held by `flock`; contains the holder's process id.
pub(crate) const LOCK: &str = "lock";
/// Says what the directory is: [`FORMAT_TEXT`] and a number.
pub(crate) const FORMAT: &str = "format";
/// Files being written have this ending until they are whole; they are worthless after a crash.
pub(crate) const ASIDE: &str = ".tmp";
/// What `format` says before the number.
pub(crate) const FORMAT_TEXT: &str = "skiff datastore format ";
/// The format that this version writes, and the newest it reads.
pub(crate) const FORMAT_NUMBER: u32 = 1;

const SEGMENT: &str = "log-";
const SNAPSHOT: &str = "snapshot-";
/// The root of a mounted file system has this directory.
const LOST_AND_FOUND: &str = "lost+found";

/// A file by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    Lock,
    Format,
    /// Segment by ordinal, from 1.
    Segment(u64),
    /// Snapshot by revision.
    Snapshot(u64),
    /// Left by a crash.
    Aside,
    /// Not ours, but may be there.
    Harmless,
    Foreign,
}

pub(crate) fn parse(name: &str) -> Name {
    let hex = |prefix| {
        let digits: &str = name.strip_prefix(prefix)?;
        (digits.len() == 16).then(|| u64::from_str_radix(digits, 16).ok())?
    };
    match name {
        LOCK => Name::Lock,
        FORMAT => Name::Format,
        LOST_AND_FOUND => Name::Harmless,
        _ => {
            if let Some(ordinal) = hex(SEGMENT) {
                return Name::Segment(ordinal);
            }
            if let Some(revision) = hex(SNAPSHOT) {
                return Name::Snapshot(revision);
            }
            match name.strip_suffix(ASIDE).map(parse) {
                Some(Name::Format | Name::Segment(_) | Name::Snapshot(_)) => Name::Aside,
                _ => Name::Foreign,
            }
        }
    }
}

pub(crate) fn segment(ordinal: u64) -> String {
    format!("{SEGMENT}{ordinal:016x}")
}

pub(crate) fn snapshot(revision: u64) -> String {
    format!("{SNAPSHOT}{revision:016x}")
}

pub(crate) fn aside(name: &str) -> String {
    format!("{name}{ASIDE}")
}
