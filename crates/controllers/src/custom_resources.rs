//! Informers of custom resources, which come and go with their definitions.

use std::collections::BTreeMap;

use api::resources::CUSTOMRESOURCEDEFINITIONS;
use apimachinery::Resource;
use client::{Change, Informer};
use parking_lot::Mutex;
use registry::custom::watched_resource;

use crate::context::ControllerContext;

/// Calls `appear` with the informer of each custom resource that is served, now and later, and `vanish` when it is served
/// no longer or in another version. Both must only enqueue or remember.
pub(crate) fn follow(
    context: &ControllerContext,
    appear: impl Fn(&'static Resource, &Informer) + Send + Sync + 'static,
    vanish: impl Fn(&'static Resource) + Send + Sync + 'static,
) {
    let known: Mutex<BTreeMap<String, &'static Resource>> = Mutex::default();
    let informers = context.informers.clone();
    context.informers.of(CUSTOMRESOURCEDEFINITIONS).on_change(move |change| {
        let definition = change.object();
        let now = match change {
            Change::Deleted(_) => None,
            _ => watched_resource(&definition.value()),
        };
        let name = &definition.meta().name;
        let mut known = known.lock();
        let before = known.get(name).copied();
        if before.map(Resource::api_version) == now.map(Resource::api_version) {
            return;
        }
        if let Some(before) = before {
            informers.forget(before);
            vanish(before);
            known.remove(name);
        }
        if let Some(now) = now {
            appear(now, &informers.of(now));
            known.insert(name.clone(), now);
        }
    });
}

/// The custom resources that definitions serve, each in one version.
pub(crate) fn served(definitions: &Informer) -> Vec<&'static Resource> {
    let all = definitions.store().list();
    all.iter().filter_map(|definition| watched_resource(&definition.value())).collect()
}
