//! Against the kernel, with traffic, in network namespaces of the tests' own; needs root.

mod api_server;
mod rules;
mod running;
mod world;
