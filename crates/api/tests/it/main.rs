//! Decoders and merges on input that nobody would send, with the tables of all built-in kinds.

mod fuzz;
mod mutate;
