//! What a write that did not take means for the reconcile that made it.

use apimachinery::{ApiError, Reason};
use client::{Outcome, ReconcileError};

/// Nothing is to be done for an object that is gone meanwhile, of which the informer will tell; one that has changed is
/// looked at again.
pub(crate) fn settled(error: ApiError) -> Result<Outcome, ReconcileError> {
    match error.reason {
        Reason::NotFound => Ok(Outcome::Done),
        Reason::Conflict => Ok(Outcome::Retry),
        _ => Err(error.into()),
    }
}
