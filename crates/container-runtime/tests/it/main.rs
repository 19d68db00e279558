//! Real pods and nodes on this machine's kernel; needs root. Everything made here has names of its own and is removed again.

mod containers;
mod nodes;
mod pods;
mod world;
