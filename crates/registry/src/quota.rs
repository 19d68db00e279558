//! What objects use of a ResourceQuota, and whether they may: shared by the controller, which counts, and the admission
//! plugin, which charges (upstream: `pkg/quota/v1/evaluator/core`, `apiserver/pkg/quota/v1`).
//!
//! Absent: device classes of ResourceClaims, which are only counted as objects.

mod claims;
mod pods;
mod scopes;
mod services;

use std::collections::BTreeSet;
use std::sync::Arc;

use api::resources::{PERSISTENTVOLUMECLAIMS, PODS, SERVICES};
use apimachinery::quantity::Format;
use apimachinery::{Object, Operation, Quantity, Resource};
use jiff::Timestamp;
use serde_json::Value;

use crate::resource_list::{self, ResourceList};

pub use pods::{is_charged, is_terminating};

/// Names that some core resources had before `count/…`.
const ALIASES: [&str; 4] = ["configmaps", "resourcequotas", "replicationcontrollers", "secrets"];

/// How objects of one resource are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evaluator {
    /// Pods: how many, and what they ask for.
    Pods,
    /// Services: how many, node ports, load balancers.
    Services,
    /// PersistentVolumeClaims: how many, and how much storage, also by class.
    Claims,
    /// Only how many.
    Count(&'static Resource),
}

impl Evaluator {
    /// The evaluator of a resource; `None`: no quota counts it.
    pub fn of(resource: &'static Resource) -> Option<Self> {
        match resource {
            r if !r.namespaced() || !r.stored() || r.plural == "events" => None,
            r if r.is(PODS) => Some(Self::Pods),
            r if r.is(SERVICES) => Some(Self::Services),
            r if r.is(PERSISTENTVOLUMECLAIMS) => Some(Self::Claims),
            r => Some(Self::Count(r)),
        }
    }

    /// What it counts.
    pub fn resource(&self) -> &'static Resource {
        match self {
            Self::Pods => PODS,
            Self::Services => SERVICES,
            Self::Claims => PERSISTENTVOLUMECLAIMS,
            Self::Count(resource) => resource,
        }
    }

    /// Whether it counts what a quota calls `name`.
    pub fn counts(&self, name: &str) -> bool {
        match self {
            Self::Pods => pods::counts(name),
            Self::Services => services::NAMES.contains(&name),
            Self::Claims => claims::counts(name),
            Self::Count(resource) => {
                count_name(resource) == name || (resource.group.is_empty() && alias(resource) == Some(name))
            }
        }
    }

    /// Whether a write can change what is used.
    pub fn charges(&self, operation: Operation, subresource: &str, new: &Value, old: Option<&Value>) -> bool {
        let creates = operation == Operation::Create && subresource.is_empty();
        let updates = operation == Operation::Update;
        match (self, old) {
            (Self::Pods, Some(old)) if updates => {
                subresource == "resize" || (subresource.is_empty() && is_terminating(old) != is_terminating(new))
            }
            (Self::Services, _) => creates || (updates && subresource.is_empty()),
            (Self::Claims, Some(old)) if updates => {
                subresource.is_empty() || (subresource == "status" && claims::status_counts(new, old))
            }
            _ => creates,
        }
    }

    /// What one object uses.
    pub fn usage(&self, object: &Value, now: Timestamp) -> ResourceList {
        match self {
            Self::Pods => pods::usage(object, now),
            Self::Services => services::usage(object),
            Self::Claims => claims::usage(object),
            Self::Count(resource) => {
                let alias = alias(resource).map(str::to_owned);
                [count_name(resource)].into_iter().chain(alias).map(|name| (name, whole(1))).collect()
            }
        }
    }

    /// Whether an object is in all scopes of a quota.
    pub fn in_scope(&self, quota: &Value, object: &Value) -> bool {
        scopes::of(quota).iter().all(|scope| match self {
            Self::Pods => scope.holds_pod(object),
            Self::Claims => scope.holds_claim(object),
            Self::Services | Self::Count(_) => false,
        })
    }

    /// What an object must say because a quota counts `names`, as the fault's text.
    pub fn missing(&self, names: &BTreeSet<String>, object: &Value) -> Option<String> {
        if *self == Self::Pods { pods::missing(names, object) } else { None }
    }

    /// The sum of what `objects` use of a quota, for each of its resources that this counts.
    fn sum(&self, quota: &Value, names: &[&String], objects: &[Arc<Object>], now: Timestamp) -> ResourceList {
        let mut sum: ResourceList = names.iter().map(|name| ((*name).clone(), whole(0))).collect();
        if matches!(self, Self::Count(_)) && scopes::of(quota).is_empty() {
            let count = i64::try_from(objects.len()).unwrap_or(i64::MAX);
            sum.values_mut().for_each(|amount| *amount = whole(count));
            return sum;
        }
        for object in objects.iter().map(|object| object.value()).filter(|object| self.in_scope(quota, object)) {
            for (name, amount) in self.usage(&object, now) {
                if let Some(total) = sum.get_mut(&name) {
                    total.add(&amount);
                }
            }
        }
        sum
    }
}

/// What is used of a quota. `kinds` are all evaluators, `objects` gives the objects of its namespace that each counts;
/// it is asked only where the quota counts something of them.
pub fn used(
    quota: &Value,
    kinds: &[Evaluator],
    objects: impl Fn(&Evaluator) -> Vec<Arc<Object>>,
    now: Timestamp,
) -> ResourceList {
    let hard = resource_list::read(&quota["spec"]["hard"]);
    let mut used = ResourceList::new();
    for kind in kinds {
        let names: Vec<&String> = hard.keys().filter(|name| kind.counts(name)).collect();
        if !names.is_empty() {
            used.extend(kind.sum(quota, &names, &objects(kind), now));
        }
    }
    used
}

/// A whole amount.
fn whole(amount: i64) -> Quantity {
    Quantity::new(amount, Format::DecimalSi)
}

/// `count/deployments.apps`.
fn count_name(resource: &Resource) -> String {
    if resource.group.is_empty() {
        format!("count/{}", resource.plural)
    } else {
        format!("count/{}.{}", resource.plural, resource.group)
    }
}

fn alias(resource: &Resource) -> Option<&'static str> {
    ALIASES.into_iter().find(|alias| resource.group.is_empty() && *alias == resource.plural)
}

#[cfg(test)]
mod tests;
