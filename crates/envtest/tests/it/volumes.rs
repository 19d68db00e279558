use std::collections::VecDeque;
use std::time::Duration;

use api::resources::{EVENTS, PODS};
use cri::fake::{FakeImage, PullFailure};
use envtest::{Options, check};
use serde_json::{Value, json};

#[test]
fn an_image_that_is_mounted_is_pulled_like_a_containers() {
    check(&Options::new(95).nodes(1), async |cluster| {
        // Events of one instant have one name.
        let (failures, latency) = (VecDeque::from([PullFailure::Unavailable]), Duration::from_secs(1));
        cluster.publish_image("example.org/data:v1", &FakeImage { failures, latency, ..FakeImage::default() });
        let container =
            |name: &str, mounts: Value| json!({"name": name, "image": "example.org/web:v1", "volumeMounts": mounts});
        let spec = json!({
            "volumes": [
                {"name": "data", "image": {"reference": "example.org/data:v1"}},
                {"name": "unused", "image": {"reference": "example.org/none:v1", "pullPolicy": "Never"}},
            ],
            "containers": [
                container("reads", json!([{"name": "data", "mountPath": "/data"}])),
                container("other", json!([])),
            ],
        });
        cluster.client().create(PODS, "default", json!({"metadata": {"name": "p"}, "spec": spec})).await?;
        let shown = || cluster.get(PODS, "default", "p").map(|pod| pod.value()).unwrap_or_default();
        let backs_off = || {
            let states = shown()["status"]["containerStatuses"].clone();
            let waiting = &states[0]["state"]["waiting"];
            let known = waiting["reason"] == "ImagePullBackOff" && !states[1]["state"]["running"].is_null();
            if known { Ok(waiting["message"].clone()) } else { Err(states.to_string()) }
        };
        let message = cluster.eventually("the container waits for its volume, and the other runs", backs_off).await?;
        let message = message.as_str().unwrap_or_default();
        assert!(message.starts_with("Back-off pulling image \"example.org/data:v1\": ErrImagePull: "), "{message}");
        let runs = || match shown()["status"]["phase"] == "Running" {
            true => Ok(()),
            false => Err(shown()["status"].to_string()),
        };
        cluster.eventually("the Pod runs", runs).await?;
        for reason in ["Pulling", "Pulled", "BackOff"] {
            let told = || {
                let all = cluster.list(EVENTS, "default");
                let mut all = all.iter().map(|event| event.value());
                let about = |event: &Value| event["message"].as_str().is_some_and(|text| text.contains("data:v1"));
                all.find(|event| event["reason"] == reason && about(event)).ok_or_else(|| "no such Event".to_owned())
            };
            let event = cluster.eventually(reason, told).await?;
            assert_eq!(event["involvedObject"]["kind"], "Pod", "{reason}");
            assert_eq!(event["involvedObject"]["fieldPath"], Value::Null, "the image is the Pod's: {reason}");
        }
        Ok(())
    });
}
