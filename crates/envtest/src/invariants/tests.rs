use std::sync::Arc;

use datastore::{Committed, KeyValue, Revision};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::Invariants;

/// Commits that an API server would never make.
struct Writer {
    invariants: Invariants,
    revision: u64,
    second: i64,
}

impl Writer {
    fn new() -> Self {
        Self { invariants: Invariants::new(true, SignedDuration::from_secs(60)), revision: 1, second: 1_767_225_600 }
    }

    fn put(&mut self, key: &str, object: &Value) {
        self.revision += 1;
        let revision = Revision(self.revision);
        let key: Arc<str> = format!("/registry/{key}").into();
        let prev = self.invariants.state.get(&key).cloned();
        let value = serde_json::to_vec(object).expect("JSON").into();
        let kv = KeyValue { key, value, create_revision: revision, mod_revision: revision, version: 1 };
        let committed = Committed { revision, kv: Some(Arc::new(kv)), prev };
        let now = Timestamp::from_second(self.second).expect("a time");
        self.invariants.observe(now, &committed);
    }

    fn pod(&mut self, name: &str, node: &str, ip: &str, ready: &str) {
        let pod = json!({
            "metadata": {"name": name, "uid": name, "ownerReferences": [{"kind": "ReplicaSet", "controller": true, "uid": "set"}]},
            "spec": {"nodeName": node},
            "status": {"podIP": ip, "conditions": [{"type": "Ready", "status": ready}]},
        });
        self.put(&format!("pods/default/{name}"), &pod);
    }

    fn set(&mut self, uid: &str, replicas: i64) {
        let owner = json!([{"kind": "Deployment", "controller": true, "uid": "web"}]);
        let metadata = json!({"name": uid, "uid": uid, "ownerReferences": owner});
        self.put(&format!("replicasets/default/{uid}"), &json!({"metadata": metadata, "spec": {"replicas": replicas}}));
    }

    fn deployment(&mut self, replicas: i64) {
        let rolling = json!({"maxSurge": "25%", "maxUnavailable": "25%"});
        let deployment = json!({
            "metadata": {"name": "web", "uid": "web", "generation": 1},
            "spec": {"replicas": replicas, "strategy": {"type": "RollingUpdate", "rollingUpdate": rolling}},
            "status": {"observedGeneration": 1, "availableReplicas": replicas},
        });
        self.put("deployments/default/web", &deployment);
    }

    #[track_caller]
    fn broken(&self, what: &str) {
        let failure = self.invariants.verdict().expect_err("an invariant is broken");
        assert!(failure.to_string().contains(what), "{failure}");
    }
}

/// A Deployment of two, all of it available.
fn healthy() -> Writer {
    let mut writer = Writer::new();
    writer.deployment(2);
    writer.set("set", 2);
    writer.pod("a", "node-0", "10.244.0.1", "True");
    writer.pod("b", "node-1", "10.244.1.1", "True");
    writer.invariants.verdict().expect("nothing is broken");
    writer
}

#[test]
fn a_pod_that_moves_is_seen() {
    let mut writer = healthy();
    writer.pod("a", "node-1", "10.244.0.1", "True");
    writer.broken("was bound to node-0 and is on node-1");
}

#[test]
fn a_shared_address_is_seen() {
    let mut writer = healthy();
    writer.pod("b", "node-1", "10.244.0.1", "True");
    writer.broken("both have the address \"10.244.0.1\"");
}

#[test]
fn a_volume_of_two_claims_is_seen() {
    let mut writer = healthy();
    let claim = |phase: &str| json!({"metadata": {}, "spec": {"volumeName": "v"}, "status": {"phase": phase}});
    writer.put("persistentvolumeclaims/default/a", &claim("Bound"));
    writer.put("persistentvolumeclaims/default/b", &claim("Pending"));
    writer.invariants.verdict().expect("one of them has it");
    writer.put("persistentvolumeclaims/default/a", &claim("Lost"));
    writer.put("persistentvolumeclaims/default/b", &claim("Bound"));
    writer.invariants.verdict().expect("the other one has it now");
    writer.put("persistentvolumeclaims/default/a", &claim("Bound"));
    writer.broken("both are bound to v");
}

#[test]
fn a_pod_too_many_is_seen() {
    let mut writer = healthy();
    writer.pod("c", "node-1", "10.244.1.2", "False");
    writer.broken("set has 3 Pods, and never wanted more than 2");
}

#[test]
fn a_number_of_a_moment_ago_excuses_and_an_old_one_does_not() {
    let mut writer = healthy();
    writer.set("set", 1);
    writer.pod("c", "node-1", "10.244.1.2", "False");
    writer.broken("set has 3 Pods");
    let mut writer = healthy();
    writer.set("set", 3);
    writer.set("set", 2);
    writer.pod("c", "node-1", "10.244.1.2", "False");
    writer.invariants.verdict().expect("three were wanted a moment ago");
    writer.second += 61;
    writer.pod("d", "node-1", "10.244.1.3", "False");
    writer.broken("set has 4 Pods, and never wanted more than 2");
}

#[test]
fn a_surge_too_large_is_seen() {
    let mut writer = healthy();
    writer.set("new", 1);
    writer.invariants.verdict().expect("one more is allowed");
    writer.set("new", 2);
    writer.broken("the sets of web are 4 together, above 3");
}

#[test]
fn pods_that_stop_being_available_are_seen() {
    let mut writer = healthy();
    writer.pod("a", "node-0", "10.244.0.1", "False");
    writer.broken("1 Pods of web are available, which needs 2");
}

#[test]
fn a_lost_write_and_a_gap_are_seen() {
    let mut writer = healthy();
    writer.revision += 1;
    writer.set("set", 2);
    writer.broken("the revision before was");
    let mut writer = healthy();
    writer.invariants.state.clear();
    let kv = KeyValue {
        key: "/registry/x".into(),
        value: "{}".into(),
        create_revision: Revision(2),
        mod_revision: Revision(2),
        version: 1,
    };
    let committed = Committed { revision: Revision(writer.revision + 1), kv: None, prev: Some(Arc::new(kv)) };
    writer.invariants.observe(Timestamp::UNIX_EPOCH, &committed);
    writer.broken("was replaced in another state than it had");
}
