use api::resources::{CONFIGMAPS, CUSTOMRESOURCEDEFINITIONS, NAMESPACES};
use apimachinery::{Reason, Resource};
use client::{ListOptions, PatchKind};
use envtest::{Cluster, Failure, Options, check};
use registry::custom::{types_of, watched_resource};
use serde_json::{Value, json};

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

/// Ports with their host in one field (`v1`) or two (`v2`).
fn ports(storage: &str) -> Value {
    let version = |name: &str, fields: Value| {
        json!({
            "name": name, "served": true, "storage": name == storage,
            "schema": {"openAPIV3Schema": {"type": "object", "properties": fields}},
            "selectableFields": [{"jsonPath": if name == "v1" { ".hostPort" } else { ".host" }}],
        })
    };
    let text = json!({"type": "string"});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "ports.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced", "names": {"plural": "ports", "kind": "Port"},
            "versions": [
                version("v1", json!({"hostPort": text})), version("v2", json!({"host": text, "port": text})),
            ],
            "conversion": {"strategy": "Webhook", "webhook": {
                "conversionReviewVersions": ["v1"], "clientConfig": {"url": "https://converter.example/ports"},
            }},
        },
    })
}

/// What the webhook of the definition above does.
fn converted(review: &Value) -> Value {
    let request = &review["request"];
    let wanted = request["desiredAPIVersion"].as_str().unwrap_or_default();
    let convert = |object: &Value| {
        let mut object = object.clone();
        object["apiVersion"] = json!(wanted);
        let fields = object.as_object_mut().expect("it is an object");
        if wanted.ends_with("v2") {
            let both = fields.remove("hostPort").unwrap_or_default();
            let (host, port) = both.as_str().and_then(|both| both.split_once(':')).unwrap_or_default();
            fields.insert("host".to_owned(), json!(host));
            fields.insert("port".to_owned(), json!(port));
        } else {
            let [host, port] = ["host", "port"].map(|field| fields.remove(field).unwrap_or_default());
            let both = format!("{}:{}", host.as_str().unwrap_or_default(), port.as_str().unwrap_or_default());
            fields.insert("hostPort".to_owned(), json!(both));
        }
        object
    };
    let objects: Vec<Value> = request["objects"].as_array().into_iter().flatten().map(convert).collect();
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "ConversionReview",
        "response": {"uid": request["uid"], "result": {"status": "Success"}, "convertedObjects": objects},
    })
}

#[test]
fn a_webhook_brings_objects_into_the_version_that_is_asked_for() {
    check(&Options::new(35), async |cluster| {
        cluster.answer_webhook("https://converter.example/ports", converted);
        let client = cluster.client();
        cluster.apply(&ports("v1").to_string()).await?;
        let stored = |storage: &'static str| {
            let types = cluster.get(CUSTOMRESOURCEDEFINITIONS, "", "ports.example.com").map(|d| types_of(&d.value()));
            let types = types.filter(|types| types.len() == 2 && types[0].storage_version.ends_with(storage));
            types.map(|types| (types[0].resource, types[1].resource)).ok_or_else(|| "not yet".to_owned())
        };
        let (v1, v2) = cluster.eventually("it is established", || stored("v1")).await?;
        client.create(v1, "default", json!({"metadata": {"name": "a"}, "hostPort": "one:80"})).await?;
        let a = client.get(v2, "default", "a").await?.value();
        assert_eq!((&a["host"], &a["port"], &a["hostPort"]), (&json!("one"), &json!("80"), &Value::Null));

        // What is stored from now on is stored in the other version.
        cluster.apply(&ports("v2").to_string()).await?;
        cluster.eventually("the other version is stored", || stored("v2")).await?;
        client.create(v1, "default", json!({"metadata": {"name": "b"}, "hostPort": "two:81"})).await?;
        for (resource, field, wanted) in [(v1, "hostPort", ["one:80", "two:81"]), (v2, "host", ["one", "two"])] {
            let list = client.list(resource, "default", &ListOptions::default()).await?;
            let found: Vec<Value> = list.items.iter().map(|object| object.value()[field].clone()).collect();
            assert_eq!(found, wanted);
            let field_selector = format!("{field}={}", wanted[1]);
            let options = ListOptions { field_selector, ..ListOptions::default() };
            let selected = client.list(resource, "default", &options).await?;
            let names: Vec<&str> = selected.items.iter().map(|object| object.meta().name.as_str()).collect();
            assert_eq!(names, ["b"]);
        }
        let patch = json!({"port": "90"});
        let patched = client.patch(v2, "default", "a", PatchKind::Merge, patch).await?.value();
        assert_eq!((&patched["host"], &patched["port"]), (&json!("one"), &json!("90")));
        assert_eq!(client.get(v1, "default", "a").await?.value()["hostPort"], json!("one:90"));
        Ok(())
    });
}
