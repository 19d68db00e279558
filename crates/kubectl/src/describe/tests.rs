use super::{Fields, Needs, Related, needs, render};
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
    let Needs { events, pods_by_selector, pods_by_node, replica_sets, endpoint_slices, lease, limits } = needs(object);
    let name = object.text("metadata/name");
    let of_kind = |kind: &str| -> Vec<Value> {
        case.objects[1..].iter().filter(|other| other.text("kind") == kind).cloned().collect()
    };
    let mut related = Related::default();
    if events && !case.no_events {
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
    if pods_by_selector || pods_by_node {
        let is_over = |pod: &Value| pods_by_node && matches!(pod.text("status/phase"), "Succeeded" | "Failed");
        related.pods = Some(Ok(of_kind("Pod").into_iter().filter(|pod| !is_over(pod)).collect()));
    }
    if replica_sets {
        related.replica_sets = of_kind("ReplicaSet");
    }
    if endpoint_slices {
        related.endpoint_slices = of_kind("EndpointSlice");
    }
    if lease {
        let found = of_kind("Lease").into_iter().next();
        related.lease = Some(found.ok_or_else(|| format!("leases \"{name}\" not found")));
    }
    if limits {
        related.quotas = Some(of_kind("ResourceQuota"));
        related.limit_ranges = Some(of_kind("LimitRange"));
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
