//! Whole clusters in virtual time.

mod rollout;
