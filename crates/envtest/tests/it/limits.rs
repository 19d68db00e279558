use api::resources::{EVENTS, LIMITRANGES, NAMESPACES, NODES, PODS, RUNTIMECLASSES};
use envtest::{Options, check};
use serde_json::{Value, json};

fn pod(name: &str, more: Value) -> Value {
    let mut pod =
        json!({"metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "example.org/web:v1"}]}});
    for (key, value) in more.as_object().into_iter().flatten() {
        pod["spec"][key] = value.clone();
    }
    pod
}

#[test]
fn a_limit_range_defaults_and_bounds() {
    check(&Options::new(31), async |cluster| {
        cluster.client().create(NAMESPACES, "", json!({"metadata": {"name": "dev"}})).await?;
        let account =
            || cluster.get(api::resources::SERVICEACCOUNTS, "dev", "default").map(|_| ()).ok_or_else(String::new);
        cluster.eventually("the account is there", account).await?;
        let range = json!({"metadata": {"name": "r"}, "spec": {"limits": [{"type": "Container",
            "default": {"cpu": "500m"}, "defaultRequest": {"cpu": "100m"}, "max": {"cpu": "1"}}]}});
        cluster.client().create(LIMITRANGES, "dev", range).await?;
        let made = cluster.client().create(PODS, "dev", pod("plain", json!({}))).await?.value();
        assert_eq!(
            made["spec"]["containers"][0]["resources"],
            json!({"limits": {"cpu": "500m"}, "requests": {"cpu": "100m"}})
        );
        assert_eq!(made["status"]["qosClass"], "Burstable");
        let mut large = pod("large", json!({}));
        large["spec"]["containers"][0]["resources"] = json!({"limits": {"cpu": "2"}});
        let refused = cluster.client().create(PODS, "dev", large).await;
        let why = "pods \"large\" is forbidden: [maximum cpu usage per Container is 1, but limit is 2]";
        let message = refused.err().map(|error| error.message).unwrap_or_default();
        assert_eq!(message, why.replace(['[', ']'], ""));
        Ok(())
    });
}

#[test]
fn a_runtime_class_sends_its_pods_where_it_says() {
    check(&Options::new(32).nodes(3), async |cluster| {
        let node = cluster.list(NODES, "")[1].meta().name.clone();
        let class = json!({"metadata": {"name": "there"}, "handler": "runc", "overhead": {"podFixed": {"cpu": "10m"}},
            "scheduling": {"nodeSelector": {"kubernetes.io/hostname": node}}});
        cluster.client().create(RUNTIMECLASSES, "", class).await?;
        let made =
            cluster.client().create(PODS, "default", pod("p", json!({"runtimeClassName": "there"}))).await?.value();
        assert_eq!(made["spec"]["overhead"], json!({"cpu": "10m"}));
        let bound = || match cluster.get(PODS, "default", "p").map(|p| p.value()["spec"]["nodeName"].clone()) {
            Some(at) if at == node => Ok(()),
            at => Err(format!("{at:?}")),
        };
        cluster.eventually("the Pod is where its class says", bound).await
    });
}

#[test]
fn a_runtime_that_the_node_does_not_have_is_told_in_an_event() {
    check(&Options::new(33), async |cluster| {
        let class = json!({"metadata": {"name": "strange"}, "handler": "test-handler"});
        cluster.client().create(RUNTIMECLASSES, "", class).await?;
        cluster.client().create(PODS, "default", pod("p", json!({"runtimeClassName": "strange"}))).await?;
        let wanted = "Failed to create pod sandbox: failed to get sandbox runtime: no runtime for \"test-handler\" is \
                      configured";
        let told = || {
            let events = cluster.list(EVENTS, "default");
            let found =
                events.iter().map(|event| event.value()).find(|event| event["reason"] == "FailedCreatePodSandBox");
            match found {
                Some(event) if event["message"] == wanted => Ok(()),
                other => Err(format!("{other:?}")),
            }
        };
        cluster.eventually("the Pod's Event says so", told).await?;
        let phase = cluster.get(PODS, "default", "p").map(|p| p.value()["status"]["phase"].clone());
        assert_eq!(phase, Some(json!("Pending")));
        Ok(())
    });
}
