use api::resources::{PODS, RESOURCEQUOTAS, SERVICES};
use apimachinery::{Admission, Operation, Resource};
use serde_json::{Value, json};

use super::ResourceQuota;
use crate::tests::{World, request};

fn quota(name: &str, spec: Value, hard: Value, used: Value) -> Value {
    json!({"metadata": {"name": name, "namespace": "dev"}, "spec": spec, "status": {"hard": hard, "used": used}})
}

/// What is used of each quota after the write, or why it is refused.
fn write(quotas: &[Value], resource: &'static Resource, mut object: Value, old: Option<&Value>) -> Value {
    let world = World::of(&[(RESOURCEQUOTAS, quotas)]);
    let (operation, mut warnings) = match old {
        Some(_) => (Operation::Update, Vec::new()),
        None => (Operation::Create, Vec::new()),
    };
    let mut request = request(operation, resource, "dev", "web", &mut object, &mut warnings);
    request.old = old;
    match ResourceQuota.charge(&request, &world) {
        Ok(charges) => {
            let used = |c: &apimachinery::Charge| (c.current.meta().name.clone(), c.charged["status"]["used"].clone());
            charges.iter().map(used).collect::<serde_json::Map<_, _>>().into()
        }
        Err(error) => json!(error.message),
    }
}

fn pod(spec: Value) -> Value {
    json!({"metadata": {"name": "web"}, "spec": spec})
}

fn asking(cpu: &str) -> Value {
    pod(json!({"containers": [{"name": "c", "resources": {"requests": {"cpu": cpu}}}]}))
}

#[test]
fn what_fits_is_charged_and_what_does_not_is_refused() {
    let hard = json!({"pods": "2", "cpu": "1", "services": "0"});
    let quotas = [quota("q", json!({}), hard, json!({"pods": "1", "cpu": "600m", "services": "0"}))];
    assert_eq!(write(&quotas, PODS, asking("400m"), None), json!({"q": {"cpu": "1", "pods": "2", "services": "0"}}));
    assert_eq!(
        write(&quotas, PODS, asking("401m"), None),
        "pods \"web\" is forbidden: exceeded quota: q, requested: cpu=401m, used: cpu=600m, limited: cpu=1"
    );
    assert_eq!(
        write(&quotas, SERVICES, json!({}), None),
        "services \"web\" is forbidden: exceeded quota: q, requested: services=1, used: services=0, limited: services=0"
    );
    assert_eq!(
        write(&quotas, PODS, pod(json!({"containers": [{"name": "c"}]})), None),
        "pods \"web\" is forbidden: failed quota: q: must specify cpu for: c"
    );
}

#[test]
fn only_quotas_with_the_objects_scope_and_a_count_apply() {
    let pods = |name: &str, scopes: Value, hard: Value, used: Value| quota(name, json!({"scopes": scopes}), hard, used);
    let one = || json!({"pods": "1"});
    let quotas = [
        pods("ends", json!(["Terminating"]), one(), json!({"pods": "1"})),
        pods("runs", json!(["NotTerminating"]), one(), json!({"pods": "0"})),
        // The controller has not seen it yet.
        quota("new", json!({"hard": {"pods": "0"}}), Value::Null, Value::Null),
    ];
    assert_eq!(write(&quotas, PODS, asking("1"), None), json!({"runs": {"pods": "1"}}));
    let uncounted = [quota("q", json!({}), one(), json!({}))];
    assert_eq!(
        write(&uncounted, PODS, asking("1"), None),
        "pods \"web\" is forbidden: status unknown for quota: q, resources: pods"
    );
}

#[test]
fn an_update_pays_for_what_it_adds() {
    let nodeports = |used: &str| {
        [quota(
            "q",
            json!({}),
            json!({"services": "1", "services.nodeports": "1"}),
            json!({"services": "1", "services.nodeports": used}),
        )]
    };
    let service = |kind: &str| json!({"metadata": {"name": "web"}, "spec": {"type": kind, "ports": [{"port": 1}]}});
    let (plain, open) = (service("ClusterIP"), service("NodePort"));
    assert_eq!(write(&nodeports("0"), SERVICES, open.clone(), Some(&plain))["q"]["services.nodeports"], "1");
    assert_eq!(
        write(&nodeports("1"), SERVICES, open.clone(), Some(&plain)),
        "services \"web\" is forbidden: exceeded quota: q, requested: services.nodeports=1, used: services.nodeports=1, \
         limited: services.nodeports=1"
    );
    assert_eq!(write(&nodeports("1"), SERVICES, plain, Some(&open)), json!({}));
}

#[test]
fn a_pod_that_gets_a_deadline_moves_into_another_quota() {
    let ends =
        |hard: &str| [quota("ends", json!({"scopes": ["Terminating"]}), json!({"pods": hard}), json!({"pods": "0"}))];
    let mut ending = asking("1");
    ending["spec"]["activeDeadlineSeconds"] = json!(5);
    assert_eq!(write(&ends("1"), PODS, ending.clone(), Some(&asking("1"))), json!({"ends": {"pods": "1"}}));
    let refused = write(&ends("0"), PODS, ending, Some(&asking("1")));
    assert!(refused.as_str().is_some_and(|why| why.contains("exceeded quota: ends")), "{refused}");
}
