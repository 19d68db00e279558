use super::{Backend, Fields, Needs, Related, backends, needs, render};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

#[derive(Deserialize)]
struct Case {
    name: String,
    objects: Vec<Value>,
    #[serde(default, rename = "noEvents")]
    no_events: bool,
}

/// The corpus with its relative times put in.
fn corpus(now: Timestamp) -> Vec<Case> {
    let mut text = String::new();
    let mut rest = include_str!("../../golden/describe.yaml");
    while let Some((before, after)) = rest.split_once("{{") {
        let (age, behind) = after.split_once("}}").unwrap();
        let age = age.trim_start_matches(['u', '-']);
        let (number, unit) = age.split_at(age.len() - 1);
        let seconds = match unit {
            "s" => 1,
            "m" => 60,
            _ => 3600,
        };
        let time = now - SignedDuration::from_secs(number.parse::<i64>().unwrap() * seconds);
        text.push_str(before);
        text.push_str(&time.to_string());
        rest = behind;
    }
    text.push_str(rest);
    serde_json::from_value(apimachinery::yaml::parse(&text).unwrap().value).unwrap()
}

/// What a cluster with the objects has beside the first.
fn related(case: &Case) -> Related {
    let object = &case.objects[0];
    let needs: Needs = needs(object);
    let name = object.text("metadata/name");
    let of_kind = |kind: &str| -> Vec<Value> {
        case.objects[1..].iter().filter(|other| other.text("kind") == kind).cloned().collect()
    };
    let mut related = Related::default();
    if needs.events && !case.no_events {
        let is_about = |event: &Value| {
            event.text("involvedObject/name") == name && event.text("involvedObject/uid") == object.text("metadata/uid")
        };
        let mut about: Vec<_> = of_kind("Event").into_iter().filter(is_about).collect();
        if object.text("kind") == "Node" {
            // Events of the node by its name, too, which here is its uid.
            about.extend(about.clone());
        }
        related.events = Some(about);
    }
    if needs.pods_by_selector || needs.pods_by_node || needs.pods_of_namespace {
        let is_over = |pod: &Value| needs.pods_by_node && matches!(pod.text("status/phase"), "Succeeded" | "Failed");
        related.pods = Some(Ok(of_kind("Pod").into_iter().filter(|pod| !is_over(pod)).collect()));
    }
    if needs.replica_sets {
        related.replica_sets = of_kind("ReplicaSet");
    }
    if needs.endpoint_slices {
        related.endpoint_slices = of_kind("EndpointSlice");
    }
    if needs.lease {
        let found = of_kind("Lease").into_iter().next();
        related.lease = Some(found.ok_or_else(|| format!("leases \"{name}\" not found")));
    }
    if needs.limits {
        related.quotas = Some(of_kind("ResourceQuota"));
        related.limit_ranges = Some(of_kind("LimitRange"));
    }
    if needs.backends {
        let named = |kind: &str, name: &str| -> Vec<Value> {
            let label =
                |other: &Value| other.at("metadata/labels").get("kubernetes.io/service-name") == Some(&name.into());
            let fits = |other: &Value| other.text("metadata/name") == name || label(other);
            of_kind(kind).into_iter().filter(fits).collect()
        };
        for name in backends(object) {
            let service = named("Service", &name).into_iter().next();
            let endpoint_slices = named("EndpointSlice", &name);
            let backend = service.map(|service| Backend { service, endpoint_slices });
            related.backends.insert(name.clone(), backend.ok_or_else(|| format!("services \"{name}\" not found")));
        }
    }
    related
}

/// Every object of the corpus is described as upstream's own code described it, to the byte.
#[test]
fn objects_are_described_as_upstream_describes_them() {
    let now: Timestamp = "2026-11-25T18:00:00Z".parse().unwrap();
    let expected: BTreeMap<String, String> = serde_json::from_str(include_str!("../../golden/describe.json")).unwrap();
    let cases = corpus(now);
    assert_eq!(cases.len(), expected.len(), "regenerate the golden data");
    let mut wrong = String::new();
    for case in &cases {
        let ours = render(&case.objects[0], &related(case), now, &TimeZone::UTC);
        let them = &expected[&case.name];
        if ours != *them {
            let pairs = ours.lines().zip(them.lines()).enumerate();
            let differing = pairs.filter(|(_, (ours, them))| ours != them).take(4);
            let lines = differing.map(|(at, (ours, them))| format!("{at}\n ours {ours:?}\n them {them:?}\n"));
            let counts = (ours.lines().count(), them.lines().count());
            wrong.push_str(&format!("{} {counts:?}: {}\n", case.name, lines.collect::<String>()));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn times_are_shown_in_the_zone_of_the_reader() {
    let namespace: Value = serde_json::json!({
        "kind": "Namespace", "apiVersion": "v1", "metadata": {"name": "n"},
        "status": {"conditions": [{"type": "T", "lastTransitionTime": "2026-01-02T23:00:00Z"}]},
    });
    let zone = TimeZone::fixed(jiff::tz::offset(2));
    let shown = render(&namespace, &Related::default(), Timestamp::UNIX_EPOCH, &zone);
    assert!(shown.contains("Sat, 03 Jan 2026 01:00:00 +0200"), "{shown}");
}
