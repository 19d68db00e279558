//! The proxy as a whole: informers wake one task, which plans and applies.

use std::sync::Arc;

use std::time::Duration;

use api::resources::{ENDPOINTSLICES, NODES, PODS, SERVICES};
use apimachinery::Object;
use client::{Change, Informer, Informers};
use cni::Cidr;
use component_base::{Backoff, Random, Supervisor};
use k8s_openapi::api::core::v1::Pod;
use tokio::sync::watch;

use crate::kernel::{ApplyError, Kernel};
use crate::plan::{NodeFacts, Objects, has_host_port, plan};
use crate::relay::Relays;
use crate::ruleset::Ruleset;

/// First wait after the kernel has refused even a full replacement.
const RETRY_INITIAL: Duration = Duration::from_millis(500);
/// Longest wait between such tries.
const RETRY_MAX: Duration = Duration::from_secs(30);
const RETRY_JITTER: f64 = 0.1;
/// The label that says in which zone a node is.
const ZONE: &str = "topology.kubernetes.io/zone";

/// What a proxy is told, and what it works with.
#[derive(Debug, Clone)]
pub struct ProxyConfig {
    /// The node's name.
    pub node_name: String,
    /// The node's IPv4 address; a link of this network namespace has it.
    pub node_ip: String,
    /// Where this node's Pods get their addresses, as `10.244.0.0/24`.
    pub pod_cidr: String,
    /// Where Services get their addresses, as `10.96.0.0/16`.
    pub service_cidr: String,
    /// Reads Services, EndpointSlices, the node and its Pods.
    pub informers: Informers,
    /// Jitters retries.
    pub random: Arc<Random>,
    /// Runs the tasks.
    pub supervisor: Supervisor,
}

/// The configuration names something that is not an address or a range.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The node's address.
    #[error("invalid node address {0:?}: want an IPv4 address, as 192.168.49.2")]
    NodeIp(String),
    /// A range.
    #[error("invalid {what} {text:?}: want an IPv4 range, as 10.96.0.0/16")]
    Range {
        /// Which one.
        what: &'static str,
        /// What was given.
        text: String,
    },
}

/// A running proxy. Dropping the handle lets it run on.
#[derive(Debug, Clone)]
pub struct Proxy {
    told: watch::Receiver<u64>,
    applied: watch::Receiver<u64>,
}

impl Proxy {
    /// Returns when the kernel has had a first complete set of rules.
    pub async fn ready(&self) {
        self.reached(1).await;
    }

    /// Returns when all that the informers have told up to now is in force, on `127.0.0.1` too: the barrier for whoever
    /// stops an endpoint and wants nobody to be sent there any more.
    pub async fn settled(&self) {
        let told = *self.told.borrow();
        self.reached(told).await;
    }

    async fn reached(&self, count: u64) {
        let mut applied = self.applied.clone();
        // The sender lives in the proxy's task; if that has ended there is nothing to wait for.
        let _ = applied.wait_for(|applied| *applied >= count).await;
    }
}

/// Starts a proxy in the network namespace of the calling process, which needs `CAP_NET_ADMIN`. Call it inside a tokio
/// runtime.
///
/// # Errors
/// The configuration is wrong; nothing was started.
pub fn start(config: ProxyConfig) -> Result<Proxy, StartError> {
    let node = NodeFacts {
        node_name: config.node_name.clone(),
        node_ip: config.node_ip.parse().map_err(|_| StartError::NodeIp(config.node_ip.clone()))?,
        pod_cidr: range("pod range", &config.pod_cidr)?,
        service_cidr: range("service range", &config.service_cidr)?,
        zone: String::new(),
    };
    // The first look at the stores counts as a change.
    let (told_sender, told) = watch::channel(1);
    let (applied_sender, applied) = watch::channel(0);
    let informers = &config.informers;
    let task = ProxyTask {
        services: informers.of(SERVICES),
        slices: informers.of(ENDPOINTSLICES),
        pods: informers.selected(PODS, &format!("spec.nodeName={}", node.node_name)),
        nodes: informers.selected(NODES, &format!("metadata.name={}", node.node_name)),
        node,
        random: config.random,
        supervisor: config.supervisor.clone(),
        told: Arc::new(told_sender),
        applied: applied_sender,
    };
    config.supervisor.spawn_until_shutdown("proxy", task.run());
    Ok(Proxy { told, applied })
}

fn range(what: &'static str, text: &str) -> Result<Cidr, StartError> {
    let invalid = || StartError::Range { what, text: text.to_owned() };
    let range: Cidr = text.parse().map_err(|_| invalid())?;
    if range.network().is_ipv4() { Ok(range) } else { Err(invalid()) }
}

/// Owns the kernel's rules and the relays.
struct ProxyTask {
    services: Informer,
    slices: Informer,
    pods: Informer,
    nodes: Informer,
    node: NodeFacts,
    random: Arc<Random>,
    supervisor: Supervisor,
    /// Counts changes that may matter; however many come while rules are applied, one look at the stores follows.
    told: Arc<watch::Sender<u64>>,
    /// The count at the last look that is in force.
    applied: watch::Sender<u64>,
}

impl ProxyTask {
    async fn run(mut self) {
        for informer in [&self.services, &self.slices, &self.pods, &self.nodes] {
            informer.synced().await;
        }
        self.listen();
        let mut kernel = None;
        let mut relays = Relays::new(self.supervisor.clone());
        let mut backoff = Backoff::new(RETRY_INITIAL, RETRY_MAX, RETRY_JITTER);
        let mut told = self.told.subscribe();
        loop {
            let count = *told.borrow_and_update();
            self.node.zone = self.zone();
            let ruleset = plan(&self.objects(), &self.node);
            let wanted = ruleset.relays.clone();
            let result;
            (kernel, result) = self.apply(kernel.take(), ruleset).await;
            match result {
                Ok(()) => {
                    backoff.reset();
                    relays.set(&wanted).await;
                    self.applied.send_replace(count);
                    // The sender is this task's own.
                    let _ = told.changed().await;
                }
                Err(error) => {
                    out_of_date(&error);
                    tokio::time::sleep(backoff.next(&self.random)).await;
                }
            }
        }
    }

    /// Wakes the task on changes. Status of Pods and heartbeats of nodes change all the time and do not matter here.
    fn listen(&self) {
        let on = |informer: &Informer, matters: fn(&Change) -> bool| {
            let told = self.told.clone();
            informer.on_change(move |change| {
                if matters(change) {
                    told.send_modify(|count| *count += 1);
                }
            });
        };
        on(&self.services, |_| true);
        on(&self.slices, |_| true);
        on(&self.pods, |change| change.object().typed::<Pod>().is_ok_and(|pod| has_host_port(&pod)));
        on(&self.nodes, |change| match change {
            Change::Updated(before, after) => zone_of(before) != zone_of(after),
            Change::Added(_) | Change::Deleted(_) => true,
        });
    }

    fn zone(&self) -> String {
        let node = self.nodes.store().get(&self.node.node_name);
        node.and_then(|node| zone_of(&node).cloned()).unwrap_or_default()
    }

    fn objects(&self) -> Objects {
        Objects { services: typed(&self.services), slices: typed(&self.slices), pods: typed(&self.pods) }
    }

    /// Applies on a thread that may block. The kernel's side is lost only if that panics; the next try opens another.
    async fn apply(&self, kernel: Option<Kernel>, ruleset: Ruleset) -> (Option<Kernel>, Result<(), ApplyError>) {
        let node = self.node.clone();
        let work = move || match kernel.map_or_else(|| Kernel::open(node), Ok) {
            Ok(mut kernel) => {
                let result = kernel.apply(ruleset);
                (Some(kernel), result)
            }
            Err(error) => (None, Err(error)),
        };
        self.supervisor.blocking(work).await.unwrap_or((None, Err(ApplyError::Panicked)))
    }
}

/// The logger prints the chain of causes.
fn out_of_date(error: &(dyn std::error::Error + 'static)) {
    tracing::error!(error, "the rules of Services are out of date, will retry");
}

fn zone_of(node: &Object) -> Option<&String> {
    node.meta().labels.get(ZONE)
}

fn typed<K: serde::de::DeserializeOwned + Send + Sync + 'static>(informer: &Informer) -> Vec<Arc<K>> {
    let decode = |object: Arc<Object>| {
        let decoded = object.typed::<K>();
        decoded.inspect_err(|error| tracing::warn!(object = object.meta().key(), %error, "left out")).ok()
    };
    informer.store().list().into_iter().filter_map(decode).collect()
}
