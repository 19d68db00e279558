//! The Service `kubernetes` in `default` with its endpoints, by which Pods reach the API server
//! (upstream: `pkg/controlplane/controller/kubernetesservice`).

use anyhow::Result;
use api::resources::{ENDPOINTS, ENDPOINTSLICES, SERVICES};
use apimachinery::{Reason, Resource};
use client::Client;
use serde_json::{Value, json};

use crate::cluster::Cluster;

const NAMESPACE: &str = "default";
const NAME: &str = "kubernetes";

/// Makes the Service and its endpoints what they should be.
pub(crate) async fn reconcile(client: &Client, cluster: &Cluster) -> Result<()> {
    let address = cluster.api_address_in_node();
    let service = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": NAME, "namespace": NAMESPACE, "labels": {"provider": "kubernetes", "component": "apiserver"}},
        "spec": {
            "clusterIP": cluster.service_cidr().address(1).to_string(), "type": "ClusterIP",
            "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": address.port()}],
        },
    });
    let labels = json!({"endpointslice.kubernetes.io/skip-mirror": "true"});
    let endpoints = json!({
        "apiVersion": "v1", "kind": "Endpoints",
        "metadata": {"name": NAME, "namespace": NAMESPACE, "labels": labels},
        "subsets": [{
            "addresses": [{"ip": address.ip().to_string()}],
            "ports": [{"name": "https", "port": address.port(), "protocol": "TCP"}],
        }],
    });
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": NAME, "namespace": NAMESPACE, "labels": {"kubernetes.io/service-name": NAME}},
        "endpoints": [{"addresses": [address.ip().to_string()], "conditions": {"ready": true}}],
        "ports": [{"name": "https", "port": address.port(), "protocol": "TCP"}],
    });
    ensure(client, SERVICES, service, None).await?;
    ensure(client, ENDPOINTS, endpoints, Some("subsets")).await?;
    ensure(client, ENDPOINTSLICES, slice, Some("endpoints")).await
}

/// Creates an object, or sets `field` of the one that is there.
async fn ensure(client: &Client, resource: &'static Resource, wanted: Value, field: Option<&str>) -> Result<()> {
    let current = match client.get(resource, NAMESPACE, NAME).await {
        Ok(current) => current,
        Err(error) if error.reason == Reason::NotFound => {
            client.create(resource, NAMESPACE, wanted).await?;
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    let Some(field) = field else { return Ok(()) };
    let mut body = current.value();
    if body[field] != wanted[field] {
        body[field] = wanted[field].clone();
        client.update(resource, NAMESPACE, NAME, body).await?;
    }
    Ok(())
}
