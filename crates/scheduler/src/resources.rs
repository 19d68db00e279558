//! Amounts of resources in the units in which nodes and Pods are compared.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use registry::resource_list::{self, Reckoning, ResourceList};
use serde_json::{Value, json};

/// What a container without requests counts as for scoring (upstream: `DefaultMilliCPURequest`, `DefaultMemoryRequest`).
static DEFAULTS: LazyLock<ResourceList> =
    LazyLock::new(|| resource_list::read(&json!({"cpu": "100m", "memory": "200Mi"})));

/// Amounts of resources.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resources {
    /// CPU in thousandths of a core.
    pub milli_cpu: i64,
    /// Memory in bytes.
    pub memory: i64,
    /// Ephemeral storage in bytes.
    pub ephemeral_storage: i64,
    /// Everything else by name.
    pub other: BTreeMap<String, i64>,
}

impl Resources {
    /// Reads a list. How many Pods a node takes is no amount of this kind.
    pub(crate) fn of(list: &ResourceList) -> Self {
        let mut resources = Self::default();
        for (name, quantity) in list {
            match name.as_str() {
                "cpu" => resources.milli_cpu = quantity.milli_value(),
                "memory" => resources.memory = quantity.value(),
                "ephemeral-storage" => resources.ephemeral_storage = quantity.value(),
                "pods" => {}
                other => {
                    resources.other.insert(other.to_owned(), quantity.value());
                }
            }
        }
        resources
    }

    /// What a Pod needs; and the same with something assumed for containers that say nothing, by which nodes are scored.
    pub(crate) fn of_pod(pod: &Value) -> (Self, Self) {
        let requests = resource_list::pod_requests(pod, Reckoning::Scheduled);
        let mut missing = DEFAULTS.clone();
        // A Pod that speaks for itself as a whole leaves to its containers only what it does not mention.
        if pod["spec"]["resources"]["requests"].as_object().is_some_and(|stated| !stated.is_empty()) {
            missing.retain(|name, _| !requests.contains_key(name));
        }
        let scoring = resource_list::pod_requests_or(pod, Reckoning::Scheduled, &missing);
        (Self::of(&requests), Self::of(&scoring))
    }

    /// Adds `other`.
    pub fn add(&mut self, other: &Self) {
        self.change(other, |amount, by| *amount += by);
    }

    /// Takes `other` away.
    pub fn sub(&mut self, other: &Self) {
        self.change(other, |amount, by| *amount -= by);
    }

    fn change(&mut self, other: &Self, by: fn(&mut i64, i64)) {
        by(&mut self.milli_cpu, other.milli_cpu);
        by(&mut self.memory, other.memory);
        by(&mut self.ephemeral_storage, other.ephemeral_storage);
        for (name, amount) in &other.other {
            by(self.other.entry(name.clone()).or_default(), *amount);
        }
    }

    /// Whether any amount is above that of `other`.
    pub(crate) fn exceeds(&self, other: &Self) -> bool {
        self.milli_cpu > other.milli_cpu
            || self.memory > other.memory
            || self.ephemeral_storage > other.ephemeral_storage
            || self.other.iter().any(|(name, amount)| *amount > other.other.get(name).copied().unwrap_or(0))
    }
}

#[cfg(test)]
mod tests;
