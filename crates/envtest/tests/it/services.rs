use std::collections::BTreeSet;

use api::resources::{ENDPOINTS, ENDPOINTSLICES};
use envtest::{Cluster, Failure, Options, check};
use serde_json::Value;

const WEB: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        image: example.org/web:v1
        ports: [{name: http, containerPort: 8080}]
        readinessProbe: {httpGet: {port: http, path: /ready}, periodSeconds: 5, failureThreshold: 2}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  selector: {app: web}
  ports: [{port: 80, targetPort: http}]
";

fn addresses<'a>(items: impl Iterator<Item = &'a Value>) -> BTreeSet<String> {
    items.filter_map(|item| item.as_str().map(str::to_owned)).collect()
}

/// The addresses that the Service leads to, by EndpointSlices and by Endpoints.
fn served(cluster: &Cluster) -> Result<BTreeSet<String>, String> {
    let slices: Vec<Value> = cluster.list(ENDPOINTSLICES, "default").iter().map(|slice| slice.value()).collect();
    let ready = slices
        .iter()
        .flat_map(|slice| slice["endpoints"].as_array().into_iter().flatten())
        .filter(|endpoint| endpoint["conditions"]["ready"] == true)
        .map(|endpoint| &endpoint["addresses"][0]);
    let by_slices = addresses(ready);
    let endpoints = cluster.get(ENDPOINTS, "default", "web").map(|object| object.value()).unwrap_or_default();
    let subsets = endpoints["subsets"].as_array();
    let listed = subsets.into_iter().flatten().flat_map(|s| s["addresses"].as_array().into_iter().flatten());
    let by_endpoints = addresses(listed.map(|address| &address["ip"]));
    if by_slices == by_endpoints {
        Ok(by_slices)
    } else {
        Err(format!("slices {by_slices:?}, endpoints {by_endpoints:?}"))
    }
}

async fn serves(cluster: &Cluster, wanted: &[&Value]) -> Result<(), Failure> {
    let wanted = addresses(wanted.iter().map(|pod| &pod["status"]["podIP"]));
    let look = || {
        let served = served(cluster)?;
        if served == wanted { Ok(()) } else { Err(format!("it leads to {served:?}")) }
    };
    cluster.eventually(&format!("the Service leads to {wanted:?}"), look).await
}

#[test]
fn a_service_leads_to_the_pods_that_are_ready() {
    check(&Options::new(10).outages(), async |cluster| {
        cluster.apply(WEB).await?;
        cluster.rolled_out("web").await?;
        let pods = cluster.pods();
        serves(cluster, &[&pods[0], &pods[1], &pods[2]]).await?;

        let began = cluster.now();
        cluster.answer_probes(&pods[1], 503)?;
        serves(cluster, &[&pods[0], &pods[2]]).await?;
        // Two failures, five seconds and their jitter apart; the first within five seconds.
        let noticed = cluster.now().duration_since(began).as_secs();
        assert!((5..=11).contains(&noticed), "noticed after {noticed} s");
        assert_eq!(cluster.deployment_row("web"), "2/3 3 2");

        cluster.answer_probes(&pods[1], 200)?;
        serves(cluster, &[&pods[0], &pods[1], &pods[2]]).await
    });
}

#[test]
fn a_service_follows_a_rollout_and_is_never_empty() {
    check(&Options::new(11), async |cluster| {
        cluster.apply(WEB).await?;
        cluster.rolled_out("web").await?;
        let from = cluster.log().len();
        cluster.set_image("web", "example.org/web:v2").await?;
        cluster.rolled_out("web").await?;
        let pods = cluster.pods();
        serves(cluster, &pods.iter().collect::<Vec<_>>()).await?;
        let slice = cluster.list(ENDPOINTSLICES, "default")[0].meta().name.clone();
        let history = cluster.log().history(&format!("/registry/endpointslices/default/{slice}"), from);
        for state in &history {
            let endpoints = state["endpoints"].as_array().into_iter().flatten();
            assert!(endpoints.filter(|e| e["conditions"]["ready"] == true).count() >= 3, "{state}");
        }
        assert!(history.len() >= 3, "each Pod came and went");
        Ok(())
    });
}
