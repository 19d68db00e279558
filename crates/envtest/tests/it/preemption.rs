use std::time::Duration;

use api::resources::{EVENTS, PODS, SERVICEACCOUNTS};
use cri::fake::{OnStop, Script, Selector};
use envtest::{Cluster, Failure, Options, check};
use serde_json::Value;

use crate::faults::one_by_one;

const CLASSES: &str = "
apiVersion: scheduling.k8s.io/v1
kind: PriorityClass
metadata: {name: low}
value: 10
---
apiVersion: scheduling.k8s.io/v1
kind: PriorityClass
metadata: {name: middle}
value: 50
---
apiVersion: scheduling.k8s.io/v1
kind: PriorityClass
metadata: {name: high}
value: 100
---
apiVersion: scheduling.k8s.io/v1
kind: PriorityClass
metadata: {name: polite}
value: 100
preemptionPolicy: Never
";

/// How long containers take to stop.
const STOP: Duration = Duration::from_secs(5);

/// A Pod of a priority class that wants so many of the node's four cores.
fn pod(name: &str, class: &str, cores: u32) -> String {
    format!(
        "
apiVersion: v1
kind: Pod
metadata: {{name: {name}, labels: {{app: {name}}}}}
spec:
  priorityClassName: {class}
  containers:
  - {{name: c, image: 'example.org/web:v1', resources: {{requests: {{cpu: {cores}}}}}}}
"
    )
}

fn found(cluster: &Cluster, name: &str) -> Value {
    cluster.get(PODS, "default", name).map_or(Value::Null, |pod| pod.value())
}

fn condition(pod: &Value, of: &str) -> Value {
    let all = pod["status"]["conditions"].as_array().into_iter().flatten();
    all.clone().find(|c| c["type"] == of).cloned().unwrap_or_default()
}

async fn runs(cluster: &Cluster, name: &str) -> Result<(), Failure> {
    let look = || match &found(cluster, name)["status"] {
        status if status["phase"] == "Running" => Ok(()),
        status => Err(status.to_string()),
    };
    cluster.eventually(&format!("{name} runs"), look).await
}

/// Waits until a Pod says why it has no node.
async fn waits(cluster: &Cluster, name: &str, why: &str) -> Result<(), Failure> {
    let look = || match condition(&found(cluster, name), "PodScheduled") {
        c if c["status"] == "False" && c["message"] == why => Ok(()),
        c => Err(c.to_string()),
    };
    cluster.eventually(&format!("{name} waits"), look).await
}

/// Containers take their time to stop.
fn stop_slowly(cluster: &Cluster) {
    let on_stop = OnStop::Exit { after: STOP, code: 0 };
    cluster.nodes()[0].runtime.script(Selector::default(), Script { on_stop, ..Script::default() });
}

/// The classes, and these Pods on the node.
async fn full(cluster: &Cluster, pods: &[(&str, &str, u32)]) -> Result<(), Failure> {
    cluster.apply(CLASSES).await?;
    let account = || cluster.get(SERVICEACCOUNTS, "default", "default").map(|_| ()).ok_or_else(String::new);
    cluster.eventually("the account is there", account).await?;
    for (name, class, cores) in pods {
        cluster.pass(Duration::from_secs(1)).await?;
        cluster.apply(&pod(name, class, *cores)).await?;
        runs(cluster, name).await?;
    }
    // The Pods' ages differ, and so do the names of their Events.
    cluster.pass(Duration::from_secs(1)).await
}

#[test]
fn a_more_important_pod_takes_the_place_of_one_that_ends_gracefully() {
    check(&Options::new(61).nodes(1).outages(), async |cluster| {
        stop_slowly(cluster);
        full(cluster, &[("kept", "middle", 2), ("victim", "low", 2)]).await?;
        let began = cluster.now();
        cluster.apply(&pod("important", "high", 2)).await?;
        let why = "0/1 nodes are available: 1 Insufficient cpu. preemption: found a potential placement for pod on node \
                   node-0, preempting 1 victims";
        waits(cluster, "important", why).await?;
        let told = || match condition(&found(cluster, "victim"), "DisruptionTarget") {
            c if c["status"] == "True" => Ok(c),
            c => Err(c.to_string()),
        };
        let target = cluster.eventually("the victim is told", told).await?;
        assert_eq!(target["reason"], "PreemptionByScheduler");
        assert_eq!(target["message"], "default-scheduler: preempting to accommodate a higher priority pod");
        let important = found(cluster, "important");
        assert_eq!(important["status"]["nominatedNodeName"], "node-0");
        runs(cluster, "important").await?;
        let waited = cluster.now().duration_since(began);
        assert!((5..9).contains(&waited.as_secs()), "the victim had {STOP:?} to stop, and {waited} went by");
        assert_eq!(found(cluster, "victim"), Value::Null);
        assert_eq!(found(cluster, "kept")["metadata"]["deletionTimestamp"], Value::Null);
        let important = found(cluster, "important");
        assert_eq!(important["spec"]["nodeName"], "node-0");
        assert_eq!(important["status"]["nominatedNodeName"], Value::Null);
        let text = format!("Preempted by pod {} on node node-0", important["metadata"]["uid"].as_str().unwrap_or(""));
        let event = || {
            let events = cluster.list(EVENTS, "default").into_iter().map(|event| event.value());
            let mut preempted = events.filter(|event| event["reason"] == "Preempted");
            preempted.next().ok_or_else(|| "no Event".to_owned())
        };
        let event = cluster.eventually("an Event says so", event).await?;
        assert_eq!((&event["message"], &event["involvedObject"]["name"]), (&text.into(), &"victim".into()));
        Ok(())
    });
}

#[test]
fn nobody_less_important_slips_into_the_room_that_comes_free() {
    check(&Options::new(62).nodes(1).outages(), async |cluster| {
        stop_slowly(cluster);
        full(cluster, &[("victim", "low", 4)]).await?;
        cluster.apply(&pod("important", "high", 3)).await?;
        let nominated = || match &found(cluster, "important")["status"]["nominatedNodeName"] {
            Value::Null => Err(String::new()),
            _ => Ok(()),
        };
        cluster.eventually("the Pod waits for its place", nominated).await?;
        cluster.apply(&pod("slips", "middle", 2)).await?;
        cluster.apply(&pod("small", "middle", 1)).await?;
        runs(cluster, "important").await?;
        runs(cluster, "small").await?;
        assert_eq!(found(cluster, "slips")["spec"]["nodeName"], Value::Null);
        let why = "0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available: 1 No preemption \
                   victims found for incoming pod.";
        waits(cluster, "slips", why).await
    });
}

#[test]
fn a_pod_that_preempts_nobody_waits_until_there_is_room() {
    check(&Options::new(63).nodes(1).outages(), async |cluster| {
        full(cluster, &[("low", "low", 4)]).await?;
        cluster.apply(&pod("polite", "polite", 1)).await?;
        let why =
            "0/1 nodes are available: 1 Insufficient cpu. preemption: not eligible due to preemptionPolicy=Never.";
        waits(cluster, "polite", why).await?;
        cluster.pass(Duration::from_secs(60)).await?;
        assert_eq!(found(cluster, "low")["metadata"]["deletionTimestamp"], Value::Null);
        cluster.delete(PODS, "default", "low").await?;
        runs(cluster, "polite").await
    });
}

#[test]
fn one_victim_goes_and_no_more_with_any_one_fault() {
    for options in one_by_one(64) {
        check(&options.nodes(1).outages(), async |cluster| {
            full(cluster, &[("first", "low", 2), ("second", "low", 2)]).await?;
            cluster.apply(&pod("important", "high", 1)).await?;
            runs(cluster, "important").await?;
            cluster.pass(Duration::from_secs(60)).await?;
            assert_eq!(found(cluster, "first")["metadata"]["deletionTimestamp"], Value::Null);
            assert_eq!(found(cluster, "second"), Value::Null, "the younger one went");
            Ok(())
        });
    }
}
