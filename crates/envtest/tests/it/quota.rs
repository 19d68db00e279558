use api::resources::{CONFIGMAPS, CUSTOMRESOURCEDEFINITIONS, PODS, RESOURCEQUOTAS};
use client::{PatchKind, Target, WriteOptions};
use envtest::{Cluster, Failure, Options, check};
use futures_util::future::join_all;
use registry::custom::watched_resource;
use serde_json::{Value, json};

use crate::WEB;

async fn quota(cluster: &Cluster, hard: Value) -> Result<(), Failure> {
    let body = json!({"metadata": {"name": "q"}, "spec": {"hard": hard}});
    cluster.client().create(RESOURCEQUOTAS, "default", body).await?;
    cluster.eventually("the quota is in force", || status(cluster, "hard").map(|_| ())).await
}

fn status(cluster: &Cluster, field: &str) -> Result<Value, String> {
    let quota = cluster.get(RESOURCEQUOTAS, "default", "q").map(|q| q.value()).unwrap_or_default();
    let status = quota["status"][field].clone();
    if status.is_null() { Err("no status".to_owned()) } else { Ok(status) }
}

async fn used_becomes(cluster: &Cluster, wanted: Value) -> Result<(), Failure> {
    let look = || match status(cluster, "used")? {
        used if used == wanted => Ok(()),
        used => Err(used.to_string()),
    };
    cluster.eventually(&format!("{wanted} is used"), look).await
}

fn map(name: &str) -> Value {
    json!({"metadata": {"name": name}})
}

#[test]
fn creations_at_once_do_not_pass_together() {
    check(&Options::new(21).outages(), async |cluster| {
        quota(cluster, json!({"count/configmaps": "5"})).await?;
        let used: u32 = status(cluster, "used").map_err(Failure::Wrong)?["count/configmaps"]
            .as_str()
            .and_then(|n| n.parse().ok())
            .unwrap_or_default();
        let names: Vec<String> = (0..20).map(|n| format!("m{n}")).collect();
        let made = join_all(names.iter().map(|name| cluster.client().create(CONFIGMAPS, "default", map(name)))).await;
        let passed = made.iter().filter(|result| result.is_ok()).count();
        assert_eq!(passed, 5 - used as usize);
        let refused = made.iter().find_map(|result| result.as_ref().err()).map(|error| error.message.clone());
        let expected =
            "exceeded quota: q, requested: count/configmaps=1, used: count/configmaps=5, limited: count/configmaps=5";
        assert!(refused.as_ref().is_some_and(|message| message.ends_with(expected)), "{refused:?}");
        assert_eq!(status(cluster, "used"), Ok(json!({"count/configmaps": "5"})));
        Ok(())
    });
}

#[test]
fn what_is_not_made_is_not_charged() {
    check(&Options::new(22), async |cluster| {
        cluster.client().create(CONFIGMAPS, "default", map("there")).await?;
        quota(cluster, json!({"configmaps": "10"})).await?;
        let before = status(cluster, "used");
        let again = cluster.client().create(CONFIGMAPS, "default", map("there")).await;
        assert!(again.is_err_and(|error| error.message == "configmaps \"there\" already exists"));
        let dry = WriteOptions { dry_run: true, ..WriteOptions::default() };
        let target = Target::collection(CONFIGMAPS, "default");
        cluster.client().transport().create(target, map("dry"), &dry).await?;
        assert_eq!(status(cluster, "used"), before);
        Ok(())
    });
}

#[test]
fn a_deployment_gets_as_many_pods_as_the_quota_allows() {
    check(&Options::new(23), async |cluster| {
        quota(cluster, json!({"pods": "2"})).await?;
        cluster.apply(WEB).await?;
        used_becomes(cluster, json!({"pods": "2"})).await?;
        cluster.row_becomes("web", "2/3 2 2").await?;
        cluster.scale("web", 1).await?;
        used_becomes(cluster, json!({"pods": "1"})).await?;
        assert_eq!(cluster.list(PODS, "default").len(), 1);
        let patch = json!({"spec": {"hard": {"pods": "3"}}});
        cluster.client().patch(RESOURCEQUOTAS, "default", "q", PatchKind::Merge, patch).await?;
        cluster.scale("web", 3).await?;
        cluster.rolled_out("web").await?;
        used_becomes(cluster, json!({"pods": "3"})).await
    });
}

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
";

#[test]
fn custom_resources_are_counted_as_soon_as_they_are_defined() {
    check(&Options::new(24), async |cluster| {
        let hard = json!({"count/boats.example.com": "1"});
        let body = json!({"metadata": {"name": "q"}, "spec": {"hard": hard}});
        cluster.client().create(RESOURCEQUOTAS, "default", body).await?;
        cluster.apply(BOATS).await?;
        let established = || {
            let definition =
                cluster.get(CUSTOMRESOURCEDEFINITIONS, "", "boats.example.com").ok_or("it is not there")?;
            watched_resource(&definition.value()).ok_or_else(|| "it is not established".to_owned())
        };
        let boats = cluster.eventually("the definition is established", established).await?;
        used_becomes(cluster, json!({"count/boats.example.com": "0"})).await?;
        cluster.client().create(boats, "default", map("ark")).await?;
        used_becomes(cluster, json!({"count/boats.example.com": "1"})).await?;
        let refused = cluster.client().create(boats, "default", map("raft")).await.err().map(|error| error.message);
        let refused = refused.unwrap_or_default();
        assert!(refused.starts_with("boats.example.com \"raft\" is forbidden: exceeded quota: q"), "{refused}");
        cluster.delete(boats, "default", "ark").await?;
        used_becomes(cluster, json!({"count/boats.example.com": "0"})).await
    });
}
