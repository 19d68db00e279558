//! The APIServices of what this cluster's own server has: of the built-in groups, which are looked after when the server
//! starts, and of the definitions' groups, which follow these.

mod plan;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use api::resources::{APISERVICES, CUSTOMRESOURCEDEFINITIONS};
use apimachinery::{ApiError, Object, Reason};
use async_trait::async_trait;
use client::{
    Change, Client, DeleteOptions, Informer, Outcome, Preconditions, ReconcileError, Reconciler, WorkQueue,
    run_controller,
};
use parking_lot::Mutex;
use serde_json::Value;

use crate::context::ControllerContext;
use plan::{Action, ManagedBy, Observed, of_definitions, plan};

const NAME: &str = "kube-apiserver-autoregistration";

struct Registration {
    client: Client,
    api_services: Informer,
    definitions: Informer,
    /// The built-in ones, by name.
    built_in: BTreeMap<String, Value>,
    /// What was there when this began.
    at_start: Mutex<Option<BTreeSet<String>>>,
    /// What was looked after once.
    settled: Mutex<BTreeSet<String>>,
}

/// Starts the controller.
pub(crate) fn start(context: &ControllerContext) {
    let queue = WorkQueue::new();
    let [api_services, definitions] =
        [APISERVICES, CUSTOMRESOURCEDEFINITIONS].map(|resource| context.informers.of(resource));
    api_services.on_change(crate::owner::enqueue(&queue));
    let changed = queue.clone();
    definitions.on_change(move |change| {
        if let Change::Updated(before, _) = change {
            enqueue_versions(&changed, before);
        }
        enqueue_versions(&changed, change.object());
    });
    let objects = api::openapi::bootstrap_objects();
    let built_in: BTreeMap<String, Value> = objects
        .into_iter()
        .filter(|object| object["kind"] == "APIService")
        .map(|object| (object["metadata"]["name"].as_str().unwrap_or_default().to_owned(), object))
        .collect();
    for name in built_in.keys() {
        queue.add(name.clone());
    }
    let controller = Registration {
        client: context.apiserver.clone(),
        api_services,
        definitions,
        built_in,
        at_start: Mutex::default(),
        settled: Mutex::default(),
    };
    // One worker, so that what was there at the start is seen before anything is made.
    run_controller(&context.supervisor, &queue, 1, Arc::new(controller));
}

/// Adds the names of the APIServices that a definition wants.
fn enqueue_versions(queue: &WorkQueue, definition: &Object) {
    let spec = definition.value()["spec"].take();
    let group = spec["group"].as_str().unwrap_or_default();
    for version in spec["versions"].as_array().into_iter().flatten().filter_map(|version| version["name"].as_str()) {
        queue.add(format!("{version}.{group}"));
    }
}

#[async_trait]
impl Reconciler for Registration {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn reconcile(&self, name: &str) -> Result<Outcome, ReconcileError> {
        self.api_services.synced().await;
        self.definitions.synced().await;
        let there_at_start = {
            let mut at_start = self.at_start.lock();
            let all = || self.api_services.store().list().iter().map(|object| object.meta().name.clone()).collect();
            at_start.get_or_insert_with(all).contains(name)
        };
        let wanted = match self.built_in.get(name) {
            Some(object) => Some((ManagedBy::Start, object.clone())),
            None => {
                let definitions = self.definitions.store().list();
                let all: Vec<Value> = definitions.iter().map(|definition| definition.value()).collect();
                of_definitions(name, &all).map(|object| (ManagedBy::Always, object))
            }
        };
        let current = self.api_services.store().get(name);
        let value = current.as_ref().map(|object| object.value());
        let settled = self.settled.lock().contains(name);
        let observed = Observed {
            wanted: wanted.as_ref().map(|(managed, object)| (*managed, &object["spec"])),
            current: value.as_ref(),
            settled,
            there_at_start,
        };
        let done = self.act(name, plan(&observed), wanted.map(|(_, object)| object), current.as_deref()).await;
        match done {
            Err(error) if matches!(error.reason, Reason::Conflict | Reason::NotFound | Reason::AlreadyExists) => {
                Ok(Outcome::Retry)
            }
            Err(error) => Err(error.into()),
            Ok(()) => {
                self.settled.lock().insert(name.to_owned());
                Ok(Outcome::Done)
            }
        }
    }
}

impl Registration {
    async fn act(
        &self,
        name: &str,
        action: Action,
        wanted: Option<Value>,
        current: Option<&Object>,
    ) -> Result<(), ApiError> {
        let revision = match (action, wanted, current) {
            (Action::Create, Some(wanted), _) => {
                self.client.create(APISERVICES, "", wanted).await?.meta().resource_version
            }
            (Action::Update, Some(mut wanted), Some(current)) => {
                let mut body = current.value();
                body["spec"] = wanted["spec"].take();
                self.client.update(APISERVICES, "", name, body).await?.meta().resource_version
            }
            (Action::Delete, _, Some(current)) => {
                let preconditions = Preconditions { uid: Some(current.meta().uid.clone()), ..Preconditions::default() };
                let options = DeleteOptions { preconditions, ..DeleteOptions::default() };
                self.client.delete(APISERVICES, "", name, &options).await?
            }
            _ => return Ok(()),
        };
        self.api_services.caught_up(revision).await;
        Ok(())
    }
}
