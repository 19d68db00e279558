//! The rules that all kinds share, without IO: objects and their metadata, Status errors, field paths, selectors,
//! quantities, patches, schemas and Tables. Mirrors the job of upstream's `k8s.io/apimachinery`.

pub mod admission;
pub mod apply;
pub mod cel;
pub mod conversion;
pub mod cron;
pub mod field;
pub mod gotext;
pub mod intstr;
pub mod jsonpath;
pub mod labels;
pub mod names;
mod object;
pub mod patch;
pub mod protobuf;
pub mod quantity;
pub mod resource;
pub mod schema;
mod status;
pub mod strategy;
mod structural;
mod time;
pub mod yaml;

pub use admission::{Admission, AdmissionRequest, Charge, Operation, Reader, RemoteAdmission, UserInfo, Wish};
pub use field::{FieldError, FieldPath};
pub use intstr::IntOrString;
pub use object::{DecodeError, Meta, Object, OwnerReference};
pub use quantity::Quantity;
pub use resource::{Resource, Scope};
pub use schema::{Schemas, TypeId};
pub use status::{ApiError, Cause, Reason};
pub use strategy::{Strategy, Subresource, WriteContext};
pub use structural::StructuralSchema;
pub use time::metav1_time;
