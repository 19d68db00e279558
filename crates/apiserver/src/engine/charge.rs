//! What a write takes from other objects, such as from a ResourceQuota. It is committed before the object itself, so
//! that two writes that only fit once cannot both pass, and put back if the object cannot be committed.

use std::sync::Arc;

use apimachinery::{ApiError, Charge, Object, Operation};
use client::Target;
use serde_json::Value;

use super::write::admitted_name;
use super::{Engine, RequestContext};

/// Tries against other writers of the same quota. Each round one of them gets through, so this is how many may create
/// in one namespace at once.
const TRIES_MAX: usize = 512;

/// A charge that was committed.
#[derive(Debug)]
pub(super) struct Charged {
    charge: Charge,
    after: Arc<Object>,
}

impl Engine {
    /// Takes what the write needs, or says why there is not enough. A dry run takes nothing.
    pub(super) async fn charge(
        &self,
        context: &mut RequestContext,
        operation: Operation,
        target: Target<'_>,
        object: &mut Value,
        old: Option<&Value>,
    ) -> Result<Vec<Charged>, ApiError> {
        let name = admitted_name(target, object);
        for _ in 0..TRIES_MAX {
            let mut charges = Vec::new();
            let request = self.admission_request(context, operation, Target { name: &name, ..target }, object, old);
            for plugin in &self.admission {
                charges.extend(plugin.charge(&request, &*self.caches)?);
            }
            if context.dry_run {
                return Ok(Vec::new());
            }
            let wanted = charges.len();
            let charged = self.take(charges).await?;
            if charged.len() == wanted {
                return Ok(charged);
            }
            self.give_back(charged).await;
        }
        Err(ApiError::modified(target.resource.group, target.resource.plural, &name))
    }

    /// Commits charges one after the other, up to the first that somebody else was faster at.
    async fn take(&self, charges: Vec<Charge>) -> Result<Vec<Charged>, ApiError> {
        let mut charged = Vec::with_capacity(charges.len());
        for charge in charges {
            match self.exchange(&charge, &charge.current, &charge.charged).await {
                Ok(Some(after)) => charged.push(Charged { charge, after }),
                Ok(None) => break,
                Err(error) => {
                    self.give_back(charged).await;
                    return Err(error);
                }
            }
        }
        Ok(charged)
    }

    /// Puts the states before the charges back. Where somebody has written since, the charge stays until the quota is
    /// counted again: who counts in between may have seen the object or not.
    pub(super) async fn give_back(&self, charged: Vec<Charged>) {
        for Charged { charge, after } in charged {
            if let Err(error) = self.exchange(&charge, &after, &charge.current.value()).await {
                tracing::warn!(object = charge.current.meta().key(), error = %error, "a charge could not be given back");
            }
        }
    }

    async fn exchange(&self, charge: &Charge, from: &Object, to: &Value) -> Result<Option<Arc<Object>>, ApiError> {
        let meta = charge.current.meta();
        let stored = Object::to_stored(to).map_err(ApiError::internal)?;
        self.replace(Target::object(charge.resource, &meta.namespace, &meta.name), from, &stored).await
    }
}
