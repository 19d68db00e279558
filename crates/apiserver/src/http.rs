//! The HTTP front: filters, verbs, discovery, OpenAPI, health, metrics and relays into containers.

mod body;
mod connect;
mod discovery;
mod handler;
mod negotiate;
mod options;
mod request;
mod serve;
mod service;
mod table;
mod watch;
mod websocket;

pub(crate) use options::delete_options;
pub use serve::{Acceptor, TlsFiles, serve};
