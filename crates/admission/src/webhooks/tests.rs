use std::sync::Arc;
use std::time::Duration;

use api::resources::{
    CONFIGMAPS, MUTATINGWEBHOOKCONFIGURATIONS, NAMESPACES, SERVICES, VALIDATINGWEBHOOKCONFIGURATIONS,
};
use apimachinery::{AdmissionRequest, ApiError, Operation, Reader, RemoteAdmission, Resource, UserInfo};
use async_trait::async_trait;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use component_base::Random;
use jiff::Timestamp;
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::{Endpoint, WebhookTransport, Webhooks};
use crate::tests::World;

/// Answers by the path that is asked.
#[derive(Debug, Default)]
struct Scripted {
    asked: Mutex<Vec<(Endpoint, Value)>>,
}

#[async_trait]
impl WebhookTransport for Scripted {
    async fn post(&self, endpoint: &Endpoint, body: Vec<u8>, _: Duration) -> Result<Vec<u8>, String> {
        let review: Value = serde_json::from_slice(&body).expect("a question is JSON");
        self.asked.lock().push((endpoint.clone(), review.clone()));
        let patch = |operations: Value| BASE64_STANDARD.encode(operations.to_string());
        let mut response = match endpoint.url.as_str() {
            url if url.contains("/deny") => json!({"allowed": false, "status": {"message": "no way"}}),
            url if url.contains("/add") => json!({"allowed": true, "patchType": "JSONPatch", "warnings": ["changed"],
                "patch": patch(json!([{"op": "add", "path": "/data/added", "value": "yes"}]))}),
            url if url.contains("/down") => return Err("dial tcp: connect: connection refused".to_owned()),
            _ => json!({"allowed": true}),
        };
        response["uid"] = review["request"]["uid"].clone();
        Ok(json!({"response": response}).to_string().into_bytes())
    }
}

fn webhook(path: &str, more: Value) -> Value {
    let mut webhook = json!({
        "name": format!("{path}.example.com"), "sideEffects": "None", "admissionReviewVersions": ["v1"],
        "namespaceSelector": {}, "objectSelector": {},
        "clientConfig": {"service": {"name": "hooks", "namespace": "dev", "path": format!("/{path}"), "port": 8443}},
        "rules": [{"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"]}],
    });
    for (key, value) in more.as_object().into_iter().flatten() {
        webhook[key] = value.clone();
    }
    webhook
}

fn world(kind: &'static Resource, webhooks: &[Value]) -> World {
    let configuration = json!({"metadata": {"name": "hooks"}, "webhooks": webhooks});
    let namespace = json!({"metadata": {"name": "dev", "labels": {"team": "a"}}});
    let spec = json!({"type": "ClusterIP", "clusterIP": "10.96.0.7", "ports": [{"port": 8443}]});
    let service = json!({"metadata": {"name": "hooks", "namespace": "dev"}, "spec": spec});
    World::of(&[(kind, &[configuration]), (NAMESPACES, &[namespace]), (SERVICES, &[service])])
}

struct Outcome {
    result: Result<(), ApiError>,
    object: Value,
    warnings: Vec<String>,
    asked: Vec<(Endpoint, Value)>,
}

/// Creates a ConfigMap past the webhooks of a configuration.
async fn create(kind: &'static Resource, webhooks: &[Value]) -> Outcome {
    create_of(CONFIGMAPS, kind, webhooks).await
}

async fn create_of(resource: &'static Resource, kind: &'static Resource, webhooks: &[Value]) -> Outcome {
    let transport = Arc::new(Scripted::default());
    let remote = Webhooks::new(transport.clone(), Arc::new(Random::from_seed(1)));
    let reader = world(kind, webhooks);
    let mut object =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "labels": {"a": "b"}}, "data": {}});
    let (mut warnings, user) = (Vec::new(), UserInfo::new("jane", &[]));
    let mut request = AdmissionRequest {
        operation: Operation::Create,
        resource,
        subresource: "",
        namespace: "dev",
        name: "c",
        object: &mut object,
        old: None,
        user: &user,
        now: Timestamp::UNIX_EPOCH,
        dry_run: false,
        warnings: &mut warnings,
    };
    let reader: &dyn Reader = &reader;
    let result = match kind.is(MUTATINGWEBHOOKCONFIGURATIONS) {
        true => remote.admit(&mut request, reader).await.map(|_| ()),
        false => remote.validate(&mut request, reader).await,
    };
    let asked = transport.asked.lock().clone();
    Outcome { result, object, warnings, asked }
}

#[tokio::test]
async fn a_webhook_changes_what_is_created_and_is_reached_by_its_service() {
    let outcome = create(MUTATINGWEBHOOKCONFIGURATIONS, &[webhook("add", json!({}))]).await;
    assert_eq!(outcome.result, Ok(()));
    assert_eq!(outcome.object["data"], json!({"added": "yes"}));
    assert_eq!(outcome.warnings, ["changed"]);
    let (endpoint, review) = &outcome.asked[0];
    assert_eq!(endpoint.url, "https://hooks.dev.svc:8443/add?timeout=10s");
    assert_eq!(endpoint.dial.as_deref(), Some("10.96.0.7:8443"));
    let asked = &review["request"];
    assert_eq!((&asked["operation"], &asked["userInfo"]["username"]), (&json!("CREATE"), &json!("jane")));
    assert_eq!(asked["kind"], json!({"group": "", "version": "v1", "kind": "ConfigMap"}));
    assert_eq!(asked["object"]["data"], json!({}));
}

#[tokio::test]
async fn one_that_wants_it_is_asked_again_after_a_later_change() {
    let again = webhook("look", json!({"reinvocationPolicy": "IfNeeded"}));
    let outcome = create(MUTATINGWEBHOOKCONFIGURATIONS, &[again, webhook("add", json!({}))]).await;
    let urls: Vec<&str> =
        outcome.asked.iter().map(|(endpoint, _)| endpoint.url.split(['/', '?']).nth(3).unwrap_or("")).collect();
    assert_eq!(urls, ["look", "add", "look"]);
}

#[tokio::test]
async fn a_refusal_is_told_in_upstreams_words() {
    let outcome = create(VALIDATINGWEBHOOKCONFIGURATIONS, &[webhook("deny", json!({}))]).await;
    let error = outcome.result.expect_err("it is refused");
    assert_eq!(error.code, 403);
    assert_eq!(error.message, "admission webhook \"deny.example.com\" denied the request: no way");
}

#[tokio::test]
async fn a_webhook_that_fails_refuses_unless_it_is_to_be_ignored() {
    let outcome = create(VALIDATINGWEBHOOKCONFIGURATIONS, &[webhook("down", json!({}))]).await;
    let error = outcome.result.expect_err("it fails closed");
    let wanted = "Internal error occurred: failed calling webhook \"down.example.com\": failed to call webhook: \
                  Post \"https://hooks.dev.svc:8443/down?timeout=10s\": dial tcp: connect: connection refused";
    assert_eq!((error.code, error.message.as_str()), (500, wanted));
    let ignored = webhook("down", json!({"failurePolicy": "Ignore"}));
    assert_eq!(create(VALIDATINGWEBHOOKCONFIGURATIONS, &[ignored]).await.result, Ok(()));
}

#[tokio::test]
async fn only_what_rules_and_selectors_name_is_asked_about() {
    let cases = [
        (json!({}), true),
        (json!({"namespaceSelector": {"matchLabels": {"team": "a"}}}), true),
        (json!({"namespaceSelector": {"matchLabels": {"team": "b"}}}), false),
        (json!({"objectSelector": {"matchLabels": {"a": "b"}}}), true),
        (json!({"objectSelector": {"matchLabels": {"a": "c"}}}), false),
        (
            json!({"rules": [{"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*/*"]}]}),
            true,
        ),
        (
            json!({"rules": [{"operations": ["UPDATE"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*"]}]}),
            false,
        ),
        (
            json!({"rules": [{"operations": ["*"], "apiGroups": ["apps"], "apiVersions": ["*"], "resources": ["*"]}]}),
            false,
        ),
        (
            json!({"rules": [{"operations": ["*"], "apiGroups": [""], "apiVersions": ["*"], "resources": ["configmaps/status"]}]}),
            false,
        ),
        (
            json!({"rules": [{"operations": ["*"], "apiGroups": [""], "apiVersions": ["*"], "resources": ["*"], "scope": "Cluster"}]}),
            false,
        ),
    ];
    for (more, wanted) in cases {
        let outcome = create(VALIDATINGWEBHOOKCONFIGURATIONS, &[webhook("look", more.clone())]).await;
        assert_eq!(!outcome.asked.is_empty(), wanted, "{more}");
    }
    let all = webhook(
        "deny",
        json!({"rules": [{"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*"]}]}),
    );
    let outcome = create_of(VALIDATINGWEBHOOKCONFIGURATIONS, VALIDATINGWEBHOOKCONFIGURATIONS, &[all]).await;
    assert_eq!(outcome.result, Ok(()), "a configuration can always be taken away");
}

#[tokio::test]
async fn conditions_decide_last_whether_a_webhook_is_asked() {
    let of = |expressions: &[&str], failure: &str| {
        let conditions: Vec<Value> = expressions.iter().map(|e| json!({"name": "n", "expression": e})).collect();
        webhook("look", json!({"matchConditions": conditions, "failurePolicy": failure}))
    };
    let nothing = "object.data.nothing == 'x'";
    let why = "configmaps \"c\" is forbidden: expression 'object.data.nothing == 'x'' resulted in error: no such key: \
               nothing";
    let cases = [
        (of(&["object.metadata.name == 'c'", "request.userInfo.username == 'jane'"], "Fail"), Ok(true)),
        (of(&["object.metadata.name == 'd'"], "Fail"), Ok(false)),
        (of(&[nothing, "oldObject != null"], "Fail"), Ok(false)),
        (of(&["true", nothing], "Fail"), Err(why)),
        (of(&["true", nothing], "Ignore"), Ok(false)),
    ];
    for (webhook, wanted) in cases {
        let outcome = create(VALIDATINGWEBHOOKCONFIGURATIONS, std::slice::from_ref(&webhook)).await;
        let got = outcome.result.map(|()| !outcome.asked.is_empty()).map_err(|error| error.message);
        assert_eq!(got, wanted.map_err(str::to_owned), "{webhook}");
    }
}
