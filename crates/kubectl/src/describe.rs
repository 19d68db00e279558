//! What `kubectl describe` prints of an object: upstream's layout to the byte. Pure: related objects, the present and the time
//! zone are arguments, and [`needs`] says which related objects a kind shows. Kinds without a layout of their own are shown
//! generically.

mod autoscaling;
mod config;
mod containers;
mod events;
mod fields;
mod generic;
mod network;
mod node;
mod page;
mod pod;
mod rbac;
mod resources;
mod service;
mod storage;
mod tabs;
mod volumes;
mod workloads;

use fields::Fields;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use page::Page;
use serde_json::Value;
use std::collections::BTreeMap;

/// What is shown beside an object.
#[derive(Debug, Clone, Default)]
pub struct Related {
    /// The Events about it; none where they are not to be shown.
    pub events: Option<Vec<Value>>,
    /// The Pods that its selector finds, or that run on a Node; the error's text where they cannot be listed.
    pub pods: Option<Result<Vec<Value>, String>>,
    /// The ReplicaSets that a Deployment's selector finds.
    pub replica_sets: Vec<Value>,
    /// The slices of a Service.
    pub endpoint_slices: Vec<Value>,
    /// A Node's lease, or the error's text.
    pub lease: Option<Result<Value, String>>,
    /// The ResourceQuotas of a Namespace; none where the server does not serve them.
    pub quotas: Option<Vec<Value>>,
    /// The LimitRanges of a Namespace; none where the server does not serve them.
    pub limit_ranges: Option<Vec<Value>>,
    /// The Services that an Ingress leads to, by name, or the error's text.
    pub backends: BTreeMap<String, Result<Backend, String>>,
}

/// A Service and where it leads.
#[derive(Debug, Clone, Default)]
pub struct Backend {
    /// The Service.
    pub service: Value,
    /// Its slices.
    pub endpoint_slices: Vec<Value>,
}

/// Which related objects a kind shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Needs {
    /// Its Events.
    pub events: bool,
    /// The Pods of `spec.selector`.
    pub pods_by_selector: bool,
    /// The Pods that run on it.
    pub pods_by_node: bool,
    /// The ReplicaSets of `spec.selector`.
    pub replica_sets: bool,
    /// EndpointSlices by the label `kubernetes.io/service-name`.
    pub endpoint_slices: bool,
    /// The Lease of its name in `kube-node-lease`.
    pub lease: bool,
    /// ResourceQuotas and LimitRanges in the namespace of its name.
    pub limits: bool,
    /// The Pods of its namespace.
    pub pods_of_namespace: bool,
    /// The Services that [`backends`] names, with their slices.
    pub backends: bool,
}

/// What a describer gets.
pub(crate) struct Case<'a> {
    object: &'a Value,
    related: &'a Related,
    now: Timestamp,
    zone: &'a TimeZone,
}

/// A layout of its own: the kind as `Kind.group`, how it is written, and what it shows beside the object.
type Layout = (&'static str, fn(&Case<'_>, &mut Page), Needs);

const NOTHING: Needs = Needs {
    events: false,
    pods_by_selector: false,
    pods_by_node: false,
    replica_sets: false,
    endpoint_slices: false,
    lease: false,
    limits: false,
    pods_of_namespace: false,
    backends: false,
};
const EVENTS: Needs = Needs { events: true, ..NOTHING };
const EVENTS_AND_PODS: Needs = Needs { pods_by_selector: true, ..EVENTS };

/// Upstream's `describerMap`, as far as it is served.
const LAYOUTS: &[Layout] = &[
    ("CSINode.storage.k8s.io", storage::csi_node, EVENTS),
    ("ClusterRole.rbac.authorization.k8s.io", rbac::role, NOTHING),
    ("ClusterRoleBinding.rbac.authorization.k8s.io", rbac::binding, NOTHING),
    ("ConfigMap", config::config_map, EVENTS),
    ("CronJob.batch", workloads::cron_job, EVENTS),
    ("DaemonSet.apps", workloads::daemon_set, EVENTS_AND_PODS),
    ("Deployment.apps", workloads::deployment, Needs { replica_sets: true, ..EVENTS }),
    ("EndpointSlice.discovery.k8s.io", service::endpoint_slice, EVENTS),
    ("Endpoints", service::endpoints, EVENTS),
    ("HorizontalPodAutoscaler.autoscaling", autoscaling::horizontal_pod_autoscaler, EVENTS),
    ("IPAddress.networking.k8s.io", network::ip_address, EVENTS),
    ("Ingress.networking.k8s.io", network::ingress, Needs { backends: true, ..EVENTS }),
    ("IngressClass.networking.k8s.io", network::ingress_class, EVENTS),
    ("Job.batch", workloads::job, EVENTS),
    ("LimitRange", config::limit_range, NOTHING),
    ("Namespace", config::namespace, Needs { limits: true, ..NOTHING }),
    ("NetworkPolicy.networking.k8s.io", network::network_policy, NOTHING),
    ("Node", node::node, Needs { pods_by_node: true, lease: true, ..EVENTS }),
    ("PersistentVolume", storage::persistent_volume, EVENTS),
    ("PersistentVolumeClaim", storage::persistent_volume_claim, Needs { pods_of_namespace: true, ..EVENTS }),
    ("Pod", pod::pod, EVENTS),
    ("PodDisruptionBudget.policy", autoscaling::pod_disruption_budget, EVENTS),
    ("PriorityClass.scheduling.k8s.io", config::priority_class, EVENTS),
    ("ReplicaSet.apps", workloads::replica_set, EVENTS_AND_PODS),
    ("ReplicationController", workloads::replication_controller, EVENTS_AND_PODS),
    ("ResourceQuota", config::resource_quota, NOTHING),
    ("Role.rbac.authorization.k8s.io", rbac::role, NOTHING),
    ("RoleBinding.rbac.authorization.k8s.io", rbac::binding, NOTHING),
    ("Secret", config::secret, NOTHING),
    ("Service", service::service, Needs { endpoint_slices: true, ..EVENTS }),
    ("ServiceAccount", config::service_account, EVENTS),
    ("ServiceCIDR.networking.k8s.io", network::service_cidr, EVENTS),
    ("StatefulSet.apps", workloads::stateful_set, EVENTS_AND_PODS),
    ("StorageClass.storage.k8s.io", storage::storage_class, EVENTS),
    ("VolumeAttributesClass.storage.k8s.io", storage::volume_attributes_class, EVENTS),
];

fn layout(object: &Value) -> Option<&'static Layout> {
    let kind = object.text("kind");
    let name = match object.text("apiVersion").split_once('/') {
        Some((group, _)) => format!("{kind}.{group}"),
        None => kind.to_string(),
    };
    LAYOUTS.iter().find(|(of, ..)| *of == name)
}

/// Which related objects describing `object` takes.
pub fn needs(object: &Value) -> Needs {
    layout(object).map_or(EVENTS, |(.., needs)| *needs)
}

/// The names of the Services that an Ingress leads to.
pub fn backends(object: &Value) -> Vec<String> {
    network::backends(object)
}

/// A label selector as text, as descriptions and queries write it.
pub(crate) fn selector_text(selector: &Value) -> String {
    fields::selector(selector)
}

/// A Pod template as descriptions show it, with its tabs: `rollout history` prints it so.
pub(crate) fn template_text(template: &Value) -> String {
    let mut page = Page::default();
    containers::template(&mut page, template);
    page.unaligned()
}

/// Text whose cells tabs end, in columns.
pub(crate) fn aligned(text: &str) -> String {
    tabs::align(text)
}

/// The ReplicaSet of a Deployment's present template, and the others that it controls, the oldest first.
pub(crate) fn replica_sets_of<'a>(deployment: &Value, all: &'a [Value]) -> (Option<&'a Value>, Vec<&'a Value>) {
    workloads::replica_sets(deployment, all)
}

/// The description of `object`, with its line end. Times are printed in `zone`, ages as of `now`.
pub fn render(object: &Value, related: &Related, now: Timestamp, zone: &TimeZone) -> String {
    let case = Case { object, related, now, zone };
    let mut page = Page::default();
    match layout(object) {
        Some((_, write, _)) => write(&case, &mut page),
        None => generic::describe(&case, &mut page),
    }
    page.finish()
}

#[cfg(test)]
mod tests;
