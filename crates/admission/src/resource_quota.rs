//! No namespace uses more than its ResourceQuotas allow (upstream: `apiserver/pkg/admission/plugin/resourcequota`).

use std::collections::BTreeSet;
use std::sync::Arc;

use api::resources::RESOURCEQUOTAS;
use apimachinery::{Admission, AdmissionRequest, ApiError, Charge, Object, Operation, Reader};
use registry::quota::Evaluator;
use registry::resource_list::{self, ResourceList};
use serde_json::Value;

/// The plugin.
#[derive(Debug, Clone, Copy)]
pub struct ResourceQuota;

impl Admission for ResourceQuota {
    fn name(&self) -> &'static str {
        "ResourceQuota"
    }

    fn charge(&self, request: &AdmissionRequest<'_>, reader: &dyn Reader) -> Result<Vec<Charge>, ApiError> {
        let Some(evaluator) = Evaluator::of(request.resource) else { return Ok(Vec::new()) };
        if !evaluator.charges(request.operation, request.subresource, request.object, request.old) {
            return Ok(Vec::new());
        }
        let quotas = reader.list(RESOURCEQUOTAS, request.namespace);
        if quotas.is_empty() {
            return Ok(Vec::new());
        }
        let bill = Bill::of(&evaluator, request);
        let refuse =
            |why: String| ApiError::forbidden(request.resource.group, request.resource.plural, request.name, &why);
        let mut applying = Vec::new();
        for quota in quotas {
            if let Some(applies) = Applying::new(quota, &evaluator, request.object).map_err(refuse)? {
                applying.push(applies);
            }
        }
        let negative: Vec<&str> =
            bill.new.iter().filter(|(_, n)| n.signum() < 0).map(|(name, _)| name.as_str()).collect();
        if !negative.is_empty() {
            return Err(refuse(format!("quota usage is negative for resource(s): {}", negative.join(","))));
        }
        let mut charges = Vec::new();
        for quota in applying {
            let bounded = request.subresource != "status";
            let requested = bill.for_quota(&quota.value);
            charges.extend(quota.charge(requested, bounded).map_err(refuse)?);
        }
        Ok(charges)
    }
}

/// What the write adds to what is used.
struct Bill<'a> {
    evaluator: &'a Evaluator,
    /// All that the object uses.
    new: ResourceList,
    /// The object before, and what is used beyond it.
    more: Option<(&'a Value, ResourceList)>,
}

impl<'a> Bill<'a> {
    fn of(evaluator: &'a Evaluator, request: &'a AdmissionRequest<'_>) -> Self {
        let new = evaluator.usage(request.object, request.now);
        let old = request.old.filter(|_| request.operation == Operation::Update);
        let more = old.map(|old| {
            let before = evaluator.usage(old, request.now);
            let mut more = new.clone();
            for (name, amount) in &mut more {
                if let Some(before) = before.get(name) {
                    amount.sub(before);
                }
            }
            // What an update gives back is counted later, when nobody can rely on it any more.
            more.retain(|_, amount| amount.signum() > 0);
            (old, more)
        });
        Self { evaluator, new, more }
    }

    /// An object that moves into a quota's scope is new to it.
    fn for_quota(&self, quota: &Value) -> &ResourceList {
        match &self.more {
            Some((old, more)) if self.evaluator.in_scope(quota, old) => more,
            _ => &self.new,
        }
    }
}

/// A quota that counts something of the object.
struct Applying {
    quota: Arc<Object>,
    value: Value,
    hard: ResourceList,
    used: ResourceList,
}

impl Applying {
    /// The quota, if it applies; or why the object may not be.
    fn new(quota: Arc<Object>, evaluator: &Evaluator, object: &Value) -> Result<Option<Self>, String> {
        let value = quota.value();
        // Only what the controller has taken over is enforced.
        let hard = resource_list::read(&value["status"]["hard"]);
        let counted: BTreeSet<String> = hard.keys().filter(|name| evaluator.counts(name)).cloned().collect();
        if counted.is_empty() || !evaluator.in_scope(&value, object) {
            return Ok(None);
        }
        let name = &quota.meta().name;
        if let Some(missing) = evaluator.missing(&counted, object) {
            return Err(format!("failed quota: {name}: {missing}"));
        }
        let used = resource_list::read(&value["status"]["used"]);
        if !counted.iter().all(|name| used.contains_key(name)) {
            let names: Vec<&str> = counted.iter().map(String::as_str).collect();
            return Err(format!("status unknown for quota: {name}, resources: {}", names.join(",")));
        }
        Ok(Some(Self { quota, value, hard, used }))
    }

    /// The quota with `bill` added; `None` if it counts nothing of that.
    fn charge(self, bill: &ResourceList, bounded: bool) -> Result<Option<Charge>, String> {
        let requested: ResourceList = bill
            .iter()
            .filter(|(name, amount)| !amount.is_zero() && self.hard.contains_key(*name))
            .map(|(name, amount)| (name.clone(), amount.clone()))
            .collect();
        if requested.is_empty() {
            return Ok(None);
        }
        let mut used = self.used.clone();
        resource_list::add(&mut used, &requested);
        let exceeded: Vec<&str> =
            requested.keys().filter(|name| used.get(*name) > self.hard.get(*name)).map(String::as_str).collect();
        if bounded && !exceeded.is_empty() {
            let show = |list: &ResourceList| {
                let of = |name: &&str| list.get(*name).map(|amount| format!("{name}={amount}"));
                exceeded.iter().filter_map(of).collect::<Vec<_>>().join(",")
            };
            return Err(format!(
                "exceeded quota: {}, requested: {}, used: {}, limited: {}",
                self.quota.meta().name,
                show(&requested),
                show(&self.used),
                show(&self.hard)
            ));
        }
        let mut charged = self.value;
        charged["status"]["used"] = resource_list::write(&used);
        Ok(Some(Charge { resource: RESOURCEQUOTAS, current: self.quota, charged }))
    }
}

#[cfg(test)]
mod tests;
