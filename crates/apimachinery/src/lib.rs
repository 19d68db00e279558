//! The rules that all kinds share, without IO: objects and their metadata, Status errors, field paths, selectors,
//! quantities, patches, schemas and Tables. Mirrors the job of upstream's `k8s.io/apimachinery`.

pub mod admission;
pub mod field;
pub mod labels;
pub mod names;
mod object;
pub mod resource;
mod status;
pub mod strategy;

pub use admission::{Admission, AdmissionRequest, Operation, Reader, UserInfo};
pub use field::{FieldError, FieldPath};
pub use object::{DecodeError, Meta, Object, OwnerReference};
pub use resource::{Resource, Scope};
pub use status::{ApiError, Cause, Reason};
pub use strategy::{Strategy, Subresource, WriteContext};
