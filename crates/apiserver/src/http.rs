//! The HTTP front: filters, verbs, discovery, OpenAPI, health, metrics and relays into containers.

mod aggregate;
mod body;
mod connect;
mod discovery;
mod handler;
mod health;
mod negotiate;
mod openapi;
mod options;
mod port_forward;
mod pretty;
mod proxy;
mod remote_command;
mod request;
mod serve;
mod service;
mod table;
mod upgrade;
mod warnings;
mod watch;
mod websocket;

pub(crate) use openapi::OpenApi;
pub(crate) use options::delete_options;
pub use serve::{Acceptor, TlsFiles, serve};
