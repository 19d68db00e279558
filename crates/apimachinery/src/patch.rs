//! The three ways to patch an object: JSON patch, JSON merge patch and strategic merge patch. (Server-side apply is no
//! patch of JSON but a merge of typed fields.)

mod json;
mod merge;
mod place;
mod strategic;

pub use json::{OPERATIONS_MAX, apply_json_patch};
pub use merge::apply_merge_patch;
pub use place::{DELETE_FROM_PRIMITIVE_LIST, DIRECTIVE, Member, Place, RETAIN_KEYS, SET_ELEMENT_ORDER};
pub use strategic::apply_strategic_patch;

/// Why a patch was not applied. The variants tell with which code a server answers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatchError {
    /// The patch itself is malformed: 400.
    #[error("{0}")]
    Malformed(String),
    /// More operations than [`OPERATIONS_MAX`]: 413.
    #[error("The allowed maximum operations in a JSON patch is {OPERATIONS_MAX}, got {0}")]
    TooManyOperations(usize),
    /// The patch does not fit the object: 422.
    #[error("{0}")]
    Rejected(String),
}

impl PatchError {
    /// Whether the patch itself asked not to be applied: a `test` of it does not hold.
    pub fn is_failed_test(&self) -> bool {
        matches!(self, Self::Rejected(why) if why.ends_with(json::TEST_FAILED))
    }
}

#[cfg(test)]
mod tests;
