//! Conversion webhooks of custom resources (upstream: `apiextensions-apiserver/pkg/apiserver/conversion`).

use std::time::Duration;

use apimachinery::conversion::{ConversionWebhook, Converter};
use apimachinery::{ApiError, Reader, Reason};
use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::configuration::ClientConfig;
use super::{Webhooks, endpoint};

/// How long a webhook may take for a list (upstream's, of the client that asks).
const TIMEOUT: Duration = Duration::from_secs(30);

#[async_trait]
impl Converter for Webhooks {
    async fn convert(
        &self,
        webhook: &ConversionWebhook,
        version: &str,
        objects: Vec<Value>,
        reader: &dyn Reader,
    ) -> Result<Vec<Value>, ApiError> {
        let Some(first) = objects.first() else { return Ok(objects) };
        let kind = format!("{}, Kind={}", text(first, "apiVersion"), text(first, "kind"));
        let failed = |why: String| ApiError::new(Reason::Unknown, 500, format!("conversion webhook for {kind} {why}"));
        let uid = self.random.uuid();
        let question = json!({
            "kind": "ConversionReview", "apiVersion": format!("apiextensions.k8s.io/{}", webhook.review_version),
            "request": {"uid": uid, "desiredAPIVersion": version, "objects": objects},
        });
        let asked = async {
            let config = ClientConfig::deserialize(&webhook.client_config).map_err(|error| error.to_string())?;
            let endpoint = endpoint(&config, TIMEOUT, reader)?;
            let answer = self.transport.post(&endpoint, question.to_string().into_bytes(), TIMEOUT).await;
            answer.map_err(|error| format!("Post {:?}: {error}", endpoint.url))
        };
        let answer = asked.await.and_then(|answer| converted(&answer, &uid, webhook.review_version));
        let converted = answer.map_err(|why| failed(format!("failed: {why}")))?;
        if converted.len() != objects.len() {
            return Err(failed(format!("returned {} objects, expected {}", converted.len(), objects.len())));
        }
        let checked = converted.into_iter().zip(&objects).enumerate().map(|(at, (new, old))| {
            let at = |why| failed(format!("returned invalid converted object at index {at}: {why}"));
            check(&new, old, version).map_err(at)?;
            restore_metadata(new, old).map_err(at)
        });
        checked.collect()
    }
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

/// The objects of an answer to the question `uid`.
fn converted(answer: &[u8], uid: &str, review_version: &str) -> Result<Vec<Value>, String> {
    let mut answer: Value = serde_json::from_slice(answer).map_err(|error| error.to_string())?;
    let (version, kind) = (text(&answer, "apiVersion").to_owned(), text(&answer, "kind").to_owned());
    let response = &mut answer["response"];
    if !response.is_object() {
        return Err("no response provided".to_owned());
    }
    // The older version names neither, and never did.
    if review_version == "v1" {
        if version != "apiextensions.k8s.io/v1" || kind != "ConversionReview" {
            let wanted = "apiextensions.k8s.io/v1, Kind=ConversionReview";
            return Err(format!("expected webhook response of {wanted}, got {version}, Kind={kind}"));
        }
        if text(response, "uid") != uid {
            return Err(format!("expected response.uid={uid:?}, got {:?}", text(response, "uid")));
        }
    }
    let result = &response["result"];
    match (text(result, "status"), text(result, "message")) {
        ("Success", _) => {}
        (status, "") => return Err(format!("response.result.status was '{status}', not 'Success'")),
        (_, message) => return Err(message.to_owned()),
    }
    match response["convertedObjects"].take() {
        Value::Array(objects) => Ok(objects),
        _ => Ok(Vec::new()),
    }
}

/// Whether it is still the same object, and in the version that was asked for.
fn check(new: &Value, old: &Value, version: &str) -> Result<(), String> {
    if text(new, "apiVersion") != version {
        return Err(format!("invalid groupVersion (expected {version}, received {})", text(new, "apiVersion")));
    }
    if new["kind"] != old["kind"] {
        return Err(format!("invalid kind (expected {}, received {})", text(old, "kind"), text(new, "kind")));
    }
    for (field, what) in [("name", "name"), ("namespace", "namespace"), ("uid", "UID")] {
        let (wanted, got) = (text(&old["metadata"], field), text(&new["metadata"], field));
        if wanted != got {
            return Err(format!("must have the same {what}: {wanted} != {got}"));
        }
    }
    Ok(())
}

/// The new object with the old one's metadata: labels and annotations are all that a webhook may change.
fn restore_metadata(mut new: Value, old: &Value) -> Result<Value, String> {
    let mut metadata = old["metadata"].as_object().cloned().unwrap_or_default();
    let given = match new["metadata"].take() {
        Value::Object(given) => given,
        Value::Null => return Err("missing metadata in converted object".to_owned()),
        _ => return Err("invalid metadata in converted object".to_owned()),
    };
    for field in ["labels", "annotations"] {
        match given.get(field) {
            None | Some(Value::Null) => {
                metadata.remove(field);
            }
            Some(Value::Object(texts)) => {
                check_texts(field, texts)?;
                metadata.insert(field.to_owned(), Value::Object(texts.clone()));
            }
            Some(_) => return Err(format!("invalid metadata.{field} in converted object")),
        }
    }
    new["metadata"] = Value::Object(metadata);
    Ok(new)
}

fn check_texts(field: &str, texts: &Map<String, Value>) -> Result<(), String> {
    match texts.iter().find(|(_, value)| !value.is_string()) {
        Some((key, _)) => Err(format!("metadata.{field}[{key}] must be a string in converted object")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use component_base::Random;

    use super::super::{Endpoint, WebhookTransport};
    use super::*;
    use crate::tests::World;

    type Change = fn(&mut Value);

    /// Answers with what a function makes of each object, and with a status.
    #[derive(Debug)]
    struct Program(Change, &'static str);

    #[async_trait]
    impl WebhookTransport for Program {
        async fn post(&self, endpoint: &Endpoint, body: Vec<u8>, _: Duration) -> Result<Vec<u8>, String> {
            assert_eq!(endpoint.url, "https://10.0.0.9/convert?timeout=30s");
            let review: Value = serde_json::from_slice(&body).expect("a question is JSON");
            let mut objects = review["request"]["objects"].as_array().cloned().unwrap_or_default();
            for object in &mut objects {
                object["apiVersion"] = review["request"]["desiredAPIVersion"].clone();
                self.0(object);
            }
            let mut answer = review.clone();
            answer["response"] = json!({
                "uid": review["request"]["uid"], "result": {"status": self.1}, "convertedObjects": objects,
            });
            Ok(answer.to_string().into_bytes())
        }
    }

    async fn convert(change: Change, status: &'static str) -> Result<Vec<Value>, String> {
        let webhooks = Webhooks::new(Arc::new(Program(change, status)), Arc::new(Random::from_seed(1)));
        let client_config = json!({"url": "https://10.0.0.9/convert"});
        let webhook = ConversionWebhook { client_config, review_version: "v1" };
        let object = |name: &str| {
            json!({
                "apiVersion": "example.com/v1", "kind": "Boat", "spec": {"hostPort": "a:1"},
                "metadata": {"name": name, "uid": name, "generation": 3, "labels": {"old": "yes"}},
            })
        };
        let converted =
            webhooks.convert(&webhook, "example.com/v2", vec![object("a"), object("b")], &World::of(&[])).await;
        converted.map_err(|error| error.message)
    }

    #[tokio::test]
    async fn what_comes_back_may_have_other_content_and_labels_and_no_other_metadata() {
        let change = |object: &mut Value| {
            object["spec"] = json!({"host": "a", "port": 1});
            object["metadata"]["labels"] = json!({"new": "yes"});
            object["metadata"]["generation"] = json!(9);
        };
        let converted = convert(change, "Success").await.expect("it is converted");
        let wanted = json!({
            "apiVersion": "example.com/v2", "kind": "Boat", "spec": {"host": "a", "port": 1},
            "metadata": {"name": "b", "uid": "b", "generation": 3, "labels": {"new": "yes"}},
        });
        assert_eq!((converted.len(), &converted[1]), (2, &wanted));
    }

    #[tokio::test]
    async fn what_is_not_the_same_object_in_the_wanted_version_is_refused() {
        let cases: [(Change, &str, &str); 5] = [
            (|_| {}, "Failure", "failed: response.result.status was 'Failure', not 'Success'"),
            (
                |object| object["apiVersion"] = json!("example.com/v3"),
                "Success",
                "returned invalid converted object at index 0: invalid groupVersion (expected example.com/v2, received \
                 example.com/v3)",
            ),
            (
                |object| object["metadata"]["name"] = json!("c"),
                "Success",
                "returned invalid converted object at index 0: must have the same name: a != c",
            ),
            (
                |object| object["metadata"] = Value::Null,
                "Success",
                "returned invalid converted object at index 0: must have the same name: a != ",
            ),
            (
                |object| object["metadata"]["labels"] = json!({"n": 1}),
                "Success",
                "returned invalid converted object at index 0: metadata.labels[n] must be a string in converted object",
            ),
        ];
        for (change, status, why) in cases {
            let wanted = format!("conversion webhook for example.com/v1, Kind=Boat {why}");
            assert_eq!(convert(change, status).await, Err(wanted));
        }
    }
}
