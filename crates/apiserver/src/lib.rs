//! The API server: a watch cache over the datastore, one generic engine for all kinds, authentication, authorisation,
//! and the HTTP front. It knows no kinds but those of its own job; what is special about a kind is in crate `registry`.
//!
//! Absent until they are whole: flow control, audit logs, protobuf
//! responses and proxy relays. Requests for these are refused with a Status that says so.

mod aggregation;
mod authentication;
mod authorization;
mod cache;
mod catalog;
mod engine;
mod http;
mod local;
mod node_connector;
mod server;
mod service_network;
mod subresources;
mod token;

pub use aggregation::{RemoteBody, RemoteServer, RemoteServers};
pub use authorization::{Attributes, Authorizer, Decision};
pub use cache::{CacheEvent, Caches, ResourceCache};
pub use engine::{Configuration, Deleted, Engine, FieldValidation, RequestContext, Selection};
pub use http::{Acceptor, TlsFiles, serve};
pub use local::LocalTransport;
pub use node_connector::{ContainerTarget, LogBytes, LogOptions, LogStream, NodeConnector};
pub use server::{ApiServer, ServerConfig};
pub use service_network::{NODE_PORTS, ServiceCidr, ServiceNetwork};
pub use token::{BoundObject, SharedAuthority, TokenAuthority, TokenError, TokenSpec};
