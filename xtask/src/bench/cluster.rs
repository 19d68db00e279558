//! The cluster that is measured, and requests to its API server without a kubectl whose own start would be measured too.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use client::kubeconfig::{Environment, Kubeconfig, LoadingRules, Overrides};
use client::rest::Streaming;
use client::{RestClient, RestError};
use component_base::Supervisor;
use http::Method;
use serde_json::{Value, json};

use crate::process::output;

/// The image of the measured Pods, in its two versions. `skiff demo --load-only` loads them, so that nothing is pulled.
pub(crate) const IMAGES: [&str; 2] =
    ["gcr.io/google-samples/kubernetes-bootcamp:v1", "docker.io/jocatalin/kubernetes-bootcamp:v2"];
/// Where the Deployments of `default` are.
pub(crate) const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";
/// Where the Pods of `default` are.
pub(crate) const PODS: &str = "/api/v1/namespaces/default/pods";

/// A cluster with a directory of its own.
#[derive(Debug)]
pub(crate) struct Cluster {
    skiff: PathBuf,
    pub(crate) home: PathBuf,
    pub(crate) profile: String,
}

impl Cluster {
    /// A cluster that is not started yet.
    pub(crate) fn new(skiff: PathBuf) -> Self {
        let profile = format!("bench{}", std::process::id());
        let home = std::env::temp_dir().join(format!("skiff-{profile}"));
        Self { skiff, home, profile }
    }

    /// skiff, for this cluster.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.skiff);
        command.env("SKIFF_HOME", &self.home).env("KUBECONFIG", self.kubeconfig()).stdin(Stdio::null());
        command.args(["--profile", &self.profile]).args(words);
        command
    }

    /// Runs skiff for this cluster; gives what it prints.
    pub(crate) fn skiff(&self, words: &[&str]) -> Result<String> {
        output(&mut self.command(words))
    }

    /// Starts it, with the images loaded.
    pub(crate) fn start(&self) -> Result<()> {
        self.skiff(&["start"])?;
        self.skiff(&["demo", "--load-only"]).map(drop)
    }

    /// Removes what a measurement may have left.
    pub(crate) fn clean(&self) -> Result<()> {
        if self.home.join("clusters").join(&self.profile).exists() {
            self.skiff(&["delete", "--purge"])?;
        }
        match std::fs::remove_dir_all(&self.home) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("failed to remove {}", self.home.display()))
            }
            _ => Ok(()),
        }
    }

    /// The file with its administrator's context.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.home.join("kubeconfig")
    }

    /// Requests as the administrator. Call it inside tokio.
    pub(crate) fn api(&self) -> Result<RestClient> {
        let environment = Environment::of_process();
        let rules = LoadingRules::new(Some(self.kubeconfig()), &environment);
        let resolved = Kubeconfig::load(&rules)?.resolve(&Overrides::default(), &environment)?;
        Ok(RestClient::new(resolved.rest, Supervisor::new(), Arc::new(()))?)
    }

    /// The node's address, at which the host reaches node ports.
    pub(crate) fn node_address(&self) -> Result<String> {
        Ok(self.skiff(&["ip"])?.trim().to_owned())
    }
}

/// Creates an object.
pub(crate) async fn create(api: &RestClient, path: &str, object: &Value) -> Result<Value, RestError> {
    api.send_json(Method::POST, path, "application/json", object).await
}

/// Merges into an object.
pub(crate) async fn patch(api: &RestClient, path: &str, patch: &Value) -> Result<Value, RestError> {
    api.send_json(Method::PATCH, path, "application/merge-patch+json", patch).await
}

/// A Pod with one container of an image that is there.
pub(crate) fn pod(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {
            "terminationGracePeriodSeconds": 1,
            "containers": [{"name": "app", "image": IMAGES[0], "imagePullPolicy": "Never"}],
        },
    })
}

/// A Deployment called `web` and how its Pods tell that they are ready.
pub(crate) fn deployment(replicas: u32) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
        "spec": {
            "replicas": replicas, "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{
                "name": "app", "image": IMAGES[0], "ports": [{"containerPort": 8080}],
                "readinessProbe": {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1},
            }]}},
        },
    })
}

/// Makes a Service of type NodePort for `web`; gives its cluster address and its node port.
pub(crate) async fn expose(api: &RestClient) -> Result<(String, u64)> {
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
        "spec": {"type": "NodePort", "selector": {"app": "web"}, "ports": [{"port": 8080}]},
    });
    let made = create(api, "/api/v1/namespaces/default/services", &service).await?;
    let address = made["spec"]["clusterIP"].as_str().context("the Service has no cluster address")?;
    let port = made["spec"]["ports"][0]["nodePort"].as_u64().context("the Service has no node port")?;
    Ok((address.to_owned(), port))
}

/// What a watch tells.
pub(crate) struct Watch {
    stream: Streaming,
}

impl Watch {
    /// Watches a collection; what is there comes first.
    pub(crate) async fn open(api: &RestClient, collection: &str) -> Result<Self> {
        Ok(Self { stream: api.stream(Method::GET, &format!("{collection}?watch=1"), &[], Bytes::new()).await? })
    }

    /// The next event.
    pub(crate) async fn next(&mut self) -> Result<Value> {
        let Some(line) = self.stream.line().await? else { bail!("the watch ended") };
        Ok(serde_json::from_slice(&line)?)
    }

    /// Waits for an object for which `holds`.
    pub(crate) async fn until(&mut self, holds: impl Fn(&Value) -> bool) -> Result<Value> {
        loop {
            let event = self.next().await?;
            if event["type"] != "DELETED" && holds(&event["object"]) {
                return Ok(event["object"].clone());
            }
        }
    }
}

/// A watch of Pods that counts those that have become ready.
pub(crate) struct PodWatch {
    watch: Watch,
    /// Pods that were ready once; they are not counted again.
    ready: BTreeSet<String>,
}

impl PodWatch {
    pub(crate) async fn open(api: &RestClient) -> Result<Self> {
        Ok(Self { watch: Watch::open(api, PODS).await?, ready: BTreeSet::new() })
    }

    /// Waits until `count` more Pods have become ready.
    pub(crate) async fn until_ready(&mut self, count: usize) -> Result<()> {
        let wanted = self.ready.len() + count;
        while self.ready.len() < wanted {
            let ready = self.watch.until(is_ready).await?;
            self.ready.insert(ready["metadata"]["uid"].as_str().unwrap_or_default().to_owned());
        }
        Ok(())
    }

    /// Waits until Pods are gone.
    pub(crate) async fn until_gone(&mut self, count: usize) -> Result<()> {
        let mut gone = 0;
        while gone < count {
            gone += usize::from(self.watch.next().await?["type"] == "DELETED");
        }
        Ok(())
    }
}

fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array();
    conditions.into_iter().flatten().any(|c| c["type"] == "Ready" && c["status"] == "True")
}

/// Whether a Deployment's controller has done all that its newest template asks for.
pub(crate) fn is_rolled_out(deployment: &Value) -> bool {
    let number = |value: &Value| value.as_u64().unwrap_or(0);
    let (wanted, status) = (number(&deployment["spec"]["replicas"]), &deployment["status"]);
    number(&status["observedGeneration"]) >= number(&deployment["metadata"]["generation"])
        && ["updatedReplicas", "replicas", "availableReplicas"].iter().all(|field| number(&status[field]) == wanted)
}
