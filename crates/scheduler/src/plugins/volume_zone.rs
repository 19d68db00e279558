//! A volume whose labels say in which zones and regions it is is used there
//! (upstream: `pkg/scheduler/framework/plugins/volumezone`).

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::PersistentVolume;
use registry::volumes::{class_of_claim, volume_of};

use super::volume_binding::not_found;
use crate::framework::{Filter, FilterPlugin, Status};
use crate::pod_info::PodInfo;
use crate::snapshot::Snapshot;

#[derive(Debug)]
pub(super) struct VolumeZone;

/// The labels of old, each with what it is called now, and those of now.
const LABELS: [(&str, &str); 4] = [
    ("failure-domain.beta.kubernetes.io/zone", "topology.kubernetes.io/zone"),
    ("failure-domain.beta.kubernetes.io/region", "topology.kubernetes.io/region"),
    ("topology.kubernetes.io/zone", "topology.kubernetes.io/zone"),
    ("topology.kubernetes.io/region", "topology.kubernetes.io/region"),
];

/// A label that a node must have, what it may be called instead, and its values.
type Place<'a> = (&'static str, &'static str, BTreeSet<&'a str>);

fn places(volume: &PersistentVolume) -> impl Iterator<Item = Place<'_>> {
    let label = |key: &str| volume.metadata.labels.as_ref()?.get(key);
    LABELS.into_iter().filter_map(move |(key, now)| {
        let values: BTreeSet<&str> = label(key)?.split("__").map(str::trim).collect();
        (!values.contains("")).then_some((key, now, values))
    })
}

/// Where the volumes of a Pod are; `Err` says why that is not known.
fn of_pod<'a>(pod: &PodInfo, snapshot: &'a Snapshot) -> Result<Vec<Place<'a>>, String> {
    let mut all = Vec::new();
    for (name, _) in pod.claims.iter().filter(|(_, ephemeral)| !ephemeral) {
        let claim = snapshot.volumes.claim(pod.namespace(), name).ok_or_else(|| not_found(name))?;
        let volume = volume_of(claim);
        if volume.is_empty() {
            let name = class_of_claim(claim);
            if name.is_empty() {
                return Err("PersistentVolumeClaim had no pv name and storageClass name".to_owned());
            }
            let class = snapshot.volumes.class(name);
            let class = class.ok_or_else(|| format!("storageclass.storage.k8s.io {name:?} not found"))?;
            if class.volume_binding_mode.as_deref() == Some("WaitForFirstConsumer") {
                continue;
            }
            return Err("PersistentVolume had no name".to_owned());
        }
        let found = snapshot.volumes.volume(volume);
        all.extend(places(found.ok_or_else(|| format!("persistentvolume {volume:?} not found"))?));
    }
    Ok(all)
}

impl FilterPlugin for VolumeZone {
    fn name(&self) -> &'static str {
        "VolumeZone"
    }

    fn refuses(&self, pod: &PodInfo, snapshot: &Snapshot) -> Option<String> {
        of_pod(pod, snapshot).err()
    }

    fn filter<'a>(&self, pod: &'a PodInfo, snapshot: &'a Snapshot) -> Option<Filter<'a>> {
        let places = of_pod(pod, snapshot).ok().filter(|places| !places.is_empty())?;
        Some(Box::new(move |node| {
            // A node that says nothing of where it is is in the only zone that there is.
            if LABELS.iter().all(|(key, _)| node.label(key).is_none()) {
                return Ok(());
            }
            let is_there = |(key, now, values): &Place<'_>| {
                node.label(key).or_else(|| node.label(now)).is_some_and(|value| values.contains(value))
            };
            match places.iter().all(is_there) {
                true => Ok(()),
                false => Err(Status::unresolvable("node(s) had no available volume zone")),
            }
        }))
    }
}
