//! What is asked for, against the bounds of one entry of a LimitRange.

use apimachinery::Quantity;
use registry::resource_list::{self, ResourceList};
use serde_json::Value;

/// What a container, a Pod or a claim asks for.
pub(super) struct Asked {
    /// The limit's type, for the texts.
    pub(super) of: &'static str,
    pub(super) requests: ResourceList,
    pub(super) limits: ResourceList,
}

impl Asked {
    /// What is out of the bounds of `limit`.
    pub(super) fn faults(&self, limit: &Value) -> Vec<String> {
        let mut faults = self.below(limit);
        for (name, most) in resource_list::read(&limit["max"]) {
            let max = format!("maximum {name} usage per {} is {most}", self.of);
            faults.extend(match (self.requests.get(&name), self.limits.get(&name)) {
                (_, None) => Some(format!("{max}.  No limit is specified")),
                (_, Some(limit)) if *limit > most => Some(format!("{max}, but limit is {limit}")),
                (Some(request), _) if *request > most => Some(format!("{max}, but request is {request}")),
                _ => None,
            });
        }
        for (name, most) in resource_list::read(&limit["maxLimitRequestRatio"]) {
            faults.extend(self.ratio(&name, &most));
        }
        faults
    }

    /// The same for a claim, which has no limits.
    pub(super) fn claim_faults(&self, limit: &Value) -> Vec<String> {
        let mut faults = self.below(limit);
        for (name, most) in resource_list::read(&limit["max"]) {
            let max = format!("maximum {name} usage per {} is {most}", self.of);
            faults.extend(match self.requests.get(&name) {
                None => Some(format!("{max}.  No request is specified")),
                Some(request) if *request > most => Some(format!("{max}, but request is {request}")),
                Some(_) => None,
            });
        }
        faults
    }

    fn below(&self, limit: &Value) -> Vec<String> {
        let mut faults = Vec::new();
        for (name, least) in resource_list::read(&limit["min"]) {
            let min = format!("minimum {name} usage per {} is {least}", self.of);
            faults.extend(match (self.requests.get(&name), self.limits.get(&name)) {
                (None, _) => Some(format!("{min}.  No request is specified")),
                (Some(request), _) if *request < least => Some(format!("{min}, but request is {request}")),
                (_, Some(limit)) if *limit < least => Some(format!("{min}, but limit is {limit}")),
                _ => None,
            });
        }
        faults
    }

    fn ratio(&self, name: &str, most: &Quantity) -> Option<String> {
        let stated = |list: &ResourceList| list.get(name).filter(|amount| !amount.is_zero()).map(Quantity::as_f64);
        let max = format!("{name} max limit to request ratio per {} is {most}", self.of);
        let Some(request) = stated(&self.requests) else {
            return Some(format!("{max}, but no request is specified or request is 0"));
        };
        let Some(limit) = stated(&self.limits) else {
            return Some(format!("{max}, but no limit is specified or limit is 0"));
        };
        let ratio = limit / request;
        (ratio > most.as_f64()).then(|| format!("{max}, but provided ratio is {ratio:.6}"))
    }
}
