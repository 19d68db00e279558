use api::resources::{
    CONFIGMAPS, CUSTOMRESOURCEDEFINITIONS, DEPLOYMENTS, MUTATINGADMISSIONPOLICIES, MUTATINGADMISSIONPOLICYBINDINGS,
    PODS, VALIDATINGADMISSIONPOLICIES, VALIDATINGADMISSIONPOLICYBINDINGS,
};
use client::DeleteOptions;
use envtest::{Options, check};
use registry::custom::watched_resource;
use serde_json::{Value, json};

fn policy(name: &str, group: &str, resource: &str, more: Value) -> Value {
    let rule = json!({"operations": ["CREATE", "UPDATE"], "apiGroups": [group], "apiVersions": ["*"], "resources": [resource]});
    let mut policy = json!({"metadata": {"name": name}, "spec": {"matchConstraints": {"resourceRules": [rule]}}});
    for (key, value) in more.as_object().into_iter().flatten() {
        policy["spec"][key] = value.clone();
    }
    policy
}

#[test]
fn a_policy_refuses_by_parameters_once_it_is_bound() {
    check(&Options::new(71), async |cluster| {
        let client = cluster.client();
        let limit = json!({"metadata": {"name": "limit"}, "data": {"most": "3"}});
        client.create(CONFIGMAPS, "default", limit).await?;
        let few = policy(
            "few",
            "apps",
            "deployments",
            json!({
                "paramKind": {"apiVersion": "v1", "kind": "ConfigMap"},
                "variables": [{"name": "most", "expression": "int(params.data.most)"}],
                "validations": [{"expression": "object.spec.replicas <= variables.most",
                    "messageExpression": "'at most ' + string(variables.most) + ' replicas'"}],
            }),
        );
        client.create(VALIDATINGADMISSIONPOLICIES, "", few).await?;
        let named = |name: &str, replicas: u32| {
            let pod = json!({"metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "c", "image": "example.org/web:v1"}]}});
            json!({"metadata": {"name": name}, "spec": {"replicas": replicas,
                "selector": {"matchLabels": {"app": name}}, "template": pod}})
        };
        client.create(DEPLOYMENTS, "default", named("before", 4)).await?;
        let bound = json!({"metadata": {"name": "all"}, "spec": {"policyName": "few", "validationActions": ["Deny"],
            "paramRef": {"name": "limit", "namespace": "default", "parameterNotFoundAction": "Deny"}}});
        client.create(VALIDATINGADMISSIONPOLICYBINDINGS, "", bound).await?;
        let refused = client.create(DEPLOYMENTS, "default", named("after", 4)).await;
        let error = refused.expect_err("it is refused");
        let why = "deployments.apps \"after\" is forbidden: ValidatingAdmissionPolicy 'few' with binding 'all' denied \
                   request: at most 3 replicas";
        assert_eq!((error.code, error.message.as_str()), (422, why));
        client.create(DEPLOYMENTS, "default", named("after", 3)).await?;
        let warns = json!({"metadata": {"name": "all"}, "spec": {"policyName": "few", "validationActions": ["Warn"],
            "paramRef": {"name": "limit", "namespace": "default", "parameterNotFoundAction": "Deny"}}});
        client.delete(VALIDATINGADMISSIONPOLICYBINDINGS, "", "all", &DeleteOptions::default()).await?;
        client.create(VALIDATINGADMISSIONPOLICYBINDINGS, "", warns).await?;
        client.create(DEPLOYMENTS, "default", named("warned", 4)).await?;
        Ok(())
    });
}

#[test]
fn a_policy_gives_every_pod_a_sidecar_and_its_defaults() {
    check(&Options::new(72), async |cluster| {
        let client = cluster.client();
        let expression =
            "Object{spec: Object.spec{containers: [Object.spec.containers{name: 'side', image: 'proxy'}]}}";
        let side = policy(
            "side",
            "",
            "pods",
            json!({"reinvocationPolicy": "Never",
            "matchConditions": [{"name": "none-yet", "expression": "!object.spec.containers.exists(c, c.name == 'side')"}],
            "mutations": [{"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": expression}}]}),
        );
        client.create(MUTATINGADMISSIONPOLICIES, "", side).await?;
        let bound = json!({"metadata": {"name": "side"}, "spec": {"policyName": "side"}});
        client.create(MUTATINGADMISSIONPOLICYBINDINGS, "", bound).await?;
        let pod =
            json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "example.org/web:v1"}]}});
        let made = client.create(PODS, "default", pod).await?.value();
        let added = &made["spec"]["containers"][1];
        assert_eq!((&added["name"], &added["imagePullPolicy"]), (&json!("side"), &json!("Always")));
        Ok(())
    });
}

#[test]
fn custom_objects_are_judged_and_are_parameters() {
    check(&Options::new(73), async |cluster| {
        let client = cluster.client();
        let schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
        let definition = json!({"metadata": {"name": "boats.example.com"}, "spec": {
            "group": "example.com", "scope": "Namespaced", "names": {"plural": "boats", "kind": "Boat"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}]}});
        client.create(CUSTOMRESOURCEDEFINITIONS, "", definition).await?;
        let established = || {
            let definition = cluster.get(CUSTOMRESOURCEDEFINITIONS, "", "boats.example.com").ok_or("it is gone")?;
            watched_resource(&definition.value()).ok_or_else(|| "not established".to_owned())
        };
        cluster.eventually("boats are served", || established().map(|_| ())).await?;
        let boats = established().expect("boats are served");
        let boat = |name: &str, length: u32| json!({"apiVersion": "example.com/v1", "kind": "Boat", "metadata": {"name": name}, "length": length});
        client.create(boats, "default", boat("longest", 10)).await?;
        let short = policy(
            "short",
            "example.com",
            "boats",
            json!({
            "paramKind": {"apiVersion": "example.com/v1", "kind": "Boat"},
            "validations": [{"expression": "object.length <= params.length", "reason": "Forbidden"}]}),
        );
        client.create(VALIDATINGADMISSIONPOLICIES, "", short).await?;
        let bound = json!({"metadata": {"name": "b"}, "spec": {"policyName": "short", "validationActions": ["Deny"],
            "paramRef": {"name": "longest", "parameterNotFoundAction": "Deny"}}});
        client.create(VALIDATINGADMISSIONPOLICYBINDINGS, "", bound).await?;
        client.create(boats, "default", boat("dinghy", 3)).await?;
        let error = client.create(boats, "default", boat("liner", 300)).await.expect_err("it is refused");
        let why = "boats.example.com \"liner\" is forbidden: ValidatingAdmissionPolicy 'short' with binding 'b' denied \
                   request: failed expression: object.length <= params.length";
        assert_eq!((error.code, error.message.as_str()), (403, why));
        Ok(())
    });
}
