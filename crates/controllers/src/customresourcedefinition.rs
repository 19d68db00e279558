//! The controller of CustomResourceDefinitions: accepts their names, establishes them, and empties them before they go
//! (upstream: `apiextensions-apiserver/pkg/controller/{status,establish,finalizer}`). Upstream's API server runs it in its
//! own process and under its own name; so it does here.

mod plan;

use std::sync::Arc;
use std::time::Duration;

use api::resources::CUSTOMRESOURCEDEFINITIONS;
use apimachinery::{ApiError, Object, Reason, Resource};
use async_trait::async_trait;
use client::{
    Change, Client, DeleteOptions, Informer, ListOptions, Outcome, ReconcileError, Reconciler, Target, WorkQueue,
    run_controller,
};
use serde_json::Value;

use crate::context::ControllerContext;
use crate::owner;
use crate::settled::settled;
use plan::{Cleanup, Observed, plan};

const NAME: &str = "customresourcedefinition-controller";
/// One at a time, so that no two definitions are given the same name.
const WORKERS: usize = 1;
/// When what stays of a definition's objects is looked at again, should no event come.
const RECHECK: Duration = Duration::from_secs(60);

struct DefinitionController {
    client: Client,
    context: ControllerContext,
    definitions: Informer,
}

/// Starts the controller.
pub(crate) fn start(context: &ControllerContext) {
    let queue = WorkQueue::new();
    let definitions = context.informers.of(CUSTOMRESOURCEDEFINITIONS);
    definitions.on_change(owner::enqueue(&queue));
    let (others, all) = (queue.clone(), definitions.clone());
    definitions.on_change(move |change| {
        // A definition that goes, or that gets other names, may free a name that another one waits for.
        let group = change.object().value()["spec"]["group"].clone();
        for other in all.store().list().into_iter().filter(|other| other.value()["spec"]["group"] == group) {
            others.add(other.meta().key());
        }
    });
    let emptied = queue.clone();
    let appear = move |resource: &'static Resource, objects: &Informer| {
        let (queue, name) = (emptied.clone(), format!("{}.{}", resource.plural, resource.group));
        objects.on_change(move |change| {
            if matches!(change, Change::Deleted(_)) {
                queue.add(name.clone());
            }
        });
    };
    crate::custom_resources::follow(context, appear, |_| {});
    let controller = DefinitionController { client: context.apiserver.clone(), context: context.clone(), definitions };
    run_controller(&context.supervisor, &queue, WORKERS, Arc::new(controller));
}

#[async_trait]
impl Reconciler for DefinitionController {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn reconcile(&self, name: &str) -> Result<Outcome, ReconcileError> {
        self.definitions.synced().await;
        let Some(object) = self.definitions.store().get(name) else { return Ok(Outcome::Done) };
        let definition = object.value();
        let others = self.definitions.store().list().into_iter().filter(|other| other.meta().name != name);
        let others: Vec<Value> = others.map(|other| other.value()).collect();
        let now = crate::time::now(&*self.context.clock);
        let plan = plan(&Observed { definition: &definition, others: &others, now });
        let mut changed = definition.clone();
        changed["status"] = plan.status;
        match plan.cleanup {
            None => self.write(&object, &definition, changed).await,
            Some(cleanup) => {
                if let Some(resource) = cleanup.resource
                    && let Some(left) = self.empty(resource).await?
                {
                    tracing::debug!(definition = name, left, "objects of a definition that is deleted are left");
                    self.write(&object, &definition, changed).await?;
                    return Ok(Outcome::After(RECHECK));
                }
                let finished = Cleanup::finished(changed, cleanup.resource.is_some(), now);
                self.write(&object, &definition, finished).await
            }
        }
    }
}

impl DefinitionController {
    /// Deletes all objects; gives how many are left, if any.
    async fn empty(&self, resource: &'static Resource) -> Result<Option<usize>, ApiError> {
        let target = Target::collection(resource, "");
        let everything = ListOptions::default();
        let transport = self.client.transport();
        let all = match transport.list(target, &everything).await {
            Err(error) if error.reason == Reason::NotFound => return Ok(None),
            listed => listed?.items,
        };
        if all.is_empty() {
            return Ok(None);
        }
        if all.iter().any(|object| object.meta().deletion_timestamp.is_none()) {
            transport.delete_collection(target, &DeleteOptions::default(), &everything).await?;
        }
        let left = transport.list(target, &everything).await?.items.len();
        Ok((left > 0).then_some(left))
    }

    async fn write(&self, object: &Object, before: &Value, after: Value) -> Result<Outcome, ReconcileError> {
        if *before == after {
            return Ok(Outcome::Done);
        }
        let name = &object.meta().name;
        // The finalizer is metadata, which a write of the status leaves alone.
        let removes_finalizer = before["metadata"] != after["metadata"];
        let written = self.client.update_status(CUSTOMRESOURCEDEFINITIONS, "", name, after.clone()).await;
        let written = match written {
            Ok(written) if removes_finalizer => {
                let mut last = written.value();
                last["metadata"]["finalizers"] = after["metadata"]["finalizers"].clone();
                self.client.update(CUSTOMRESOURCEDEFINITIONS, "", name, last).await
            }
            other => other,
        };
        match written {
            Ok(written) => {
                self.definitions.caught_up(written.meta().resource_version).await;
                Ok(Outcome::Done)
            }
            Err(error) => settled(error),
        }
    }
}
