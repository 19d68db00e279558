//! Server-side apply: who owns which fields of an object, and what becomes of it when somebody says what they want of it
//! (upstream: `sigs.k8s.io/structured-merge-diff`, KEP-555). Pure.

mod managers;
mod merge;
pub(crate) mod place;
mod set;
mod walk;

pub use managers::{Manager, Managers, Operation};
pub use merge::{Applied, ApplyError, Conflict, apply, atomics, merge};
pub use place::Place;
pub use set::{FieldSet, PathElement};
pub use walk::{Comparison, compare, fields_of};

#[cfg(test)]
mod tests;
