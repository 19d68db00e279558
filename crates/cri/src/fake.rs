//! A runtime in memory and in virtual time.
