//! What cluster DNS sees of the cluster.

use std::net::Ipv4Addr;
use std::sync::Arc;

use api::resources::{ENDPOINTSLICES, NAMESPACES, SERVICES};
use apimachinery::Object;
use client::{Informer, Informers};
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;

/// Where slices name their Service.
const SERVICE_NAME: &str = "kubernetes.io/service-name";
const BY_SERVICE: &str = "dns-service";
const BY_ADDRESS: &str = "dns-address";

/// A consistent enough look at the objects that names are made of. Tests have their own.
pub trait ClusterView: Send + Sync {
    /// The Service.
    fn service(&self, namespace: &str, name: &str) -> Option<Arc<Service>>;
    /// The Service's EndpointSlices.
    fn endpoint_slices(&self, namespace: &str, service: &str) -> Vec<Arc<EndpointSlice>>;
    /// Whether there is such a Namespace.
    fn has_namespace(&self, name: &str) -> bool;
    /// The Services that have this cluster IP.
    fn services_at(&self, address: Ipv4Addr) -> Vec<Arc<Service>>;
    /// The EndpointSlices that have this endpoint.
    fn endpoint_slices_at(&self, address: Ipv4Addr) -> Vec<Arc<EndpointSlice>>;
}

/// The view over informers. Cheap to clone.
#[derive(Debug, Clone)]
pub struct InformerView {
    services: Informer,
    slices: Informer,
    namespaces: Informer,
}

impl InformerView {
    /// Adds the indexes that are needed.
    pub fn new(informers: &Informers) -> Self {
        let [services, slices, namespaces] = [SERVICES, ENDPOINTSLICES, NAMESPACES].map(|r| informers.of(r));
        services.add_index(BY_ADDRESS, |object| {
            object.typed::<Service>().map(|service| cluster_ips(&service)).unwrap_or_default()
        });
        slices.add_index(BY_SERVICE, |object| {
            let meta = object.meta();
            meta.labels.get(SERVICE_NAME).map(|name| format!("{}/{name}", meta.namespace)).into_iter().collect()
        });
        slices.add_index(BY_ADDRESS, |object| {
            let Ok(slice) = object.typed::<EndpointSlice>() else { return Vec::new() };
            slice.endpoints.iter().flatten().flat_map(|endpoint| endpoint.addresses.clone()).collect()
        });
        Self { services, slices, namespaces }
    }

    /// Returns when the first lists are there.
    pub async fn synced(&self) {
        for informer in [&self.services, &self.slices, &self.namespaces] {
            informer.synced().await;
        }
    }
}

fn typed<K>(objects: Vec<Arc<Object>>) -> Vec<Arc<K>>
where
    K: serde::de::DeserializeOwned + Send + Sync + 'static,
{
    objects.iter().filter_map(|object| object.typed().ok()).collect()
}

/// The cluster IPs of a Service that has any.
pub(crate) fn cluster_ips(service: &Service) -> Vec<String> {
    let Some(spec) = &service.spec else { return Vec::new() };
    let mut all = spec.cluster_ips.clone().unwrap_or_default();
    if all.is_empty() {
        all.extend(spec.cluster_ip.clone());
    }
    all.retain(|ip| !ip.is_empty() && ip != "None");
    all
}

/// The Service that a slice belongs to.
pub(crate) fn service_of(slice: &EndpointSlice) -> Option<&str> {
    slice.metadata.labels.as_ref()?.get(SERVICE_NAME).map(String::as_str)
}

impl ClusterView for InformerView {
    fn service(&self, namespace: &str, name: &str) -> Option<Arc<Service>> {
        self.services.store().get(&format!("{namespace}/{name}"))?.typed().ok()
    }

    fn endpoint_slices(&self, namespace: &str, service: &str) -> Vec<Arc<EndpointSlice>> {
        typed(self.slices.store().by_index(BY_SERVICE, &format!("{namespace}/{service}")))
    }

    fn has_namespace(&self, name: &str) -> bool {
        self.namespaces.store().get(name).is_some()
    }

    fn services_at(&self, address: Ipv4Addr) -> Vec<Arc<Service>> {
        typed(self.services.store().by_index(BY_ADDRESS, &address.to_string()))
    }

    fn endpoint_slices_at(&self, address: Ipv4Addr) -> Vec<Arc<EndpointSlice>> {
        typed(self.slices.store().by_index(BY_ADDRESS, &address.to_string()))
    }
}
