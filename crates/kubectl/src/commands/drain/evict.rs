//! Evicting or deleting Pods, and waiting until they are gone.

use std::sync::Arc;
use std::time::Duration;

use apimachinery::gotext;
use futures_util::future::{join_all, try_join_all};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

use super::{Fault, filter};
use crate::context::Context;
use crate::discovery::ResourceType;
use crate::error::KubectlError;
use crate::flags::values::GoDuration;
use crate::output::OutputFlags;
use crate::resource::{Info, Requests, delete_options};
use crate::waiting::until_deleted;
use crate::write::DryRun;

/// Between two tries of an eviction that is refused for now.
const RETRY_DELAY: Duration = Duration::from_secs(5);
/// From this verbosity on it is told what begins.
const TELL_STARTED: i32 = 2;

/// How Pods are made to go.
pub(super) struct Evictions<'a> {
    pub(super) context: &'a Context,
    pub(super) dry_run: DryRun,
    /// Seconds; negative for what each Pod says.
    pub(super) grace_period: i64,
    /// How long a Pod that is on its way out is waited for; zero or less for ever.
    pub(super) skip_deleted_seconds: i64,
    /// How long all may take; zero for ever.
    pub(super) limit: GoDuration,
}

impl Evictions<'_> {
    /// Makes the Pods go, and waits for it.
    pub(super) async fn run(&self, pods: &[Value], by_deletion: bool) -> Result<(), Fault> {
        if pods.is_empty() {
            return Ok(());
        }
        let resource = self.context.resource("pods").await.map_err(Fault::One)?;
        let client = self.context.client().map_err(Fault::One)?;
        let deadline = match self.limit.0 {
            0 => None,
            nanos => Some(Instant::now() + Duration::from_nanos(u64::try_from(nanos).unwrap_or_default())),
        };
        let requests = Requests::new(client);
        let infos = pods.iter().map(|pod| info(&resource, pod)).collect::<Vec<_>>();
        if !by_deletion && evicts(client).await.map_err(Fault::One)? {
            let outcomes = join_all(infos.iter().map(|pod| self.evict(&requests, pod, deadline))).await;
            let faults: Vec<KubectlError> = outcomes.into_iter().filter_map(Result::err).collect();
            return match faults.as_slice() {
                [] => Ok(()),
                _ if faults.contains(&KubectlError::ReaderGone) => Err(Fault::One(KubectlError::ReaderGone)),
                _ => Err(Fault::Many(faults)),
            };
        }
        self.delete(&requests, &infos, deadline).await.map_err(Fault::One)
    }

    fn options(&self) -> Value {
        let mut options = delete_options(Some(self.grace_period).filter(|seconds| *seconds >= 0), None);
        if self.dry_run == DryRun::Server {
            options["dryRun"] = json!(["All"]);
        }
        options
    }

    async fn evict(&self, requests: &Requests<'_>, pod: &Info, deadline: Option<Instant>) -> Result<(), KubectlError> {
        let (namespace, name) = (pod.namespace.as_str(), pod.name.as_str());
        let about = |text: &dyn std::fmt::Display| {
            KubectlError::new(format!("error when evicting pods/{name:?} -n {namespace:?}: {text}"))
        };
        let eviction = json!({
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": name, "namespace": namespace},
            "deleteOptions": self.options(),
        });
        let mut is_leaving = is_leaving(&pod.object);
        loop {
            if self.dry_run == DryRun::Server {
                self.context.printer.line(format!("evicting pod {namespace}/{name} (server dry run)"))?;
            } else {
                self.tell_started(pod, "eviction started")?;
                self.context.printer.line(format!("evicting pod {namespace}/{name}"))?;
            }
            if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                return Err(about(&format_args!("global timeout reached: {}", gotext::duration(self.limit.0))));
            }
            let sent = requests.create_subresource(&pod.resource, (namespace, name), "eviction", &eviction).await;
            let Err(error) = sent else { break };
            let refusal =
                error.api().map(|api| (api.code, api.causes.iter().any(|c| c.reason == "NamespaceTerminating")));
            match refusal {
                _ if error.is_not_found() => return Ok(()),
                Some((429, _)) => self.context.printer.err_line(format!(
                    "error when evicting pods/{name:?} -n {namespace:?} (will retry after 5s): {error}"
                )),
                // It is gone soon, without an eviction.
                Some((403, true)) if is_leaving => break,
                Some((403, true)) => self.context.printer.err_line(format!(
                    "error when evicting pod {name:?} from terminating namespace {namespace:?} (will retry after 5s): {error}"
                )),
                _ => return Err(about(&error)),
            }
            sleep(RETRY_DELAY).await;
            if let Ok(fresh) = requests.read(&pod.resource, namespace, name).await {
                is_leaving = self::is_leaving(&fresh);
            }
        }
        if self.dry_run == DryRun::Server {
            return Ok(());
        }
        self.until_gone(requests, pod, deadline, "evicted", "eviction failed").await.map_err(|error| match error {
            KubectlError::ReaderGone => KubectlError::ReaderGone,
            error => KubectlError::new(format!(
                "error when waiting for pod {name:?} in namespace {namespace:?} to terminate: {error}"
            )),
        })
    }

    async fn delete(
        &self,
        requests: &Requests<'_>,
        pods: &[Info],
        deadline: Option<Instant>,
    ) -> Result<(), KubectlError> {
        for pod in pods {
            match requests.delete(&pod.resource, &pod.namespace, &pod.name, &self.options()).await {
                Err(error) if !error.is_not_found() => return Err(error),
                _ if self.dry_run == DryRun::Server => {}
                _ => self.tell_started(pod, "deletion started")?,
            }
        }
        if self.dry_run == DryRun::Server {
            return Ok(());
        }
        let waits = pods.iter().map(|pod| self.until_gone(requests, pod, deadline, "deleted", "deletion failed"));
        try_join_all(waits).await.map(|_| ())
    }

    /// Waits until a Pod is gone, or has been on its way out for too long, and tells it.
    async fn until_gone(
        &self,
        requests: &Requests<'_>,
        pod: &Info,
        deadline: Option<Instant>,
        done: &str,
        failed: &str,
    ) -> Result<(), KubectlError> {
        let uid = pod.object["metadata"]["uid"].as_str();
        let skipped = async {
            // The answer tells since when it is on its way out.
            let fresh = requests.read(&pod.resource, &pod.namespace, &pod.name).await.ok();
            let from = fresh.and_then(|fresh| filter::skipped_from(&fresh, self.skip_deleted_seconds));
            match from {
                Some(from) => {
                    let wait = from.duration_since(self.context.clock.now());
                    sleep(wait.try_into().unwrap_or_default()).await;
                }
                None => std::future::pending().await,
            }
        };
        let gone = until_deleted(self.context, pod, uid, None);
        let either = async {
            tokio::select! {
                biased;
                outcome = gone => outcome.map(|()| true),
                () = skipped => Ok(false),
            }
        };
        let outcome = match deadline {
            Some(deadline) => timeout(deadline.saturating_duration_since(Instant::now()), either).await,
            None => Ok(either.await),
        };
        let Ok(outcome) = outcome else { return Err(KubectlError::new("context deadline exceeded")) };
        match outcome {
            Ok(true) => self.say(pod, done),
            Ok(false) => self.context.printer.line(format!(
                "pod {:?} has DeletionTimestamp older than {} seconds, skipping",
                pod.name, self.skip_deleted_seconds
            )),
            Err(error) => {
                self.say(pod, failed)?;
                Err(error)
            }
        }
    }

    fn tell_started(&self, pod: &Info, what: &str) -> Result<(), KubectlError> {
        if self.context.flags.verbosity >= TELL_STARTED { self.say(pod, what) } else { Ok(()) }
    }

    fn say(&self, pod: &Info, what: &str) -> Result<(), KubectlError> {
        self.dry_run.printer(&OutputFlags::default(), what)?.print_info(&self.context.printer, pod)
    }
}

/// Whether the server evicts Pods.
async fn evicts(client: &client::RestClient) -> Result<bool, KubectlError> {
    let list = client.get_json("/api/v1").await?;
    let mut resources = list["resources"].as_array().into_iter().flatten();
    Ok(resources.any(|resource| resource["name"] == "pods/eviction" && resource["kind"] == "Eviction"))
}

fn is_leaving(pod: &Value) -> bool {
    pod["metadata"]["deletionTimestamp"].is_string()
}

fn info(resource: &Arc<ResourceType>, pod: &Value) -> Info {
    let resource = resource.clone();
    let mut info =
        Info { resource, namespace: String::new(), name: String::new(), source: String::new(), object: Value::Null };
    info.refresh(pod.clone());
    info
}
