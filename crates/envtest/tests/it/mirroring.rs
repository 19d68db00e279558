use api::resources::{ENDPOINTS, ENDPOINTSLICES, SERVICES};
use apimachinery::labels::Selector;
use envtest::{Cluster, Failure, Options, check};
use serde_json::{Value, json};

async fn addresses_become(cluster: &Cluster, wanted: &[&str]) -> Result<(), Failure> {
    let ours = Selector::from_set([(&"kubernetes.io/service-name".to_owned(), &"db".to_owned())]);
    let look = || {
        let slices = cluster.list(ENDPOINTSLICES, "default");
        let slices = slices.iter().filter(|slice| ours.matches(&slice.meta().labels)).map(|slice| slice.value());
        let endpoints = slices.flat_map(|slice| slice["endpoints"].as_array().cloned().unwrap_or_default());
        let found: Vec<Value> = endpoints.map(|endpoint| endpoint["addresses"][0].clone()).collect();
        if found == wanted { Ok(()) } else { Err(format!("{found:?}")) }
    };
    cluster.eventually(&format!("the slices hold {wanted:?}"), look).await
}

#[test]
fn endpoints_that_somebody_writes_are_mirrored() {
    check(&Options::new(41).outages(), async |cluster| {
        let service = json!({"metadata": {"name": "db"}, "spec": {"ports": [{"port": 5432}]}});
        cluster.client().create(SERVICES, "default", service).await?;
        let body = |ip: &str| json!({"metadata": {"name": "db"}, "subsets": [{"addresses": [{"ip": ip}], "ports": [{"port": 5432}]}]});
        cluster.client().create(ENDPOINTS, "default", body("192.0.2.1")).await?;
        addresses_become(cluster, &["192.0.2.1"]).await?;
        cluster.client().update(ENDPOINTS, "default", "db", body("192.0.2.2")).await?;
        addresses_become(cluster, &["192.0.2.2"]).await?;
        cluster.delete(ENDPOINTS, "default", "db").await?;
        addresses_become(cluster, &[]).await
    });
}
