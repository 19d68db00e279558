//! Which endpoints a node uses for a Service's port.

use std::collections::BTreeMap;
use std::net::SocketAddrV4;

use k8s_openapi::api::discovery::v1::EndpointSlice;

use super::NodeFacts;
use crate::ruleset::Protocol;

/// An endpoint of one port, with what the choice depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) address: SocketAddrV4,
    pub(super) is_local: bool,
    condition: Condition,
    node_hints: Vec<String>,
    zone_hints: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Condition {
    /// Serves nobody.
    Unready,
    /// Ends, but still serves: used where nothing is ready.
    ServingTerminating,
    Ready,
}

/// The endpoints of the port called `port`, in the order of their addresses. An address that several slices have counts with
/// its best condition: it may move between slices.
pub(super) fn candidates(
    slices: &[&EndpointSlice],
    port: &str,
    protocol: Protocol,
    node: &NodeFacts,
) -> Vec<Candidate> {
    let mut found: BTreeMap<SocketAddrV4, Candidate> = BTreeMap::new();
    for slice in slices {
        let wanted = slice.ports.iter().flatten().find(|entry| {
            entry.name.as_deref().unwrap_or_default() == port
                && Protocol::from_api(entry.protocol.as_deref()) == Some(protocol)
        });
        let Some(number) = wanted.and_then(|entry| entry.port).and_then(|port| u16::try_from(port).ok()) else {
            continue;
        };
        for endpoint in slice.endpoints.iter().flatten() {
            // Further addresses have no meaning (upstream uses the first).
            let Some(ip) = endpoint.addresses.first().and_then(|ip| ip.parse().ok()) else { continue };
            let conditions = endpoint.conditions.clone().unwrap_or_default();
            let condition = if conditions.ready.unwrap_or(true) {
                Condition::Ready
            } else if conditions.serving.unwrap_or(true) && conditions.terminating.unwrap_or(false) {
                Condition::ServingTerminating
            } else {
                Condition::Unready
            };
            let hints = endpoint.hints.clone().unwrap_or_default();
            let candidate = Candidate {
                address: SocketAddrV4::new(ip, number),
                is_local: match &endpoint.node_name {
                    Some(name) => *name == node.node_name,
                    None => ip == node.node_ip || node.pod_cidr.contains(ip.into()),
                },
                condition,
                node_hints: hints.for_nodes.into_iter().flatten().map(|hint| hint.name).collect(),
                zone_hints: hints.for_zones.into_iter().flatten().map(|hint| hint.name).collect(),
            };
            let known = found.entry(candidate.address).or_insert_with(|| candidate.clone());
            if known.condition < candidate.condition {
                *known = candidate;
            }
        }
    }
    found.into_values().collect()
}

/// What is used of the candidates (upstream: `CategorizeEndpoints`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Usable {
    /// With the policy Cluster.
    pub(super) cluster: Vec<Candidate>,
    /// With the policy Local.
    pub(super) local: Vec<Candidate>,
    /// Whether any node of the cluster can serve it.
    pub(super) anywhere: bool,
}

impl Usable {
    pub(super) fn of(candidates: &[Candidate], node: &NodeFacts) -> Self {
        let chosen = |condition: Condition, want: &dyn Fn(&Candidate) -> bool| -> Vec<Candidate> {
            candidates.iter().filter(|c| c.condition == condition && want(c)).cloned().collect()
        };
        let or_terminating = |ready: Vec<Candidate>, want: &dyn Fn(&Candidate) -> bool| {
            if ready.is_empty() { chosen(Condition::ServingTerminating, want) } else { ready }
        };
        let near = Proximity::of(candidates, node);
        let ready = chosen(Condition::Ready, &|candidate| near.includes(candidate, node));
        let local = |candidate: &Candidate| candidate.is_local;
        Self {
            cluster: or_terminating(ready, &|_| true),
            local: or_terminating(chosen(Condition::Ready, &local), &local),
            anywhere: candidates.iter().any(|candidate| candidate.condition != Condition::Unready),
        }
    }
}

/// Which hints count (upstream: `topologyModeFromHints`): only those that every ready endpoint has, and only if one of the
/// endpoints is meant for this node or its zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Proximity {
    Anywhere,
    SameNode,
    SameZone,
}

impl Proximity {
    fn of(candidates: &[Candidate], node: &NodeFacts) -> Self {
        let ready = || candidates.iter().filter(|candidate| candidate.condition == Condition::Ready);
        let hinted_by = |hints: fn(&Candidate) -> &Vec<String>, wanted: &String| {
            ready().all(|candidate| !hints(candidate).is_empty())
                && ready().any(|candidate| hints(candidate).contains(wanted))
        };
        if hinted_by(|candidate| &candidate.node_hints, &node.node_name) {
            Self::SameNode
        } else if hinted_by(|candidate| &candidate.zone_hints, &node.zone) {
            Self::SameZone
        } else {
            Self::Anywhere
        }
    }

    fn includes(self, candidate: &Candidate, node: &NodeFacts) -> bool {
        match self {
            Self::Anywhere => true,
            Self::SameNode => candidate.node_hints.contains(&node.node_name),
            Self::SameZone => candidate.zone_hints.contains(&node.zone),
        }
    }
}
