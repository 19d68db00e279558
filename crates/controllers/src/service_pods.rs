//! The Pods behind a Service, as endpoints: shared by the two controllers that publish them.

use std::sync::Arc;

use api::resources::{PODS, SERVICES};
use apimachinery::Object;
use apimachinery::labels::Selector;
use client::{Change, Informer, WorkQueue};
use k8s_openapi::api::core::v1::{Pod, Service, ServicePort};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::context::ControllerContext;
use crate::pods;

/// A port as an endpoint offers it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Port {
    pub(crate) name: String,
    pub(crate) protocol: String,
    pub(crate) number: i32,
    pub(crate) app_protocol: Option<String>,
}

/// One Pod behind a Service.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Backend {
    pub(crate) address: String,
    pub(crate) node: Option<String>,
    pub(crate) hostname: Option<String>,
    pub(crate) pod_name: String,
    pub(crate) pod_namespace: String,
    pub(crate) pod_uid: String,
    /// The Pod may get new connections.
    pub(crate) ready: bool,
    /// The Pod answers, though it may be ending.
    pub(crate) serving: bool,
    pub(crate) terminating: bool,
    pub(crate) ports: Vec<Port>,
}

/// The informers of Services and Pods, with `queue` fed by both.
pub(crate) fn watch(context: &ControllerContext, queue: &WorkQueue) -> (Informer, Informer) {
    let [services, pods] = [SERVICES, PODS].map(|resource| context.informers.of(resource));
    services.on_change(crate::owner::enqueue(queue));
    let (of_pods, all) = (queue.clone(), services.clone());
    pods.on_change(move |change| {
        let mut states: Vec<&Arc<Object>> = vec![change.object()];
        if let Change::Updated(before, _) = change {
            states.push(before);
        }
        for service in all.store().in_namespace(&change.object().meta().namespace) {
            if states.iter().any(|pod| selects(&service, pod)) {
                of_pods.add(service.meta().key());
            }
        }
    });
    (services, pods)
}

/// Whether a Service selects a Pod. One without a selector selects none.
fn selects(service: &Object, pod: &Object) -> bool {
    let Ok(service) = service.typed::<Service>() else { return false };
    let selector = service.spec.as_ref().and_then(|s| s.selector.as_ref()).filter(|s| !s.is_empty());
    selector.is_some_and(|set| Selector::from_set(set).matches(&pod.meta().labels))
}

/// The Pods behind `service`, ordered by name.
pub(crate) fn backends(service: &Object, pods: &Informer) -> Vec<Backend> {
    let Ok(typed) = service.typed::<Service>() else { return Vec::new() };
    let candidates = pods.store().in_namespace(&service.meta().namespace);
    let selected = candidates.iter().filter(|pod| selects(service, pod));
    selected.filter_map(|pod| pod.typed::<Pod>().ok()).filter_map(|pod| backend(&typed, &pod)).collect()
}

fn backend(service: &Service, pod: &Pod) -> Option<Backend> {
    let status = pod.status.as_ref()?;
    let spec = pod.spec.as_ref()?;
    let address = status.pod_ip.clone().filter(|ip| !ip.is_empty())?;
    if matches!(status.phase.as_deref(), Some("Succeeded" | "Failed")) {
        return None;
    }
    let service_spec = service.spec.as_ref()?;
    let is_ready = pods::is_ready(pod);
    let terminating = pod.metadata.deletion_timestamp.is_some();
    let publish_all = service_spec.publish_not_ready_addresses == Some(true);
    let in_domain = spec.subdomain.is_some() && spec.subdomain == service.metadata.name;
    let ports = service_spec.ports.iter().flatten().filter_map(|port| resolve(port, pod)).collect();
    Some(Backend {
        address,
        node: spec.node_name.clone(),
        hostname: spec.hostname.clone().filter(|_| in_domain),
        pod_name: pod.metadata.name.clone()?,
        pod_namespace: pod.metadata.namespace.clone()?,
        pod_uid: pod.metadata.uid.clone()?,
        ready: publish_all || (is_ready && !terminating),
        serving: publish_all || is_ready,
        terminating,
        ports,
    })
}

/// The port of a Pod that a Service's port leads to; `None` if its name is not there.
fn resolve(port: &ServicePort, pod: &Pod) -> Option<Port> {
    let protocol = port.protocol.clone().unwrap_or_else(|| "TCP".to_owned());
    let number = match &port.target_port {
        None => port.port,
        Some(IntOrString::Int(0)) => port.port,
        Some(IntOrString::Int(number)) => *number,
        Some(IntOrString::String(name)) => {
            let spec = pod.spec.as_ref()?;
            let restartable =
                spec.init_containers.iter().flatten().filter(|c| c.restart_policy.as_deref() == Some("Always"));
            let ports = spec.containers.iter().chain(restartable).flat_map(|c| c.ports.iter().flatten());
            ports
                .filter(|p| p.protocol.as_deref().unwrap_or("TCP") == protocol)
                .find(|p| p.name.as_deref() == Some(name))
                .map(|p| p.container_port)?
        }
    };
    Some(Port {
        name: port.name.clone().unwrap_or_default(),
        protocol,
        number,
        app_protocol: port.app_protocol.clone(),
    })
}
