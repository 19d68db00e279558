use api::resources::{PODDISRUPTIONBUDGETS, PODS};
use apimachinery::ApiError;
use client::{PatchKind, Target};
use envtest::{Cluster, Failure, Options, check};
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::WEB;

/// A budget `web` for the Pods of the Deployment `web`, with this field.
fn budget(field: &str) -> String {
    format!(
        "
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {{name: web}}
spec:
  {field}
  selector: {{matchLabels: {{app: web}}}}
"
    )
}

fn status(cluster: &Cluster) -> Value {
    cluster.get(PODDISRUPTIONBUDGETS, "default", "web").map_or(Value::Null, |budget| budget.value()["status"].clone())
}

/// Waits for these numbers: allowed, healthy, desired, expected.
async fn becomes(cluster: &Cluster, numbers: [i64; 4]) -> Result<(), Failure> {
    let look = || {
        let status = status(cluster);
        let keys = ["disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"];
        let found = keys.map(|key| status[key].as_i64().unwrap_or(-1));
        if found == numbers { Ok(()) } else { Err(status.to_string()) }
    };
    cluster.eventually(&format!("the budget's numbers are {numbers:?}"), look).await
}

async fn evict(cluster: &Cluster, pod: &str, options: Value) -> Result<(), ApiError> {
    let eviction = json!({
        "apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": "default"},
        "deleteOptions": options,
    });
    let target = Target::object(PODS, "default", pod).subresource("eviction");
    cluster.client().create_subresource(target, eviction).await.map(|_| ())
}

/// Gives a Pod these finalizers.
async fn keep(cluster: &Cluster, pod: &str, finalizers: Value) -> Result<(), ApiError> {
    let patch = json!({"metadata": {"finalizers": finalizers}});
    cluster.client().patch(PODS, "default", pod, PatchKind::Merge, patch).await.map(|_| ())
}

fn name(cluster: &Cluster, index: usize) -> String {
    cluster.pods()[index]["metadata"]["name"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn no_more_pods_are_evicted_than_the_budget_allows() {
    check(&Options::new(1).outages(), async |cluster| {
        cluster.apply(WEB).await?;
        cluster.rolled_out("web").await?;
        cluster.apply(&budget("minAvailable: 2")).await?;
        becomes(cluster, [1, 3, 2, 3]).await?;
        let (first, second) = (name(cluster, 0), name(cluster, 1));
        evict(cluster, &first, json!({"dryRun": ["All"]})).await?;
        becomes(cluster, [1, 3, 2, 3]).await?;
        keep(cluster, &first, json!(["example.org/keep"])).await?;
        evict(cluster, &first, json!({})).await?;
        let refused = evict(cluster, &second, json!({})).await.unwrap_err();
        assert_eq!(refused.code, 429);
        assert_eq!(refused.message, "Cannot evict pod as it would violate the pod's disruption budget.");
        let conditions = cluster.get(PODS, "default", &first).map(|pod| pod.value()["status"]["conditions"].clone());
        let told = conditions.unwrap_or_default().as_array().into_iter().flatten().any(|c| {
            c["type"] == "DisruptionTarget" && c["status"] == "True" && c["reason"] == "EvictionByEvictionAPI"
        });
        assert!(told, "the Pod does not say that it is evicted");
        keep(cluster, &first, json!(null)).await?;
        // The Deployment makes another Pod, and then the next one may go.
        becomes(cluster, [1, 3, 2, 3]).await?;
        evict(cluster, &second, json!({})).await?;
        becomes(cluster, [1, 3, 2, 3]).await?;
        assert_eq!(status(cluster)["disruptedPods"], Value::Null);
        assert_eq!(status(cluster)["conditions"][0]["reason"], "SufficientPods");
        let other = json!({"preconditions": {"uid": "other"}});
        assert_eq!(evict(cluster, &name(cluster, 0), other).await.unwrap_err().code, 409);
        Ok(())
    });
}

#[test]
fn a_share_counts_what_the_deployment_wants() {
    for (seed, field, numbers) in [
        (2, "maxUnavailable: 34%", [2, 3, 1, 3]),
        (3, "minAvailable: 100%", [0, 3, 3, 3]),
        (4, "maxUnavailable: 0", [0, 3, 3, 3]),
    ] {
        check(&Options::new(seed).outages(), async |cluster| {
            cluster.apply(WEB).await?;
            cluster.rolled_out("web").await?;
            cluster.apply(&budget(field)).await?;
            becomes(cluster, numbers).await
        });
    }
}

#[test]
fn a_pod_that_is_not_deleted_counts_again() {
    check(&Options::new(5), async |cluster| {
        cluster.apply(WEB).await?;
        cluster.rolled_out("web").await?;
        cluster.apply(&budget("minAvailable: 1")).await?;
        becomes(cluster, [2, 3, 1, 3]).await?;
        let budget = cluster.get(PODDISRUPTIONBUDGETS, "default", "web");
        let mut changed = budget.map_or(Value::Null, |budget| budget.value());
        let began = cluster.now();
        let evicted = began - SignedDuration::from_secs(60);
        changed["status"]["disruptedPods"] = json!({name(cluster, 0): evicted});
        cluster.client().update_status(PODDISRUPTIONBUDGETS, "default", "web", changed).await?;
        becomes(cluster, [1, 2, 1, 3]).await?;
        becomes(cluster, [2, 3, 1, 3]).await?;
        assert_eq!(cluster.now().duration_since(began).as_secs(), 60);
        Ok(())
    });
}
