//! Empties a namespace that is deleted, then lets it go (upstream: `pkg/controller/namespace`).

use std::sync::Arc;
use std::time::Duration;

use api::resources::{CUSTOMRESOURCEDEFINITIONS, NAMESPACES, PODS};
use apimachinery::{ApiError, Object, Reason, Resource};
use async_trait::async_trait;
use client::{
    Change, Client, DeleteOptions, Informer, ListOptions, Outcome, Propagation, ReconcileError, Reconciler, Target,
    WorkQueue, WriteOptions, run_controller,
};
use serde_json::{Value, json};

use crate::context::ControllerContext;
use crate::settled::settled;

const NAME: &str = "namespace-controller";
const WORKERS: usize = 5;
const FINALIZER: &str = "kubernetes";
/// How long to wait for objects that others hold by finalizers, before looking again.
const FINALIZER_WAIT: Duration = Duration::from_secs(5);

struct NamespaceController {
    client: Client,
    context: ControllerContext,
    namespaces: Informer,
    definitions: Informer,
}

/// Starts the controller.
pub(crate) fn start(context: &ControllerContext) {
    let queue = WorkQueue::new();
    let [namespaces, pods] = [NAMESPACES, PODS].map(|resource| context.informers.of(resource));
    let ending = queue.clone();
    namespaces.on_change(move |change| {
        if change.object().meta().deletion_timestamp.is_some() {
            ending.add(change.object().meta().name.clone());
        }
    });
    // The last Pod's end is what a namespace mostly waits for.
    let (of_pods, all) = (queue.clone(), namespaces.clone());
    pods.on_change(move |change| {
        if let Change::Deleted(pod) = change
            && all.store().get(&pod.meta().namespace).is_some_and(|n| n.meta().deletion_timestamp.is_some())
        {
            of_pods.add(pod.meta().namespace.clone());
        }
    });
    let definitions = context.informers.of(CUSTOMRESOURCEDEFINITIONS);
    let client = context.client(NAME);
    let controller = NamespaceController { client, context: context.clone(), namespaces, definitions };
    run_controller(&context.supervisor, &queue, WORKERS, Arc::new(controller));
}

/// What is still in a namespace.
#[derive(Debug, Default)]
struct Remains {
    /// Resource and number of objects.
    objects: Vec<(String, usize)>,
    /// Finalizer and number of objects that it holds.
    finalizers: std::collections::BTreeMap<String, usize>,
    failures: Vec<String>,
}

#[async_trait]
impl Reconciler for NamespaceController {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn reconcile(&self, name: &str) -> Result<Outcome, ReconcileError> {
        self.context.informers.synced().await;
        let Some(namespace) = self.namespaces.store().get(name) else { return Ok(Outcome::Done) };
        let value = namespace.value();
        let finalizers = value["spec"]["finalizers"].as_array().cloned().unwrap_or_default();
        if namespace.meta().deletion_timestamp.is_none() || !finalizers.iter().any(|f| f == FINALIZER) {
            return Ok(Outcome::Done);
        }
        let remains = self.empty(name).await;
        self.report(&namespace, value, &remains).await?;
        if !remains.failures.is_empty() {
            return Ok(Outcome::Retry);
        }
        if !remains.objects.is_empty() {
            return Ok(Outcome::After(FINALIZER_WAIT));
        }
        let fresh = self.client.get(NAMESPACES, "", name).await?;
        let mut body = fresh.value();
        body["spec"]["finalizers"] = finalizers.into_iter().filter(|f| f != FINALIZER).collect();
        let target = Target::object(NAMESPACES, "", name).subresource("finalize");
        match self.client.transport().update(target, body, &WriteOptions::default()).await {
            Ok(_) => Ok(Outcome::Done),
            Err(error) => settled(error),
        }
    }
}

impl NamespaceController {
    /// Deletes what is in the namespace and counts what stays for now.
    async fn empty(&self, namespace: &str) -> Remains {
        let mut remains = Remains::default();
        // Pods first (KEP-5080): what they stand on, such as network policies, must outlive them.
        if let Err(error) = self.empty_of(PODS, namespace, &mut remains).await {
            remains.failures.push(format!("{}: {error}", PODS.plural));
        }
        if !remains.objects.is_empty() || !remains.failures.is_empty() {
            return remains;
        }
        let custom = crate::custom_resources::served(&self.definitions);
        let kinds = api::RESOURCES
            .iter()
            .chain(custom)
            .filter(|r| r.namespaced() && r.verbs.contains(&"deletecollection") && api::storage_resource(r).is(r));
        for resource in kinds {
            if let Err(error) = self.empty_of(resource, namespace, &mut remains).await {
                remains.failures.push(format!("{}: {error}", resource.plural));
            }
        }
        remains
    }

    async fn empty_of(
        &self,
        resource: &'static Resource,
        namespace: &str,
        remains: &mut Remains,
    ) -> Result<(), ApiError> {
        let everything = ListOptions::default();
        let target = Target::collection(resource, namespace);
        let transport = self.client.transport();
        if transport.list(target, &everything).await?.items.is_empty() {
            return Ok(());
        }
        let options = DeleteOptions { propagation: Some(Propagation::Background), ..DeleteOptions::default() };
        transport.delete_collection(target, &options, &everything).await?;
        let left = transport.list(target, &everything).await?.items;
        if !left.is_empty() {
            remains.objects.push((resource_name(resource), left.len()));
        }
        for finalizer in left.iter().flat_map(|object| object.meta().finalizers.iter()) {
            *remains.finalizers.entry(finalizer.clone()).or_default() += 1;
        }
        Ok(())
    }

    /// Says in the status what is done and what is waited for.
    async fn report(&self, namespace: &Object, mut body: Value, remains: &Remains) -> Result<(), ApiError> {
        let now = crate::time::now(&*self.context.clock).to_string();
        let before = body["status"].clone();
        let content: Vec<String> =
            remains.objects.iter().map(|(r, n)| format!("{r} has {n} resource instances")).collect();
        let held: Vec<String> =
            remains.finalizers.iter().map(|(f, n)| format!("{f} in {n} resource instances")).collect();
        let failures = remains.failures.join(", ");
        let conditions = [
            (
                "NamespaceDeletionDiscoveryFailure",
                false,
                "ResourcesDiscovered",
                "All resources successfully discovered".to_owned(),
            ),
            (
                "NamespaceDeletionGroupVersionParsingFailure",
                false,
                "ParsedGroupVersions",
                "All legacy kube types successfully parsed".to_owned(),
            ),
            match failures.is_empty() {
                true => (
                    "NamespaceDeletionContentFailure",
                    false,
                    "ContentDeleted",
                    "All content successfully deleted, may be waiting on finalization".to_owned(),
                ),
                false => (
                    "NamespaceDeletionContentFailure",
                    true,
                    "ContentDeletionFailed",
                    format!("Failed to delete all resource types, {} remaining: {failures}", remains.failures.len()),
                ),
            },
            match content.is_empty() {
                true => (
                    "NamespaceContentRemaining",
                    false,
                    "ContentRemoved",
                    "All content successfully removed".to_owned(),
                ),
                false => (
                    "NamespaceContentRemaining",
                    true,
                    "SomeResourcesRemain",
                    format!("Some resources are remaining: {}", content.join(", ")),
                ),
            },
            match held.is_empty() {
                true => (
                    "NamespaceFinalizersRemaining",
                    false,
                    "ContentHasNoFinalizers",
                    "All content-preserving finalizers finished".to_owned(),
                ),
                false => (
                    "NamespaceFinalizersRemaining",
                    true,
                    "SomeFinalizersRemain",
                    format!("Some content in the namespace has finalizers remaining: {}", held.join(", ")),
                ),
            },
        ];
        let old = before["conditions"].as_array().cloned().unwrap_or_default();
        let list: Vec<Value> = conditions
            .into_iter()
            .map(|(kind, status, reason, message)| {
                let status = if status { "True" } else { "False" };
                let same = old.iter().find(|c| c["type"] == kind && c["status"] == status);
                let since = same.map_or(json!(now), |c| c["lastTransitionTime"].clone());
                json!({"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": since})
            })
            .collect();
        body["status"]["phase"] = json!("Terminating");
        body["status"]["conditions"] = Value::Array(list);
        if body["status"] == before {
            return Ok(());
        }
        match self.client.update_status(NAMESPACES, "", &namespace.meta().name, body).await {
            Err(error) if !matches!(error.reason, Reason::Conflict | Reason::NotFound) => Err(error),
            _ => Ok(()),
        }
    }
}

fn resource_name(resource: &Resource) -> String {
    if resource.group.is_empty() {
        format!("{}.", resource.plural)
    } else {
        format!("{}.{}", resource.plural, resource.group)
    }
}
