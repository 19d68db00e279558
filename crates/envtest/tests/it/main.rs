//! Whole clusters in virtual time: each test takes a fraction of a second.

mod api_services;
mod certificates;
mod claims;
mod cronjob;
mod custom_resources;
mod daemonset;
mod determinism;
mod disruption;
mod ephemeral;
mod faults;
mod garbage;
mod job;
mod limits;
mod mirroring;
mod namespace;
mod node_loss;
mod policies;
mod preemption;
mod quota;
mod refusal;
mod replication;
mod resize;
mod rollout;
mod scheduling;
mod services;
mod statefulset;
mod storage;
mod tutorial;
mod volumes;
mod words;

/// A Deployment `web` of three, of image `example.org/web:v1`.
const WEB: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: web, image: 'example.org/web:v1'}
";
