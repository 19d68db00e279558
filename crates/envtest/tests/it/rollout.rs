use std::collections::VecDeque;
use std::time::Duration;

use cri::fake::{FakeImage, PullFailure, Script, Selector};
use envtest::{Options, check};

use crate::WEB;

#[test]
fn a_rollout_replaces_all_pods() {
    check(&Options::new(1), async |cluster| {
        cluster.apply(WEB).await?;
        cluster.rolled_out("web").await?;
        cluster.set_image("web", "example.org/web:v2").await?;
        cluster.rolled_out("web").await?;
        let images: Vec<_> = cluster.pods().iter().map(|pod| pod["spec"]["containers"][0]["image"].clone()).collect();
        assert_eq!(images, ["example.org/web:v2"; 3]);
        Ok(())
    });
}

#[test]
fn a_pull_that_fails_twice_is_tried_again_after_its_back_off() {
    check(&Options::new(2).nodes(1), async |cluster| {
        let failures = VecDeque::from([PullFailure::Unavailable; 2]);
        cluster.publish_image("example.org/web:v1", &FakeImage { failures, ..FakeImage::default() });
        let began = cluster.now();
        cluster.apply(&WEB.replace("replicas: 3", "replicas: 1")).await?;
        cluster.rolled_out("web").await?;
        // 10 s after the first failure, 20 s after the second.
        assert_eq!(cluster.now().duration_since(began).as_secs(), 30);
        Ok(())
    });
}

#[test]
fn a_container_that_crashes_is_started_again_with_growing_pauses() {
    check(&Options::new(3).nodes(1).outages(), async |cluster| {
        cluster.nodes()[0].runtime.script(Selector::default(), Script::exits(Duration::from_secs(1), 7));
        cluster.apply(&WEB.replace("replicas: 3", "replicas: 1")).await?;
        let restarts = |pod: &serde_json::Value| pod["status"]["containerStatuses"][0]["restartCount"].as_i64();
        cluster
            .eventually("four restarts", || match cluster.pods().first().and_then(restarts) {
                Some(4) => Ok(()),
                other => Err(format!("{other:?}")),
            })
            .await?;
        let pod = cluster.pods().remove(0);
        assert_eq!(pod["status"]["containerStatuses"][0]["lastState"]["terminated"]["exitCode"], 7);
        Ok(())
    });
}
