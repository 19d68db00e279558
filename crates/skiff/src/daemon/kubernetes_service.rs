//! The Services that lead to this process itself: `kubernetes` in `default`, by which Pods reach the API server
//! (upstream: `pkg/controlplane/controller/kubernetesservice`), and `kube-dns` in `kube-system`, the cluster's DNS. They
//! and the system's namespaces (`pkg/controlplane/controller/systemnamespaces`) come again when somebody deletes them, as
//! `kubectl delete all --all` does.

use std::net::SocketAddr;
use std::sync::Arc;

use api::resources::{ENDPOINTS, ENDPOINTSLICES, NAMESPACES, SERVICES};
use apimachinery::{ApiError, Reason, Resource};
use async_trait::async_trait;
use client::{Change, Client, Informers, Outcome, ReconcileError, Reconciler, WorkQueue, run_controller};
use component_base::Supervisor;
use serde_json::{Value, json};

use crate::cluster::Cluster;

/// The namespaces that every cluster has.
const NAMES: [&str; 4] = ["default", "kube-node-lease", "kube-public", "kube-system"];

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
pub(crate) async fn reconcile(client: &Client, cluster: &Cluster) -> Result<(), ApiError> {
    for own in &all(cluster) {
        publish(client, own).await?;
    }
    Ok(())
}

/// Makes them, and the namespaces, again whenever they are deleted.
pub(crate) fn keep(client: Client, informers: &Informers, supervisor: &Supervisor, cluster: &Cluster) {
    let queue = WorkQueue::new();
    let keeper = Keeper { client, services: all(cluster) };
    let keys: Vec<String> = keeper
        .services
        .iter()
        .map(|own| format!("{}/{}", own.namespace, own.name))
        .chain(NAMES.map(str::to_owned))
        .collect();
    for resource in [SERVICES, ENDPOINTS, ENDPOINTSLICES, NAMESPACES] {
        let (queue, keys) = (queue.clone(), keys.clone());
        informers.of(resource).on_change(move |change| {
            let key = change.object().meta().key();
            if matches!(change, Change::Deleted(_)) && keys.contains(&key) {
                queue.add(key);
            }
        });
    }
    run_controller(supervisor, &queue, 1, Arc::new(keeper));
}

struct Keeper {
    client: Client,
    services: [Own; 2],
}

#[async_trait]
impl Reconciler for Keeper {
    fn name(&self) -> &'static str {
        "own-objects"
    }

    /// The key is that of a Service or of a namespace, and what is in it.
    async fn reconcile(&self, key: &str) -> Result<Outcome, ReconcileError> {
        let (namespace, service) = key.split_once('/').unwrap_or((key, ""));
        if service.is_empty() {
            let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
            match self.client.create(NAMESPACES, "", body).await {
                Err(error) if error.reason != Reason::AlreadyExists => return Err(error.into()),
                _ => {}
            }
        }
        for own in self.services.iter().filter(|own| own.namespace == namespace) {
            publish(&self.client, own).await?;
        }
        Ok(Outcome::Done)
    }
}

fn all(cluster: &Cluster) -> [Own; 2] {
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
    [api, dns]
}

async fn publish(client: &Client, own: &Own) -> Result<(), ApiError> {
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
) -> Result<(), ApiError> {
    let current = match client.get(resource, own.namespace, own.name).await {
        Ok(current) => current,
        Err(error) if error.reason == Reason::NotFound => {
            client.create(resource, own.namespace, wanted).await?;
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    let Some(field) = field else { return Ok(()) };
    let mut body = current.value();
    if body[field] != wanted[field] {
        body[field] = wanted[field].clone();
        client.update(resource, own.namespace, own.name, body).await?;
    }
    Ok(())
}
