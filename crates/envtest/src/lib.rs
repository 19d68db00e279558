//! A whole cluster in a test: the control plane as it is, simulated nodes, virtual time, one seed.
