use api::resources::{CONFIGMAPS, CUSTOMRESOURCEDEFINITIONS, NAMESPACES};
use apimachinery::{Reason, Resource};
use client::PatchKind;
use envtest::{Cluster, Failure, Options, check};
use registry::custom::watched_resource;
use serde_json::json;

const BOATS: &str = "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: boats.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: boats, kind: Boat}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec: {type: object, properties: {masts: {type: integer, default: 1, maximum: 7}}}
";

async fn established(cluster: &Cluster) -> Result<&'static Resource, Failure> {
    cluster.apply(BOATS).await?;
    cluster
        .eventually("the definition is established", || {
            let definition =
                cluster.get(CUSTOMRESOURCEDEFINITIONS, "", "boats.example.com").ok_or("it is not there")?;
            watched_resource(&definition.value()).ok_or_else(|| format!("{}", definition.value()["status"]))
        })
        .await
}

async fn launch(cluster: &Cluster, boats: &'static Resource, namespace: &str) -> Result<(), Failure> {
    let boat = json!({"metadata": {"name": "ark"}, "spec": {"oars": 2}});
    cluster.client().create(boats, namespace, boat).await?;
    Ok(())
}

#[test]
fn objects_get_defaults_lose_unknown_fields_and_are_validated() {
    check(&Options::new(31), async |cluster| {
        let boats = established(cluster).await?;
        launch(cluster, boats, "default").await?;
        let ark = cluster.client().get(boats, "default", "ark").await?;
        assert_eq!(ark.value()["spec"], json!({"masts": 1}));
        let many = json!({"spec": {"masts": 8}});
        let refused = cluster.client().patch(boats, "default", "ark", PatchKind::Merge, many).await;
        assert_eq!(refused.map(|_| ()).map_err(|error| error.reason), Err(Reason::Invalid));
        let two = json!({"spec": {"masts": 2}});
        let changed = cluster.client().patch(boats, "default", "ark", PatchKind::Merge, two).await?;
        assert_eq!(changed.meta().generation, 2);
        Ok(())
    });
}

#[test]
fn a_definition_takes_its_objects_with_it_and_may_come_again() {
    check(&Options::new(32).outages(), async |cluster| {
        for _ in 0..2 {
            let boats = established(cluster).await?;
            launch(cluster, boats, "default").await?;
            cluster.delete(CUSTOMRESOURCEDEFINITIONS, "", "boats.example.com").await?;
            let gone = || match cluster.get(CUSTOMRESOURCEDEFINITIONS, "", "boats.example.com") {
                None => Ok(()),
                Some(definition) => Err(format!("{}", definition.value()["status"])),
            };
            cluster.eventually("the definition is gone", gone).await?;
            let after = cluster.client().get(boats, "default", "ark").await;
            assert_eq!(after.map(|_| ()).map_err(|error| error.code), Err(404));
        }
        Ok(())
    });
}

#[test]
fn what_a_custom_object_owns_goes_with_it() {
    check(&Options::new(33).outages(), async |cluster| {
        let boats = established(cluster).await?;
        launch(cluster, boats, "default").await?;
        let uid = cluster.client().get(boats, "default", "ark").await?.meta().uid.clone();
        let owner = json!([{"apiVersion": "example.com/v1", "kind": "Boat", "name": "ark", "uid": uid}]);
        let cargo = json!({"metadata": {"name": "cargo", "ownerReferences": owner}});
        cluster.client().create(CONFIGMAPS, "default", cargo).await?;
        cluster.delete(boats, "default", "ark").await?;
        let gone = || match cluster.get(CONFIGMAPS, "default", "cargo") {
            None => Ok(()),
            Some(_) => Err("it is there".to_owned()),
        };
        cluster.eventually("what it owned is gone", gone).await
    });
}

#[test]
fn a_namespace_takes_custom_objects_with_it_and_a_crash_forgets_nothing() {
    check(&Options::new(34).outages(), async |cluster| {
        let boats = established(cluster).await?;
        cluster.apply("{apiVersion: v1, kind: Namespace, metadata: {name: harbour}}").await?;
        launch(cluster, boats, "harbour").await?;
        launch(cluster, boats, "default").await?;
        cluster.crash().await?;
        assert_eq!(cluster.client().get(boats, "harbour", "ark").await?.value()["spec"]["masts"], 1);
        cluster.delete(NAMESPACES, "", "harbour").await?;
        let gone = || match cluster.get(NAMESPACES, "", "harbour") {
            None => Ok(()),
            Some(namespace) => Err(format!("{}", namespace.value()["status"])),
        };
        cluster.eventually("the namespace is gone", gone).await?;
        assert_eq!(cluster.list(boats, "harbour").len(), 0);
        assert_eq!(cluster.list(boats, "default").len(), 1);
        Ok(())
    });
}
