//! The rules of each kind: defaults, what is set and reset on writes, validation, selectable fields, rows of Tables
//! (upstream's *strategies*, `pkg/registry/*/strategy.go`, `pkg/apis/*/validation`, `pkg/printers`). Pure: no IO.
//!
//! One file a kind under `kinds`, none for a kind without rules: those get what their resource and schema say. The
//! golden files beside `src` are what upstream's own code makes of the objects there (`xtask/golden/rules`).

mod check;
mod columns;
pub mod custom;
mod defaults;
mod kinds;
pub mod metadata;
pub mod pem;
pub mod pods;
mod print;
pub mod quota;
pub mod resource_list;
mod rules;
pub mod scheduling;
pub mod services;
pub mod storage_classes;
mod value;
pub mod volumes;
mod warnings;

pub use columns::{Column, columns};
pub use custom::CustomType;
pub use rules::strategy;
pub use warnings::deprecation;

#[cfg(test)]
mod golden;
