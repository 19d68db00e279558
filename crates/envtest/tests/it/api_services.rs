use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use api::resources::{APISERVICES, CONFIGMAPS, CUSTOMRESOURCEDEFINITIONS, ENDPOINTSLICES, SERVICES};
use client::{DeleteOptions, PatchKind};
use envtest::{Cluster, Failure, Options, check};
use serde_json::{Value, json};

const SERVICE: &str = "
apiVersion: v1
kind: Service
metadata: {name: weather}
spec: {ports: [{port: 443}]}
";
const API_SERVICE: &str = "
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: {name: v1.weather.example.com}
spec:
  group: weather.example.com
  version: v1
  groupPriorityMinimum: 100
  versionPriority: 100
  service: {name: weather, namespace: default}
";
const SLICE: &str = "
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: weather, labels: {kubernetes.io/service-name: weather}}
addressType: IPv4
endpoints: [{addresses: [10.244.0.77], conditions: {ready: true}}]
ports: [{name: '', port: 8443}]
";
const BOATS: &str = "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: boats.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: boats, kind: Boat}
  versions:
  - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}
  - {name: v2, served: true, storage: false, schema: {openAPIV3Schema: {type: object}}}
";

fn available(cluster: &Cluster, name: &str) -> Option<[String; 3]> {
    let conditions = cluster.get(APISERVICES, "", name)?.value()["status"]["conditions"].take();
    let condition = conditions.as_array()?.iter().find(|condition| condition["type"] == "Available")?.clone();
    Some(["status", "reason", "message"].map(|key| condition[key].as_str().unwrap_or_default().to_owned()))
}

async fn becomes(cluster: &Cluster, status: &str, reason: &str, message: &str) -> Result<(), Failure> {
    let look = || match available(cluster, "v1.weather.example.com") {
        Some(told) if told[0] == status && told[1] == reason && told[2].contains(message) => Ok(()),
        told => Err(format!("{told:?}")),
    };
    cluster.eventually(&format!("the APIService is {status} for {reason}"), look).await
}

#[test]
fn the_condition_follows_the_service_its_endpoints_and_the_server() {
    check(&Options::new(61).outages(), async |cluster| {
        cluster.apply(API_SERVICE).await?;
        becomes(cluster, "False", "ServiceNotFound", "service/weather in \"default\" is not present").await?;
        cluster.apply(SERVICE).await?;
        becomes(cluster, "False", "EndpointsNotFound", "cannot find endpointslices for service/weather").await?;
        cluster.apply(SLICE).await?;
        becomes(cluster, "False", "FailedDiscoveryCheck", "/apis/weather.example.com/v1\": dial tcp 10.96.").await?;
        let status = Arc::new(AtomicU16::new(200));
        let now = status.clone();
        cluster.answer_api_server("weather.default.svc", move |path| match path {
            "/apis/weather.example.com/v1" => now.load(Ordering::Relaxed),
            _ => 404,
        });
        becomes(cluster, "True", "Passed", "all checks passed").await?;
        // No event tells that a server has fallen ill.
        status.store(500, Ordering::Relaxed);
        becomes(cluster, "False", "FailedDiscoveryCheck", "/apis/weather.example.com/v1: 500").await?;
        cluster.delete(ENDPOINTSLICES, "default", "weather").await?;
        becomes(cluster, "False", "EndpointsNotFound", "").await?;
        cluster.delete(SERVICES, "default", "weather").await?;
        becomes(cluster, "False", "ServiceNotFound", "").await
    });
}

#[test]
fn what_the_server_has_itself_has_apiservices_that_are_available() {
    check(&Options::new(62), async |cluster| {
        cluster.apply(BOATS).await?;
        let wanted = Some(["True", "Local", "Local APIServices are always available"].map(str::to_owned));
        for name in ["v1.", "v1.apps", "v1.example.com", "v2.example.com"] {
            let look = || match available(cluster, name) {
                told if told == wanted => Ok(()),
                told => Err(format!("{told:?}")),
            };
            cluster.eventually(&format!("{name} is available"), look).await?;
        }
        // One that a definition wants comes again; a built-in one is the administrator's to delete.
        for name in ["v1.example.com", "v1.apps"] {
            cluster.client().delete(APISERVICES, "", name, &DeleteOptions::default()).await?;
        }
        let there = |name: &'static str| move || cluster.get(APISERVICES, "", name).map(|_| ()).ok_or_else(String::new);
        cluster.eventually("the definition's APIService is there again", there("v1.example.com")).await?;
        assert_eq!(available(cluster, "v1.apps"), None);
        let unserved = json!([
            {"op": "replace", "path": "/spec/versions/1/served", "value": false},
        ]);
        let definition = "boats.example.com";
        cluster.client().patch(CUSTOMRESOURCEDEFINITIONS, "", definition, PatchKind::Json, unserved).await?;
        let gone = |name: &'static str| {
            move || match cluster.get(APISERVICES, "", name) {
                None => Ok(()),
                Some(object) => Err(format!("{}", object.value())),
            }
        };
        cluster.eventually("the version that is not served has none", gone("v2.example.com")).await?;
        cluster.delete(CUSTOMRESOURCEDEFINITIONS, "", definition).await?;
        cluster.eventually("it goes with the definition", gone("v1.example.com")).await
    });
}

#[test]
fn servers_behind_this_one_are_told_whom_to_trust() {
    check(&Options::new(63), async |cluster| {
        let name = "extension-apiserver-authentication";
        let told = || {
            let map = cluster.get(CONFIGMAPS, "kube-system", name).ok_or("it is not there")?.value();
            let data: &Value = &map["data"];
            match data["requestheader-allowed-names"].as_str() {
                Some("[\"front-proxy-client\"]") => Ok(()),
                _ => Err(format!("{data}")),
            }
        };
        cluster.eventually("the ConfigMap is there", told).await?;
        cluster.delete(CONFIGMAPS, "kube-system", name).await?;
        cluster.eventually("it is there again", told).await
    });
}
