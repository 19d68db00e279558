//! `cargo xtask codegen …`: tables of facts, generated from the reference documents and checked in.

pub(crate) mod resources;
pub(crate) mod schemas;
