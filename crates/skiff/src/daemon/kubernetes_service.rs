//! The Services that lead to this process itself: `kubernetes` in `default`, by which Pods reach the API server
//! (upstream: `pkg/controlplane/controller/kubernetesservice`), and `kube-dns` in `kube-system`, the cluster's DNS.

use std::net::SocketAddr;

use anyhow::Result;
use api::resources::{ENDPOINTS, ENDPOINTSLICES, SERVICES};
use apimachinery::{Reason, Resource};
use client::Client;
use serde_json::{Value, json};

use crate::cluster::Cluster;

/// A Service without a selector, and where it leads.
struct Own {
    namespace: &'static str,
    name: &'static str,
    labels: Value,
    cluster_ip: String,
    /// Name, protocol, port of the Service.
    ports: Vec<(&'static str, &'static str, u16)>,
    target: SocketAddr,
}

/// Makes the Services and their endpoints what they should be.
pub(crate) async fn reconcile(client: &Client, cluster: &Cluster) -> Result<()> {
    let address = |offset: u32| cluster.service_cidr().address(offset).to_string();
    let api = Own {
        namespace: "default",
        name: "kubernetes",
        labels: json!({"provider": "kubernetes", "component": "apiserver"}),
        cluster_ip: address(1),
        ports: vec![("https", "TCP", 443)],
        target: cluster.api_address_in_node(),
    };
    let dns = Own {
        namespace: "kube-system",
        name: "kube-dns",
        labels: json!({"k8s-app": "kube-dns", "kubernetes.io/cluster-service": "true", "kubernetes.io/name": "CoreDNS"}),
        cluster_ip: cluster.dns_address().to_string(),
        ports: vec![("dns", "UDP", 53), ("dns-tcp", "TCP", 53)],
        target: cluster.dns_listener(),
    };
    publish(client, &api).await?;
    publish(client, &dns).await
}

async fn publish(client: &Client, own: &Own) -> Result<()> {
    let Own { namespace, name, .. } = own;
    let target = own.target.port();
    let service_port = |(name, protocol, port): &(&str, &str, u16)| json!({"name": name, "port": port, "protocol": protocol, "targetPort": target});
    let target_port =
        |(name, protocol, _): &(&str, &str, u16)| json!({"name": name, "port": target, "protocol": protocol});
    let ports: Vec<Value> = own.ports.iter().map(target_port).collect();
    let service = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": name, "namespace": namespace, "labels": own.labels},
        "spec": {
            "clusterIP": own.cluster_ip, "type": "ClusterIP",
            "ports": own.ports.iter().map(service_port).collect::<Vec<_>>(),
        },
    });
    let labels = json!({"endpointslice.kubernetes.io/skip-mirror": "true"});
    let endpoints = json!({
        "apiVersion": "v1", "kind": "Endpoints",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "subsets": [{
            "addresses": [{"ip": own.target.ip().to_string()}], "ports": ports,
        }],
    });
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": name, "namespace": namespace, "labels": {"kubernetes.io/service-name": name}},
        "endpoints": [{"addresses": [own.target.ip().to_string()], "conditions": {"ready": true}}],
        "ports": ports,
    });
    ensure(client, own, SERVICES, service, None).await?;
    ensure(client, own, ENDPOINTS, endpoints, Some("subsets")).await?;
    ensure(client, own, ENDPOINTSLICES, slice, Some("endpoints")).await
}

/// Creates an object, or sets `field` of the one that is there.
async fn ensure(
    client: &Client,
    own: &Own,
    resource: &'static Resource,
    wanted: Value,
    field: Option<&str>,
) -> Result<()> {
    let current = match client.get(resource, own.namespace, own.name).await {
        Ok(current) => current,
        Err(error) if error.reason == Reason::NotFound => {
            client.create(resource, own.namespace, wanted).await?;
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    let Some(field) = field else { return Ok(()) };
    let mut body = current.value();
    if body[field] != wanted[field] {
        body[field] = wanted[field].clone();
        client.update(resource, own.namespace, own.name, body).await?;
    }
    Ok(())
}
