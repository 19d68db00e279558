use std::time::Duration;

use api::resources::{PODS, REPLICASETS};
use client::PatchKind;
use envtest::{Cluster, Failure, Faults, Options, check, run, tutorial};
use serde_json::json;

use crate::WEB;

#[test]
fn the_tutorial_comes_right_whatever_goes_wrong() {
    for seed in [41, 42, 43] {
        check(&tutorial::options_with_faults(seed), tutorial::play);
    }
}

#[test]
fn a_crash_loses_nothing_and_moves_nothing() {
    check(&Options::new(44), async |cluster| {
        cluster.apply(WEB).await?;
        cluster.rolled_out("web").await?;
        let seen = |cluster: &Cluster| -> Vec<String> {
            cluster
                .list(PODS, "")
                .iter()
                .map(|pod| format!("{} {}", pod.meta().uid, pod.meta().resource_version))
                .collect()
        };
        let before = seen(cluster);
        for _ in 0..3 {
            cluster.crash().await?;
            cluster.pass(Duration::from_secs(30)).await?;
        }
        assert_eq!(seen(cluster), before, "no Pod was touched");
        Ok(())
    });
}

/// The invariants watch what everybody does, users too.
#[test]
fn a_set_that_somebody_raises_beyond_its_deployment_is_noticed() {
    let outcome = run(&Options::new(45), async |cluster| {
        cluster.apply(WEB).await?;
        cluster.rolled_out("web").await?;
        let set = cluster.list(REPLICASETS, "default").remove(0);
        let patch = json!({"spec": {"replicas": 9}});
        cluster.client().patch(REPLICASETS, "default", &set.meta().name, PatchKind::Merge, patch).await?;
        Ok(())
    });
    let failure = outcome.result.expect_err("the invariant is broken").text();
    assert!(failure.contains("the sets of web are 9 together, above 4"), "{failure}");
}

/// Each fault alone, at rates that would be noticed anywhere.
pub(crate) fn one_by_one(seed: u64) -> impl Iterator<Item = Options> {
    let none = Faults::jitter();
    let faults = [
        Faults { refused: 0.2, ..none.clone() },
        Faults { conflicts: 0.5, ..none.clone() },
        Faults { lost_watches: 0.3, ..none.clone() },
        Faults { expired_watches: 0.2, ..none.clone() },
        Faults { kubelet_restarts: Some(Duration::from_millis(900)), ..none.clone() },
        Faults { crashes: Some(Duration::from_millis(2500)), ..none },
    ];
    let seeds = (seed..).zip(faults);
    seeds.map(|(seed, faults)| Options::new(seed).faults(faults).patience(Duration::from_secs(900)))
}

#[test]
fn a_rollout_comes_to_its_end_with_any_one_fault() {
    for options in one_by_one(50) {
        check(&options, roll_thrice);
    }
}

async fn roll_thrice(cluster: &Cluster) -> Result<(), Failure> {
    cluster.apply(WEB).await?;
    for version in ["v2", "v3", "v4"] {
        cluster.set_image("web", &format!("example.org/web:{version}")).await?;
        cluster.rolled_out("web").await?;
    }
    Ok(())
}
