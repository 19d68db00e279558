//! Gives Services of type LoadBalancer an address from a local pool. What cloud providers do with machines of their own
//! is here one address more that the service proxy answers on (upstream: `k8s.io/cloud-provider/controllers/service`).

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::Arc;

use api::resources::SERVICES;
use apimachinery::Object;
use async_trait::async_trait;
use client::{
    Client, EventRecorder, EventType, Informer, ObjectReference, Outcome, ReconcileError, Reconciler, WorkQueue,
    run_controller,
};
use serde_json::{Value, json};

use crate::context::{Addresses, ControllerContext};
use crate::settled::settled;

const NAME: &str = "service-controller";

struct ServiceLb {
    client: Client,
    recorder: EventRecorder,
    context: ControllerContext,
    services: Informer,
    addresses: Addresses,
}

/// Starts the controller, if there is a pool.
pub(crate) fn start(context: &ControllerContext) {
    let Some(addresses) = context.load_balancer_addresses else { return };
    let queue = WorkQueue::new();
    let services = context.informers.of(SERVICES);
    services.on_change(crate::owner::enqueue(&queue));
    let client = context.client(NAME);
    let recorder = context.recorder(client.clone(), NAME);
    let controller = ServiceLb { client, recorder, context: context.clone(), services, addresses };
    // One worker: two must not choose the same address.
    run_controller(&context.supervisor, &queue, 1, Arc::new(controller));
}

fn ingress(service: &Value) -> Vec<Ipv4Addr> {
    let list = service["status"]["loadBalancer"]["ingress"].as_array();
    list.into_iter().flatten().filter_map(|i| i["ip"].as_str()?.parse().ok()).collect()
}

/// The address for a Service: the one that it has, the one that it asks for, or the first free one. `Err` says why there
/// is none.
fn choose(service: &Value, taken: &BTreeSet<Ipv4Addr>, pool: Addresses) -> Result<Ipv4Addr, String> {
    let first = u32::from(pool.first);
    let contains = |address: Ipv4Addr| u32::from(address).wrapping_sub(first) < pool.count;
    if let Some(current) = ingress(service).into_iter().find(|a| contains(*a) && !taken.contains(a)) {
        return Ok(current);
    }
    if let Some(asked) = service["spec"]["loadBalancerIP"].as_str().filter(|text| !text.is_empty()) {
        return match asked.parse::<Ipv4Addr>() {
            Ok(address) if !contains(address) => Err(format!("{asked} is not in this cluster's pool of addresses")),
            Ok(address) if taken.contains(&address) => Err(format!("{asked} is taken by another Service")),
            Ok(address) => Ok(address),
            Err(_) => Err(format!("{asked} is not an IPv4 address")),
        };
    }
    let mut all = (0..pool.count).map(|n| Ipv4Addr::from(first.wrapping_add(n)));
    all.find(|a| !taken.contains(a)).ok_or_else(|| format!("all {} addresses of the pool are taken", pool.count))
}

#[async_trait]
impl Reconciler for ServiceLb {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn reconcile(&self, key: &str) -> Result<Outcome, ReconcileError> {
        self.context.informers.synced().await;
        let Some(service) = self.services.store().get(key) else { return Ok(Outcome::Done) };
        let mut body = service.value();
        let ours = body["spec"]["loadBalancerClass"].is_null();
        if body["spec"]["type"] != "LoadBalancer" || !ours || service.meta().deletion_timestamp.is_some() {
            if ours && body["spec"]["type"] != "LoadBalancer" && !ingress(&body).is_empty() {
                body["status"]["loadBalancer"] = json!({});
                return self.write(&service, body).await;
            }
            return Ok(Outcome::Done);
        }
        let others = self.services.store().list();
        let taken =
            others.iter().filter(|s| s.meta().uid != service.meta().uid).flat_map(|s| ingress(&s.value())).collect();
        let about = ObjectReference::to(SERVICES, &service);
        let wanted = match choose(&body, &taken, self.addresses) {
            Ok(address) => json!([{"ip": address.to_string(), "ipMode": "VIP"}]),
            Err(why) => {
                let text = format!("Error syncing load balancer: failed to ensure load balancer: {why}");
                self.recorder.event(about, EventType::Warning, "SyncLoadBalancerFailed", text);
                return Ok(Outcome::Done);
            }
        };
        if body["status"]["loadBalancer"]["ingress"] == wanted {
            return Ok(Outcome::Done);
        }
        self.recorder.event(about.clone(), EventType::Normal, "EnsuringLoadBalancer", "Ensuring load balancer");
        body["status"]["loadBalancer"]["ingress"] = wanted;
        let outcome = self.write(&service, body).await?;
        self.recorder.event(about, EventType::Normal, "EnsuredLoadBalancer", "Ensured load balancer");
        Ok(outcome)
    }
}

impl ServiceLb {
    async fn write(&self, service: &Object, body: Value) -> Result<Outcome, ReconcileError> {
        let meta = service.meta();
        match self.client.update_status(SERVICES, &meta.namespace, &meta.name, body).await {
            Ok(updated) => {
                self.services.caught_up(updated.meta().resource_version).await;
                Ok(Outcome::Done)
            }
            Err(error) => settled(error),
        }
    }
}
