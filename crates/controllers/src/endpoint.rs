//! The Endpoints controller: the older form of what EndpointSlices say, for clients that still read it
//! (upstream: `pkg/controller/endpoint`).

use std::collections::BTreeMap;
use std::sync::Arc;

use api::resources::ENDPOINTS;
use apimachinery::{Object, Reason};
use async_trait::async_trait;
use client::{Client, DeleteOptions, Informer, Outcome, ReconcileError, Reconciler, WorkQueue, run_controller};
use k8s_openapi::api::core::v1::Service;
use serde_json::{Value, json};

use crate::context::ControllerContext;
use crate::service_pods::{self, Backend, Port};

const NAME: &str = "endpoint-controller";
const WORKERS: usize = 5;
/// The most addresses in one Endpoints object; further ones are left out and the object says so.
const ADDRESSES_MAX: usize = 1000;
const MANAGED_BY: &str = "endpoints.kubernetes.io/managed-by";
const HEADLESS: &str = "service.kubernetes.io/headless";
const OVER_CAPACITY: &str = "endpoints.kubernetes.io/over-capacity";

struct EndpointController {
    client: Client,
    context: ControllerContext,
    services: Informer,
    pods: Informer,
    endpoints: Informer,
}

/// Starts the controller.
pub(crate) fn start(context: &ControllerContext) {
    let queue = WorkQueue::new();
    let (services, pods) = service_pods::watch(context, &queue);
    let endpoints = context.informers.of(ENDPOINTS);
    endpoints.on_change(crate::owner::enqueue(&queue));
    let controller =
        EndpointController { client: context.client(NAME), context: context.clone(), services, pods, endpoints };
    run_controller(&context.supervisor, &queue, WORKERS, Arc::new(controller));
}

#[async_trait]
impl Reconciler for EndpointController {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn reconcile(&self, key: &str) -> Result<Outcome, ReconcileError> {
        self.context.informers.synced().await;
        let (namespace, name) = key.split_once('/').unwrap_or(("", key));
        let current = self.endpoints.store().get(key);
        let Some(service) = self.services.store().get(key) else {
            // Ours only: others' Endpoints may have no Service.
            let ours = current.is_some_and(|e| e.meta().labels.get(MANAGED_BY).is_some_and(|by| by == NAME));
            if ours {
                let deleted = self.client.delete(ENDPOINTS, namespace, name, &DeleteOptions::default()).await;
                if let Err(error) = deleted
                    && error.reason != Reason::NotFound
                {
                    return Err(error.into());
                }
            }
            return Ok(Outcome::Done);
        };
        let typed = service.typed::<Service>()?;
        let has_selector = typed.spec.as_ref().and_then(|s| s.selector.as_ref()).is_some_and(|s| !s.is_empty());
        let external = typed.spec.as_ref().and_then(|s| s.type_.as_deref()) == Some("ExternalName");
        if !has_selector || external || service.meta().deletion_timestamp.is_some() {
            return Ok(Outcome::Done);
        }
        let headless = typed.spec.as_ref().and_then(|s| s.cluster_ip.as_deref()) == Some("None");
        let backends = service_pods::backends(&service, &self.pods);
        let desired = desired(&service, headless, &backends, current.as_deref());
        let written = match (&current, desired) {
            (_, None) => return Ok(Outcome::Done),
            (Some(_), Some(body)) => self.client.update(ENDPOINTS, namespace, name, body).await,
            (None, Some(body)) => self.client.create(ENDPOINTS, namespace, body).await,
        };
        match written {
            Ok(object) => {
                self.endpoints.caught_up(object.meta().resource_version).await;
                Ok(Outcome::Done)
            }
            Err(error) if matches!(error.reason, Reason::Conflict | Reason::AlreadyExists | Reason::NotFound) => {
                Ok(Outcome::Retry)
            }
            Err(error) if error.causes.iter().any(|c| c.reason == "NamespaceTerminating") => Ok(Outcome::Done),
            Err(error) => Err(error.into()),
        }
    }
}

/// The Endpoints object as it should be; `None` if it is so already.
fn desired(service: &Object, headless: bool, backends: &[Backend], current: Option<&Object>) -> Option<Value> {
    let meta = service.meta();
    let mut labels = json!(meta.labels);
    labels[MANAGED_BY] = json!(NAME);
    if headless {
        labels[HEADLESS] = json!("");
    }
    let subsets = subsets(&backends[..backends.len().min(ADDRESSES_MAX)]);
    let over = backends.len() > ADDRESSES_MAX;
    let mut body = match current {
        Some(current) => current.value(),
        None => json!({
            "apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": meta.name, "namespace": meta.namespace},
        }),
    };
    let before = body.clone();
    body["metadata"]["labels"] = labels;
    if over {
        body["metadata"]["annotations"][OVER_CAPACITY] = json!("truncated");
    }
    let object = body.as_object_mut()?;
    if subsets.is_empty() {
        object.remove("subsets");
    } else {
        object.insert("subsets".to_owned(), Value::Array(subsets));
    }
    (current.is_none() || body != before).then_some(body)
}

/// Addresses that offer the same ports are one subset.
fn subsets(backends: &[Backend]) -> Vec<Value> {
    let mut by_ports: BTreeMap<&[Port], (Vec<Value>, Vec<Value>)> = BTreeMap::new();
    for backend in backends.iter().filter(|b| !b.terminating || b.ready) {
        let mut address = json!({"ip": backend.address, "targetRef": {
            "kind": "Pod", "namespace": backend.pod_namespace, "name": backend.pod_name, "uid": backend.pod_uid,
        }});
        if let Some(node) = &backend.node {
            address["nodeName"] = json!(node);
        }
        if let Some(hostname) = &backend.hostname {
            address["hostname"] = json!(hostname);
        }
        let (ready, not_ready) = by_ports.entry(&backend.ports).or_default();
        if backend.ready { ready.push(address) } else { not_ready.push(address) }
    }
    let subset = |(ports, (ready, not_ready)): (&[Port], (Vec<Value>, Vec<Value>))| {
        let mut subset = serde_json::Map::new();
        for (key, list) in [("addresses", ready), ("notReadyAddresses", not_ready)] {
            if !list.is_empty() {
                subset.insert(key.to_owned(), Value::Array(list));
            }
        }
        let port = |p: &Port| {
            let mut port = json!({"port": p.number, "protocol": p.protocol});
            if !p.name.is_empty() {
                port["name"] = json!(p.name);
            }
            if let Some(protocol) = &p.app_protocol {
                port["appProtocol"] = json!(protocol);
            }
            port
        };
        if !ports.is_empty() {
            subset.insert("ports".to_owned(), ports.iter().map(port).collect());
        }
        Value::Object(subset)
    };
    by_ports.into_iter().map(subset).collect()
}
